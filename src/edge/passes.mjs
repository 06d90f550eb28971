// Passes: what the core decided about calls, kept by all that it hangs on but the URL. For the next call
// like them it says by the pass's number and the URL what is to be done (src/app/passes.rs).

import { generation } from "./instance.mjs";
import { BASE, COMMAND, CUT, FROM, METHOD, NAME, NUMBER, URL_ } from "./plans.mjs";

// They hold a cookie and a token, so not for long: milliseconds.
const KEPT = 60_000;
const MOST = 2_000;
// The core gives none to longer heads.
const LONGEST = 2_048;

export const NO_GRANT = { serial: 0 };

class Pass {
  // The grant that the core told last, as long as it keeps it.
  grant = NO_GRANT;

  constructor(lines) {
    // What is the same each time.
    this.lines = lines.slice(0, NUMBER).fill("", URL_, METHOD);
    // Numbers are an instance's own.
    this.generation = generation;
    this.number = Number(lines[NUMBER]);
    this.from = lines[FROM];
    this.cut = Number(lines[CUT]);
    this.base = lines[BASE];
    this.name = lines[NAME];
    this.command = lines[COMMAND];
  }

  get isCurrent() {
    return this.generation === generation;
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
    if (grant.serial !== 0) this.grant = grant;
    return grant;
  }
}

// One for each route that such calls went by, the longest path first.
const known = new Map();
let count = 0;
let began = 0;

// The pass that a call has, by its method and headers, if it has one: that is for the core to say.
export function findPass(key, url, now) {
  if (now - began >= KEPT) {
    forget();
    began = now;
  }
  if (key.length > LONGEST) return undefined;
  return known.get(key)?.find((pass) => pass.isCurrent && url.startsWith(pass.from));
}

export function keepPass(key, lines) {
  if (lines.length <= NUMBER) return;
  if (count >= MOST) forget();
  const pass = new Pass(lines);
  const others = known.get(key)?.filter(({ from, isCurrent }) => isCurrent && from !== pass.from) ?? [];
  known.set(key, [...others, pass].sort((a, b) => b.from.length - a.from.length));
  count += 1;
}

function forget() {
  known.clear();
  count = 0;
}
