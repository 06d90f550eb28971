// What the bench concludes from its figures. (That it measures is seen by running it.)

import assert from "node:assert/strict";
import { test } from "node:test";

import { BARS, judged } from "../../bench/bars.mjs";
import { ratio } from "../../bench/measure/ratio.mjs";

/** Rows whose processes had these ratios to `b`, each with three rounds around it. */
function figures(key, ratios) {
  const processes = (of) => ratios.map((each, nth) => ({ rounds: [0.5, 1, 3].map((noise) => ({ cpu: of(each) * noise * (nth + 1) })) }));
  return { b: { processes: processes(() => 100) }, [key]: { processes: processes((each) => 100 * each) } };
}

test("a ratio is the mean of the processes, with Student's interval", () => {
  const { value, low, high } = ratio(figures("e", [1, 1.1, 1.2]), "e", "b");
  assert.ok(Math.abs(value - 1.1) < 1e-9);
  // t for two degrees of freedom is 4.3; the deviation 0.1.
  assert.ok(Math.abs(high - value - (4.3 * 0.1) / Math.sqrt(3)) < 1e-3);
  assert.ok(Math.abs(value - low - (high - value)) < 1e-9);
  const alone = ratio(figures("e", [1]), "e", "b");
  assert.deepEqual([alone.low, alone.high], [-Infinity, Infinity], "one process says nothing of others");
});

test("a bar is broken beyond its margin, if the whole interval is beyond it, or by what is no number", () => {
  const verdict = (...ratios) => {
    const rest = Object.fromEntries(["a", "c", "d", "f", "g1", "g2"].map((key) => [key, figures(key, ratios)[key]]));
    return judged({ calls: { 16: { ...rest, ...figures("e", ratios) } } }).find(({ what }) => what.startsWith("warm call against (b)")).verdict;
  };
  assert.equal(verdict(1.04, 1.05, 1.05), "met");
  assert.equal(verdict(1.09, 1.1, 1.11), "within the margin");
  assert.equal(verdict(1.2, 1.21, 1.2), "broken");
  assert.equal(verdict(1, 1.5, 1.2), "within the margin", "1.23, but it may be less than 1.05");
  assert.equal(verdict(NaN, 1, 1), "broken");
});

test("the other way round where more is better, and only what was measured is judged", () => {
  const side = (ratio, grown) => ({ ratio, grown });
  const of = (ratio, grown) => Object.fromEntries(judged({ bodies: { down: { a: side(1, 0), e: side(ratio, grown) }, up: { a: side(1, 0), e: side(1, 0) } } }).map(({ what, verdict }) => [what, verdict]));
  const down = "100 MB down against (a), throughput";
  assert.equal(of(0.95, 0)[down], "met");
  assert.equal(of(0.85, 0)[down], "within the margin");
  assert.equal(of(0.5, 0)[down], "broken");
  assert.equal(of(1, 16)["100 MB down, peak memory above (a)'s, MB"], "broken");
  assert.equal(Object.keys(of(1, 0)).length, BARS.filter(({ part }) => part === "bodies").length);
  assert.deepEqual(judged({ size: { e: { gzip: 350.1 } } }).map(({ verdict }) => verdict), ["broken"]);
});
