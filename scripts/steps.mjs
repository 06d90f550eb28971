// What the scripts share: steps that say what they do and how long it took, and commands.
// Plain Node 20, no packages: this runs before there are any.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's top folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** When this run began, also where a newer Node has taken over since (`underNewNode`). */
export const began = Number(process.env.TOKENKEEP_BEGAN ?? Date.now());

/** Something that a person must do first; shown without a stack. */
export class Wanted extends Error {}

/** Runs one step and says how long it took. */
export async function step(what, work) {
  const started = Date.now();
  console.log(`▸ ${what}`);
  const result = await work();
  console.log(`✓ ${what} (${seconds(started)})`);
  return result;
}

/** Since when, for people: `8.3 s`, `2 min 5 s`. */
export function seconds(started) {
  const s = (Date.now() - started) / 1000;
  return s < 90 ? `${s.toFixed(1)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

/** Runs a command to its end with its output visible; throws if it fails. */
export function run(command, args, options = {}) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], ...options });
    child.once("error", (error) => failed(new Wanted(`${command} could not be started: ${error.message}`)));
    child.once("exit", (code, signal) =>
      code === 0 ? done() : failed(new Wanted(`\`${command} ${args.join(" ")}\` ended with ${signal ?? code}`)),
    );
  });
}

/** What a command prints, or undefined if it isn't there or fails. */
export function ask(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** Whether dotted version `a` is at least `b`. */
export function atLeast(a, b) {
  const [x, y] = [a, b].map((v) => v.split(".").map((n) => Number.parseInt(n, 10)));
  for (let i = 0; i < 3; i += 1) {
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) > (y[i] ?? 0);
  }
  return true;
}

/** Whether the built Worker is newer than everything it is made of. */
export function isBuilt() {
  const built = ["build/tokenkeep.js", "build/tokenkeep.wasm"].map((file) => join(root, file));
  if (!built.every((file) => existsSync(file))) return false;
  const since = Math.min(...built.map((file) => statSync(file).mtimeMs));
  return ["src", "Cargo.toml", "Cargo.lock", "scripts/build.mjs"].every((path) => newest(join(root, path)) <= since);
}

function newest(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** Ends a script with what a person must do, or with the fault and its stack. */
export function giveUp(error) {
  console.error(error instanceof Wanted ? `\n✗ ${error.message}` : error);
  process.exitCode = 1;
}
