// What a plan to forward says, line by line (src/edge/plans.rs tells what stands in each).

export const URL_ = 1;
export const CARRIED = 2;
export const AUTHORIZATION = 3;
export const METHOD = 4;
export const BINDING = 5;
export const KEEP = 6;
export const CACHE = 7;
export const TIMEOUT = 8;
export const RULES = 9;
export const ACCEPT_ENCODING = 10;
export const DROP = 11;
// Where the call got a pass.
export const NUMBER = 12;
export const ROUTE = 13;
export const CUT = 14;
export const BASE = 15;
export const NAME = 16;
export const COMMAND = 17;
