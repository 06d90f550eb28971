// Back-channel logout: the provider says that a session of its own is over, and it is over here.
//
// Two Workers stand before the same objects, each in an isolate of its own, as two data centres do.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { after, afterEach, before, test } from "node:test";

import { nextSecond, until } from "./support/wait.mjs";
import { ALICE, assertProblem, BOB, CLIENT_ID, startWorld } from "./support/world.mjs";

const CACHE = 3;
const EVENT = "http://schemas.openid.net/event/backchannel-logout";

let world;
before(async () => {
  world = await startWorld({
    provider: { accessTokenTtl: 120, idTokenTtl: 3600 },
    settings: { session: { cache_seconds: CACHE } },
    worker: { second: true },
  });
});
after(() => world?.stop());
afterEach(async () => {
  control().heal();
  await world.worker.clock({});
});

const control = () => world.provider.control;
const audit = (event) => world.worker.audit.filter((entry) => entry.event === event);
/** The log's lines of one kind, once there are more than `count`: a line comes a moment after the answer. */
const heard = (event, count) => until(() => audit(event).length > count && audit(event).slice(count), `a line ${event}`);
const seconds = () => Math.floor(Date.now() / 1000);

/** A browser with a session, and the `sid` of the provider's session that it came of. */
async function signedIn(user = ALICE) {
  const browser = await world.loggedIn({ user });
  return { browser, sid: world.idToken().sid };
}

function assertAccepted(answer) {
  assert.equal(answer.status, 200, `${answer.status} ${answer.text}; ${JSON.stringify(world.worker.audit.at(-1))}`);
  assert.equal(answer.text, "");
  assert.equal(answer.header("cache-control"), "no-store");
  assert.deepEqual(answer.all("set-cookie"), []);
}

function assertRefused(answer, what = "") {
  assert.equal(answer.status, 400, `${what}: ${answer.status} ${answer.text}`);
  assert.equal(answer.header("cache-control"), "no-store", what);
  assert.match(answer.header("content-type"), /^application\/json/, what);
  assert.deepEqual(Object.keys(answer.json).sort(), ["error", "error_description"], what);
  assert.equal(answer.json.error, "invalid_request", what);
  assert.equal(answer.code, "logout_token_invalid", what);
}

/** Signs out on the provider's own page, as a person who went there by themselves. */
async function signOutAtProvider(browser) {
  const page = await browser.navigate(`${world.provider.issuer}/logout`);
  return browser.submit(page, { logout: "yes" });
}

test("a sign-out at the provider ends the session here; another session of the same person goes on", async () => {
  const [left, stays] = [await signedIn(), await signedIn()];
  assert.notEqual(left.sid, stays.sid);
  await world.call(left.browser);
  await signOutAtProvider(left.browser);
  const sent = control().sent.at(-1);
  assert.equal(sent.status, 200, sent.answer);
  const claims = JSON.parse(Buffer.from(sent.token.split(".")[1], "base64url"));
  assert.deepEqual([claims.sid, claims.sub, claims.nonce], [left.sid, ALICE.sub, undefined]);
  assertProblem(await world.call(left.browser), 401, "unauthenticated");
  assert.equal(await world.isAlive(left.browser), false);
  assert.equal(await world.isAlive(stays.browser), true);
  const [line] = await heard("logout_token_accepted", 0);
  assert.deepEqual([line.ended, line.left], [1, 0]);
  assert.deepEqual((await heard("session_ended", 0)).map(({ reason }) => reason), ["back_channel"]);
});

test("an administrator at the provider signs a person out: all their sessions end here, and nobody else's", async () => {
  const hers = [await signedIn(), await signedIn(), await signedIn()];
  const his = await signedIn(BOB);
  const answers = await control().endSessions(ALICE.sub);
  assert.ok(answers.length >= 3 && answers.every((answer) => answer === "accepted"), answers.join());
  for (const { browser } of hers) assert.equal(await world.isAlive(browser), false);
  assert.equal(await world.isAlive(his.browser), true);
});

test("a logout token by sub ends all that began before it, by sid one, and with both the one", async () => {
  const [one, two, three, four] = [await signedIn(), await signedIn(), await signedIn(), await signedIn()];
  const his = await signedIn(BOB);
  const living = async () => Promise.all([one, two, three, four, his].map(({ browser }) => world.isAlive(browser)));
  assertAccepted(await world.tell({ claims: { sid: one.sid } }));
  assert.deepEqual(await living(), [false, true, true, true, true]);
  assertAccepted(await world.tell({ claims: { sid: two.sid, sub: ALICE.sub } }));
  assert.deepEqual(await living(), [false, false, true, true, true]);
  // Another person's sid: no session is of both.
  assertAccepted(await world.tell({ claims: { sid: three.sid, sub: BOB.sub } }));
  assert.deepEqual(await living(), [false, false, true, true, true]);
  // What the provider decided before these logins is not about them.
  assertAccepted(await world.tell({ claims: { sub: ALICE.sub, iat: seconds() - 60 } }));
  assert.deepEqual(await living(), [false, false, true, true, true]);
  assertAccepted(await world.tell({ claims: { sub: ALICE.sub } }));
  assert.deepEqual(await living(), [false, false, false, false, true]);
  await nextSecond();
  assert.equal(await world.isAlive((await signedIn()).browser), true, "a login after it is a new one");
});

test("a sid is never taken for a sub, nor a sub for a sid", async () => {
  const { browser, sid } = await signedIn();
  assertAccepted(await world.tell({ claims: { sid: ALICE.sub } }));
  assertAccepted(await world.tell({ claims: { sub: sid } }));
  assert.equal(await world.isAlive(browser), true);
});

test("a session that has ended, and one that never was, are no error: the answer is the same", async () => {
  const { browser, sid } = await signedIn();
  await world.logout(browser);
  assertAccepted(await world.tell({ claims: { sid } }));
  assertAccepted(await world.tell({ claims: { sid: "nobody-has-this-one" } }));
  assertAccepted(await world.tell({ claims: { sub: "usr_nobody" } }));
});

test("typ: logout+jwt, JWT or none, in any case", async () => {
  for (const typ of ["logout+jwt", "LOGOUT+JWT", "application/logout+jwt", "JWT", undefined]) {
    const { browser, sid } = await signedIn();
    assertAccepted(await world.tell({ header: { typ }, claims: { sid } }));
    assert.equal(await world.isAlive(browser), false, String(typ));
  }
  const { browser, sid } = await signedIn();
  for (const typ of ["at+jwt", "secevent+jwt", "dpop+jwt", "logout", "", 1, null]) {
    assertRefused(await world.tell({ header: { typ }, claims: { sid } }), String(typ));
  }
  assert.equal(await world.isAlive(browser), true);
});

// Attack 76: a token without a date, captured once, would be good for ever.
test("without exp a token is good for two minutes; without iat, jti or with an old iat not at all", async () => {
  const [fresh, old] = [await signedIn(), await signedIn()];
  assertAccepted(await world.tell({ claims: { sid: fresh.sid, exp: undefined, iat: seconds() - 100 } }));
  assert.equal(await world.isAlive(fresh.browser), false);
  const refused = {
    "no exp, 130 seconds old": { exp: undefined, iat: seconds() - 130 },
    "no iat": { iat: undefined },
    "no jti": { jti: undefined },
    "expired": { iat: seconds() - 200, exp: seconds() - 30 },
    "two hours old": { iat: seconds() - 7200, exp: seconds() + 60 },
    "of the future": { iat: seconds() + 90 },
    "not valid yet": { nbf: seconds() + 90 },
  };
  for (const [what, claims] of Object.entries(refused)) assertRefused(await world.tell({ claims: { sid: old.sid, ...claims } }), what);
  assert.equal(await world.isAlive(old.browser), true);
});

test("a logout token that fails a check is refused, and ends nothing", async () => {
  const { browser, sid } = await signedIn();
  const own = control().log.findLast((entry) => entry.grant === "authorization_code" && entry.status === 200);
  const { id_token: idToken, access_token: accessToken } = JSON.parse(own.answer);
  const make = (how) => control().logoutToken(how);
  const good = make({ claims: { sid } });
  const [header, payload, signature] = good.split(".");
  const { privateKey: rsa } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const { privateKey: ec } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const hmac = (secret) => {
    const signed = make({ header: { alg: "HS256" }, signature: Buffer.alloc(0), claims: { sid } }).slice(0, -1);
    return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
  };
  const refused = {
    "another key under the provider's name": ["signature", make({ key: rsa, claims: { sid } })],
    "the provider's key for another algorithm": ["alg", make({ header: { alg: "ES256" }, claims: { sid } })],
    "a key of our own and ES256": ["alg", make({ header: { alg: "ES256" }, key: ec, claims: { sid } })],
    "alg none": ["alg", make({ header: { alg: "none" }, signature: Buffer.alloc(0), claims: { sid } })],
    "HS256 under the client's secret": ["alg", hmac(world.secrets.CLIENT_SECRET)],
    "a changed payload": ["signature", [header, Buffer.from(Buffer.from(payload, "base64url").toString().replace(sid, "x".repeat(sid.length))).toString("base64url"), signature].join(".")],
    "no signature": ["signature", `${header}.${payload}.`],
    "another issuer": ["iss", make({ claims: { sid, iss: "https://evil.example" } })],
    "the issuer with a slash": ["iss", make({ claims: { sid, iss: `${world.provider.issuer}/` } })],
    "no issuer": ["iss", make({ claims: { sid, iss: undefined } })],
    "another client": ["aud", make({ claims: { sid, aud: "another-client" } })],
    "another client too": ["aud", make({ claims: { sid, aud: [CLIENT_ID, "another-client"] } })],
    "no audience": ["aud", make({ claims: { sid, aud: undefined } })],
    "no event": ["events", make({ claims: { sid, events: undefined } })],
    "another event": ["events", make({ claims: { sid, events: { "http://schemas.openid.net/event/other": {} } } })],
    "an event that is a list": ["events", make({ claims: { sid, events: [EVENT] } })],
    "an event that is true": ["events", make({ claims: { sid, events: { [EVENT]: true } } })],
    "a nonce": ["nonce", make({ claims: { sid, nonce: "n" } })],
    "a nonce that is null": ["nonce", make({ claims: { sid, nonce: null } })],
    "nobody": ["sub_or_sid", make()],
    "a sid that is no text": ["sid", make({ claims: { sid: 7 } })],
    "an empty sid beside a sub": ["sid", make({ claims: { sid: "", sub: ALICE.sub } })],
    "a sid without end": ["sid", make({ claims: { sid: "s".repeat(513) } })],
    "a sub without end": ["sub", make({ claims: { sub: "s".repeat(256) } })],
    "a jti without end": ["jti", make({ claims: { sid, jti: "j".repeat(256) } })],
    "crit": ["header_extension", make({ header: { crit: ["exp"] }, claims: { sid } })],
    "the session's own ID token": ["events", idToken],
    "its access token": [undefined, accessToken],
    "five segments": ["not_a_jws", `${good}.x.y`],
    "no token at all": ["not_a_jws", "logout"],
    "nothing": ["not_a_jws", ""],
  };
  for (const [what, [check, token]] of Object.entries(refused)) {
    const before = audit("logout_token_refused").length;
    assertRefused(await world.tell(token), what);
    const [line] = await heard("logout_token_refused", before);
    if (check !== undefined) assert.equal(line.check, check, what);
  }
  assert.equal(await world.isAlive(browser), true);
  assert.equal((await world.call(browser)).status, 200);
  assertAccepted(await world.tell(good));
  assert.equal(await world.isAlive(browser), false, "the good one among them works");
});

// Attack 92, CVE-2025-3891 and CVE-2021-20718: an empty POST, a POST without a type.
test("what is no form with one token is refused before it is read further, and the provider is asked for nothing", async () => {
  // An isolate that knows neither metadata nor keys: whatever it asks for shows.
  const { browser, sid } = await signedIn();
  await world.worker.restart();
  const asked = () => control().count("jwks") + control().count("discovery");
  const before = asked();
  const token = control().logoutToken({ claims: { sid } });
  const body = new URLSearchParams({ logout_token: token }).toString();
  const form = { "Content-Type": "application/x-www-form-urlencoded" };
  const refused = {
    "no content type": { headers: {}, body },
    "JSON": { headers: { "Content-Type": "application/json" }, body: JSON.stringify({ logout_token: token }) },
    "a form of another kind": { headers: { "Content-Type": "multipart/form-data; boundary=x" }, body },
    "the bare token": { headers: { "Content-Type": "application/logout+jwt" }, body: token },
    "an empty POST": { headers: form, body: "" },
    "an empty POST without a type": { headers: {}, body: undefined },
    "another parameter": { headers: form, body: `token=${token}` },
    "in the query": { headers: form, path: `/auth/backchannel-logout?${body}`, body: "" },
    "two tokens": { headers: form, body: `${body}&${body}` },
    "a megabyte": { headers: form, body: `${body}&padding=${"x".repeat(1024 * 1024)}` },
    "a megabyte of dots": { headers: form, body: `logout_token=${".".repeat(1024 * 1024)}` },
    "bytes that are no text": { headers: form, body: Buffer.concat([Buffer.from(body), Buffer.from([0x26, 0xff, 0xfe])]) },
    "no JWS": { headers: form, body: "logout_token=a.b.c" },
  };
  for (const [what, init] of Object.entries(refused)) assertRefused(await world.tell(token, init), what);
  assert.equal(asked(), before);
  assert.equal(await world.isAlive(browser), true);
  // Parameters that nobody knows don't count (§2.5).
  assertAccepted(await world.tell(token, { headers: { "Content-Type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8" }, body: `x=1&${body}&Logout_Token=2` }));
  assert.equal(await world.isAlive(browser), false);
});

test("only a POST: a GET, and whatever else, is told so", async () => {
  const { browser, sid } = await signedIn();
  const token = control().logoutToken({ claims: { sid } });
  for (const method of ["GET", "PUT", "DELETE", "PATCH"]) {
    const answer = await world.raw({ method, path: `/auth/backchannel-logout?logout_token=${token}` });
    assertProblem(answer, 405, "method_not_allowed");
    assert.equal(answer.header("allow"), "POST");
  }
  const preflight = await world.raw({ method: "OPTIONS", path: "/auth/backchannel-logout", headers: { Origin: "https://evil.example", "Access-Control-Request-Method": "POST" } });
  assert.ok(preflight.headers.every(([name]) => !name.startsWith("access-control-")));
  assert.equal(await world.isAlive(browser), true);
});

test("a token is taken once: the same again, also at the same moment, is refused", async () => {
  const { sid } = await signedIn();
  const token = control().logoutToken({ claims: { sid } });
  assertAccepted(await world.tell(token));
  const before = audit("logout_token_refused").length;
  assertRefused(await world.tell(token));
  assertRefused(await world.tell(token, { origin: world.worker.secondOrigin }), "by way of the other data centre");
  const lines = await until(() => audit("logout_token_refused").length === before + 2 && audit("logout_token_refused").slice(before), "two lines");
  assert.deepEqual(lines.map(({ check }) => check), ["jti_replayed", "jti_replayed"]);

  const other = await signedIn();
  const twice = control().logoutToken({ claims: { sid: other.sid } });
  const answers = await Promise.all([world.tell(twice), world.tell(twice), world.tell(twice, { origin: world.worker.secondOrigin })]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 400, 400]);
  assert.equal(await world.isAlive(other.browser), false);

  // The same name in another token is that token again; nothing of a refused one counts as used.
  const third = await signedIn();
  const jti = "of-this-name";
  assertRefused(await world.tell({ claims: { sid: third.sid, jti, nonce: "n" } }));
  assertAccepted(await world.tell({ claims: { sid: third.sid, jti } }));
  assertRefused(await world.tell({ claims: { sid: third.sid, jti } }));
});

test("keys that were rotated a moment ago are fetched", async () => {
  const { browser, sid } = await signedIn();
  await world.tell({ claims: { sid: "so-that-the-old-keys-are-known" } });
  await control().rotateKeys({ keepOld: false });
  // Keys are searched for at most once in half a minute; a token before this one may have done it.
  await world.worker.clock({ seconds: 35 });
  assertAccepted(await world.tell({ claims: { sid } }));
  assert.equal(await world.isAlive(browser), false);
});

for (const endpoint of ["jwks", "discovery"]) {
  test(`while the provider's ${endpoint} is down nobody knows whether a token is good: 503, and the same token works later`, async () => {
    const { browser, sid } = await signedIn();
    await world.worker.restart();
    control().fail(endpoint, { status: 500, body: "" });
    const token = control().logoutToken({ claims: { sid } });
    const answer = await world.tell(token);
    assertProblem(answer, 503, "provider_unavailable");
    assert.ok(Number(answer.header("retry-after")) > 0);
    assert.equal(await world.isAlive(browser), true);
    control().heal();
    await world.worker.clock({ seconds: 6 });
    assertAccepted(await world.tell(token));
    assert.equal(await world.isAlive(browser), false);
  });
}

test("a logout token in the middle of a refresh wins: the new tokens are revoked and used by nobody", async () => {
  const { browser, sid } = await signedIn();
  await world.call(browser);
  await world.worker.clock({ seconds: 150 });
  const answered = () => control().log.filter((entry) => entry.grant === "refresh_token" && entry.status === 200);
  const before = answered().length;
  control().fail("token", { grant: "refresh_token", late: 800, times: 1 });
  const calling = world.call(browser);
  await until(() => answered().length > before, "the provider's work on the refresh");
  assertAccepted(await world.tell({ claims: { sid, iat: seconds() + 150, exp: seconds() + 270 } }));
  assertProblem(await calling, 401, "unauthenticated");
  const fresh = JSON.parse(answered().at(-1).answer);
  await until(() => control().log.some((entry) => entry.endpoint === "revocation" && entry.form.token === fresh.refresh_token), "the revocation of what came too late");
  assertProblem(await world.call(browser), 401, "unauthenticated");
  assert.equal(await world.isAlive(browser), false);
  assert.ok(world.api.control.log.every(({ headers }) => headers.authorization !== `Bearer ${fresh.access_token}`), "it never reached the API");
  const ended = audit("session_ended").at(-1);
  assert.equal(ended.reason, "back_channel");
  assert.ok(audit("refreshed").every(({ session }) => session !== ended.session));
});

test("in another data centre a warm copy serves for cache_seconds at most", async (t) => {
  const waits = [];
  for (let round = 0; round < 3; round += 1) {
    const { browser, sid } = await signedIn();
    const there = world.elsewhere(browser);
    assert.equal((await world.call(there)).status, 200);
    assertAccepted(await world.tell({ claims: { sid } }));
    const since = Date.now();
    // Here at once; there when its copy has run out.
    assertProblem(await world.call(browser), 401, "unauthenticated");
    await until(async () => {
      const { status } = await world.call(there);
      if (status === 200) waits[round] = Date.now() - since;
      return status === 401;
    }, "the other data centre's word", (CACHE + 5) * 1000);
    assertProblem(await world.call(there), 401, "unauthenticated");
  }
  t.diagnostic(`last served elsewhere ${waits.map((ms) => `${((ms ?? 0) / 1000).toFixed(2)} s`).join(", ")} after the logout token was answered (cache_seconds = ${CACHE})`);
  assert.ok(waits.some((wait) => wait > 0), "there was a copy to run out");
  assert.ok(Math.max(...waits) <= CACHE * 1000 + 250, waits.join());
});

for (const [what, claimsOf] of [["sub", () => ({ sub: ALICE.sub })], ["sid", () => ({ sid: world.idToken().sid })]]) {
  test(`a login that is under way when a token by ${what} comes is no session`, async () => {
    // One login first: the provider's session, and its sid, are there when the second one begins.
    const browser = await world.loggedIn();
    await nextSecond();
    const url = await world.untilCallback(browser);
    const exchanged = () => control().log.filter((entry) => entry.grant === "authorization_code" && entry.status === 200).length;
    const before = exchanged();
    control().fail("token", { grant: "authorization_code", late: 1500, times: 1 });
    const calling = world.callback(browser, url);
    await until(() => exchanged() > before, "the exchange");
    await nextSecond();
    assertAccepted(await world.tell({ claims: claimsOf() }));
    const answer = await calling;
    assert.ok(["login_ended", "login_already_used"].includes(answer.code), `${answer.status} ${answer.code}`);
    assert.match(answer.header("content-type"), /^text\/html/);
    assert.deepEqual(answer.all("set-cookie").filter((line) => /^tokenkeep-\d+=[^;]/.test(line)), [], "no session cookie");
    assert.equal(await world.isAlive(browser), false);
    // What the exchange brought is nobody's: it is taken back.
    const { answer: tokens } = control().log.findLast((entry) => entry.grant === "authorization_code");
    await until(() => control().log.some((entry) => entry.endpoint === "revocation" && entry.form.token === JSON.parse(tokens).refresh_token), "the revocation");
    await nextSecond();
    if (what === "sub") assert.equal((await world.login(browser)).status, 303, "the next login works");
  });
}

test("nothing that the log, an answer or the storage keeps names a person, a provider's session or a token", async () => {
  const { sid } = await signedIn();
  const jti = "jti-that-nobody-may-see";
  const good = control().logoutToken({ claims: { sid, sub: ALICE.sub, jti } });
  const answers = [await world.tell(good), await world.tell(good), await world.tell({ claims: { sid, jti, nonce: "n" } })];
  assert.deepEqual(answers.map(({ status }) => status), [200, 400, 400]);
  const text = [world.worker.logs.join("\n"), world.worker.dump().toString("latin1"), ...answers.map((answer) => answer.text + JSON.stringify(answer.headers))];
  for (const where of text) {
    for (const secret of [sid, ALICE.sub, jti, good, good.split(".")[1], good.split(".")[2]]) assert.ok(!where.includes(secret));
  }
  assert.equal(audit("trapped").length, 0);
});

test("a provider that knows no sid: its token is by sub, and ends them all", async () => {
  const other = await startWorld({ client: { backchannel_logout_session_required: false } });
  try {
    const [one, two] = [await other.loggedIn(), await other.loggedIn()];
    const his = await other.loggedIn({ user: BOB });
    assert.equal(other.idToken().sid, undefined);
    const page = await one.navigate(`${other.provider.issuer}/logout`);
    await one.submit(page, { logout: "yes" });
    const sent = other.provider.control.sent.at(-1);
    assert.equal(sent.status, 200, sent.answer);
    assert.equal(JSON.parse(Buffer.from(sent.token.split(".")[1], "base64url")).sid, undefined);
    assert.deepEqual([await other.isAlive(one), await other.isAlive(two), await other.isAlive(his)], [false, false, true]);
    // With a sid that no session here has: it may be any of the sessions without one.
    await nextSecond();
    const third = await other.loggedIn();
    assert.equal((await other.tell({ claims: { sub: ALICE.sub, sid: "unheard-of" } })).status, 200);
    assert.equal(await other.isAlive(third), false);
  } finally {
    await other.stop();
  }
});
