// A Node that is new enough for wrangler (22.12) and for `node:sqlite` without a flag (22.13), whatever
// the machine has.
//
// The npm package `node` brings one. Its install script fetches a package for this platform and links
// it; where install scripts are off, or the link is missing, the binary is found or fetched all the same.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";

import { ask, atLeast, began, root, Wanted } from "./steps.mjs";

const NEEDED = "22.13.0";
const platform = `${process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node"}-${process.platform}-${process.arch}`;

/** The path of a new enough Node, or undefined. */
export function findNode() {
  if (atLeast(process.versions.node, NEEDED)) return process.execPath;
  const modules = join(root, "node_modules");
  return [
    join(modules, "node", "bin", "node"),
    join(modules, "node", "node_modules", platform, "bin", "node"),
    join(modules, platform, "bin", "node"),
    "node",
  ].find((path) => {
    if (path !== "node" && !existsSync(path)) return false;
    return atLeast(ask(path, ["--version"])?.slice(1) ?? "0", NEEDED);
  });
}

/** Does what the install script of the package `node` does. */
export async function linkNode() {
  const folder = join(root, "node_modules", "node");
  if (!existsSync(folder)) return;
  const require = createRequire(join(folder, "package.json"));
  const { version } = require("./package.json");
  await new Promise((done) => {
    spawn("npm", ["install", "--no-save", "--no-package-lock", "--loglevel=error", `${platform}@${version}`], {
      cwd: folder,
      stdio: ["ignore", "inherit", "inherit"],
    })
      .once("error", done)
      .once("exit", done);
  });
}

/**
 * Goes on under a new enough Node: returns at once if this is one, else runs the same script again
 * with it, passes signals on, and ends with its exit code.
 */
export async function underNewNode(script) {
  if (atLeast(process.versions.node, NEEDED)) return;
  const node = findNode();
  if (node === undefined && !existsSync(join(root, "node_modules"))) throw new Wanted(`Node ${NEEDED} or newer is needed, and no packages are installed: npm run setup`);
  if (node === undefined) {
    throw new Wanted(`Node ${NEEDED} or newer is needed and the npm package that brings it did not install: install Node 22 from https://nodejs.org.`);
  }
  const child = spawn(node, [script, ...process.argv.slice(2)], {
    cwd: process.cwd(),
    stdio: "inherit",
    env: { ...process.env, TOKENKEEP_BEGAN: String(began), PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
  });
  // A terminal sends Ctrl-C to both; a signal to this process alone is handed on. Twice does no harm.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  const code = await new Promise((done) => child.once("exit", (exit, signal) => done(exit ?? 128 + (constants.signals[signal] ?? 0))));
  process.exit(code);
}
