// How long a session lives, with which keys, and what its storage and its cookie are worth alone.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { sessionKey } from "./support/worker.mjs";
import { ALICE, assertProblem, startWorld } from "./support/world.mjs";

let world;
before(async () => {
  world = await startWorld({ provider: { idTokenTtl: 2 * 86_400 }, settings: { session: { idle_minutes: 60, absolute_hours: 12, cache_seconds: 5 } } });
});
after(() => world?.stop());
afterEach(() => world.worker.clock({}));

test("the idle limit: calls keep a session alive, silence ends it", async () => {
  const browser = await world.loggedIn();
  for (const minutes of [50, 100, 150]) {
    await world.worker.clock({ minutes });
    assert.equal((await world.call(browser)).status, 200, `after ${minutes} minutes with calls between`);
  }
  // Exact to max(60 s, idle / 20): three minutes here.
  await world.worker.clock({ minutes: 150 + 64 });
  assertProblem(await world.call(browser), 401, "unauthenticated");
  await world.worker.clock({ minutes: 151 });
  assertProblem(await world.call(browser), 401, "unauthenticated");
});

test("session?touch=false doesn't extend the idle limit, session does", async () => {
  const [quiet, asking] = [await world.loggedIn(), await world.loggedIn()];
  await world.worker.clock({ minutes: 40 });
  assert.equal((await world.session(quiet, "?touch=false")).authenticated, true);
  assert.equal((await world.session(asking)).authenticated, true);
  await world.worker.clock({ minutes: 70 });
  assert.equal((await world.session(quiet, "?touch=false")).authenticated, false);
  assert.equal((await world.session(asking, "?touch=false")).authenticated, true);
});

test("the absolute limit ends a session however busy it is", async () => {
  const browser = await world.loggedIn();
  for (let minutes = 50; minutes < 12 * 60 - 5; minutes += 50) {
    await world.worker.clock({ minutes });
    assert.equal((await world.session(browser)).authenticated, true, `after ${minutes} minutes`);
  }
  await world.worker.clock({ minutes: 12 * 60 - 5 });
  assert.equal((await world.session(browser)).authenticated, true);
  await world.worker.clock({ minutes: 12 * 60 + 1 });
  assert.equal((await world.session(browser)).authenticated, false);
  assertProblem(await world.call(browser), 401, "unauthenticated");
});

test("keys are rotated without anybody noticing: the new one seals, the old one still opens", async () => {
  const browser = await world.loggedIn();
  const old = world.secrets.SESSION_KEYS;
  const fresh = sessionKey("k2");
  await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: `${fresh},${old}` } });
  assert.equal((await world.call(browser)).status, 200, "the old session under the new ring");
  const newcomer = await world.loggedIn();
  assert.equal((await world.call(newcomer)).status, 200);

  // Everyone out: a ring without the old key. Who came after the rotation stays.
  const untouched = await (async () => {
    await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: old } });
    const one = await world.loggedIn();
    await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: fresh } });
    return one;
  })();
  assertProblem(await world.call(untouched), 401, "unauthenticated");
  assert.equal((await world.session(untouched)).authenticated, false);
  assert.equal((await world.call(newcomer)).status, 200);
  const again = await world.loggedIn();
  assert.equal((await world.call(again)).status, 200);
  await world.worker.restart({ secrets: world.secrets });
});

test("a record is sealed again under the new key at its next write", async () => {
  const browser = await world.loggedIn();
  const old = world.secrets.SESSION_KEYS;
  const fresh = sessionKey("k3");
  await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: `${fresh},${old}` } });
  await world.worker.clock({ minutes: 30 });
  assert.equal((await world.call(browser)).status, 200, "a touch or a refresh writes");
  await world.worker.restart({ secrets: { ...world.secrets, SESSION_KEYS: fresh } });
  assert.equal((await world.call(browser)).status, 200);
  await world.worker.restart({ secrets: world.secrets });
});

// CVE-2025-47275, CVE-2023-35941: short tags, moved bytes.
test("a cookie that we never issued is refused before any object is asked", async () => {
  const browser = await world.loggedIn();
  const { name, value } = browser.sessionCookie(world.origin);
  const bytes = Buffer.from(value, "base64url");
  const flip = (at) => {
    const other = Buffer.from(bytes);
    other[at] ^= 1;
    return other.toString("base64url");
  };
  const forged = [
    ...[0, 1, 16, 31, 32, 40, 47].map(flip),
    ...Array.from({ length: 16 }, (_, cut) => bytes.subarray(0, 32 + cut).toString("base64url")),
    "A".repeat(64), value.slice(0, 63), `${value}A`, `${value}=`, value.toLowerCase(), `"${value}"`, ` ${value}`, `${value}%00`, encodeURIComponent(`${value}/`), "", "null", "undefined",
    Buffer.concat([bytes.subarray(16), bytes.subarray(0, 16)]).toString("base64url"), bytes.toString("hex"), bytes.toString("base64").replace(/[A-Za-z0-9]/, "+"),
  ].filter((candidate) => candidate !== value && candidate.trim() !== value);
  const objects = world.worker.objects().length;
  for (const candidate of forged) {
    const headers = { "Sec-Fetch-Site": "same-origin", Cookie: `${name}=${candidate}` };
    const answer = await world.raw({ path: "/api/whoami", headers });
    assertProblem(answer, 401, "unauthenticated");
    const session = await world.raw({ path: "/auth/session", headers });
    assert.equal(session.json.authenticated, false, candidate);
  }
  assert.equal(world.worker.objects().length, objects, "no object was asked");
  assert.equal((await world.call(browser)).status, 200);
});

test("a cookie that comes twice, or joined by a comma, counts as none", async () => {
  const browser = await world.loggedIn();
  const { name, value } = browser.sessionCookie(world.origin);
  for (const cookie of [`${name}=${value}; ${name}=${value}`, `${name}=x; ${name}=${value}`, `a=1, ${name}=${value}`, `${name}=${value}, ${name}=x`, `=${name}=${value}`, `${name.toUpperCase()}=${value}`, `x${name}=${value}`, `a=${name}=${value}`]) {
    const answer = await world.raw({ path: "/api/whoami", headers: { "Sec-Fetch-Site": "same-origin", Cookie: cookie } });
    assertProblem(answer, 401, "unauthenticated");
  }
  // Two Cookie headers, as HTTP/2 may split them: workerd joins them with a comma.
  const split = await world.raw({ path: "/api/whoami", headers: [["Sec-Fetch-Site", "same-origin"], ["Cookie", `${name}=x`], ["Cookie", `${name}=${value}`]] });
  assertProblem(split, 401, "unauthenticated");
  // CVE-2023-28625, CVE-2024-24814: odd Cookie headers crash nothing.
  for (const cookie of [";;;", "=", "a", " ;", "; ".repeat(2000), Array.from({ length: 2000 }, (_, i) => `c${i}=${i}`).join("; "), `${name}_chunks=99999999`, "\u00e9=\u00e9"]) {
    const answer = await world.raw({ path: "/api/whoami", headers: { "Sec-Fetch-Site": "same-origin", Cookie: cookie } });
    assert.ok([401, 400, 431].includes(answer.status), `${cookie.slice(0, 20)}: ${answer.status}`);
  }
  assert.equal((await world.raw({ path: "/api/whoami", headers: { "Sec-Fetch-Site": "same-origin", Cookie: `a=1; ${name}=${value}; b="x"` } })).status, 200);
});

test("a dump of the storage holds no token, no claim and no cookie", async () => {
  const browser = await world.loggedIn();
  const { value } = browser.sessionCookie(world.origin);
  await world.call(browser);
  await world.worker.clock({ minutes: 20 });
  await world.call(browser);
  const answers = world.provider.control.log.filter((entry) => entry.endpoint === "token" && entry.status === 200).map((entry) => JSON.parse(entry.answer));
  assert.ok(answers.length >= 2, "a login and a refresh");
  const dump = world.worker.dump();
  assert.ok(dump.length > 8192, "there is a dump to search");
  assert.ok(dump.includes("SQLite format 3"));
  const secrets = answers.flatMap((answer) => [answer.access_token, answer.refresh_token, answer.id_token]).filter(Boolean);
  secrets.push(...world.provider.control.log.flatMap((entry) => [entry.form?.code, entry.form?.code_verifier]).filter(Boolean));
  secrets.push(value, ALICE.sub, ALICE.name, ALICE.email, ...Object.values(world.secrets), world.secrets.SESSION_KEYS.split(":")[1]);
  for (const secret of secrets) {
    for (const encoded of encodings(secret)) assert.ok(!dump.includes(encoded), `found in the dump: ${secret.slice(0, 12)}…`);
  }
  // Parts of a JWT as well, and the raw bytes behind the cookie: whole, and the SessionId in it.
  for (const part of answers.flatMap((answer) => answer.access_token.split("."))) assert.ok(!dump.includes(part.slice(0, 40)));
  const id = Buffer.from(value, "base64url").subarray(0, 32);
  assert.ok(!dump.includes(id) && !dump.includes(id.toString("base64url")) && !dump.includes(id.toString("hex")));
});

function encodings(text) {
  const bytes = Buffer.from(text);
  return [bytes, bytes.toString("base64url"), bytes.toString("base64").replace(/=+$/, ""), bytes.toString("hex"), Buffer.from(text, "utf16le")];
}
