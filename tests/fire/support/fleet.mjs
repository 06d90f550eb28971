// All of it: the real provider, the real API, one build in several isolates that share their objects,
// and people to use them.

import assert from "node:assert/strict";

import { freePort, send } from "../../worker/support/raw.mjs";
import { until } from "../../worker/support/wait.mjs";
import { ALICE, startWorld } from "../../worker/support/world.mjs";
import { Books } from "./books.mjs";
import { Objects } from "./objects.mjs";
import { Person } from "./person.mjs";
import { Runtime } from "./runtime.mjs";

/** What a browser says of a call that the app makes. */
export const CALL = { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" };

/**
 * Starts a fleet.
 *
 * @param {object} [options] those of `startWorld`, and
 * @param {number} [options.fronts] isolates that take calls (2)
 * @param {boolean} [options.pinned] objects stay in memory while nobody asks them (false)
 */
export async function startFleet({ fronts = 2, pinned = false, ...options } = {}) {
  const ports = new Set();
  while (ports.size < fronts) ports.add(await freePort());
  const worker = { kind: Runtime, fronts: [...ports], pinned, ...options.worker };
  return new Fleet(await startWorld({ ...options, worker }));
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

  /** Sets every isolate's clock ahead of the real one. The runtime's alarms know nothing of it. */
  async clock({ seconds }) {
    this.#ahead = seconds * 1000;
    await this.#tell({ ahead: this.#ahead });
  }

  /** The clock's seconds. */
  get now() {
    return Math.floor((Date.now() + this.#ahead) / 1000);
  }

  /** Goes on from where the clock is. */
  async wait({ seconds }) {
    await this.clock({ seconds: this.#ahead / 1000 + seconds });
  }

  /** What the isolates say of themselves; with `reset` their counts begin anew. */
  async isolates({ reset = false } = {}) {
    const [objects, ...fronts] = await this.#tell({ reset });
    return { objects, fronts };
  }

  /** Rings the alarm of a session's object, at the clock's time. */
  async ring(person) {
    await tell(this.holder, { ring: person.object });
  }

  /** The process dies in the middle of whatever it does, and comes back with the same clock. */
  async kill() {
    await this.worker.kill();
    await this.wait({ seconds: 0 });
  }

  /** A restart. `meanwhile` runs while nobody has the storage open. */
  async restart(meanwhile) {
    await this.worker.restart({}, meanwhile);
    await this.wait({ seconds: 0 });
  }

  /** Somebody with a browser, whose requests go through the fronts in turn. */
  person() {
    const browser = this.world.browser();
    let turn = 0;
    browser.networks.set(this.world.origin, (_, init) => this.through((turn += 1), init));
    return new Person(browser);
  }

  /** A request to one of the fronts (by number, any number), as if it had come to our origin. */
  through(front, { headers = {}, ...init } = {}) {
    const list = Array.isArray(headers) ? headers : Object.entries(headers);
    const socket = this.fronts[front % this.fronts.length];
    return send(socket, { timeout: 60_000, ...init, headers: [["Host", new URL(this.world.origin).host], ...list] });
  }

  /** A login through the provider's pages. Gives the person. */
  async login(person = this.person(), { user = ALICE } = {}) {
    const url = await this.world.untilCallback(person.browser, { user });
    const answer = await this.world.callback(person.browser, url);
    assert.equal(answer.status, 303, `the login failed: ${answer.status} ${answer.code}`);
    this.note(person, url);
    return person;
  }

  /** Notes whose the session is that this callback has led to. */
  note(person, callback) {
    person.become(person.browser.sessionCookie(this.world.origin), this.world.secrets.NAME_KEY);
    this.books.own(new URL(callback).searchParams.get("code"), person);
    // Nobody looks back at what the browser has sent.
    person.browser.trail.length = 0;
  }

  /** A call of the app's own. */
  call(person, front = 0, init = {}) {
    return this.through(front, { path: "/api/whoami", ...init, headers: { ...CALL, Cookie: person.cookie } });
  }

  /** Calls at the same moment, each through the front of its number. */
  burst(person, fronts) {
    return Promise.all(fronts.map((front) => this.call(person, front)));
  }

  /** The person logs out. */
  async logout(person, front = 0) {
    const answer = await this.call(person, front, { method: "POST", path: "/auth/logout" });
    assert.equal(answer.status, 200, `${answer.code}`);
  }

  /** The audit events since this was last asked. */
  heard() {
    const events = this.worker.audit;
    return events.slice(this.#heard, (this.#heard = events.length));
  }

  /** The event that says how this person's session ended. */
  ending(person) {
    const isIt = ({ event, session }) => event === "session_ended" && session === person.hash;
    return until(() => this.worker.audit.find(isIt), "the session's end in the log", 60_000);
  }

  /** What the API was called with since this was last asked. */
  apiCalls() {
    return this.world.api.control.log.splice(0);
  }

  async stop() {
    await this.world.stop();
  }

  #tell(order) {
    return Promise.all([this.holder, ...this.fronts].map((socket) => tell(socket, order)));
  }
}

/** An order to an isolate's probe. */
async function tell(socket, order) {
  const answer = await send(socket, { headers: { "x-fire": JSON.stringify(order) } });
  assert.equal(answer.status, 200, `the probe did not answer: ${answer.status} ${answer.text.slice(0, 300)}`);
  return answer.json;
}
