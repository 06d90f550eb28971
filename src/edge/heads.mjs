// Heads of requests and responses, as texts for the core.

import * as core from "./core/tokenkeep.js";

// What the core says of a header by its name alone (its bits are those of src/http/request_headers.rs).
const READ = 1;
const DROPPED = 2;
const WHOLE = 4;
const BARE = 8;
// Where the letter begins.
const LETTER = 8;

// Remembers what a pure function of a short text gives. Texts are a stranger's to choose: long ones are
// not remembered, and when there are too many it begins anew.
export class Memo {
  #known = new Map();

  constructor(longest, most, make) {
    Object.assign(this, { longest, most, make });
  }

  of(text) {
    let value = this.#known.get(text);
    if (value === undefined) {
      value = this.make(text);
      if (text.length > this.longest) return value;
      if (this.#known.size >= this.most) this.#known.clear();
      this.#known.set(text, value);
    }
    return value;
  }
}

export const requestKinds = new Memo(64, 1_000, (name) => new Kind(core.request_header(name), name));
export const responseKinds = new Memo(64, 1_000, (name) => new Kind(core.response_header(name), name));

// What becomes of a header of this name, and what stands before its value in a head: a letter of the
// core's, or the name.
class Kind {
  constructor(said, name) {
    this.isRead = (said & READ) !== 0;
    this.isDropped = (said & DROPPED) !== 0;
    this.isWhole = (said & WHOLE) !== 0;
    this.isBare = (said & BARE) !== 0;
    this.before = said >> LETTER === 0 ? `${name}: ` : `:${String.fromCharCode(said >> LETTER)}`;
  }
}

// Headers as the core needs them, a line for each that it reads. The names of those that go no further are
// added to `dropped`, but where that hangs on other headers: then the core sees all of them and
// names them itself.
export function readHeaders(headers, kinds, dropped) {
  let text = "";
  for (const name of headers.keys()) {
    const kind = kinds.of(name);
    if (kind.isWhole && headers.get(name) !== "keep-alive") {
      dropped.length = 0;
      return allHeaders(headers);
    }
    if (kind.isRead) text += `${kind.before}${kind.isBare ? "" : headers.get(name)}\n`;
    if (kind.isDropped) dropped.push(name);
  }
  return text;
}

function allHeaders(headers) {
  let text = "";
  for (const [name, value] of headers) text += `${name}: ${value}\n`;
  return text;
}

// A head with all its headers.
export const headText = (first, second, headers) => `${first}\n${second}\n${allHeaders(headers)}`;

// Deletes the names in line `from` and sets the headers in the lines after it.
export function change(headers, lines, from) {
  if (lines[from] !== "") for (const name of lines[from].split(",")) headers.delete(name);
  for (let i = from + 1; i < lines.length; i += 1) {
    const at = lines[i].indexOf(":");
    headers.set(lines[i].slice(0, at), lines[i].slice(at + 1));
  }
  return headers;
}
