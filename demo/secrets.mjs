// The demo's secrets: made at the first start, kept in demo/.dev.vars (which git ignores).

import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = fileURLToPath(new URL(".dev.vars", import.meta.url));
const random = () => randomBytes(32).toString("base64url");

/** `{ CLIENT_SECRET, SESSION_KEYS, NAME_KEY }`, from the file or new. What is there is never replaced. */
export function secrets() {
  const found = existsSync(file) ? parse(readFileSync(file, "utf8")) : {};
  const all = { CLIENT_SECRET: random(), SESSION_KEYS: `k1:${random()}`, NAME_KEY: random(), ...found };
  if (Object.keys(all).some((name) => found[name] === undefined)) {
    writeFileSync(file, Object.entries(all).map(([name, value]) => `${name}="${value}"\n`).join(""), { mode: 0o600 });
    chmodSync(file, 0o600);
  }
  return all;
}

function parse(text) {
  return Object.fromEntries([...text.matchAll(/^([A-Z_]+)="?([^"\n]*)"?$/gm)].map(([, name, value]) => [name, value]));
}
