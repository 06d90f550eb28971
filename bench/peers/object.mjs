// (c) Each session in a SQLite Durable Object of its own, asked by RPC on every call. The record lies
// there sealed with AES-GCM; the object opens it once and keeps it open while it lives.

import { DurableObject, env } from "cloudflare:workers";

import { unauthenticated } from "./answers.mjs";
import { forward, handedIn } from "./forward.mjs";
import { Kept } from "./kept.mjs";
import { admit } from "./request_rules.mjs";

const utf8 = new TextEncoder();
const base64url = { alphabet: "base64url", omitPadding: true };
const root = Uint8Array.fromBase64(env.ROOT_KEY, base64url);
const [tagKey, sealKey] = await Promise.all([
  crypto.subtle.importKey("raw", root, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]),
  crypto.subtle.importKey("raw", root, "HKDF", false, ["deriveKey"]),
]);

// A cookie is the session's id (32 bytes) and a tag (16), so that what was never issued asks no object.
// Both the tag's check and the object's name cost a hash: a cookie that was right once is known from then on.
const objects = new Kept(() => undefined);

async function objectOf(cookie) {
  const bytes = Uint8Array.fromBase64(cookie, base64url);
  const id = bytes.subarray(0, 32);
  return bytes.length === 48 && crypto.subtle.timingSafeEqual(bytes.subarray(32), await tagOf(id)) ? nameOf(id) : undefined;
}

async function tagOf(id) {
  return new Uint8Array(await crypto.subtle.sign("HMAC", tagKey, id), 0, 16);
}

async function nameOf(id) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", id)).toBase64(base64url);
}

export default {
  async fetch(request) {
    const call = admit(request);
    if (call instanceof Response) return call.status === 404 ? ((await handedIn(request, keep)) ?? call) : call;
    const { cookie } = call;
    const name = objects.of(cookie) ?? objects.learn(cookie, await objectOf(cookie));
    if (name === undefined) return unauthenticated();
    const grant = await env.SESSIONS.getByName(name).access(cookie);
    return grant === null ? unauthenticated() : forward(call, new Session(grant));
  },
};

/** What the object gives: the header, and after a line break the token's times, which few calls need. */
class Session {
  #times;

  constructor(grant) {
    const at = grant.lastIndexOf("\n");
    this.authorization = grant.slice(0, at);
    this.#times = grant.slice(at + 1);
  }

  get issued() {
    return Number(this.#times.split(" ")[0]);
  }

  get expires() {
    return Number(this.#times.split(" ")[1]);
  }
}

async function keep(tokens) {
  const bytes = crypto.getRandomValues(new Uint8Array(48));
  const id = bytes.subarray(0, 32);
  bytes.set(await tagOf(id), 32);
  const cookie = bytes.toBase64(base64url);
  await env.SESSIONS.getByName(await nameOf(id)).keep(cookie, tokens);
  return cookie;
}

export class SessionObject extends DurableObject {
  /** The open record, and what is answered while it lasts. */
  #session;
  #grant;

  async keep(cookie, { access_token, id_token, refresh_token, issued, expires, deadline }) {
    const session = { access_token, id_token, refresh_token, issued, expires, deadline, seen: Date.now() };
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await recordKey(cookie), utf8.encode(JSON.stringify(session)));
    this.ctx.storage.kv.put("session", { iv, sealed });
    this.#use(session);
  }

  /** The header and the token's times, or null. Synchronous while the record is open. */
  access(cookie) {
    return this.#session === undefined ? this.#open(cookie) : this.#granted();
  }

  async #open(cookie) {
    const record = this.ctx.storage.kv.get("session");
    if (record === undefined) return null;
    const opened = await crypto.subtle.decrypt({ name: "AES-GCM", iv: record.iv }, await recordKey(cookie), record.sealed);
    this.#use(JSON.parse(new TextDecoder().decode(opened)));
    return this.#granted();
  }

  #use(session) {
    this.#session = session;
    this.#grant = `Bearer ${session.access_token}\n${session.issued} ${session.expires}`;
  }

  #granted() {
    const now = Date.now();
    const session = this.#session;
    if (now >= session.deadline || now >= session.expires || now - session.seen >= IDLE) return null;
    session.seen = now;
    return this.#grant;
  }
}

const IDLE = 86_400_000;

const recordKey = (cookie) =>
  crypto.subtle.deriveKey({ name: "HKDF", hash: "SHA-256", salt: utf8.encode(cookie.slice(0, 43)), info: utf8.encode("record") }, sealKey, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
