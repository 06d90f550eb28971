// Passes: what the core decided about calls, kept by all that it hangs on but the URL. For the next call
// like them it says by the pass's number and the URL what is to be done (src/app/passes.rs).

import { generation } from "./instance.mjs";
import { BASE, COMMAND, CUT, METHOD, NAME, NUMBER, ROUTE } from "./plans.mjs";

// They hold cookies and tokens, so not for long (milliseconds), and not without bounds: characters of all
// together, which is some eight thousand.
const KEPT = 60_000;
const MOST = 8_000_000;
// The core gives none to longer heads.
const LONGEST = 2_048;
// A longer token is asked of the core for each call.
const LONGEST_TOKEN = 4_096;

const NO_GRANT = { serial: 0, size: 0 };

class Pass {
  // The grant that the core told last.
  grant = NO_GRANT;

  constructor(plan) {
    // What is the same each time. Of a text of its own: a part of one keeps all of it in memory, and in
    // the plan's there is the token.
    const text = plan.slice(METHOD).join("\n");
    const lines = ["F", "", "", "", ...text.split("\n")];
    this.lines = lines;
    this.size = text.length;
    // Numbers are an instance's own.
    this.generation = generation;
    this.number = Number(lines[NUMBER]);
    this.route = lines[ROUTE];
    this.isPrefix = this.route.endsWith("/*");
    this.from = this.isPrefix ? this.route.slice(0, -2) : this.route;
    this.cut = Number(lines[CUT]);
    this.base = lines[BASE];
    this.name = lines[NAME];
    this.command = lines[COMMAND];
  }

  get isCurrent() {
    return this.generation === generation;
  }

  // Whether a call to `url` may be one of the pass's. (Whether it is, the core says.)
  fits(url) {
    if (!this.isCurrent || !url.startsWith(this.from)) return false;
    const next = url[this.from.length];
    return next === undefined || next === "?" || (next === "/" && this.isPrefix);
  }

  // Where a call to `url` goes, which the core found to be one of the pass's.
  to(url) {
    return this.base + url.slice(this.cut);
  }

  // What the core tells of a grant; nothing where it tells nothing. One without a serial isn't kept.
  take(granted) {
    this.drop();
    if (granted === "") return undefined;
    const [carried, authorization, serial] = granted.split("\n");
    const grant = { serial: Number(serial), carried, authorization, size: granted.length };
    if (grant.serial !== 0 && authorization.length <= LONGEST_TOKEN) {
      count(grant.size);
      this.grant = grant;
    }
    return grant;
  }

  drop() {
    count(-this.grant.size);
    this.grant = NO_GRANT;
  }
}

// One for each route that such calls went by, the longest path first.
const known = new Map();
let characters = 0;
let began = 0;
let ended = 0;

// The pass that a call has, by its method and headers, if it has one.
export function findPass(key, url, now) {
  const age = now - began;
  if (age < 0 || age >= KEPT) {
    forget();
    began = now;
  }
  return key.length > LONGEST ? undefined : known.get(key)?.find((pass) => pass.fits(url));
}

export function keepPass(key, plan) {
  if (plan.length <= NUMBER) return;
  const pass = new Pass(plan);
  const others = [];
  for (const other of known.get(key) ?? []) {
    if (other.isCurrent && other.route !== pass.route) others.push(other);
    else count(-key.length - other.size - other.grant.size);
  }
  count(key.length + pass.size);
  known.set(key, [...others, pass].sort((a, b) => b.from.length - a.from.length || a.isPrefix - b.isPrefix));
}

function count(more) {
  if (characters + more > MOST) forget();
  // What was forgotten isn't counted any more, whoever still holds it.
  characters = Math.max(0, characters + more);
}

// Where a session has ended, what was kept of it goes: `times` is how many this isolate has ended.
export function forgetEnded(times) {
  if (times !== ended) forget();
  ended = times;
}

function forget() {
  known.clear();
  characters = 0;
}
