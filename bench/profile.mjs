// `npm run profile -- SIDE [SECONDS]`: where a side's time goes, by `perf` (Debian: linux-perf), with
// 16 connections. Prints the functions that take most, with all that they call and by themselves; the
// recording stays for `perf report`. V8 writes the names of compiled functions for perf; those of wasm are
// numbers, unless the build leaves `--remove-name-section` away.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import path from "node:path";

import { startLoad, startUpstream } from "./support/processes.mjs";
import { requestText } from "./support/request.mjs";
import { PROGRAMS, startSide, TARGET } from "./support/sides.mjs";

const [letter = "e", seconds = "5"] = process.argv.slice(2);
if (!(letter in PROGRAMS)) {
  console.error(`there is no side ${letter}, but ${Object.keys(PROGRAMS).join(", ")}`);
  process.exit(2);
}
const [upstream, load] = [await startUpstream(), startLoad()];
const side = await startSide(letter, upstream, { v8Flags: ["--perf-basic-prof"] });
const file = path.join(TARGET, `${letter}.perf`);
try {
  await load.tell("open", { count: 16, port: side.port, request: requestText(side) });
  await load.tell("run", { seconds: 5, status: 200 });
  const how = ["record", "-q", "-e", "cpu-clock", "-F", "2000", "-g", "-o", file, "-p", side.workerd.pid, "--", "sleep", seconds];
  const perf = spawn("perf", how.map(String), { stdio: "inherit" });
  const [{ requests }] = await Promise.all([load.tell("run", { seconds: Number(seconds), status: 200 }), once(perf, "exit")]);
  console.log(`(${letter}): ${requests} calls in ${seconds} s; ${file}`);
  for (const way of ["--children", "--no-children"]) {
    const { stdout } = spawnSync("perf", ["report", "-i", file, way, "-g", "none", "--percent-limit", "0.7", "--stdio"], { encoding: "utf8", maxBuffer: 64e6 });
    const lines = stdout.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
    console.log(`\n${way}\n${lines.slice(0, 60).map((line) => line.slice(0, 200)).join("\n")}`);
  }
} finally {
  await side.stop();
  upstream.stop();
  load.stop();
}
