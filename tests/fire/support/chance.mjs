// All chance of these tests comes from here: one seed, printed, makes a run again.

import { createHash } from "node:crypto";

export class Chance {
  #state;

  /** @param {string} seed any text */
  constructor(seed) {
    this.seed = seed;
    this.#state = createHash("sha256").update(seed).digest().readUInt32LE(0);
  }

  /** A stream of its own for a part: what one part draws doesn't move what another one draws. */
  fork(part) {
    return new Chance(`${this.seed}/${part}`);
  }

  /** From 0 to below 1 (mulberry32). */
  draw() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low, high) {
    return low + Math.floor(this.draw() * (high - low + 1));
  }

  pick(list) {
    return list[this.between(0, list.length - 1)];
  }

  shuffled(list) {
    const mixed = [...list];
    for (let i = mixed.length - 1; i > 0; i -= 1) {
      const other = this.between(0, i);
      [mixed[i], mixed[other]] = [mixed[other], mixed[i]];
    }
    return mixed;
  }

  /**
   * `count` cards in an order by chance. Of each `[share, card]` there are exactly its share, and at
   * least one, so that a short run has each of them; the rest are `otherwise`.
   */
  deck(count, shares, otherwise) {
    const cards = shares.flatMap(([share, card]) => Array(Math.max(1, Math.round(count * share))).fill(card));
    while (cards.length < count) cards.push(otherwise);
    return this.shuffled(cards);
  }

  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.between(0, 255)));
  }
}
