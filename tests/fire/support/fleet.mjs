// One build in several isolates: fronts that take the calls, and one service that holds the objects
// of all of them, as on the network. Behind them the real provider and the real API.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { subscribe } from "node:diagnostics_channel";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";

import { freePort, send } from "../../worker/support/raw.mjs";
import { until } from "../../worker/support/wait.mjs";
import { modules, Worker } from "../../worker/support/worker.mjs";
import { ALICE, startWorld } from "../../worker/support/world.mjs";
import { Books } from "./books.mjs";
import { Objects } from "./objects.mjs";

const PROBE = readFileSync(new URL("./probe.mjs", import.meta.url), "utf8");

const children = [];
subscribe("child_process", ({ process: child }) => children.push(child));

/**
 * Starts a fleet.
 *
 * @param {object} [options] those of `startWorld`, and
 * @param {number} [options.fronts] isolates that take calls (2)
 * @param {boolean} [options.pinned] objects stay in memory while nobody asks them
 */
export async function startFleet({ fronts = 2, pinned = false, ...options } = {}) {
  const ports = new Set();
  while (ports.size < fronts) ports.add(await freePort());
  const worker = { kind: Runtime, fronts: [...ports], pinned, ...options.worker };
  return new Fleet(await startWorld({ ...options, worker }));
}

/** The runtime's process with the fronts in it. */
class Runtime extends Worker {
  process = undefined;

  async start() {
    const before = children.length;
    await super.start();
    this.process = children.slice(before).find((child) => path.basename(child.spawnfile ?? "").startsWith("workerd"));
    assert.ok(this.process?.pid, "the runtime is a child of this process");
  }

  services([objects, ...others]) {
    const { bare, patch, fronts, pinned } = this.options;
    assert.ok(!bare, "the probe stands before the build");
    const probed = { ...objects, modules: modules(false, patch, PROBE) };
    const classes = Object.entries(objects.durableObjects);
    const elsewhere = Object.fromEntries(classes.map(([name, { className }]) => [name, { className, scriptName: objects.name }]));
    const own = Object.fromEntries(classes.map(([name, options]) => [name, { ...options, unsafePreventEviction: pinned }]));
    return [
      { ...probed, durableObjects: own },
      ...fronts.map((port, at) => ({
        ...probed,
        name: `front-${at + 1}`,
        durableObjects: elsewhere,
        unsafeDirectSockets: [{ host: "127.0.0.1", port }],
      })),
      ...others,
    ];
  }

  /** Bytes of memory that the process holds; undefined where no /proc tells. */
  memory() {
    const pages = proc(this.process.pid, "statm")?.split(" ")[1];
    return pages === undefined ? undefined : Number(pages) * 4096;
  }

  /** Milliseconds of CPU, user and system, that the process has used; undefined where no /proc tells. */
  cpu() {
    const fields = proc(this.process.pid, "stat")?.replace(/^.*\) /, "").split(" ");
    return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** `kill -9`, and up again on the same storage. */
  async kill() {
    const dead = this.process;
    dead.kill("SIGKILL");
    await this.restart();
    assert.equal(dead.signalCode, "SIGKILL");
  }
}

export class Fleet {
  #ahead = 0;
  #heard = 0;

  constructor(world) {
    this.world = world;
    this.worker = world.worker;
    this.provider = world.provider.control;
    this.books = new Books(this.provider);
    this.objects = new Objects(this.worker.storage);
    /** The sockets of the fronts. */
    this.fronts = this.worker.options.fronts.map((port) => `http://127.0.0.1:${port}`);
    this.holder = `http://127.0.0.1:${this.worker.port}`;
  }

  /** Sets every isolate's clock ahead of the real one. */
  async clock({ seconds = 0 }) {
    this.#ahead = seconds * 1000;
    await Promise.all([this.holder, ...this.fronts].map((socket) => order(socket, { ahead: this.#ahead })));
  }

  /** Goes on from where the clock is. */
  async wait({ seconds }) {
    await this.clock({ seconds: this.#ahead / 1000 + seconds });
  }

  /** What the isolates say of themselves; with `reset` their counts begin anew. */
  async isolates({ reset = false } = {}) {
    const [objects, ...fronts] = await Promise.all([this.holder, ...this.fronts].map((socket) => order(socket, { reset })));
    return { objects, fronts };
  }

  /** Rings the alarm of a session's object, at the clock's time. */
  async ring(person) {
    await order(this.holder, { ring: person.object });
  }

  /** The process dies in the middle of whatever it does, and comes back with the same clock. */
  async kill() {
    await this.worker.kill();
    await this.clock({ seconds: this.#ahead / 1000 });
  }

  /** A deployment, or the operator's restart. `meanwhile` runs while nobody has the storage open. */
  async restart({ meanwhile, ...changes } = {}) {
    await this.worker.restart(changes, meanwhile);
    await this.clock({ seconds: this.#ahead / 1000 });
  }

  /** Somebody with a browser, whose requests go through the fronts in turn. */
  person() {
    const browser = this.world.browser();
    let turn = 0;
    browser.networks.set(this.world.origin, (_, init) => this.through((turn += 1), init));
    return new Person(browser);
  }

  /** A request to one of the fronts (by number), as if it had come to our origin. */
  through(front, { headers = {}, ...init } = {}) {
    const list = Array.isArray(headers) ? headers : Object.entries(headers);
    const socket = this.fronts[front % this.fronts.length];
    return send(socket, { timeout: 60_000, ...init, headers: [["Host", new URL(this.world.origin).host], ...list] });
  }

  /** A login through the provider's pages. Gives the person. */
  async login(person = this.person(), { user = ALICE } = {}) {
    const url = await this.world.untilCallback(person.browser, { user });
    await this.finishLogin(person, url);
    return person;
  }

  /** The provider's navigation to the callback; the session that came of it is noted. */
  async finishLogin(person, url) {
    const answer = await this.world.callback(person.browser, url);
    assert.equal(answer.status, 303, `the login failed: ${answer.status} ${answer.code}`);
    this.note(person, new URL(url).searchParams.get("code"));
  }

  /** Notes whose the session is that the code has led to. */
  note(person, code) {
    const cookie = person.browser.sessionCookie(this.world.origin);
    person.become(cookie, this.world.secrets.NAME_KEY);
    this.books.own(code, person);
    person.browser.trail.length = 0;
  }

  /** A call of the app's own. */
  call(person, front = 0, { path: target = "/api/whoami", ...init } = {}) {
    return this.through(front, { path: target, ...init, headers: { ...CALL, Cookie: person.cookie, ...init.headers } });
  }

  /** Calls at the same moment, each through a front of its own number. */
  burst(person, fronts) {
    return Promise.all(fronts.map((front) => this.call(person, front)));
  }

  /** The audit events since this was last asked. */
  heard() {
    const lines = this.worker.logs.slice(this.#heard);
    this.#heard = this.worker.logs.length;
    return lines.flatMap((line) => parsed(line.slice(line.indexOf("{"))) ?? []);
  }

  /** How this person's session ended, by the log's word. */
  ending(person, what = "the session's end in the log") {
    return until(() => this.worker.audit.find((event) => event.event === "session_ended" && event.session === person.hash)?.reason, what);
  }

  /** What the API was called with since this was last asked. */
  apiCalls() {
    return this.world.api.control.log.splice(0);
  }

  async stop() {
    await this.world.stop();
  }
}

const CALL = { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" };

/** A browser and the session that it has. */
export class Person {
  constructor(browser) {
    this.browser = browser;
  }

  become({ name, value }, nameKey) {
    this.cookie = `${name}=${value}`;
    const id = Buffer.from(value, "base64url").subarray(0, 32);
    /** The name of the session's object. */
    this.object = createHash("sha256").update("tokenkeep session key v1").update(id).digest("base64url");
    /** The session in the log. */
    this.hash = keyedHash(nameKey, "audit session", this.object);
  }
}

function keyedHash(nameKey, ...parts) {
  const mac = createHmac("sha256", Buffer.from(nameKey, "base64url"));
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(Buffer.byteLength(part)));
    mac.update(length).update(part);
  }
  return mac.digest("base64url");
}

async function order(socket, command) {
  const answer = await send(socket, { headers: { "x-fire": JSON.stringify(command) } });
  assert.equal(answer.status, 200, `the probe did not answer: ${answer.status} ${answer.text.slice(0, 300)}`);
  return answer.json;
}

function proc(pid, file) {
  const where = `/proc/${pid}/${file}`;
  return existsSync(where) ? readFileSync(where, "utf8") : undefined;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
