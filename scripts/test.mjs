// `npm test`: set-up, then everything. Every part must run and count something; the last line says
// how many passed and failed, and the exit code says it too.

import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { browser } from "./browser.mjs";
import { underNewNode } from "./node22.mjs";
import { setup } from "./setup.mjs";
import { began, giveUp, root, seconds } from "./steps.mjs";

const WASM = ["--target", "wasm32-unknown-unknown", "--lib"];
const LINTS = ["--", "-D", "warnings"];

/** What runs, in this order: what fails fast comes first. `count` reads a runner's output. */
const PARTS = [
  { name: "format", run: ["cargo", "fmt", "--check"] },
  { name: "lints, native", run: ["cargo", "clippy", "--locked", "--all-targets", ...LINTS] },
  { name: "lints, wasm32", run: ["cargo", "clippy", "--locked", ...WASM, ...LINTS] },
  { name: "documentation", run: ["cargo", "rustdoc", "--locked", "--lib", ...LINTS] },
  { name: "native tests", run: ["cargo", "test", "--locked"], count: countCargo },
  { name: "build of the Worker", run: [process.execPath, "scripts/build.mjs"] },
  { name: "Worker tests (workerd)", tests: "tests/worker", count: countNode },
  // CPU and memory of a process are read as Linux tells them.
  ...(process.platform === "linux" ? [{ name: "bars (bench)", run: [process.execPath, "bench/run.mjs", "--no-build", "--only", "calls,start,bodies,size", "--connections", "16", "--processes", "3", "--rounds", "7", "--gate"] }] : []),
  { name: "under fire (workerd)", tests: "tests/fire", count: countNode },
  { name: "browser tests (Chromium)", tests: "tests/browser", count: countNode },
];

/** Longer than this is stuck. Minutes. */
const LIMIT = 20;

async function main() {
  await setup();
  const chromium = await browser();
  await underNewNode(fileURLToPath(import.meta.url));

  const results = [];
  for (const part of PARTS) results.push({ part, ...(await runPart(part, chromium)) });

  console.log(`\n${"─".repeat(60)}`);
  for (const { part, passed, failed, took, why } of results) {
    console.log(`${failed > 0 ? "✗" : "✓"} ${part.name.padEnd(28)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed   ${took}${why ? `   ${why}` : ""}`);
  }
  console.log(`all of it took ${seconds(began)}`);
  report(sum(results, "passed"), sum(results, "failed"));
}

/** The line that everything ends with. */
function report(passed, failed) {
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

async function runPart({ name, run, tests, count }, chromium) {
  const started = Date.now();
  console.log(`\n▸ ${name}`);
  const finish = (passed, failed, why) => {
    const took = seconds(started);
    console.log(`${failed > 0 ? "✗" : "✓"} ${name}: ${passed} passed, ${failed} failed (${took})${why ? `; ${why}` : ""}`);
    return { passed, failed, took, why };
  };
  let command = run;
  if (tests !== undefined) {
    const files = testFiles(tests);
    if (files.length === 0) return finish(0, 1, `no *.test.mjs in ${tests}`);
    command = [process.execPath, "--test", "--test-reporter=spec", "--test-concurrency=1", ...files];
  }
  const { code, output } = await stream(command, { ...process.env, CHROMIUM: chromium });
  if (count === undefined) return code === 0 ? finish(1, 0) : finish(0, 1, `ended with ${code}`);

  const { passed, failed, left } = count(output);
  if (passed + failed === 0) return finish(0, 1, code === 0 ? "no test was counted" : `ended with ${code} before any test`);
  // A test that was skipped is a promise that nobody looked at.
  if (left > 0) return finish(passed, failed + left, `${left} did not run`);
  if (code !== 0 && failed === 0) return finish(passed, 1, `ended with ${code}`);
  return finish(passed, failed);
}

function testFiles(folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder)).filter((file) => file.endsWith(".test.mjs")).sort().map((file) => join(folder, file));
}

/** Runs a command with its output shown as it comes, and kept. */
function stream([command, ...args], env) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    current = child;
    let output = "";
    const timer = setTimeout(() => {
      console.log(`\n✗ not done after ${LIMIT} minutes, stopped`);
      end(child);
    }, LIMIT * 60_000);
    for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
      from.setEncoding("utf8");
      from.on("data", (text) => {
        output += text;
        to.write(text);
      });
    }
    child.once("error", (error) => {
      clearTimeout(timer);
      console.log(error.message);
      done({ code: error.code, output });
    });
    // A runtime that a test left behind may hold the pipes open: `exit` is the end, not `close`.
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      setTimeout(() => {
        end(child);
        done({ code: code ?? signal, output });
      }, 200);
    });
  });
}

let current;
/** Ends a part and all that it started: each runs in a process group of its own. */
function end(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody left.
  }
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (current !== undefined) end(current);
    process.exit(130);
  });
}

/** `test result: ok. 12 passed; 0 failed; 0 ignored; …`, one a test binary. */
function countCargo(output) {
  const lines = [...plain(output).matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)];
  const total = (index) => lines.reduce((all, line) => all + Number(line[index]), 0);
  return { passed: total(1), failed: total(2), left: total(3) };
}

/** The summary of node's spec reporter: `ℹ pass 12`, `ℹ fail 0`, `ℹ cancelled 0`, … */
function countNode(output) {
  const text = plain(output);
  const number = (word) => Number([...text.matchAll(new RegExp(`^ℹ ${word} (\\d+)$`, "gm"))].at(-1)?.[1] ?? 0);
  return { passed: number("pass"), failed: number("fail") + number("cancelled"), left: number("skipped") + number("todo") };
}

const plain = (text) => text.replace(/\u001b\[[\d;]*m/g, "");
const sum = (results, key) => results.reduce((total, result) => total + result[key], 0);

await main().catch((error) => {
  giveUp(error);
  report(0, 1);
});
