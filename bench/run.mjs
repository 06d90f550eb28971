// `npm run bench`: what a call costs, side by side with Workers that are written in JavaScript.
// Prints tables in Markdown and writes all figures under target/bench/. See docs/bench.md.
//
//   --only calls,bodies,start,size   some of the parts
//   --rounds N                       of calls (7)
//   --short                          fewer and shorter rounds: to see that it works
//   --no-build                       the Worker as it lies in build/
//   --gate                           ends with 1 where a bar is broken beyond its margin

import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { underNewNode } from "../scripts/node22.mjs";

await underNewNode(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: { only: { type: "string" }, rounds: { type: "string" }, short: { type: "boolean" }, "no-build": { type: "boolean" }, gate: { type: "boolean" } },
});
if (!values["no-build"]) await (await import("../scripts/build.mjs")).build();

const { machine } = await import("../tests/fire/support/report.mjs");
const { measureCalls } = await import("./measure/calls.mjs");
const { startLoad, startUpstream } = await import("./support/processes.mjs");
const { startSide, TARGET } = await import("./support/sides.mjs");

const rounds = Number(values.rounds ?? (values.short ? 2 : 7));
const stand = { upstream: await startUpstream(), load: startLoad(), sides: new Map() };
try {
  for (const letter of ["a", "b", "e"]) stand.sides.set(letter, await startSide(letter, stand.upstream));
  const rows = [...stand.sides.values()].map((side) => ({ key: side.letter, side, how: {}, bytes: 1_024, baseline: "a" }));
  const figures = await measureCalls(stand, rows, { rounds, seconds: 2, warmUp: 3, connections: 16 });
  for (const [key, { cpu, ratio, rate, p50, p99 }] of figures) console.log(`| ${key} | ${ratio.toFixed(2)} | ${cpu.toFixed(0)} | ${rate.toFixed(0)} | ${p50.toFixed(2)} | ${p99.toFixed(2)} |`);
  mkdirSync(TARGET, { recursive: true });
  writeFileSync(`${TARGET}/bench.json`, JSON.stringify({ ...machine(), calls: Object.fromEntries(figures) }, undefined, 2));
} finally {
  for (const side of stand.sides.values()) await side.stop();
  stand.upstream.stop();
  stand.load.stop();
}
