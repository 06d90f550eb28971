// `npm run fire`: the long run. Prints a table in Markdown and writes all figures under target/fire.
//
// `--seed TEXT` makes an earlier run's chances again, `--only ROW,ROW` runs some of the cases,
// `--short` in the sizes of `npm test`.

import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { underNewNode } from "../../scripts/node22.mjs";

await underNewNode(fileURLToPath(import.meta.url));
// They need `node:sqlite`, which an older Node can't even name.
const { CASES } = await import("./cases.mjs");
const { Chance } = await import("./support/chance.mjs");
const { machine, table } = await import("./support/report.mjs");

const { values } = parseArgs({ options: { seed: { type: "string" }, only: { type: "string" }, short: { type: "boolean" } } });
const seed = values.seed ?? randomBytes(4).toString("hex");
const only = values.only?.split(",");
const size = values.short ? "short" : "long";
const chance = new Chance(seed);

const run = { seed, size, ...machine(), rows: [] };
const folder = fileURLToPath(new URL("../../target/fire/", import.meta.url));
mkdirSync(folder, { recursive: true });
const file = `${folder}${run.date.replaceAll(":", "-")}.json`;

for (const { case: own, [size]: sizes } of CASES) {
  if (sizes === undefined || (only && !only.includes(own.row))) continue;
  const began = Date.now();
  const row = { row: own.row, name: own.name, sizes };
  try {
    Object.assign(row, await own.run(sizes, chance.fork(own.row)));
  } catch (error) {
    row.failed = error.message;
    console.error(error);
  }
  row.seconds = Math.round((Date.now() - began) / 1000);
  run.rows.push(row);
  // After each: a run that is broken off has what it had.
  writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`);
  console.error(`${row.failed === undefined ? "✓" : "✗"} ${row.row} (${row.seconds} s)`);
}

console.log(table(run));
console.error(`all figures: ${file}`);
if (run.rows.some(({ failed }) => failed !== undefined)) process.exitCode = 1;
