// All cases, in the order of the report, and how large each is in a short and in a long run. The
// short sizes belong to `npm test`, the long ones to `npm run fire`.

import { disconnects } from "./cases/callers.mjs";
import { kills } from "./cases/crashes.mjs";
import { records, rolledBack } from "./cases/damage.mjs";
import { duringRefresh } from "./cases/ends.mjs";
import { oneRequest, reuse } from "./cases/expiry.mjs";
import { outages } from "./cases/faults.mjs";
import { budget, limits } from "./cases/limits.mjs";
import { liveObjects, storedSessions } from "./cases/population.mjs";
import { begunLogins, cookies } from "./cases/strangers.mjs";

/** A tenth more CPU is the bar. Medians of such a measurement move by as much as the margin from run to run. */
const BAR = { bar: 1.1, margin: 0.15 };

/** Each case with its sizes; one without a short size is for the long run alone. */
export const CASES = [
  {
    case: oneRequest,
    short: { rounds: 24, sessions: 4, calls: 50, fronts: 2 },
    long: { rounds: 1_000, sessions: 4, calls: 50, fronts: 3 },
  },
  { case: reuse, short: {}, long: {} },
  {
    case: outages,
    short: { rounds: 100, sessions: 20, calls: 20, fronts: 2, delay: 300 },
    long: { rounds: 1_000, sessions: 50, calls: 50, fronts: 2, delay: 5_000 },
  },
  {
    case: disconnects,
    short: { rounds: 6, calls: 10, fronts: 2 },
    long: { rounds: 200, calls: 50, fronts: 2 },
  },
  {
    case: kills,
    short: { rounds: 5, sessions: 6, logins: 2, calls: 3, fronts: 2, delay: 300 },
    long: { rounds: 100, sessions: 10, logins: 3, calls: 5, fronts: 2, delay: 500 },
  },
  {
    case: duringRefresh,
    short: { rounds: 1, calls: 5, fronts: 2 },
    long: { rounds: 20, calls: 20, fronts: 2 },
  },
  {
    case: limits,
    short: { sessions: 2, idle: 9, absolute: 11 },
    long: { sessions: 25, idle: 20, absolute: 30 },
  },
  { case: budget, short: { rounds: 1 }, long: { rounds: 20 } },
  { case: begunLogins, short: { rounds: 2_000 }, long: { rounds: 100_000 } },
  // Fifteen a round; a user has a hundred sessions at most.
  { case: records, short: { rounds: 1 }, long: { rounds: 6 } },
  { case: rolledBack, short: { rounds: 2 }, long: { rounds: 20 } },
  { case: cookies, short: { rounds: 330 }, long: { rounds: 11_000 } },
  {
    case: liveObjects,
    short: { few: 50, many: 300, rounds: 3, calls: 300 },
    // An object in memory holds three open files: ten thousand are more than a process may have here.
    long: { few: 100, many: 5_000, rounds: 7, calls: 3_000, ...BAR },
  },
  { case: storedSessions, long: { few: 100, many: 10_000, rounds: 5, ...BAR } },
];
