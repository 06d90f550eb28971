// Front-channel logout: a frame on the provider's page. Off unless configured, and the weak one where it
// is on: whoever knows a `sid` can send it, so it ends a session here and does nothing else.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { ALICE, assertProblem, startWorld } from "./support/world.mjs";

let world;
before(async () => {
  world = await startWorld({ providerSettings: { frontchannel_logout: true } });
});
after(() => world?.stop());
afterEach(() => world.provider.control.heal());

/** What Chromium sends for a frame of another site's: no cookie of ours, `Strict` as it is. */
const FRAME = { Accept: "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe" };

function frame(query, { headers = FRAME, ...init } = {}) {
  const search = typeof query === "string" ? query : new URLSearchParams(query);
  return world.raw({ path: `/auth/frontchannel-logout?${search}`, headers, ...init });
}

const of = (sid) => ({ iss: world.provider.issuer, sid });

async function signedIn() {
  const browser = await world.loggedIn();
  return { browser, sid: world.idToken().sid };
}

/** How many rows all subjects' objects keep: an object that was only asked leaves a file, and no row. */
async function rows() {
  const looks = await Promise.all(world.worker.objects("SubjectObject").map((id) => world.worker.look("SUBJECTS", id)));
  return looks.reduce((sum, look) => sum + look.rows, 0);
}

const shape = ({ status, headers, text }) => ({ status, headers: headers.filter(([name]) => name !== "date"), text });

test("a frame with the provider's iss and sid ends the session here, and nothing at the provider", async () => {
  const [left, stays] = [await signedIn(), await signedIn()];
  await world.call(left.browser);
  const { control } = world.provider;
  const before = [control.count("revocation"), control.countStored("Session"), control.countStored("RefreshToken")];
  const answer = await frame(of(left.sid));
  assert.equal(answer.status, 200, answer.text);
  assertProblem(await world.call(left.browser), 401, "unauthenticated");
  assert.equal(await world.isAlive(left.browser), false);
  assert.equal(await world.isAlive(stays.browser), true);
  // The person is logged in there: the next login asks nothing.
  await world.login(left.browser);
  // Attack 77: nobody who knows a sid may take anything back at the provider.
  const [revocations, sessions, tokens] = before;
  assert.deepEqual([control.count("revocation"), control.countStored("Session"), control.countStored("RefreshToken")], [revocations, sessions, tokens + 1]);
});

test("the frame may stand on the provider's page and on no other, and is kept nowhere", async () => {
  const { sid } = await signedIn();
  const answer = await frame(of(sid));
  assert.equal(answer.header("content-security-policy"), `default-src 'none'; base-uri 'none'; frame-ancestors ${new URL(world.provider.issuer).origin}`);
  assert.equal(answer.header("x-frame-options"), null);
  assert.equal(answer.header("cache-control"), "no-store");
  assert.equal(answer.header("x-content-type-options"), "nosniff");
  assert.match(answer.header("content-type"), /^text\/html/);
  assert.deepEqual(answer.all("set-cookie"), []);
  assert.doesNotMatch(answer.text, /<script|<img|<link/);
  assert.ok(!answer.text.includes(sid) && !world.worker.logs.join("\n").includes(sid));
});

test("the answer doesn't tell whether there was a session, and a sid that nobody has stores nothing", async () => {
  const { sid } = await signedIn();
  const stored = await rows();
  const unknown = [];
  for (const made of ["unheard-of", "x".repeat(512), "'; drop table sessions; --", "\u{1f36a}", `${sid}x`, ALICE.sub]) unknown.push(shape(await frame(of(made))));
  assert.equal(await rows(), stored);
  const known = shape(await frame(of(sid)));
  const again = shape(await frame(of(sid)));
  assert.equal(known.status, 200);
  for (const answer of [...unknown, again]) assert.deepEqual(answer, known);
});

test("iss and sid must be there, once, and iss the configured one: else 400, and nothing ends", async () => {
  const { browser, sid } = await signedIn();
  const { issuer } = world.provider;
  const [iss, own] = [`iss=${encodeURIComponent(issuer)}`, `sid=${sid}`];
  const refused = {
    "another issuer": `iss=${encodeURIComponent("https://evil.example")}&${own}`,
    "the issuer with a slash": `iss=${encodeURIComponent(`${issuer}/`)}&${own}`,
    "no issuer": own,
    "no sid": iss,
    "neither": "",
    "an empty sid": `${iss}&sid=`,
    "an empty issuer": `iss=&${own}`,
    "two issuers": `${iss}&${iss}&${own}`,
    "two sids": `${iss}&${own}&${own}`,
    "a second, empty sid": `${iss}&${own}&sid=`,
    "a sid too long": `${iss}&sid=${"x".repeat(513)}`,
    "other names": `${iss.toUpperCase()}&SID=${sid}`,
  };
  for (const [what, query] of Object.entries(refused)) {
    const answer = await frame(query);
    assert.equal(answer.status, 400, `${what}: ${answer.status}`);
    assertProblem(answer, 400, "request_malformed");
  }
  assert.equal(await world.isAlive(browser), true);
  assert.equal((await frame(`state=x&${own}&${iss}`)).status, 200, "whatever else is there doesn't count");
  assert.equal(await world.isAlive(browser), false);
});

test("nothing but a frame: no image, no script, no fetch, no window, nothing ahead of time", async () => {
  const { browser, sid } = await signedIn();
  for (const dest of ["image", "script", "style", "empty", "document", "object", "embed", "worker", "fencedframe", "IFRAME"]) {
    assertProblem(await frame(of(sid), { headers: { ...FRAME, "Sec-Fetch-Dest": dest } }), 403, "navigation_refused");
  }
  for (const speculative of [{ "Sec-Purpose": "prefetch" }, { "Sec-Purpose": "prefetch;prerender" }, { Purpose: "prefetch" }]) {
    assertProblem(await frame(of(sid), { headers: { ...FRAME, ...speculative } }), 403, "navigation_refused");
  }
  for (const method of ["POST", "PUT", "DELETE"]) {
    const answer = await frame(of(sid), { method });
    assertProblem(answer, 405, "method_not_allowed");
    assert.equal(answer.header("allow"), "GET");
  }
  assert.equal(await world.isAlive(browser), true);
  // A browser that says nothing of what it asks for is believed.
  assert.equal((await frame(of(sid), { headers: {} })).status, 200);
  assert.equal(await world.isAlive(browser), false);
});

test("a login under way isn't barred by it: whoever knows a sid keeps nobody out", async () => {
  const browser = await world.loggedIn();
  const { sid } = world.idToken();
  const url = await world.untilCallback(browser);
  assert.equal((await frame(of(sid))).status, 200);
  const answer = await world.callback(browser, url);
  assert.equal(answer.status, 303, answer.code);
  assert.equal(await world.isAlive(browser), true);
});

test("off, which is the default: there is no such endpoint", async () => {
  const other = await startWorld();
  try {
    const browser = await other.loggedIn();
    const query = new URLSearchParams({ iss: other.provider.issuer, sid: other.idToken().sid });
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const [off, unknown] = await Promise.all(["frontchannel-logout", "no-such-thing"].map((name) => other.raw({ method, path: `/auth/${name}?${query}`, headers: FRAME })));
      assertProblem(off, 404, "not_found");
      assert.deepEqual(shape(off), shape(unknown));
    }
    assert.equal(await other.isAlive(browser), true);
  } finally {
    await other.stop();
  }
});
