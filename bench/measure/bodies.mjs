// Large bodies, one at a time: how fast they go through, and what the process holds meanwhile.

import { setTimeout as sleep } from "node:timers/promises";

import { cpu, forgetPeak, memory, peakMemory } from "../../tests/worker/support/process.mjs";
import { median } from "../../tests/fire/support/tally.mjs";
import { requestText } from "../support/request.mjs";
import { inTurn } from "./calls.mjs";

/** Megabytes, of 10^6 bytes. */
const MB = 1e6;

/**
 * @param {object} stand with `load`
 * @param {object[]} sides
 * @param {object} sizes `rounds`, and `bytes` of a body
 * @returns {Promise<object>} `down` and `up`: figures by the side's letter. To be measured before calls are: a
 *   process that has held much before would hide what it holds now
 */
export async function measureBodies({ load }, sides, { rounds, bytes }) {
  const down = { how: { path: `/bytes/${bytes}` }, answered: bytes };
  // The API answers how many bytes it had: one too few has a digit less.
  const up = { how: { path: "/sink", length: bytes }, sent: bytes, answered: JSON.stringify({ bytes }).length };
  return { down: await through(load, sides, rounds, bytes, down), up: await through(load, sides, rounds, bytes, up) };
}

async function through(load, sides, rounds, bytes, { how, answered, sent }) {
  const figures = Object.fromEntries(sides.map(({ letter }) => [letter, []]));
  const held = sides.map(({ workerd: { pid } }) => {
    forgetPeak(pid);
    return memory(pid);
  });
  for (let round = 0; round <= rounds; round += 1) {
    for (const side of inTurn(sides, round)) {
      const { pid } = side.workerd;
      await load.tell("open", { count: 1, port: side.port, request: requestText(side, how), bodyBytes: sent });
      const used = cpu(pid);
      const { seconds } = await load.tell("run", { times: 1, status: 200, bytes: answered });
      // The first round warms up; its memory counts all the same.
      if (round > 0) figures[side.letter].push({ rate: bytes / MB / seconds, cpu: (cpu(pid) - used) / 1000 });
      await load.tell("close");
      await sleep(50);
    }
  }
  return Object.fromEntries(
    sides.map(({ letter, workerd: { pid } }, at) => {
      const peak = peakMemory(pid);
      return [letter, { ...summary(figures[letter], figures.a), peak, grown: peak - held[at] }];
    }),
  );
}

function summary(rounds, baseline) {
  return {
    rate: median(rounds.map(({ rate }) => rate)),
    cpu: median(rounds.map(({ cpu: used }) => used)),
    ratio: median(rounds.map(({ rate }, round) => rate / baseline[round].rate)),
    cpuRatio: median(rounds.map(({ cpu: used }, round) => used / baseline[round].cpu)),
    rounds,
  };
}
