// `npm run bench`: what a call costs, side by side with Workers that are written in JavaScript.
// Prints tables in Markdown and writes all figures under target/bench/. See docs/bench.md.
//
//   --only PART,PART   of calls, bodies, start, size
//   --rounds N         of calls, in the place of 41
//   --short            few rounds of calls: to see that it works, not to be believed
//   --no-build         the Worker as it lies in build/
//   --gate             ends with 1 where a bar is broken by more than its margin

import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { underNewNode } from "../scripts/node22.mjs";

const PARTS = ["calls", "bodies", "start", "size"];
const CONNECTIONS = [16, 2];

await underNewNode(fileURLToPath(import.meta.url));
const { values } = parseArgs({
  options: { only: { type: "string" }, rounds: { type: "string" }, short: { type: "boolean" }, "no-build": { type: "boolean" }, gate: { type: "boolean" } },
});
const parts = values.only?.split(",") ?? PARTS;
const unknown = parts.find((part) => !PARTS.includes(part));
if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${PARTS.join(", ")}`);
if (!values["no-build"]) await (await import("../scripts/build.mjs")).build();

const { machine } = await import("../tests/fire/support/report.mjs");
const { check } = await import("./check.mjs");
const { judged } = await import("./bars.mjs");
const { measureBodies } = await import("./measure/bodies.mjs");
const { measureCalls } = await import("./measure/calls.mjs");
const { sizes: measureSize } = await import("./measure/size.mjs");
const { measureStart } = await import("./measure/start.mjs");
const { report } = await import("./report.mjs");
const { startLoad, startUpstream } = await import("./support/processes.mjs");
const { PROGRAMS, startSide, TARGET } = await import("./support/sides.mjs");

// Many short rounds: what else the machine does comes and goes within seconds.
const sizes = { ...(values.short ? { rounds: 5, warmUp: 1 } : { rounds: 41, warmUp: 5 }), seconds: 0.3, few: 7 };
if (values.rounds !== undefined) sizes.rounds = Number(values.rounds);

const stand = { upstream: await startUpstream(), load: startLoad() };
const sides = {};
const run = { ...machine(), sizes };
try {
  for (const letter of Object.keys(PROGRAMS)) {
    sides[letter] = await startSide(letter, stand.upstream);
    if (letter !== "a") await check(sides[letter], stand.upstream);
  }
  say("every side does its whole job");
  const { a, b, c, d, e, f } = sides;
  if (parts.includes("size")) run.size = measureSize([a, b, c, d, e]);
  if (parts.includes("start")) run.start = await measureStart([a, b, e], { rounds: sizes.few });
  if (parts.includes("bodies")) run.bodies = await bodies([a, b, e]);
  if (parts.includes("calls")) run.calls = await calls();

  async function calls() {
    const rows = [
      ...[a, b, c, d, e, f].map((side) => ({ key: side.letter, side, bytes: 1_024 })),
      { key: "g1", side: e, how: { session: false }, status: 401 },
      { key: "g2", side: e, how: { site: "cross-site" }, status: 403 },
    ];
    const figures = {};
    for (const connections of CONNECTIONS) {
      figures[connections] = await measureCalls(stand, rows, { ...sizes, connections });
      say(`calls, ${connections} connections`);
    }
    return figures;
  }

  async function bodies(three) {
    const rows = three.map((side) => ({ key: side.letter, side, how: { path: "/bytes/65536" }, bytes: 65_536 }));
    const large = await measureBodies(stand, three, { rounds: sizes.few, bytes: 100_000_000 });
    const middle = await measureCalls(stand, rows, { ...sizes, connections: 16 });
    say("bodies");
    return { ...large, middle };
  }
} finally {
  await Promise.all(Object.values(sides).map((side) => side.stop()));
  stand.upstream.stop();
  stand.load.stop();
}

mkdirSync(TARGET, { recursive: true });
const file = `${TARGET}/${run.date.replaceAll(":", "-")}.json`;
run.bars = judged(run);
writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`);
console.log(report(run));
say(`all figures: ${file}`);
if (values.gate && run.bars.some(({ verdict }) => verdict === "broken")) process.exitCode = 1;

function say(what) {
  console.error(`▸ ${what}`);
}
