// How two rows compare: within a round, then the median of a process's rounds, then the mean of the
// processes.

import { median } from "../../tests/fire/support/tally.mjs";

/** Student's t for 95 in 100, two-sided, by the number of processes. */
const T = [Infinity, Infinity, 12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26];

/** As many are believed to differ as the table tells of. */
export const MOST_PROCESSES = T.length - 1;

/**
 * CPU a call of one row against another's.
 *
 * @returns {{ value: number, low: number, high: number }} the mean of the processes, and the interval that
 *   has the true one in it 95 times in 100, as far as they differ like draws from a bell curve
 */
export function ratio(figures, own, other) {
  const ratios = figures[own].processes.map(({ rounds }, nth) => median(rounds.map(({ cpu }, round) => cpu / figures[other].processes[nth].rounds[round].cpu)));
  const mean = ratios.reduce((sum, one) => sum + one, 0) / ratios.length;
  const squares = ratios.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  const reach = ratios.length < 2 ? Infinity : T[ratios.length] * Math.sqrt(squares / (ratios.length - 1) / ratios.length);
  return { value: mean, low: mean - reach, high: mean + reach };
}
