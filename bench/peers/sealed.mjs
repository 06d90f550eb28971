// (d) Everything in the cookie: an encrypted JWT (`jose`, dir, A256GCM) with 3 KB of tokens, opened on
// each call. It is larger than one cookie may be, so it comes in two. Nothing can end such a session.

import { env } from "cloudflare:workers";
import { CompactEncrypt, compactDecrypt } from "jose";

import { unauthenticated } from "./answers.mjs";
import { forward, handedIn } from "./forward.mjs";
import { admit } from "./request_rules.mjs";

const secret = Uint8Array.fromBase64(env.ROOT_KEY, { alphabet: "base64url" });
const key = await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt", "decrypt"]);
const HOW = { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] };
const utf8 = new TextDecoder();

export default {
  async fetch(request) {
    const call = admit(request);
    if (call instanceof Response) return call.status === 404 ? ((await handedIn(request, keep)) ?? call) : call;
    const session = await opened(call.cookie);
    const now = Date.now();
    if (session === undefined || now >= session.deadline || now >= session.expires) return unauthenticated();
    session.authorization = `Bearer ${session.access_token}`;
    return forward(call, session);
  },
};

async function opened(cookie) {
  try {
    return JSON.parse(utf8.decode((await compactDecrypt(cookie, key, HOW)).plaintext));
  } catch {
    return undefined;
  }
}

function keep(session) {
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(session))).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(key);
}
