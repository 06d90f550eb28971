// Sessions in KV, in workerd: no Durable Object is bound.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, test } from "node:test";

import { nextSecond, until } from "./support/wait.mjs";
import { ENTRY_CATCH, freshSecrets, startWorker } from "./support/worker.mjs";
import { ALICE, assertProblem, startWorld } from "./support/world.mjs";

const TTL = 120;
const kvSettings = (session = {}) => ({ session: { store: "kv", cache_seconds: 0, ...session } });

let world;
before(async () => {
  world = await startWorld({
    provider: { accessTokenTtl: TTL, idTokenTtl: 2 * 86_400 },
    providerSettings: { rotates_refresh_tokens: false },
    settings: kvSettings(),
    worker: { kv: true },
  });
  world.provider.control.settings.rotate = false;
});
after(() => world?.stop());
afterEach(async () => {
  world.provider.control.heal();
  await world.worker.clock({});
});

const control = () => world.provider.control;
const refreshes = () => control().count("token", "refresh_token");
const tokenSeen = () => world.api.control.log.at(-1)?.headers.authorization;
const names = async (prefix) => (await (await world.worker.namespace()).list({ prefix })).keys.map(({ name }) => name);

test("a login, a call and the session's answer", async () => {
  const browser = await world.loggedIn();
  const answer = await world.call(browser);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.subject, ALICE.sub);
  const session = await world.session(browser);
  assert.equal(session.authenticated, true);
  assert.equal(session.user.sub, ALICE.sub);
  assertProblem(await world.call(world.browser()), 401, "unauthenticated");
  assert.deepEqual(world.worker.objects(), [], "no Durable Object was asked");
});

test("the deep health check asks the provider and KV", async () => {
  const answer = await world.raw({ path: "/auth/health?deep" });
  assert.deepEqual([answer.status, answer.json.provider, answer.json.store], [200, "ok", "ok"]);
});

test("KV sweeps: each key has a time to live", async () => {
  const browser = await world.loggedIn();
  await world.logout(browser);
  await world.loggedIn();
  const namespace = await world.worker.namespace();
  const { keys } = await namespace.list();
  assert.deepEqual([...new Set(keys.map(({ name }) => name.slice(0, 2)))].sort(), ["l:", "s:", "t:"]);
  const now = Date.now() / 1000;
  for (const { name, expiration } of keys) assert.ok(expiration >= now + 50 && expiration <= now + 86_400 + 60, `${name}: ${expiration - now}`);
});

test("twenty calls at expiry, without rotation, are one refresh of this isolate and twenty successes", async () => {
  const browser = await world.loggedIn();
  await world.call(browser);
  const [old, earlier] = [tokenSeen(), refreshes()];
  await world.worker.clock({ seconds: TTL + 30 });
  control().fail("token", { grant: "refresh_token", late: 200, times: 1 });
  const answers = await Promise.all(Array.from({ length: 20 }, () => world.call(browser)));
  assert.deepEqual(answers.map((answer) => answer.status), Array(20).fill(200));
  assert.equal(refreshes(), earlier + 1);
  assert.notEqual(tokenSeen(), old);
});

test("ahead of its end the old token serves at once, and the new one is there for the next call", async () => {
  const browser = await world.loggedIn();
  await world.call(browser);
  const [old, earlier] = [tokenSeen(), refreshes()];
  await world.worker.clock({ seconds: TTL - 15 });
  control().fail("token", { grant: "refresh_token", late: 1500, times: 1 });
  const began = Date.now();
  assert.equal((await world.call(browser)).status, 200);
  assert.ok(Date.now() - began < 1400, "it didn't wait for the provider");
  assert.equal(tokenSeen(), old);
  await until(() => refreshes() === earlier + 1, "the refresh behind it");
  await until(async () => {
    await world.call(browser);
    return tokenSeen() !== old;
  }, "the new token");
  assert.equal(refreshes(), earlier + 1);
});

test("a caller that goes away doesn't take the refresh with it", async () => {
  const browser = await world.loggedIn();
  const earlier = refreshes();
  control().fail("token", { grant: "refresh_token", late: 400, times: 1 });
  await world.worker.clock({ seconds: TTL + 30 });
  let request;
  const cut = world.raw({ path: "/api/whoami", headers: world.headersOf(browser), onRequest: (own) => { request = own; } });
  await until(() => refreshes() === earlier + 1, "the refresh to leave");
  request.destroy();
  await assert.rejects(cut);
  assert.equal((await world.call(browser)).status, 200);
  assert.equal(refreshes(), earlier + 1);
});

test("a callback that comes twice at once is one exchange and one session", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const twin = browser.copy();
  const earlier = control().count("token", "authorization_code");
  const answers = await Promise.all([world.callback(browser, url), world.callback(twin, url)]);
  assert.deepEqual(answers.map((answer) => answer.status), [303, 303]);
  assert.equal(control().count("token", "authorization_code"), earlier + 1);
  assert.equal(browser.sessionCookie(world.origin).value, twin.sessionCookie(world.origin).value);
  assert.equal((await world.call(twin)).status, 200);
});

test("logout ends the session, revokes its refresh token and leads to the provider's logout, once", async () => {
  const browser = await world.loggedIn();
  const thief = browser.copy();
  const seen = control().log.length;
  const answer = await world.logout(browser);
  assert.equal(answer.status, 200, answer.text);
  assertProblem(await world.call(thief), 401, "unauthenticated");
  assert.equal((await world.session(thief)).authenticated, false);
  await until(() => control().log.slice(seen).some((entry) => entry.endpoint === "revocation" && entry.form.token_type_hint === "refresh_token" && entry.status === 200), "the revocation");
  const url = new URL(answer.json.logout_url, world.origin);
  const path = url.pathname + url.search;
  const headers = { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
  const first = await world.raw({ path, headers });
  assert.equal(first.status, 303, `${first.status} ${first.code}`);
  assert.match(new URL(first.header("location")).searchParams.get("id_token_hint"), /^eyJ/);
  await until(async () => (await world.raw({ path, headers })).code === "logout_link_used", "the ticket to be gone");
});

test("a logout during a refresh: the session doesn't come back", async () => {
  const browser = await world.loggedIn();
  const thief = browser.copy();
  await world.worker.clock({ seconds: TTL + 30 });
  const earlier = refreshes();
  control().fail("token", { grant: "refresh_token", late: 600, times: 1 });
  const call = world.call(thief);
  await until(() => refreshes() === earlier + 1, "the refresh to leave");
  assert.equal((await world.logout(browser)).status, 200);
  assertProblem(await call, 401, "unauthenticated");
  assertProblem(await world.call(thief), 401, "unauthenticated");
  assert.equal((await world.session(thief)).authenticated, false);
});

// Another place wrote it before it could know. (The isolate of the logout knows without a look.)
test("a record that was written after its tombstone is no session", async () => {
  const other = await startWorld({
    providerSettings: { rotates_refresh_tokens: false },
    settings: kvSettings(),
    worker: { kv: true, second: true },
  });
  try {
    const browser = await other.loggedIn();
    const cookie = browser.copy();
    const namespace = await other.worker.namespace();
    const { keys } = await namespace.list({ prefix: "s:" });
    assert.equal(keys.length, 1);
    const [{ name: record }] = keys;
    const row = await namespace.get(record, "arrayBuffer");
    assert.equal((await other.logout(browser)).status, 200);
    await namespace.put(record, row, { expirationTtl: 3600 });
    for (const one of [cookie, other.elsewhere(cookie)]) assertProblem(await other.call(one), 401, "unauthenticated");
    await namespace.delete(record.replace("s:", "t:"));
    assertProblem(await other.call(cookie), 401, "unauthenticated");
    assert.equal((await other.call(other.elsewhere(cookie))).status, 200, "the tombstone was what stood in its way");
  } finally {
    await other.stop();
  }
});

test("the idle limit and the absolute limit hold, whatever KV still keeps", async () => {
  const other = await startWorld({
    providerSettings: { rotates_refresh_tokens: false },
    settings: kvSettings({ idle_minutes: 2, absolute_hours: 0.1 }),
    worker: { kv: true },
  });
  try {
    other.provider.control.settings.rotate = false;
    const [idle, busy] = [await other.loggedIn(), await other.loggedIn()];
    await other.worker.clock({ seconds: 90 });
    assert.equal((await other.call(busy)).status, 200);
    await other.worker.clock({ seconds: 121 });
    assertProblem(await other.call(idle), 401, "unauthenticated");
    assert.equal((await other.session(idle)).authenticated, false);
    for (const seconds of [121, 200, 280, 350]) {
      await other.worker.clock({ seconds });
      assert.equal((await other.call(busy)).status, 200, `after ${seconds} seconds with calls between`);
    }
    await other.worker.clock({ seconds: 361 });
    assertProblem(await other.call(busy), 401, "unauthenticated");
    const left = await (await other.worker.namespace()).list({ prefix: "s:" });
    assert.ok(left.keys.length > 0, "KV has swept none of them yet");
  } finally {
    await other.stop();
  }
});

test("limits of a few seconds fail no write", async () => {
  const other = await startWorld({
    providerSettings: { rotates_refresh_tokens: false },
    settings: kvSettings({ idle_minutes: 5 / 60, absolute_hours: 20 / 3600 }),
    worker: { kv: true },
  });
  try {
    const browser = await other.loggedIn();
    for (const seconds of [3, 6, 9]) {
      await other.worker.clock({ seconds });
      assert.equal((await other.call(browser)).status, 200, other.worker.logs.join("\n"));
    }
    await other.worker.clock({ seconds: 15 });
    assertProblem(await other.call(browser), 401, "unauthenticated");
    await other.worker.clock({ seconds: 9 });
    assert.equal((await other.logout(browser)).status, 200);
    assert.ok(!other.worker.audit.some((event) => event.event === "store_write_lost"));
  } finally {
    await other.stop();
  }
});

test("where the provider rotates the session ends with its access token, and nothing is refreshed", async () => {
  const other = await startWorld({
    provider: { accessTokenTtl: TTL },
    providerSettings: { rotates_refresh_tokens: true },
    settings: kvSettings(),
    worker: { kv: true },
  });
  try {
    const browser = await other.loggedIn();
    await other.worker.clock({ seconds: TTL - 10 });
    assert.equal((await other.call(browser)).status, 200);
    await other.worker.clock({ seconds: TTL + 1 });
    assertProblem(await other.call(browser), 401, "unauthenticated");
    assert.equal(other.provider.control.count("token", "refresh_token"), 0);
  } finally {
    await other.stop();
  }
});

test("keys are rotated without anybody noticing, and a ring without the old one is everyone out", async () => {
  const browser = await world.loggedIn();
  const old = world.secrets.SESSION_KEYS;
  const { SESSION_KEYS: fresh } = freshSecrets();
  const second = fresh.replace("k1:", "k2:");
  await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: `${second},${old}` } });
  assert.equal((await world.call(browser)).status, 200);
  await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: second } });
  assertProblem(await world.call(browser), 401, "unauthenticated");
  await world.worker.restart({ secrets: world.secrets });
  assert.equal((await world.call(browser)).status, 200);
});

test("a value that is damaged, cut or somebody else's is no session and no crash", async () => {
  const browser = await world.loggedIn();
  const namespace = await world.worker.namespace();
  const before = new Set(await names("s:"));
  const victim = await world.loggedIn();
  const [record] = (await names("s:")).filter((name) => !before.has(name));
  const row = new Uint8Array(await namespace.get(record, "arrayBuffer"));
  const foreign = await namespace.get([...before][0], "arrayBuffer");
  const flipped = row.slice();
  flipped[row.length - 1] ^= 1;
  for (const value of [flipped, row.slice(0, 100), row.slice(0, 3), new Uint8Array([0]), foreign, "", "null", '{"a":1}']) {
    await namespace.put(record, value, { expirationTtl: 3600 });
    assertProblem(await world.call(victim), 401, "unauthenticated");
    assert.equal((await world.session(victim)).authenticated, false);
  }
  await namespace.put(record, row, { expirationTtl: 3600 });
  assert.equal((await world.call(victim)).status, 200);
  assert.equal((await world.call(browser)).status, 200);
  assert.ok(!world.worker.audit.some((event) => event.event === "trapped"));
});

// A second Worker over the same namespace, in an isolate of its own.
test("a logout elsewhere during a refresh here: the session doesn't come back", async () => {
  const other = await startWorld({
    provider: { accessTokenTtl: TTL },
    providerSettings: { rotates_refresh_tokens: false },
    settings: kvSettings(),
    worker: { kv: true, second: true },
  });
  try {
    other.provider.control.settings.rotate = false;
    const browser = await other.loggedIn();
    const elsewhere = other.elsewhere(browser);
    assert.equal((await other.call(elsewhere)).status, 200, "both see the session");
    await other.worker.clock({ seconds: TTL + 30 });
    const earlier = other.provider.control.count("token", "refresh_token");
    other.provider.control.fail("token", { grant: "refresh_token", late: 800, times: 1 });
    const call = other.call(browser);
    await until(() => other.provider.control.count("token", "refresh_token") === earlier + 1, "the refresh to leave");
    assert.equal((await other.logout(elsewhere)).status, 200);
    assertProblem(await call, 401, "unauthenticated");
    for (const one of [browser, other.elsewhere(browser)]) assertProblem(await other.call(one), 401, "unauthenticated");
    // Two isolates may each refresh: without rotation both go on.
    const two = await other.loggedIn();
    await Promise.all([other.call(two), other.call(other.elsewhere(two))]);
    assert.equal((await other.call(two)).status, 200);
    assert.equal((await other.call(other.elsewhere(two))).status, 200);
  } finally {
    await other.stop();
  }
});

test("the provider's and the administrator's word reaches a session when it is used next, where the operator wants that", async () => {
  const ADMIN_SECRET = randomBytes(32).toString("base64url");
  const other = await startWorld({
    providerSettings: { rotates_refresh_tokens: false },
    settings: kvSettings({ kv_delayed_logout: true }),
    secrets: { ADMIN_SECRET },
    worker: { kv: true },
  });
  try {
    other.provider.control.settings.rotate = false;
    const [one, sid] = [await other.loggedIn(), other.idToken().sid];
    const two = await other.loggedIn();
    assert.equal((await other.tell({ claims: { sid, sub: ALICE.sub } })).status, 200);
    assert.deepEqual([await other.isAlive(one), await other.isAlive(two)], [false, true]);
    assertProblem(await other.call(one), 401, "unauthenticated");
    await until(() => other.worker.audit.some((event) => event.event === "session_ended" && event.reason === "back_channel"), "its line in the log");
    assert.equal((await other.tell({ claims: { sub: ALICE.sub } })).status, 200);
    assert.equal(await other.isAlive(two), false);
    await nextSecond();
    const three = await other.loggedIn();
    assert.equal(await other.isAlive(three), true, "a login after it is a new one");
    const admin = { method: "POST", path: "/auth/admin/end-sessions", headers: { "Content-Type": "application/json", Authorization: `Bearer ${ADMIN_SECRET}` }, body: JSON.stringify({ sub: ALICE.sub }) };
    const answer = await other.raw(admin);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(await other.isAlive(three), false);
    assertProblem(await three.fetch(other.origin, "/auth/sessions"), 404, "not_found");
    assert.doesNotMatch((await (await other.worker.namespace()).list({ prefix: "out:" })).keys.map(({ name }) => name).join(), /alice/i);
  } finally {
    await other.stop();
  }
});

test("without kv_delayed_logout there is nobody to hear a logout token", async () => {
  const browser = await world.loggedIn();
  assertProblem(await world.tell({ claims: { sub: ALICE.sub } }), 404, "not_found");
  assert.equal(await world.isAlive(browser), true);
});

test("a call that waited for a refresh when the core trapped is served by the next instance", async () => {
  // As in trap.test.mjs: the entry itself calls the real instance with a pointer past its memory.
  const other = await startWorld({
    providerSettings: { rotates_refresh_tokens: false },
    settings: kvSettings(),
    worker: { kv: true, patch: (source) => source.replace(ENTRY_CATCH, (entry) => `${entry} if (request.url.endsWith("/trap")) wasm.plan(4294967295,64,0);`) },
  });
  try {
    other.provider.control.settings.rotate = false;
    const browser = await other.loggedIn();
    await other.worker.clock({ seconds: 400 });
    const earlier = other.provider.control.count("token", "refresh_token");
    other.provider.control.fail("token", { grant: "refresh_token", hang: true, times: 1 });
    const call = other.call(browser);
    await until(() => other.provider.control.count("token", "refresh_token") === earlier + 1, "the refresh under way");
    assertProblem(await other.call(browser, "/trap"), 502, "internal");
    const answer = await call;
    assert.equal(answer.status, 200, `${answer.status} ${answer.code}`);
    assert.ok(other.worker.audit.some((event) => event.event === "trapped"));
    assert.equal((await other.call(browser)).status, 200);
  } finally {
    await other.stop();
  }
});

test("a dump of KV holds no token, no claim and no cookie", async () => {
  const browser = await world.loggedIn();
  const { value } = browser.sessionCookie(world.origin);
  await world.call(browser);
  await world.worker.clock({ seconds: TTL + 30 });
  await world.call(browser);
  const leaver = await world.loggedIn();
  await world.logout(leaver);
  const answers = control().log.filter((entry) => entry.endpoint === "token" && entry.status === 200).map((entry) => JSON.parse(entry.answer));
  assert.ok(answers.length >= 2, "logins and a refresh");
  const namespace = await world.worker.namespace();
  const values = await Promise.all((await names("")).map(async (name) => [Buffer.from(name), Buffer.from(await namespace.get(name, "arrayBuffer"))]));
  const dump = Buffer.concat([...values.flat(), world.worker.dump()]);
  assert.ok(values.length >= 3 && dump.length > 4096, "there is a dump to search");
  const secrets = answers.flatMap((answer) => [answer.access_token, answer.refresh_token, answer.id_token]).filter(Boolean);
  secrets.push(...control().log.flatMap((entry) => [entry.form?.code, entry.form?.code_verifier]).filter(Boolean));
  secrets.push(value, ALICE.sub, ALICE.name, ALICE.email, ...Object.values(world.secrets), world.secrets.SESSION_KEYS.split(":")[1]);
  for (const secret of secrets) {
    for (const encoded of [secret, Buffer.from(secret).toString("base64url"), Buffer.from(secret).toString("hex")]) {
      assert.ok(!dump.includes(encoded), `found in the dump: ${secret.slice(0, 12)}…`);
    }
  }
  const id = Buffer.from(value, "base64url").subarray(0, 32);
  assert.ok(!dump.includes(id) && !dump.includes(id.toString("base64url")) && !dump.includes(id.toString("hex")));
});

test("what KV needs is demanded, what it can't do is refused: 503, and the log names each key", async () => {
  const right = (origin) => ({
    origin,
    provider: { issuer: "http://127.0.0.1:1", client_id: "c", rotates_refresh_tokens: false },
    session: { store: "kv" },
    dangerously_allow_loopback_http: true,
  });
  const cases = [
    [{ kv: true }, right, []],
    [{ kv: false }, right, ["SESSIONS_KV"]],
    [{ kv: true }, (origin) => ({ ...right(origin), session: {} }), ["SESSIONS:", "SUBJECTS:"]],
    [{ kv: true, vars: { ADMIN_SECRET: randomBytes(32).toString("base64url") } }, right, ["ADMIN_SECRET"]],
    [{ kv: true }, (origin) => ({ ...right(origin), provider: { ...right(origin).provider, frontchannel_logout: true } }), ["provider.frontchannel_logout"]],
    [{ kv: false }, (origin) => ({ ...right(origin), session: { kv_delayed_logout: true } }), ["session.kv_delayed_logout"]],
    [
      { kv: true },
      (origin) => ({ ...right(origin), jurisdiction: "eu", provider: { issuer: "http://127.0.0.1:1", client_id: "c" }, session: { store: "kv", revocation_ticket_minutes: 60 } }),
      ["provider.rotates_refresh_tokens", "session.revocation_ticket_minutes", "jurisdiction"],
    ],
  ];
  for (const [options, tokenkeep, keys] of cases) {
    const worker = await startWorker({ secrets: freshSecrets(), bare: true, ...options, tokenkeep });
    try {
      const { send } = await import("./support/raw.mjs");
      const answer = await send(worker.origin, { path: "/auth/health" });
      if (keys.length === 0) {
        assert.equal(answer.status, 200, worker.logs.join("\n"));
        continue;
      }
      assertProblem(answer, 503, "config_invalid");
      const event = await until(() => worker.audit.find((line) => line.event === "config_invalid"), "the faults in the log");
      assert.equal(event.faults.length, keys.length, event.faults.join("\n"));
      for (const key of keys) assert.ok(event.faults.some((fault) => fault.startsWith(key)), `${key} is missing in:\n${event.faults.join("\n")}`);
    } finally {
      await worker.stop();
    }
  }
});
