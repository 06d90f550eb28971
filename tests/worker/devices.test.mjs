// Where a person is signed in: the list, and the end of one session or of all others.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, test } from "node:test";

import { until } from "./support/wait.mjs";
import { sessionKey } from "./support/worker.mjs";
import { ALICE, assertProblem, BOB, startWorld } from "./support/world.mjs";

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0";
const SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1";
const CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
const CACHE = 3;

let world;
before(async () => {
  world = await startWorld({ settings: { session: { cache_seconds: CACHE } }, worker: { second: true } });
});
after(() => world?.stop());
afterEach(() => world.worker.clock({}));

const list = (browser, headers = {}) => browser.fetch(world.origin, "/auth/sessions", { headers });
const end = (browser, body, headers = {}) => browser.fetch(world.origin, "/auth/sessions/end", { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: typeof body === "string" ? body : JSON.stringify(body) });

async function sessions(browser) {
  const answer = await list(browser);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.header("cache-control"), "no-store");
  assert.deepEqual(Object.keys(answer.json), ["sessions"]);
  return answer.json.sessions;
}

/** Each test begins with Alice signed in nowhere. */
async function nobodyElse() {
  const browser = await world.loggedIn();
  assert.equal((await end(browser, { others: true })).status, 200);
  await world.logout(browser);
}

test("the list: this device first, then the newest, each with what it runs on, since when and when last", async () => {
  await nobodyElse();
  const now = Math.floor(Date.now() / 1000);
  const laptop = await world.loggedIn({ userAgent: FIREFOX });
  const phone = await world.loggedIn({ userAgent: SAFARI });
  const script = await world.loggedIn({ userAgent: "curl/8.14.1 <script>alert(1)</script>" });
  const silent = await world.loggedIn();
  await world.loggedIn({ user: BOB, userAgent: CHROME });

  const listed = await sessions(laptop);
  assert.deepEqual(listed.map(({ device }) => device), ["Firefox on Linux", "a browser", "a browser", "Safari on iPhone"]);
  assert.deepEqual(listed.map(({ current }) => current), [true, false, false, false]);
  for (const { id, created_at: created, last_seen_at: seen, ...rest } of listed) {
    assert.deepEqual(Object.keys(rest), ["current", "device"]);
    assert.match(id, /^[\w-]{22}$/);
    assert.ok(created >= now && created <= now + 10, `${created} of ${now}`);
    assert.ok(seen >= created && seen <= now + 10, `${seen} of ${now}`);
  }
  assert.equal(new Set(listed.map(({ id }) => id)).size, 4);

  // Each browser sees the same sessions under the same names, and itself as the current one.
  for (const [browser, at] of [[phone, 3], [script, 2], [silent, 1]]) {
    const own = await sessions(browser);
    assert.deepEqual(own.map(({ id }) => id).sort(), listed.map(({ id }) => id).sort());
    assert.equal(own[0].current, true);
    assert.equal(own[0].id, listed[at].id);
  }
});

test("last seen moves with use, to the hour, and a session that ended by itself is listed no more", async () => {
  await nobodyElse();
  const [used, left] = [await world.loggedIn({ userAgent: FIREFOX }), await world.loggedIn({ userAgent: SAFARI })];
  const [before] = await sessions(used);
  for (const minutes of [50, 100]) {
    await world.worker.clock({ minutes });
    await world.session(used);
  }
  const [after, ...others] = await sessions(used);
  assert.deepEqual(others, [], "the idle limit ended the other one");
  assert.equal(await world.isAlive(left), false);
  assert.equal(after.created_at, before.created_at);
  assert.ok(after.last_seen_at >= before.last_seen_at + 1800, `${after.last_seen_at - before.last_seen_at}`);
  assert.equal(after.last_seen_at % 3600, 0);
});

test("one that is ended by its id is out: at once in this isolate, within cache_seconds in another, and at the provider", async () => {
  await nobodyElse();
  const [laptop, phone] = [await world.loggedIn({ userAgent: FIREFOX }), await world.loggedIn({ userAgent: SAFARI })];
  const there = world.elsewhere(phone);
  assert.equal((await world.call(phone)).status, 200);
  assert.equal((await world.call(there)).status, 200);
  const refreshToken = JSON.parse(world.provider.control.log.findLast((entry) => entry.grant === "authorization_code").answer).refresh_token;
  const { id } = (await sessions(laptop)).find(({ device }) => device === "Safari on iPhone");
  const answer = await end(laptop, { id });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json, { ended: 1, pending: 0 });
  assert.deepEqual(answer.all("set-cookie"), []);
  assertProblem(await world.call(phone), 401, "unauthenticated");
  await until(async () => (await world.call(there)).status === 401, "the other data centre's word", CACHE * 1000 + 500);
  assert.equal(await world.isAlive(phone), false);
  assert.equal(await world.isAlive(laptop), true);
  assert.deepEqual((await sessions(laptop)).map(({ device }) => device), ["Firefox on Linux"]);
  await until(() => world.provider.control.log.some((entry) => entry.endpoint === "revocation" && entry.form.token === refreshToken), "the revocation");
  const line = await until(() => world.worker.audit.findLast(({ event }) => event === "devices_ended"), "the log's line");
  assert.deepEqual([line.ended, line.left], [1, 0]);
  // Its name is nobody's now.
  assertProblem(await end(laptop, { id }), 404, "device_unknown");
});

test("all others are ended and this one stays; there are none then, which is no error", async () => {
  await nobodyElse();
  const own = await world.loggedIn({ userAgent: FIREFOX });
  const others = [await world.loggedIn(), await world.loggedIn(), await world.loggedIn()];
  const his = await world.loggedIn({ user: BOB });
  assert.deepEqual((await end(own, { others: true })).json, { ended: 3, pending: 0 });
  for (const other of others) assertProblem(await world.call(other), 401, "unauthenticated");
  assert.equal(await world.isAlive(own), true);
  assert.equal(await world.isAlive(his), true);
  assert.deepEqual((await end(own, { others: true })).json, { ended: 0, pending: 0 });
  // Who was signed out elsewhere signs in again: nothing is barred.
  await world.login(others[0]);
  assert.equal((await sessions(own)).length, 2);
});

test("the current one can be ended by its id too: the browser is signed out", async () => {
  const browser = await world.loggedIn();
  const [{ id }] = await sessions(browser);
  assert.deepEqual((await end(browser, { id })).json, { ended: 1, pending: 0 });
  assertProblem(await list(browser), 401, "unauthenticated");
});

test("another person's device, a forged id and none at all are unknown, and nothing ends", async () => {
  await nobodyElse();
  const [hers, other, his] = [await world.loggedIn(), await world.loggedIn(), await world.loggedIn({ user: BOB })];
  const [{ id: foreign }] = await sessions(his);
  const [, { id }] = await sessions(hers);
  const value = Buffer.from(other.sessionCookie(world.origin).value, "base64url").subarray(0, 32);
  const names = [foreign, "", " ", "x", "A".repeat(22), id.toLowerCase() === id ? id.toUpperCase() : id.toLowerCase(), `${id} `, `${id}\u0000`, id.slice(0, 21), "x".repeat(8000), keyOf(value), "../", "__proto__"];
  for (const name of names) assertProblem(await end(hers, { id: name }), 404, "device_unknown");
  for (const browser of [hers, other, his]) assert.equal(await world.isAlive(browser), true);
});

const IMPOSSIBLE = {
  "nothing": "", "no JSON": "id=x", "a text": '"x"', "a list": '[{"others":true}]', "null": "null", "no member": "{}",
  "others: false": '{"others":false}', "others: 1": '{"others":1}', "others: a text": '{"others":"true"}', "others: null": '{"others":null}',
  "id: null": '{"id":null}', "id: a number": '{"id":7}', "id: a list": '{"id":["x"]}',
  "an unknown member": '{"all":true}', "one too many": '{"others":true,"x":1}', "both": '{"id":"x","others":true}', "twice": '{"others":true,"others":true}',
  "cut off": '{"others":true', "more behind it": '{"others":true}{}', "another case": '{"Others":true}',
};

test("a body that isn't exactly what the endpoint takes is 400, another type 415, a long one 413; nothing ends", async () => {
  const [own, other] = [await world.loggedIn(), await world.loggedIn()];
  for (const [what, body] of Object.entries(IMPOSSIBLE)) {
    const answer = await end(own, body);
    assert.equal(answer.status, 400, what);
    assertProblem(answer, 400, "parameters_invalid");
  }
  const good = '{"others":true}';
  for (const type of ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "application/json5", "application/problem+json", "", null]) {
    assertProblem(await end(own, good, { "Content-Type": type }), 415, "content_type_unsupported");
  }
  assertProblem(await end(own, `{"id":"${"x".repeat(17 * 1024)}"}`), 413, "body_too_large");
  assertProblem(await end(own, `${good}${" ".repeat(1024 * 1024)}`), 413, "body_too_large");
  for (const [method, path, allowed] of [["GET", "/auth/sessions/end", "POST"], ["PUT", "/auth/sessions/end", "POST"], ["POST", "/auth/sessions", "GET"], ["DELETE", "/auth/sessions", "GET"]]) {
    const answer = await own.fetch(world.origin, path, { method });
    assertProblem(answer, 405, "method_not_allowed");
    assert.equal(answer.header("allow"), allowed);
  }
  assert.equal(await world.isAlive(other), true);
  assert.deepEqual((await end(own, good, { "Content-Type": "Application/JSON ; charset=utf-8" })).json.pending, 0);
  assert.equal(await world.isAlive(other), false);
});

test("nobody but the app itself sees the list or ends anything", async () => {
  const [own, other] = [await world.loggedIn(), await world.loggedIn()];
  const cookie = world.headersOf(own).Cookie;
  const foreign = {
    "another site": [{ "Sec-Fetch-Site": "cross-site", Origin: "https://evil.example" }, "csrf_cross_site"],
    "another site, without Origin": [{ "Sec-Fetch-Site": "cross-site" }, "csrf_cross_site"],
    "another port of this machine": [{ "Sec-Fetch-Site": "same-site", Origin: "http://localhost:1" }, "dev_server_not_proxied"],
    "the address bar": [{ "Sec-Fetch-Site": "none" }, "csrf_cross_site"],
    "an old browser's foreign Origin": [{ Origin: "https://evil.example" }, "csrf_origin"],
    "an opaque Origin": [{ Origin: "null" }, "csrf_origin"],
    "an opaque Origin with the header": [{ Origin: "null", "X-Tokenkeep": "1" }, "csrf_origin"],
    "nothing at all": [{}, "csrf_header_missing"],
    "the header with another value": [{ "X-Tokenkeep": "0" }, "csrf_header_missing"],
  };
  for (const [what, [headers, code]] of Object.entries(foreign)) {
    const [seen, ended] = [
      await world.raw({ path: "/auth/sessions", headers: { ...headers, Cookie: cookie } }),
      await world.raw({ method: "POST", path: "/auth/sessions/end", headers: { ...headers, Cookie: cookie, "Content-Type": "application/json" }, body: '{"others":true}' }),
    ];
    for (const answer of [seen, ended]) {
      assert.equal(answer.code, code, what);
      assertProblem(answer, 403, code);
      assert.doesNotMatch(answer.text, /sessions|device/);
    }
  }
  assert.equal(await world.isAlive(other), true);
  // What a client without Fetch Metadata has to bring.
  const header = await world.raw({ path: "/auth/sessions", headers: { "X-Tokenkeep": "1", Cookie: cookie } });
  assert.equal(header.status, 200);
});

test("without a session, with a forged cookie or an ended one: 401, and no object is asked for a forged one", async () => {
  const ended = await world.loggedIn();
  const copy = ended.copy();
  await world.logout(ended);
  const { name, value } = copy.sessionCookie(world.origin);
  const forged = value.slice(0, -1) + (value.endsWith("A") ? "B" : "A");
  const objects = world.worker.objects().length;
  for (const cookie of [undefined, `${name}=${forged}`, `${name}=${value}`]) {
    const headers = { "Sec-Fetch-Site": "same-origin", Cookie: cookie };
    for (const answer of [
      await world.raw({ path: "/auth/sessions", headers }),
      await world.raw({ method: "POST", path: "/auth/sessions/end", headers: { ...headers, "Content-Type": "application/json" }, body: '{"others":true}' }),
    ]) {
      assert.equal(assertProblem(answer, 401, "unauthenticated").login_url, `${world.origin}/auth/login`);
      assert.deepEqual(answer.all("set-cookie"), []);
    }
  }
  assert.equal(world.worker.objects().length, objects);
});

test("csrf = \"header\": the list and the end need the header as well", async () => {
  await world.worker.restart({ vars: { TOKENKEEP_OVERRIDES: '{"csrf":"header"}' } });
  try {
    const own = await world.loggedIn();
    assertProblem(await list(own), 403, "csrf_header_missing");
    assertProblem(await end(own, { others: true }), 403, "csrf_header_missing");
    assert.equal((await list(own, { "X-Tokenkeep": "1" })).status, 200);
    assert.equal((await end(own, { others: true }, { "X-Tokenkeep": "1" })).status, 200);
  } finally {
    await world.worker.restart({ vars: {} });
  }
});

test("the list outlives a restart and a rotation of keys, and so does its end", async () => {
  await nobodyElse();
  const [own, other] = [await world.loggedIn({ userAgent: FIREFOX }), await world.loggedIn({ userAgent: SAFARI })];
  const before = await sessions(own);
  const ring = world.secrets.SESSION_KEYS;
  await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: `${sessionKey("k2")},${ring}` } });
  assert.deepEqual(await sessions(own), before);
  assert.deepEqual((await end(own, { others: true })).json, { ended: 1, pending: 0 });
  assert.equal(await world.isAlive(other), false);
  await world.worker.restart({ secrets: world.secrets });
});

test("the hundred-and-first session ends the oldest; the login itself is never refused", { timeout: 120_000 }, async () => {
  await nobodyElse();
  const all = [];
  for (let i = 0; i < 101; i += 1) all.push(await world.loggedIn());
  await until(async () => !(await world.isAlive(all[0])), "the oldest session's end");
  for (const browser of [all[1], all[50], all[100]]) assert.equal(await world.isAlive(browser), true);
  assert.equal((await sessions(all[100])).length, 100);
  assert.equal(world.worker.audit.filter(({ event, reason }) => event === "session_ended" && reason === "too_many").length, 1);
  assert.deepEqual((await end(all[100], { others: true })).json, { ended: 99, pending: 0 });
  assert.equal(await world.isAlive(all[50]), false);
});

/** The name of a session's object, from the id in its cookie. */
function keyOf(id) {
  return createHash("sha256").update("tokenkeep session key v1").update(id).digest("base64url");
}

test("no answer and no line of the log has a cookie, an object's name, a sub or a token in it", async () => {
  const [hers, his] = [await world.loggedIn({ userAgent: CHROME }), await world.loggedIn({ user: BOB })];
  const texts = [];
  for (const browser of [hers, his]) {
    const answers = [await list(browser), await end(browser, { id: "unknown" }), await end(browser, { others: true }), await end(browser, {}), await list(browser, { "Sec-Fetch-Site": "cross-site" })];
    texts.push(...answers.map((answer) => answer.text + JSON.stringify(answer.headers)));
  }
  await until(() => world.worker.audit.at(-1)?.event === "call_refused", "the log's last line");
  texts.push(world.worker.logs.join("\n"));
  const secrets = [ALICE.sub, BOB.sub, ALICE.email, ALICE.name, CHROME, world.secrets.NAME_KEY, ...world.secrets.SESSION_KEYS.split(":").slice(1)];
  for (const browser of world.browsers) {
    for (const { answer } of browser.trail) {
      for (const line of answer.all("set-cookie").filter((text) => /^tokenkeep-\d+=[\w-]{64};/.test(text))) {
        const value = line.split(";")[0].split("=")[1];
        secrets.push(value, keyOf(Buffer.from(value, "base64url").subarray(0, 32)));
      }
    }
  }
  for (const entry of world.provider.control.log.filter(({ endpoint, status }) => endpoint === "token" && status === 200)) {
    const { access_token: access, refresh_token: refresh, id_token: id } = JSON.parse(entry.answer);
    secrets.push(access, refresh, id, JSON.parse(Buffer.from(id.split(".")[1], "base64url")).sid);
  }
  assert.ok(secrets.length > 500);
  for (const text of texts) for (const secret of secrets) assert.ok(!text.includes(secret), `${secret.slice(0, 8)}… in ${text.slice(0, 200)}`);
  assert.ok(world.worker.audit.every(({ event }) => event !== "trapped"));
});
