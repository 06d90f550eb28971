// A browser and the session that it has, with the names that the session goes by elsewhere: of its
// object (SECURITY.md: a hash of the id), and in the log (a hash under `NAME_KEY`).

import { createHash, createHmac } from "node:crypto";

export class Person {
  /** The Cookie header of the session. */
  cookie;
  /** The name of the session's object. */
  object;
  /** The session in the log. */
  hash;
  /** What the ID token of the login said. */
  claims;
  /** The session's refresh token, by the provider's log; `Books` keeps it. */
  refreshToken;

  constructor(browser) {
    this.browser = browser;
  }

  /** Has logged in. */
  become({ name, value }, nameKey) {
    this.cookie = `${name}=${value}`;
    const id = Buffer.from(value, "base64url").subarray(0, 32);
    this.object = createHash("sha256").update("tokenkeep session key v1").update(id).digest("base64url");
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
