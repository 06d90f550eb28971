// "Sessions hold under fire", in the sizes that fit into `npm test`. The long run: `npm run fire`.
//
// What is asserted is counted. Nothing is asserted of time; CPU and memory are only told here.

import { randomBytes } from "node:crypto";
import { test } from "node:test";

import { CASES } from "./cases.mjs";
import { Chance } from "./support/chance.mjs";

const seed = process.env.FIRE_SEED ?? randomBytes(4).toString("hex");
console.log(`FIRE_SEED=${seed} makes this run's chances again`);
const chance = new Chance(seed);

for (const { case: own, short } of CASES) {
  if (short === undefined) continue;
  test(own.name, { timeout: 180_000 }, async (t) => {
    const { figures } = await own.run(short, chance.fork(own.row));
    if (Object.keys(figures).length > 0) t.diagnostic(JSON.stringify(figures));
  });
}
