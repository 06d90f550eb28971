// The administrator ends all sessions of a person. To everybody else there is no such endpoint.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import net from "node:net";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { send } from "./support/raw.mjs";
import { until } from "./support/wait.mjs";
import { ALICE, assertProblem, BOB, startWorld } from "./support/world.mjs";

const PATH = "/auth/admin/end-sessions";
const UNKNOWN = "/auth/admin/no-such-thing";

const secret = randomBytes(32).toString("base64url");

let world;
before(async () => {
  world = await startWorld({ secrets: { ADMIN_SECRET: secret } });
});
after(() => world?.stop());
afterEach(() => world.worker.clock({}));

const bearer = (value = secret) => ({ Authorization: `Bearer ${value}`, "Content-Type": "application/json" });

function endSessions(body, { headers = bearer(), path = PATH, method = "POST", ...init } = {}) {
  return world.raw({ method, path, headers, body: typeof body === "string" ? body : JSON.stringify(body), ...init });
}

/** All of an answer. The runtime adds nothing that changes with time here. */
const whole = ({ status, headers, text }) => ({ status, headers, text });

/** Counts are kept by the minute: the next tests begin in a fresh one. */
let minutes = 0;
async function freshMinute() {
  minutes += 2;
  await world.worker.clock({ minutes, seconds: 60 - (Math.floor(Date.now() / 1000) % 60) });
}

/** Dates are whole seconds, and a login of the very second of an end is refused. */
const nextSecond = () => sleep(1005 - (Date.now() % 1000));

test("the right secret ends all sessions of the sub, and nobody else's", async () => {
  const hers = [await world.loggedIn(), await world.loggedIn(), await world.loggedIn()];
  const his = await world.loggedIn({ user: BOB });
  await world.call(hers[0]);
  const answer = await endSessions({ sub: ALICE.sub });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json, { ended: 3, pending: 0 });
  assert.equal(answer.header("cache-control"), "no-store");
  assertProblem(await world.call(hers[0]), 401, "unauthenticated");
  for (const browser of hers) assert.equal(await world.isAlive(browser), false);
  assert.equal(await world.isAlive(his), true);
  const line = await until(() => world.worker.audit.find(({ event }) => event === "subject_ended"), "the log's line");
  assert.deepEqual([line.ended, line.left, line.sub], [3, 0, undefined]);
  assert.match(line.subject, /^[\w-]{43}$/);
  const known = world.worker.audit.find(({ event }) => event === "subject_known");
  assert.equal(line.subject, known.subject, "the same hash as in the line of her login");
  assert.ok(world.worker.audit.some(({ event, reason }) => event === "session_ended" && reason === "remote"));
  await nextSecond();
  await world.login(hers[0]);
});

test("a sub without sessions: nothing ended, and that is no error", async () => {
  for (const sub of ["usr_nobody", "x".repeat(255), "\u00fc", world.provider.issuer]) assert.deepEqual((await endSessions({ sub })).json, { ended: 0, pending: 0 });
});

test("a login that is under way when the administrator ends the person's sessions is no session", async () => {
  await nextSecond();
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const { control } = world.provider;
  const exchanged = () => control.log.filter((entry) => entry.grant === "authorization_code" && entry.status === 200).length;
  const before = exchanged();
  control.fail("token", { grant: "authorization_code", late: 700, times: 1 });
  const calling = world.callback(browser, url);
  await until(() => exchanged() > before, "the exchange");
  assert.equal((await endSessions({ sub: ALICE.sub })).status, 200);
  const answer = await calling;
  assertProblem(answer, 403, "login_ended");
  assert.equal(await world.isAlive(browser), false);
});

test("a body that isn't {\"sub\": …} is 400, another type 415, a long one 413", async () => {
  await nextSecond();
  const browser = await world.loggedIn();
  for (const body of ["", "{}", "null", "[]", `sub=${ALICE.sub}`, '{"sub":7}', '{"sub":""}', '{"sub":null}', `{"sub":["${ALICE.sub}"]}`, `{"sub":"${ALICE.sub}","x":1}`, `{"sub":"${ALICE.sub}","sub":"${ALICE.sub}"}`, `{"Sub":"${ALICE.sub}"}`]) {
    assertProblem(await endSessions(body), 400, "parameters_invalid");
  }
  const body = JSON.stringify({ sub: ALICE.sub });
  assertProblem(await endSessions(body, { headers: { ...bearer(), "Content-Type": "text/plain" } }), 415, "content_type_unsupported");
  assertProblem(await endSessions(`{"sub":"${"x".repeat(20_000)}"}`), 413, "body_too_large");
  assert.equal(await world.isAlive(browser), true);
});

// Attack 57: an endpoint for administrators that anybody can see.
test("without the secret there is no such endpoint: byte for byte the answer of an unknown path", async () => {
  const browser = await world.loggedIn();
  const cookie = world.headersOf(browser);
  const json = { "Content-Type": "application/json" };
  const body = JSON.stringify({ sub: ALICE.sub });
  const attempts = {
    "no secret": { headers: json },
    "an empty one": { headers: { ...json, Authorization: "" } },
    "Bearer alone": { headers: { ...json, Authorization: "Bearer" } },
    "an empty Bearer": { headers: { ...json, Authorization: "Bearer " } },
    "another secret": { headers: bearer(randomBytes(32).toString("base64url")) },
    "cut off": { headers: bearer(secret.slice(0, -1)) },
    "too long": { headers: bearer(`${secret}A`) },
    "much too long": { headers: bearer(secret.repeat(200)) },
    "padded": { headers: bearer(`${secret}=`) },
    "its bytes in hex": { headers: bearer(Buffer.from(secret, "base64url").toString("hex")) },
    "in lower case": { headers: bearer(secret.toLowerCase()) },
    "bearer in lower case": { headers: { ...json, Authorization: `bearer ${secret}` } },
    "BEARER in upper case": { headers: { ...json, Authorization: `BEARER ${secret}` } },
    "two spaces": { headers: bearer(` ${secret}`) },
    "as Basic": { headers: { ...json, Authorization: `Basic ${Buffer.from(`admin:${secret}`).toString("base64")}` } },
    "the secret alone": { headers: { ...json, Authorization: secret } },
    "two headers": { headers: [["Content-Type", "application/json"], ["Authorization", "Bearer x"], ["Authorization", `Bearer ${secret}`]] },
    "in the query": { headers: json, query: `?access_token=${secret}&secret=${secret}` },
    "in another header": { headers: { ...json, "X-Admin-Secret": secret, "Proxy-Authorization": `Bearer ${secret}` } },
    "in the body": { headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: `access_token=${secret}&sub=${ALICE.sub}` },
    "as a cookie": { headers: { ...json, Cookie: `admin=${secret}` } },
    "a person's own session": { headers: { ...cookie, ...json } },
    "our own secrets": { headers: bearer(world.secrets.NAME_KEY) },
    "an expectation": { headers: { ...json, Expect: "100-continue" } },
    "a large body": { headers: json, body: "x".repeat(64 * 1024) },
    "a navigation": { headers: { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none", Accept: "text/html" } },
    "a preflight": { method: "OPTIONS", headers: { Origin: "https://evil.example", "Access-Control-Request-Method": "POST" }, body: undefined },
    "a preflight with the secret": { method: "OPTIONS", headers: { ...bearer(), Origin: world.origin, "Access-Control-Request-Method": "POST" }, body: undefined },
    ...Object.fromEntries(["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"].map((method) => [`${method} with the secret`, { method, headers: bearer(), body: undefined }])),
    "a method that nobody knows": { method: "PROPFIND", headers: bearer(), body: undefined },
    "a slash behind it": { headers: bearer(), suffix: "/" },
    "another case": { headers: bearer(), path: PATH.toUpperCase().replace("/AUTH", "/auth") },
  };
  let count = 0;
  for (const [what, { query = "", suffix = "", path = PATH, method = "POST", headers, ...init }] of Object.entries(attempts)) {
    // Counted by client: each attempt comes from another one.
    count += 1;
    const from = Array.isArray(headers) ? [...headers, ["CF-Connecting-IP", `192.0.2.${count}`]] : { ...headers, "CF-Connecting-IP": `192.0.2.${count}` };
    const request = { method, headers: from, body, ...init };
    const hidden = await world.raw({ ...request, path: path + suffix + query });
    const unknown = await world.raw({ ...request, path: UNKNOWN + query });
    assert.deepEqual(whole(hidden), whole(unknown), what);
    assert.equal(hidden.status, method === "PROPFIND" ? 501 : 404, what);
    if (method !== "HEAD") assert.ok(!hidden.text.includes("admin") && !hidden.headers.some(([name]) => name === "allow"), what);
  }
  assert.equal(await world.isAlive(browser), true);
  const lines = world.worker.audit.filter(({ event }) => event === "admin_refused");
  assert.ok(lines.length >= 1 && lines.length <= 2, `one line a minute, not ${lines.length}`);
  assert.deepEqual(Object.keys(lines[0]).sort(), ["event", "level", "time"]);
  assert.ok(!world.worker.logs.join("\n").includes(secret));
});

test("without the secret no body is read: the answer comes while the body has yet to be sent", async () => {
  const answerTo = (path, authorization) =>
    new Promise((resolve, reject) => {
      const { hostname, port, host } = new URL(world.origin);
      const socket = net.connect(Number(port), hostname, () => {
        socket.write(`POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\nAuthorization: ${authorization}\r\n\r\n{"sub":`);
      });
      let text = "";
      socket.setTimeout(2_000, () => socket.destroy(new Error("no answer before the body")));
      socket.on("data", (data) => {
        text += data;
        if (!text.includes("}")) return;
        resolve(text);
        socket.destroy();
      });
      socket.on("error", reject);
    });
  const [hidden, unknown] = [await answerTo(PATH, "Bearer wrong"), await answerTo(UNKNOWN, "Bearer wrong")];
  assert.match(hidden, /^HTTP\/1.1 404/);
  assert.equal(hidden, unknown);
});

test("failed tries of one client lock out that client for a minute, and no other", async () => {
  await freshMinute();
  const from = (client, value) => endSessions({ sub: "usr_nobody" }, { headers: { ...bearer(value), ...(client ? { "CF-Connecting-IP": client } : {}) } });
  for (let i = 0; i < 10; i += 1) assert.equal((await from("198.51.100.7", "wrong")).status, 404);
  assertProblem(await from("198.51.100.7"), 404, "not_found");
  assert.equal((await from("198.51.100.8")).status, 200);
  assert.equal((await from("2001:db8::7")).status, 200);
  assert.equal((await from(undefined)).status, 200);
  // Somebody with many addresses, more than are counted.
  for (let i = 0; i < 400; i += 20) await Promise.all(Array.from({ length: 20 }, (_, j) => from(`2001:db8::${i + j}`, "wrong")));
  assert.equal((await from("198.51.100.9")).status, 200, "an address that nothing came from");
  await freshMinute();
  assert.equal((await from("198.51.100.7")).status, 200, "a minute later");
  assert.equal((await from("198.51.100.8")).status, 200);
});

test("sixty a minute are served; what comes after is told to wait", async () => {
  await freshMinute();
  for (let i = 0; i < 60; i += 1) assert.equal((await endSessions({ sub: "usr_nobody" })).status, 200, `number ${i + 1}`);
  const answer = await endSessions({ sub: "usr_nobody" });
  assertProblem(answer, 429, "admin_rate_limited");
  assert.equal(answer.header("retry-after"), "60");
  // To the others there is still no such endpoint.
  assertProblem(await endSessions({ sub: "usr_nobody" }, { headers: bearer("wrong") }), 404, "not_found");
  await freshMinute();
  assert.equal((await endSessions({ sub: "usr_nobody" })).status, 200);
});

test("no ADMIN_SECRET, no endpoint: with any secret the answer of an unknown path", async () => {
  const { ADMIN_SECRET: _none, ...without } = world.secrets;
  await world.worker.restart({ secrets: without });
  try {
    for (const value of [secret, "", "undefined", "null"]) {
      const [hidden, unknown] = [await endSessions({ sub: ALICE.sub }, { headers: bearer(value) }), await endSessions({ sub: ALICE.sub }, { headers: bearer(value), path: UNKNOWN })];
      assert.equal(hidden.status, 404);
      assert.deepEqual(whole(hidden), whole(unknown));
    }
  } finally {
    await world.worker.restart({ secrets: world.secrets });
  }
});

test("a secret that can be guessed, or is used elsewhere too, is a fault: nothing is served, and the log names it without its value", async () => {
  const { NAME_KEY, SESSION_KEYS } = world.secrets;
  const faulty = {
    "empty": "",
    "short": randomBytes(16).toString("base64url"),
    "a word": "change-me",
    "of zeros": Buffer.alloc(32).toString("base64url"),
    "padded": `${randomBytes(32).toString("base64url")}=`,
    "in hex": randomBytes(32).toString("hex"),
    "with a line break": `${randomBytes(32).toString("base64url")}\n`,
    "the same as NAME_KEY": NAME_KEY,
    "one of SESSION_KEYS": SESSION_KEYS.split(":")[1],
  };
  for (const [what, value] of Object.entries(faulty)) {
    const from = world.worker.logs.length;
    await world.worker.restart({ secrets: { ...world.secrets, ADMIN_SECRET: value } });
    assertProblem(await send(world.origin, { path: "/auth/health" }), 503, "config_invalid");
    assertProblem(await endSessions({ sub: ALICE.sub }, { headers: bearer(value.trim()) }), 503, "config_invalid");
    const [line] = await until(() => {
      const lines = world.worker.logs.slice(from).filter((text) => text.includes("config_invalid"));
      return lines.length > 0 && lines;
    }, `the fault of a secret that is ${what}`);
    assert.match(line, /ADMIN_SECRET/, what);
    if (value.length > 8) assert.ok(!line.includes(value.trim()), what);
  }
  await world.worker.restart({ secrets: world.secrets });
  assert.equal((await endSessions({ sub: "usr_nobody" })).status, 200);
});
