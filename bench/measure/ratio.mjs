// How two rows compare: the median of what they were in the same round, and how sure that is.

import { median } from "../../tests/fire/support/tally.mjs";

/**
 * CPU a call of one row against another's.
 *
 * @returns {{ value: number, low: number, high: number }} the median, and an interval that has the true
 *   one in it 95 times in 100, whatever the noise is like (ranks of the sorted rounds)
 */
export function ratio(figures, own, other) {
  const sorted = figures[own].rounds.map(({ cpu }, round) => cpu / figures[other].rounds[round].cpu).sort((a, b) => a - b);
  const reach = 0.98 * Math.sqrt(sorted.length);
  const at = (rank) => sorted[Math.min(sorted.length - 1, Math.max(0, rank))];
  return { value: median(sorted), low: at(Math.floor(sorted.length / 2 - reach)), high: at(Math.ceil(sorted.length / 2 + reach)) };
}
