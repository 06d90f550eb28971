// Passes: what the core decided about calls, kept by all that it hangs on but the URL. For the next call
// like them it says by the pass's number and the URL what is to be done (src/app/passes.rs).

import { generation } from "./instance.mjs";
import { AUTHORIZATION, BASE, CARRIED, COMMAND, CUT, NAME, NUMBER, ROUTE, URL_ } from "./plans.mjs";

// They hold cookies and tokens, so not for long (milliseconds), and not without bounds.
const KEPT = 60_000;
const MOST = 2_000;
// The core gives none to longer heads.
const LONGEST = 2_048;
// A longer token is asked of the core for each call.
const LONGEST_TOKEN = 4_096;

export const NO_GRANT = { serial: 0 };

class Pass {
  // The grant that the core told last.
  grant = NO_GRANT;

  constructor(plan) {
    // What is the same each time. A copy: a part of a text keeps all of it in memory, the token too.
    const lines = structuredClone(plan.with(URL_, "").with(CARRIED, "").with(AUTHORIZATION, ""));
    this.lines = lines;
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
    if (granted === "") return undefined;
    const [carried, authorization, serial] = granted.split("\n");
    const grant = { serial: Number(serial), carried, authorization };
    if (grant.serial !== 0 && authorization.length <= LONGEST_TOKEN) this.grant = grant;
    return grant;
  }
}

// One for each route that such calls went by, the longest path first.
const known = new Map();
let count = 0;
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
  if (count >= MOST) forget();
  const pass = new Pass(plan);
  const before = known.get(key) ?? [];
  const others = before.filter(({ route, isCurrent }) => isCurrent && route !== pass.route);
  known.set(key, [...others, pass].sort((a, b) => b.from.length - a.from.length || a.isPrefix - b.isPrefix));
  count += others.length + 1 - before.length;
}

// Of a session that has ended nothing stays: `times` is how many this isolate has ended.
export function forgetEnded(times) {
  if (times !== ended) forget();
  ended = times;
}

function forget() {
  known.clear();
  count = 0;
}
