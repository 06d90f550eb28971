// Calls: CPU of the workerd process for each, calls a second, and how long they took.
//
// All sides in turn, round after round, each round in another order, so that what the machine does
// besides meets all of them. A ratio is taken within a round and then the median of the rounds.

import { setTimeout as sleep } from "node:timers/promises";

import { cpu, memory } from "../../tests/worker/support/process.mjs";
import { median } from "../../tests/fire/support/tally.mjs";
import { requestText } from "../support/request.mjs";

/**
 * @param {object} stand with `load` and `upstream`
 * @param {object[]} rows `{ key, side, how, status, bytes }`
 * @param {object} sizes `rounds`, `seconds` a row, `warmUp` seconds before the first round, `connections`
 * @returns {Promise<object>} figures by the row's key
 */
export async function measureCalls({ load, upstream }, rows, { rounds, seconds, warmUp, connections }) {
  const figures = new Map(rows.map(({ key }) => [key, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (let turn = 0; turn < rows.length; turn += 1) {
      const { key, side, how, status = 200, bytes } = rows[(turn + round) % rows.length];
      const expected = { status, bytes };
      await load.tell("open", { count: connections, port: side.port, request: requestText(side, how) });
      // The first round is there to be thrown away: code is compiled, caches are filled.
      await load.tell("run", { seconds: round === 0 ? warmUp : 0.25, ...expected });
      if (round > 0) {
        const before = [side.workerd, load, upstream].map(({ pid }) => cpu(pid));
        const { requests, seconds: took, p50, p99 } = await load.tell("run", { seconds, ...expected });
        const [own, generator, api] = [side.workerd, load, upstream].map(({ pid }, at) => (cpu(pid) - before[at]) / requests);
        figures.get(key).push({ cpu: own, generator, api, rate: requests / took, p50, p99, busy: (own * requests) / took / 1e6 });
      }
      await load.tell("close");
      await sleep(50);
    }
  }
  return Object.fromEntries(rows.map(({ key, side }) => [key, summary(figures.get(key), side)]));
}

function summary(rounds, side) {
  const of = (what) => median(rounds.map((round) => round[what]));
  return {
    ...Object.fromEntries(["cpu", "rate", "p50", "p99", "busy", "generator", "api"].map((what) => [what, of(what)])),
    rounds,
    rss: memory(side.workerd.pid),
  };
}
