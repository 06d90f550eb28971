// WebSockets that are open and silent: what the process holds for each.

import { setTimeout as sleep } from "node:timers/promises";

import { memory } from "../../tests/worker/support/process.mjs";
import { median } from "../../tests/fire/support/tally.mjs";
import { handshake } from "../support/request.mjs";

/** How long they are left alone: a bound one asks for its session meanwhile. */
const SECONDS = 6;

/**
 * @param {object} stand with `load`
 * @param {object[]} sides
 * @param {number} count how many sockets
 * @returns {Promise<object>} megabytes for each socket, by the side's letter
 */
export async function measureOpen({ load }, sides, count) {
  const figures = {};
  for (const side of sides) {
    const held = memory(side.workerd.pid);
    await load.tell("open", { count, port: side.port, socket: handshake(side), bytes: 200 });
    await load.tell("run", { times: count, status: 101, bytes: 200 });
    await sleep(SECONDS * 1000);
    figures[side.letter] = (memory(side.workerd.pid) - held) / count;
    await load.tell("close");
  }
  return figures;
}

/** The median of each figure. */
export function eachMedian(runs) {
  return Object.fromEntries(Object.keys(runs[0]).map((key) => [key, median(runs.map((run) => run[key]))]));
}
