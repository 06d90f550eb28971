// `npm run bench`: what a call costs, side by side with Workers that are written in JavaScript.
// Prints tables in Markdown and writes all figures under target/bench/. See docs/bench.md.
// `--help` tells the options.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { underNewNode } from "../scripts/node22.mjs";
import { root } from "../scripts/steps.mjs";

const PARTS = ["calls", "sockets", "bodies", "start", "size"];

await underNewNode(fileURLToPath(import.meta.url));
const HELP = `npm run bench -- …
  --only PART,PART   of ${PARTS.join(", ")}
  --processes N      of each side, one after the other, in the place of 5
  --rounds N         of calls in each, in the place of 11
  --connections N,N  of calls, in the place of 16,2; 16 has to be among them
  --short            two processes, two rounds: to see that it works, not to be believed
  --no-build         the Worker as it lies in build/
  --gate             ends with 1 where a bar is broken by more than its margin`;

const { values } = options({
  options: { only: { type: "string" }, processes: { type: "string" }, rounds: { type: "string" }, connections: { type: "string", default: "16,2" }, short: { type: "boolean" }, "no-build": { type: "boolean" }, gate: { type: "boolean" }, help: { type: "boolean" } },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}
const parts = values.only?.split(",") ?? PARTS;
const unknown = parts.find((part) => !PARTS.includes(part));
if (unknown !== undefined) refuse(`--only ${unknown}: there are ${PARTS.join(", ")}`);
const { MOST_PROCESSES } = await import("./measure/ratio.mjs");

// Many short rounds, since what else the machine does comes and goes within seconds; and several processes of
// each side, since a process has its luck for as long as it lives.
const sizes = { ...(values.short ? { processes: 2, rounds: 2, warmUp: 1 } : { processes: 5, rounds: 11, warmUp: 4 }), seconds: 0.3, few: 7, sockets: 500 };
for (const name of ["processes", "rounds"]) if (values[name] !== undefined) sizes[name] = Number(values[name]);
sizes.connections = values.connections.split(",").map(Number);
if (!(Number.isInteger(sizes.processes) && sizes.processes >= 2 && sizes.processes <= MOST_PROCESSES)) refuse(`--processes ${values.processes}: 2 to ${MOST_PROCESSES}`);
if (!(Number.isInteger(sizes.rounds) && sizes.rounds >= 1)) refuse(`--rounds ${values.rounds}: 1 or more`);
if (!sizes.connections.every((count) => Number.isInteger(count) && count >= 1) || !sizes.connections.includes(16)) refuse(`--connections ${values.connections}: numbers, and 16 among them, since the bars are for 16`);

if (!values["no-build"]) await (await import("../scripts/build.mjs")).build();
else if (!existsSync(`${root}/build/tokenkeep.wasm`)) refuse("there is no built Worker in build/: leave out --no-build");

const { machine } = await import("../tests/fire/support/report.mjs");
const { check } = await import("./check.mjs");
const { judged } = await import("./bars.mjs");
const { measureBodies } = await import("./measure/bodies.mjs");
const { measureCalls, together } = await import("./measure/calls.mjs");
const { eachMedian, measureOpen } = await import("./measure/sockets.mjs");
const { sizes: measureSize } = await import("./measure/size.mjs");
const { measureStart } = await import("./measure/start.mjs");
const { report } = await import("./report.mjs");
const { startLoad, startUpstream } = await import("./support/processes.mjs");
const { PROGRAMS, startSide, TARGET } = await import("./support/sides.mjs");

const stand = { upstream: await startUpstream(), load: startLoad() };
const run = { ...machine(), sizes };
let sides = {};
try {
  const runs = { ...Object.fromEntries(sizes.connections.map((connections) => [connections, []])), middle: [], messages: [], open: [] };
  for (let nth = 0; nth < (parts.some((part) => part !== "size" && part !== "start") ? sizes.processes : 1); nth += 1) {
    await begin();
    const { a, b, c, d, e, f, g, s, t } = sides;
    if (nth === 0) {
      if (parts.includes("size")) run.size = measureSize([a, b, c, d, e]);
      if (parts.includes("start")) run.start = await measureStart([a, b, e], { rounds: sizes.few });
      if (parts.includes("bodies")) run.bodies = await measureBodies(stand, [a, b, e], { rounds: sizes.few, bytes: 100_000_000 });
    }
    if (parts.includes("calls")) {
      const rows = [
        ...[a, b, c, d, e, f].map((side) => ({ key: side.letter, side, bytes: 1_024 })),
        { key: "g1", side: g, how: { session: false }, status: 401 },
        { key: "g2", side: g, how: { site: "cross-site" }, status: 403 },
      ];
      // What was compiled for the first of them stays compiled.
      for (const connections of sizes.connections) {
        runs[connections].push(await measureCalls(stand, rows, { ...sizes, warmUp: connections === sizes.connections[0] ? sizes.warmUp : 1, connections }));
      }
    }
    if (parts.includes("bodies")) {
      const rows = [a, b, e].map((side) => ({ key: side.letter, side, how: { path: "/bytes/65536" }, bytes: 65_536 }));
      runs.middle.push(await measureCalls(stand, rows, { ...sizes, connections: 16 }));
    }
    if (parts.includes("sockets")) {
      const rows = [a, s, t].map((side) => ({ key: side.letter, side, status: 101, bytes: 200 }));
      runs.messages.push(await measureCalls(stand, rows, { ...sizes, connections: 16 }));
      runs.open.push(await measureOpen(stand, [a, s, t], sizes.sockets));
    }
    await end();
    say(`processes ${nth + 1}`);
  }
  if (parts.includes("calls")) run.calls = Object.fromEntries(sizes.connections.map((connections) => [connections, together(runs[connections])]));
  if (parts.includes("bodies")) run.bodies.middle = together(runs.middle);
  if (parts.includes("sockets")) run.sockets = { messages: together(runs.messages), open: eachMedian(runs.open) };
} finally {
  await end();
  stand.upstream.stop();
  stand.load.stop();
}

/** Every side, started anew, with a session of its own. */
async function begin() {
  for (const letter of Object.keys(PROGRAMS)) {
    if (PROGRAMS[letter].route !== undefined && !parts.includes("sockets")) continue;
    sides[letter] = await startSide(letter, stand.upstream);
    if (letter !== "a") await check(sides[letter], stand.upstream);
  }
}

async function end() {
  await Promise.all(Object.values(sides).map((side) => side.stop()));
  sides = {};
}

mkdirSync(TARGET, { recursive: true });
const file = `${TARGET}/${run.date.replaceAll(":", "-")}.json`;
const write = () => writeFileSync(file, `${JSON.stringify(run, undefined, 2)}\n`);
write();
run.bars = judged(run);
write();
console.log(report(run));
say(`all figures: ${file}`);
if (values.gate && run.bars.some(({ verdict }) => verdict === "broken")) process.exitCode = 1;

/** What was asked for, or how to ask. */
function options(known) {
  try {
    return parseArgs(known);
  } catch (error) {
    return refuse(`${error.message}\n${HELP}`);
  }
}

/** For a person: no stack. */
function refuse(why) {
  console.error(why);
  process.exit(2);
}

function say(what) {
  console.error(`▸ ${what}`);
}
