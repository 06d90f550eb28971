// How two rows compare: the median of what they were in the same round.

import { median } from "../../tests/fire/support/tally.mjs";

/** CPU a call of one row against another's. */
export function ratio(figures, own, other) {
  return median(ratios(figures, own, other));
}

/** The same in each round. */
export function ratios(figures, own, other) {
  return figures[own].rounds.map(({ cpu }, round) => cpu / figures[other].rounds[round].cpu);
}
