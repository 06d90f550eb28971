// (b) The session in this isolate's memory: what the warm path is measured against.

import { forward, handedIn } from "./forward.mjs";
import { unauthenticated } from "./answers.mjs";
import { admit } from "./request_rules.mjs";

/** By the cookie's value. */
const sessions = new Map();

export default {
  fetch(request) {
    const call = admit(request);
    if (call instanceof Response) return call.status === 404 ? login(request, call) : call;
    const session = sessions.get(call.cookie);
    const now = Date.now();
    if (session === undefined || now >= session.deadline || now >= session.expires) return unauthenticated();
    return forward(call, session);
  },
};

async function login(request, otherwise) {
  return (await handedIn(request, keep)) ?? otherwise;
}

function keep({ access_token, issued, expires, deadline }) {
  const cookie = crypto.getRandomValues(new Uint8Array(48)).toBase64({ alphabet: "base64url" });
  sessions.set(cookie, { authorization: `Bearer ${access_token}`, issued, expires, deadline });
  return cookie;
}
