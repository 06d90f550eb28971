// Calls: CPU of the workerd process for each, calls a second, and how long they took.
//
// All rows in turn, round after round, each round in another order, so that what the machine does
// besides meets all of them. And all of it again with every process started anew: how fast a program
// is differs from one start of it to the next, for as long as the process lives.

import { cpu, memory } from "../../tests/worker/support/process.mjs";
import { median } from "../../tests/fire/support/tally.mjs";
import { handshake, requestText } from "../support/request.mjs";

/**
 * @param {object} stand with `load` and `upstream`
 * @param {object[]} rows `{ key, side, how, status, bytes }`; with status 101 messages on WebSockets are
 *   measured, of so many bytes
 * @param {object} sizes `rounds`, `seconds` of a row in a round, `warmUp` seconds before the first, `connections`
 * @returns {Promise<object>} by the row's key what its process gave: `rounds`, and its memory at the end
 */
export async function measureCalls({ load, upstream }, rows, { rounds, seconds, warmUp, connections }) {
  const figures = new Map(rows.map(({ key }) => [key, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const { key, side, how, status = 200, bytes } of inTurn(rows, round)) {
      const run = (time) => load.tell("run", { seconds: time, status, bytes });
      // Opened anew for each: workerd closes a connection that is silent for five seconds.
      await load.tell("open", { count: connections, port: side.port, ...(status === 101 ? { socket: handshake(side), bytes } : { request: requestText(side, how) }) });
      // The first round is there to compile and to fill caches; later, those of the processor are another side's.
      await run(round === 0 ? warmUp : seconds / 4);
      if (round > 0) {
        const pids = [side.workerd, load, upstream].map(({ pid }) => pid);
        const before = pids.map(cpu);
        const { requests, seconds: took, p50, p99 } = await run(seconds);
        const [own, generator, api] = pids.map((pid, at) => (cpu(pid) - before[at]) / requests);
        figures.get(key).push({ cpu: own, generator, api, rate: requests / took, p50, p99, busy: (own * requests) / took / 1e6 });
      }
      await load.tell("close");
    }
  }
  return Object.fromEntries(rows.map(({ key, side }) => [key, { rounds: figures.get(key), rss: memory(side.workerd.pid) }]));
}

/** Begins with another one each round, and goes the other way every second time. */
export function inTurn(list, round) {
  const at = round % list.length;
  const turned = [...list.slice(at), ...list.slice(0, at)];
  return round % 2 === 0 ? turned : turned.reverse();
}

/**
 * Figures of all the processes that a row had: medians of their rounds.
 *
 * @param {object[]} runs what `measureCalls` gave, once for each start of the processes
 */
export function together(runs) {
  return Object.fromEntries(
    Object.keys(runs[0]).map((key) => {
      const processes = runs.map((run) => run[key]);
      const rounds = processes.flatMap((one) => one.rounds);
      const of = (what) => [what, median(rounds.map((round) => round[what]))];
      return [key, { ...Object.fromEntries(["cpu", "rate", "p50", "p99", "busy", "generator", "api"].map(of)), rss: median(processes.map(({ rss }) => rss)), processes }];
    }),
  );
}
