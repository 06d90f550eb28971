// The runtime's process: one service that holds the objects and, beside it, the fronts that take the
// calls, each an isolate of its own with the same build. On the network it is the same, but for the
// one process.

import assert from "node:assert/strict";
import { subscribe } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import path from "node:path";

import { cpu, memory } from "../../worker/support/process.mjs";
import { modules, Worker } from "../../worker/support/worker.mjs";

const PROBE = readFileSync(new URL("./probe.mjs", import.meta.url), "utf8");

const children = [];
subscribe("child_process", ({ process: child }) => children.push(child));

/** Further options: `fronts`, their ports; `pinned`, objects stay in memory while nobody asks them. */
export class Runtime extends Worker {
  process = undefined;

  async start() {
    const before = children.length;
    await super.start();
    this.process = children.slice(before).find((child) => path.basename(child.spawnfile ?? "").startsWith("workerd"));
    assert.ok(this.process?.pid, "the runtime is a child of this process");
  }

  services([own, ...others]) {
    const { fronts, patch, pinned } = this.options;
    const build = { ...own, modules: modules(false, patch, PROBE) };
    const classes = Object.entries(own.durableObjects);
    const held = classes.map(([binding, options]) => [binding, { ...options, unsafePreventEviction: pinned }]);
    const elsewhere = classes.map(([binding, { className }]) => [binding, { className, scriptName: own.name }]);
    return [
      { ...build, durableObjects: Object.fromEntries(held) },
      ...fronts.map((port, at) => ({
        ...build,
        name: `front-${at + 1}`,
        durableObjects: Object.fromEntries(elsewhere),
        unsafeDirectSockets: [{ host: "127.0.0.1", port }],
      })),
      ...others,
    ];
  }

  /** `kill -9`, and up again on the same storage. */
  async kill() {
    const dead = this.process;
    dead.kill("SIGKILL");
    await this.restart();
    assert.equal(dead.signalCode, "SIGKILL");
  }

  /** Megabytes of memory that the process holds; undefined where no /proc tells. */
  memory() {
    return memory(this.process.pid);
  }

  /** Microseconds of CPU, user and system, that the process has used; undefined where no /proc tells. */
  cpu() {
    return cpu(this.process.pid);
  }
}
