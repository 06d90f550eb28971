// The bars, each with a margin for what a machine that others use too does to a figure. `--gate` fails
// where a bar is broken by more than its margin. (Sessions: tests/fire, row `live objects`.)

import { ratio } from "./measure/ratio.mjs";

/** `of` reads the figures of its part, where that was measured. */
export const BARS = [
  //  what                                              bar    margin
  bar("warm call against (b), CPU",                     1.05,  0.08, "calls",  (calls) => ratio(calls[16], "e", "b")),
  bar("cold call against (c), CPU",                     1.1,   0.08, "calls",  (calls) => ratio(calls[16], "f", "c")),
  bar("warm call against (d), CPU",                     0.85,  0.06, "calls",  (calls) => ratio(calls[16], "e", "d")),
  bar("call without a session against (a), CPU",        0.6,   0.05, "calls",  (calls) => ratio(calls[16], "g1", "a")),
  bar("call from another site against (a), CPU",        0.6,   0.05, "calls",  (calls) => ratio(calls[16], "g2", "a")),
  least("100 MB down against (a), throughput",          0.9,   0.1,  "bodies", (bodies) => bodies.down.e.ratio),
  least("100 MB up against (a), throughput",            0.9,   0.1,  "bodies", (bodies) => bodies.up.e.ratio),
  bar("100 MB down, peak memory above (a)'s, MB",       10,    5,    "bodies", (bodies) => bodies.down.e.grown - bodies.down.a.grown),
  bar("100 MB up, peak memory above (a)'s, MB",         10,    5,    "bodies", (bodies) => bodies.up.e.grown - bodies.up.a.grown),
  bar("bundle, gzip, KB",                               350,   0,    "size",   (size) => size.e.gzip),
  bar("start beyond (a)'s, ms of CPU",                  50,    10,   "start",  (start) => start.e.moreCpu),
];

function bar(what, at, margin, part, of) {
  return { what, part, of, at, margin, sign: "≤", over: (value) => value - at };
}

function least(what, at, margin, part, of) {
  return { what, part, of, at, margin, sign: "≥", over: (value) => at - value };
}

/**
 * Each bar whose part was measured: met, within the margin, or broken. Broken is what is beyond the
 * margin and would be beyond the bar at the near end of its interval too, and what is no number.
 */
export function judged(run) {
  return BARS.filter(({ part }) => run[part] !== undefined).map(({ what, part, of, at, margin, sign, over }) => {
    const figure = of(run[part]);
    const { value, low, high } = typeof figure === "object" ? figure : { value: figure, low: figure, high: figure };
    const isBroken = !Number.isFinite(value) || (over(value) > margin && Math.min(over(low), over(high)) > 0);
    return { what, bar: `${sign} ${at}`, margin, value, low, high, verdict: over(value) <= 0 ? "met" : isBroken ? "broken" : "within the margin" };
  });
}
