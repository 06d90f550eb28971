// The built Worker in workerd, through Miniflare.
//
// Requests go to a socket of the Worker's own (`unsafeDirectSockets`): Miniflare's front door parses
// and normalises URLs and adds headers, and what reaches the Worker raw is what these tests are about.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { convertV4MiniflareOptions, Miniflare, NoOpLog } from "miniflare";

import { privateCa } from "./ca.mjs";
import { freePort, send } from "./raw.mjs";

/** The repository. */
/** Where the built entry's handler begins, and where its catch does, for tests that patch it. */
export const ENTRY = /(?<=[{,])fetch\(request,env,ctx\)\{/;
export const ENTRY_CATCH = /(?<=[{,])fetch\(request,env,ctx\)\{try\{/;

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** What `npm run build` makes; another place by TOKENKEEP_BUILD. */
export const BUILD = process.env.TOKENKEEP_BUILD ?? path.join(ROOT, "build");

export const COMPATIBILITY_DATE = "2026-10-01";
export const COMPATIBILITY_FLAGS = ["global_fetch_strictly_public"];

const CLOCK_HEADER = "x-test-clock-ahead";
const OBJECT_HEADER = "x-test-object";

// What a user's one-line module does, and a clock that a test can set ahead: nobody waits an hour for
// an idle limit. The runtime's alarms know nothing of it, so a test can ring one too, and look what
// an object keeps.
const MAIN = `
import built, { SessionObject as Session, SubjectObject as Subject } from "./tokenkeep.js";
const real = Date.now.bind(Date);
let ahead = 0;
Date.now = () => real() + ahead;
const watched = (Class) => class extends Class {
  async look() {
    return { rows: [...this.ctx.storage.kv.list()].length, alarm: await this.ctx.storage.getAlarm() };
  }
  async ring() {
    await this.alarm();
    return {};
  }
};
export class SessionObject extends watched(Session) {}
export class SubjectObject extends watched(Subject) {}
export default {
  async fetch(request, env, ctx) {
    const object = request.headers.get("${OBJECT_HEADER}");
    if (object !== null) {
      const [binding, id, what] = object.split(" ");
      return Response.json(await env[binding].get(env[binding].idFromString(id))[what]());
    }
    const given = request.headers.get("${CLOCK_HEADER}");
    if (given === null) return built.fetch(request, env, ctx);
    ahead = Number(given);
    return new Response(null, { status: 204 });
  },
};`;

/** The runtime's modules: the Worker as it was built, bare or behind a module of a test's: the clock. */
export function modules(bare, patch = (source) => source, main = MAIN) {
  const file = (name) => {
    const where = path.join(BUILD, name);
    if (!existsSync(where)) throw new Error(`${where} is missing: build the Worker first (npm run build)`);
    return readFileSync(where);
  };
  const parts = [
    { type: "ESModule", path: "tokenkeep.js", contents: patch(String(file("tokenkeep.js"))) },
    { type: "CompiledWasm", path: "tokenkeep.wasm", contents: file("tokenkeep.wasm") },
  ];
  return bare ? parts : [{ type: "ESModule", path: "main.mjs", contents: main }, ...parts];
}

/** A line of `SESSION_KEYS`. */
export function sessionKey(kid = "k1") {
  return `${kid}:${randomBytes(32).toString("base64url")}`;
}

/** Secrets as an operator would make them. */
export function freshSecrets(more = {}) {
  return {
    CLIENT_SECRET: `cs-${randomBytes(18).toString("base64url")}`,
    SESSION_KEYS: sessionKey(),
    NAME_KEY: randomBytes(32).toString("base64url"),
    ...more,
  };
}

/**
 * Starts the Worker.
 *
 * @param {object} options
 * @param {(origin: string) => object} options.tokenkeep makes the variable TOKENKEEP
 * @param {object} options.secrets further variables: the secrets
 * @param {object} [options.services] service bindings: name → source of a second Worker's module
 * @param {object} [options.assets] Miniflare's `assets`
 * @param {(source: string) => string} [options.patch] changes the entry: to provoke what no request can
 * @param {boolean} [options.bare] without the module that holds the clock
 * @param {string} [options.origin] the configured origin, where it isn't the socket's own
 * @param {boolean} [options.kv] with the KV namespace SESSIONS_KV in the place of Durable Objects
 * @param {boolean} [options.second] one more Worker before the same objects, in an isolate of its own,
 *   as another data centre is: at `secondOrigin`
 * @param {boolean} [options.https] listens with a certificate too: ask it with `dispatch`
 * @param {typeof Worker} [options.kind] a class of a test's own
 */
export async function startWorker(options) {
  const port = options.port ?? (await freePort());
  const worker = new (options.kind ?? Worker)(options, port, options.second ? await freePort() : undefined);
  try {
    await worker.start();
  } catch (error) {
    // What is half started would keep the test's process alive.
    await worker.stop().catch(() => {});
    throw error;
  }
  return worker;
}

export class Worker {
  #mf = null;
  /** The runtime's processes. */
  #pids = [];

  constructor(options, port, secondPort) {
    this.options = options;
    this.port = port;
    this.secondPort = secondPort;
    this.secondOrigin = `http://localhost:${secondPort}`;
    /** The origin that it is configured for. */
    this.origin = options.origin ?? `http://localhost:${port}`;
    /** All that it wrote to its log, and the runtime's own complaints, one entry a line. */
    this.logs = [];
    /** What it listens with for https. */
    this.certificate = options.https ? privateCa() : undefined;
    this.storage = mkdtempSync(path.join(os.tmpdir(), "tokenkeep-test-"));
  }

  async start() {
    const { tokenkeep, secrets = {}, services = {}, assets, bare = false, kv = false, patch, vars = {}, flags = COMPATIBILITY_FLAGS } = this.options;
    const log = (line) => this.logs.push(line);
    const main = {
      name: "tokenkeep",
      modules: modules(bare, patch),
      compatibilityDate: COMPATIBILITY_DATE,
      compatibilityFlags: flags,
      bindings: { ...(tokenkeep ? { TOKENKEEP: tokenkeep(this.origin) } : {}), ...secrets, ...vars },
      ...(kv
        ? { kvNamespaces: ["SESSIONS_KV"] }
        : {
            durableObjects: {
              SESSIONS: { className: "SessionObject", useSQLite: true },
              SUBJECTS: { className: "SubjectObject", useSQLite: true },
            },
          }),
      serviceBindings: Object.fromEntries(Object.keys(services).map((name) => [name, name.toLowerCase()])),
      unsafeDirectSockets: [{ host: "127.0.0.1", port: this.port }],
      ...(assets ? { assets } : {}),
    };
    const second = {
      ...main,
      name: "second",
      durableObjects: Object.fromEntries(Object.entries(main.durableObjects ?? {}).map(([name, object]) => [name, { ...object, scriptName: "tokenkeep" }])),
      unsafeDirectSockets: [{ host: "127.0.0.1", port: this.secondPort }],
    };
    const others = Object.entries(services).map(([name, contents]) => ({
      name: name.toLowerCase(),
      modules: [{ type: "ESModule", path: "main.mjs", contents }],
      compatibilityDate: COMPATIBILITY_DATE,
    }));
    const before = new Set(runtimes());
    this.#mf = new Miniflare(
      convertV4MiniflareOptions({
        port: 0,
        ...(this.certificate ? { https: true, httpsKey: this.certificate.tls.key, httpsCert: this.certificate.tls.cert } : {}),
        cf: false,
        telemetry: { enabled: false },
        log: new NoOpLog(),
        resourcePersistencePath: this.storage,
        handleStructuredLogs: ({ level, message }) => log(`${level} ${message}`),
        handleUncaughtError: (error) => log(`uncaught ${error.stack}`),
        workers: this.services([main, ...(this.secondPort === undefined ? [] : [second]), ...others]),
      }),
    );
    await this.#mf.ready;
    this.#pids = runtimes().filter((pid) => !before.has(pid));
  }

  /** What the runtime runs; the first is the Worker. */
  services(workers) {
    return workers;
  }

  /** The port of Miniflare's front door, which speaks https where `https` was asked for. */
  async frontDoor() {
    return Number((await this.#mf.ready).port);
  }

  /** A request over https for the host of `origin`, through Miniflare's front door. */
  async dispatch(origin, init = {}) {
    const port = await this.frontDoor();
    const headers = [["Host", new URL(origin).host], ...(Array.isArray(init.headers) ? init.headers : Object.entries(init.headers ?? {}))];
    return send(`https://localhost:${port}`, { ...init, headers, ca: this.certificate.ca });
  }

  /** Sets the Worker's clock ahead of the real one. */
  async clock({ seconds = 0, minutes = 0, hours = 0 } = {}) {
    const ahead = ((hours * 60 + minutes) * 60 + seconds) * 1000;
    const answer = await send(this.origin, { headers: { [CLOCK_HEADER]: String(ahead) } });
    if (answer.status !== 204) throw new Error("the clock did not take");
  }

  /**
   * The process dies and comes back, with other variables if given: a crash, or a deployment.
   * `meanwhile` runs while nobody has the storage open.
   */
  async restart(changes = {}, meanwhile = undefined) {
    await this.#mf.dispose();
    await meanwhile?.();
    this.options = { ...this.options, ...changes };
    await this.start();
  }

  /** The process dies this instant, whatever it is doing; `start` brings it back on the same storage. */
  async kill() {
    for (const pid of this.#pids) process.kill(pid, "SIGKILL");
    await this.#mf.dispose();
  }

  /** The runtime's memory in megabytes, as the system has it: now, and at its most since `forgetPeak`. */
  memory() {
    const read = (name) => this.#pids.reduce((sum, pid) => sum + Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0), 0) / 1024;
    return { now: read("VmRSS"), peak: read("VmHWM") };
  }

  forgetPeak() {
    for (const pid of this.#pids) writeFileSync(`/proc/${pid}/clear_refs`, "5");
  }

  /** What an object keeps: `{ rows, alarm }`. `binding` is SESSIONS or SUBJECTS. */
  look(binding, id) {
    return this.#object(binding, id, "look");
  }

  /** Rings an object's alarm, whatever it is set to. */
  ring(binding, id) {
    return this.#object(binding, id, "ring");
  }

  async #object(binding, id, what) {
    const answer = await send(this.origin, { headers: { [OBJECT_HEADER]: `${binding} ${id} ${what}` } });
    if (answer.status !== 200) throw new Error(`${what} of ${id}: ${answer.status}`);
    return answer.json;
  }

  /** The audit lines so far. */
  get audit() {
    return this.logs.flatMap((line) => {
      const at = line.indexOf("{");
      try {
        const event = JSON.parse(line.slice(at));
        return typeof event.event === "string" ? [event] : [];
      } catch {
        return [];
      }
    });
  }

  /** The namespace that keeps the sessions of a Worker with `kv`. */
  namespace() {
    return this.#mf.getKVNamespace("SESSIONS_KV", "tokenkeep");
  }

  /** The ids of the objects that have ever been asked: each has a file from then on. */
  objects(name = "SessionObject") {
    return this.#files()
      .map((file) => path.relative(this.storage, file))
      .filter((file) => file.includes(name) && file.endsWith(".sqlite") && !file.endsWith("metadata.sqlite"))
      .map((file) => path.basename(file, ".sqlite"));
  }

  /** All of the storage's bytes, write-ahead logs included. */
  dump() {
    return Buffer.concat(this.#files().map((file) => readFileSync(file)));
  }

  #files() {
    return readdirSync(this.storage, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
  }

  async stop() {
    await this.#mf?.dispose();
    rmSync(this.storage, { recursive: true, force: true });
  }
}

/** The workerd processes below this one. (Its package may put a launcher before it.) */
function runtimes() {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  const all = stdout.split("\n").flatMap((line) => {
    const [, pid, parent, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
  const below = (parent) => all.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
  return below(process.pid).filter(({ command }) => command.includes("workerd")).map(({ pid }) => pid);
}
