// A workerd of its own for each side, all with the same configuration but for what they run: one
// socket, one Worker, the network. Nothing else is in the process or in the data's way.

import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import binary from "workerd";

import { COMPATIBILITY_DATE, COMPATIBILITY_FLAGS } from "../../tests/worker/support/worker.mjs";

/**
 * @typedef {object} Program what a side runs
 * @property {Record<string, string | Buffer>} modules by name, the entry first; `.wasm` is compiled
 * @property {Record<string, unknown>} [bindings] variables
 * @property {Record<string, string>} [classes] Durable Objects: binding → class
 * @property {string[]} [v8Flags] for a profile
 */

/** Whatever ends the bench ends them too. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

export class Workerd {
  #child;

  /**
   * @param {string} folder for its files; emptied
   * @param {number} port that it listens on
   * @param {Program} program
   */
  constructor(folder, port, program) {
    Object.assign(this, { folder, port, program });
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(path.join(folder, "objects"), { recursive: true });
    for (const [name, contents] of Object.entries(program.modules)) writeFileSync(path.join(folder, name), contents);
    writeFileSync(path.join(folder, "config.capnp"), configuration(port, program));
  }

  get pid() {
    return this.#child.pid;
  }

  /** Starts it. Resolves when it listens. */
  async start() {
    // What Workers log is nobody's here, but is written as it would be in production.
    const stdio = ["ignore", "ignore", "inherit", "pipe"];
    const child = spawn(binary.default ?? binary, ["serve", path.join(this.folder, "config.capnp"), "--control-fd=3"], { stdio, cwd: this.folder });
    this.#child = child;
    running.add(child);
    child.once("exit", () => running.delete(child));
    await new Promise((done, failed) => {
      child.once("error", failed);
      child.once("exit", (code) => failed(new Error(`workerd ended with ${code}`)));
      child.stdio[3].on("data", (text) => String(text).includes('"listen"') && done());
    });
  }

  async stop() {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }
}

function configuration(port, { modules, bindings = {}, classes = {}, v8Flags = [] }) {
  const kind = (name) => (name.endsWith(".wasm") ? "wasm" : "esModule");
  const lists = {
    modules: Object.keys(modules).map((name) => `(name = "${name}", ${kind(name)} = embed "${name}")`),
    bindings: [
      ...Object.entries(bindings).map(([name, value]) => `(name = "${name}", ${typeof value === "string" ? "text" : "json"} = ${text(value)})`),
      ...Object.entries(classes).map(([name, of]) => `(name = "${name}", durableObjectNamespace = "${of}")`),
    ],
    objects: Object.values(classes).map((name) => `(className = "${name}", uniqueKey = "bench-${name}", enableSql = true)`),
  };
  const list = (lines) => `[\n    ${lines.join(",\n    ")}\n  ]`;
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  v8Flags = [${v8Flags.map(text)}],
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "objects", disk = (path = "objects", writable = true))
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);

const main :Workerd.Worker = (
  compatibilityDate = "${COMPATIBILITY_DATE}",
  compatibilityFlags = [${COMPATIBILITY_FLAGS.map((flag) => `"${flag}"`)}],
  durableObjectStorage = (localDisk = "objects"),
  modules = ${list(lists.modules)},
  bindings = ${list(lists.bindings)},
  durableObjectNamespaces = ${list(lists.objects)}
);
`;
}

/** A text as Cap'n Proto writes it; anything else as JSON in such a text. */
const text = (value) => JSON.stringify(typeof value === "string" ? value : JSON.stringify(value));
