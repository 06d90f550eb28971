// A start: from the process's beginning to the answer of the first call, which has no session. What
// workerd itself takes is in it, and is the same for all: the bare pass-through's start tells how much.
// The least of the rounds is given: a start is the same work each time, and whatever else the machine
// does only adds to it.

import path from "node:path";

import { cpu } from "../../tests/worker/support/process.mjs";
import { freePort, send } from "../../tests/worker/support/raw.mjs";
import { TARGET } from "../support/sides.mjs";
import { Workerd } from "../support/workerd.mjs";
import { inTurn } from "./calls.mjs";

/**
 * @param {object[]} sides whose programs are started
 * @param {object} sizes `rounds`
 * @returns {Promise<object>} figures by the side's letter: milliseconds on the wall and of CPU, in all
 *   and beyond those of (a)
 */
export async function measureStart(sides, { rounds }) {
  const figures = Object.fromEntries(sides.map(({ letter }) => [letter, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const side of inTurn(sides, round)) {
      const figure = await start(side);
      // The first has read the files from the disk.
      if (round > 0) figures[side.letter].push(figure);
    }
  }
  const least = (letter, what) => Math.min(...figures[letter].map((figure) => figure[what]));
  return Object.fromEntries(
    Object.entries(figures).map(([letter, rounds]) => {
      const [wall, used] = [least(letter, "wall"), least(letter, "cpu")];
      return [letter, { wall, cpu: used, more: wall - least("a", "wall"), moreCpu: used - least("a", "cpu"), rounds }];
    }),
  );
}

async function start(side) {
  const port = await freePort();
  const workerd = new Workerd(path.join(TARGET, "start"), port, side.workerd.program);
  try {
    const began = performance.now();
    await workerd.start();
    // The origin that it is configured for; where it listens is another matter.
    const headers = { Host: `localhost:${side.port}`, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" };
    const { status } = await send(`http://127.0.0.1:${port}`, { path: "/api/bytes/1", headers });
    const wall = performance.now() - began;
    if (status !== (side.letter === "a" ? 200 : 401)) throw new Error(`${side.letter} began with ${status}`);
    return { wall, cpu: cpu(workerd.pid) / 1000 };
  } finally {
    await workerd.stop();
  }
}
