// Waiting for what is to come, instead of sleeping and hoping.

import { setTimeout as sleep } from "node:timers/promises";

/** Resolves with the first value of `condition` that is truthy; throws with `what` when time is up. */
export async function until(condition, what, limit = 10_000) {
  const end = Date.now() + limit;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${limit} ms in vain for ${what}`);
    await sleep(20);
  }
}

/** Tokens are dated in whole seconds: what comes after this is told from what was before it. */
export const nextSecond = () => sleep(1005 - (Date.now() % 1000));

/** A promise with its resolve at hand: a gate that a test opens. */
export function gate() {
  let open;
  const opened = new Promise((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
