// Refresh: one request however many ask, and nothing but a definite refusal ends a session.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { until } from "./support/wait.mjs";
import { apiRoute, assertProblem, startWorld } from "./support/world.mjs";

const TTL = 120;

let world;
before(async () => {
  world = await startWorld({
    provider: { accessTokenTtl: TTL },
    routes: ({ api }) => [apiRoute(api), apiRoute(api, { path: "/again/*", retry_after_401: true })],
  });
});
after(() => world?.stop());
afterEach(async () => {
  world.provider.control.heal();
  world.api.control.refuse(0);
  await world.worker.clock({});
});

const refreshes = () => world.provider.control.count("token", "refresh_token");
const tokenSeen = () => world.api.control.log.at(-1)?.headers.authorization;
const expired = () => world.worker.clock({ seconds: TTL + 30 });
// Young enough to serve, old enough to be refreshed ahead.
const nearlyExpired = () => world.worker.clock({ seconds: TTL - 15 });

async function burst(browser, calls) {
  return Promise.all(Array.from({ length: calls }, () => world.call(browser)));
}

test("twenty calls at expiry are one token request and twenty successes", async () => {
  const browser = await world.loggedIn();
  await world.call(browser);
  const before = refreshes();
  const old = tokenSeen();
  await expired();
  world.provider.control.fail("token", { grant: "refresh_token", late: 200, times: 1 });
  const answers = await burst(browser, 20);
  assert.deepEqual(answers.map((answer) => answer.status), Array(20).fill(200));
  assert.equal(refreshes(), before + 1);
  const used = new Set(world.api.control.log.slice(-20).map((entry) => entry.headers.authorization));
  assert.equal(used.size, 1);
  assert.ok(!used.has(old));
});

test("two sessions refreshed at the same time get their own token each", async () => {
  const browsers = [await world.loggedIn(), await world.loggedIn({ user: { username: "bob", password: "builder" } })];
  await expired();
  const answers = await Promise.all([...burst2(browsers[0]), ...burst2(browsers[1])]);
  function burst2(browser) {
    return Array.from({ length: 5 }, () => world.call(browser));
  }
  assert.deepEqual(answers.slice(0, 5).map((answer) => answer.json.subject), Array(5).fill("usr_alice"));
  assert.deepEqual(answers.slice(5).map((answer) => answer.json.subject), Array(5).fill("usr_bob"));
});

test("a young token is not refreshed", async () => {
  const browser = await world.loggedIn();
  const before = refreshes();
  await burst(browser, 5);
  assert.equal(refreshes(), before);
});

test("refreshes go on for as long as the session: rotated tokens are used in their order", async () => {
  const browser = await world.loggedIn();
  const before = refreshes();
  for (let i = 1; i <= 4; i += 1) {
    await world.worker.clock({ seconds: i * (TTL + 30) });
    assert.equal((await world.call(browser)).status, 200, `refresh ${i}`);
  }
  assert.equal(refreshes(), before + 4);
});

test("a provider that doesn't rotate is fine: the refresh token stays", async () => {
  world.provider.control.settings.rotate = false;
  const browser = await world.loggedIn();
  try {
    for (let i = 1; i <= 2; i += 1) {
      await world.worker.clock({ seconds: i * (TTL + 30) });
      assert.equal((await world.call(browser)).status, 200);
    }
  } finally {
    world.provider.control.settings.rotate = true;
  }
});

const FAULTS = {
  "drops the connection": { drop: true },
  "answers 500": { status: 500, body: "oops" },
  "answers 503": { status: 503, body: "" },
  "answers 429": { status: 429, body: "" },
  "answers 200 with a page": { status: 200, body: "<html>", headers: { "content-type": "text/html" } },
  "answers 200 without a token": { status: 200, body: {} },
  "redirects": { status: 302, body: "", headers: { location: "/elsewhere" } },
  "refuses our credentials with 401": { status: 401, body: { error: "invalid_client" } },
  "refuses our credentials with 400": { status: 400, body: { error: "unauthorized_client" } },
  "answers 403": { status: 403, body: "" },
};
for (const [what, fault] of Object.entries(FAULTS)) {
  test(`a provider that ${what} ends nothing: the old token serves, then 503, then all is well again`, async () => {
    const browser = await world.loggedIn();
    const mend = world.provider.control.fail("token", { grant: "refresh_token", ...fault });
    await nearlyExpired();
    assert.equal((await world.call(browser)).status, 200, "the old token serves while it lives");
    await expired();
    const answer = await world.call(browser);
    assert.equal(answer.status, 503, answer.text);
    assert.match(answer.code, /^provider_(unavailable|overloaded|refuses_client)$/);
    assert.ok(answer.header("retry-after"));
    assert.deepEqual(answer.all("set-cookie"), []);
    mend();
    // A pause after a failure is the object's right; two minutes are enough of one.
    await world.worker.clock({ seconds: TTL + 150 });
    const later = await world.call(browser);
    assert.equal(later.status, 200, `${later.status} ${later.code}`);
  });
}

test("a provider that never answers is given up on, and calls say whose fault it is", { timeout: 90_000 }, async () => {
  const browser = await world.loggedIn();
  world.provider.control.fail("token", { grant: "refresh_token", hang: true });
  await expired();
  const answer = await world.call(browser, "/api/whoami", { timeout: 70_000 });
  assert.equal(answer.status, 503, `${answer.status} ${answer.text}`);
  assert.match(answer.code, /^(provider_unavailable|session_unavailable)$/);
});

test("invalid_grant ends the session: 401, and the 401 doesn't delete the cookie", async () => {
  const browser = await world.loggedIn();
  const cookie = browser.sessionCookie(world.origin).value;
  world.provider.control.fail("token", { grant: "refresh_token", status: 400, body: { error: "invalid_grant" } });
  await expired();
  const answer = await world.call(browser);
  assertProblem(answer, 401, "unauthenticated");
  assert.deepEqual(answer.all("set-cookie"), []);
  assert.equal(browser.sessionCookie(world.origin).value, cookie);
  world.provider.control.heal();
  assertProblem(await world.call(browser), 401, "unauthenticated");
  assert.equal((await world.session(browser)).authenticated, false);
  assert.ok(world.worker.audit.some((event) => event.event === "session_ended" && event.reason === "invalid_grant"));
});

test("what an administrator ended at the provider ends here with the next refresh", async () => {
  const browser = await world.loggedIn();
  world.provider.control.forget("RefreshToken");
  await expired();
  assertProblem(await world.call(browser), 401, "unauthenticated");
});

// What providers in the field do: 400 without a code for a token that they have forgotten.
test("another definite refusal ends the session only when it comes twice, later", async () => {
  const browser = await world.loggedIn();
  world.provider.control.fail("token", { grant: "refresh_token", status: 400, body: { error: "invalid_request" } });
  await expired();
  const first = await world.call(browser);
  assert.equal(first.status, 503, first.text);
  await world.worker.clock({ seconds: TTL + 30 + 600 });
  await until(async () => {
    const answer = await world.call(browser);
    return answer.status === 401;
  }, "the session to end");
});

test("an answer that was lost on the way gets exactly one more try; invalid_grant to it ends the session", async () => {
  const browser = await world.loggedIn();
  const before = refreshes();
  world.provider.control.fail("token", { grant: "refresh_token", lose: true, times: 1 });
  await expired();
  // The second try comes at once or a little later: both are the object's right.
  let answer = await world.call(browser);
  for (let minutes = 1; answer.status === 503 && minutes <= 5; minutes += 1) {
    await world.worker.clock({ seconds: TTL + 30 + 60 * minutes });
    answer = await world.call(browser);
  }
  assertProblem(answer, 401, "unauthenticated");
  assert.equal(refreshes(), before + 2);
  assert.ok(world.worker.audit.some((event) => event.event === "session_ended" && event.reason === "refresh_answer_lost"));
});

test("a 401 from the API: refreshed, tried once more, and the caller sees none of it", async () => {
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: TTL / 2 });
  await world.call(browser);
  const old = tokenSeen();
  const before = refreshes();
  world.api.control.refuse(1);
  const seen = world.api.control.log.length;
  const answer = await world.call(browser);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(refreshes(), before + 1);
  assert.equal(world.api.control.log.length, seen + 2);
  assert.notEqual(tokenSeen(), old);
});

test("an API that goes on saying 401 gets one more try and its 401 goes through", async () => {
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: TTL / 2 });
  world.api.control.refuse(50);
  const before = refreshes();
  const seen = world.api.control.log.length;
  const answer = await world.call(browser);
  assert.equal(answer.status, 401);
  assert.equal(answer.code, null, "it is the API's own 401");
  assert.equal(answer.json.error, "invalid_token");
  assert.ok(refreshes() <= before + 1);
  assert.ok(world.api.control.log.length <= seen + 2);
  world.api.control.refuse(50);
  const again = await world.call(browser);
  assert.equal(again.status, 401);
  assert.ok(refreshes() <= before + 1, "the fresh token is young: no refresh for it");
});

test("a 401 for a young token goes through as it is", async () => {
  const browser = await world.loggedIn();
  const before = refreshes();
  world.api.control.refuse(1);
  assert.equal((await world.call(browser)).status, 401);
  assert.equal(refreshes(), before);
  assert.equal((await world.call(browser)).status, 200);
});

test("a call with a body is sent again after the API's 401 only where the route says so, whole, and only if it is short", async () => {
  for (const [method, path, size, times] of [["PUT", "/api/elsewhere", 10, 1], ["PUT", "/again/elsewhere", 50_000, 2], ["POST", "/again/elsewhere", 50_000, 2], ["PUT", "/again/elsewhere", 70_000, 1]]) {
    const browser = await world.loggedIn();
    await world.worker.clock({ seconds: TTL / 2 });
    world.api.control.refuse(1);
    const seen = world.api.control.log.length;
    const answer = await world.call(browser, path, { method, body: "x".repeat(size), headers: { "Content-Type": "text/plain" } });
    assert.equal(answer.status, times === 2 ? 404 : 401, `${method} ${path}, ${size} bytes: the API's own answer`);
    const sent = world.api.control.log.slice(seen);
    assert.equal(sent.length, times);
    for (const entry of sent) assert.equal(entry.headers["content-length"], String(size));
    await world.worker.clock({});
  }
});

// A browser sends `Content-Length: 0` with every PUT and POST that has no body.
test("a call whose body is empty is sent again after the API's 401", async () => {
  for (const [method, path] of [["PUT", "/api/elsewhere"], ["DELETE", "/api/elsewhere"], ["POST", "/again/elsewhere"]]) {
    const browser = await world.loggedIn();
    await world.worker.clock({ seconds: TTL / 2 });
    world.api.control.refuse(1);
    const seen = world.api.control.log.length;
    const answer = await world.call(browser, path, { method, headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 404, `${method}: ${answer.code}: the API's own answer to the second try`);
    assert.equal(world.api.control.log.length, seen + 2);
    await world.worker.clock({});
  }
});

test("a POST is not sent twice after the API's 401", async () => {
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: TTL / 2 });
  world.api.control.refuse(1);
  const seen = world.api.control.log.length;
  const answer = await world.call(browser, "/api/orders", { method: "POST", body: '{"item":"x","quantity":1}', headers: { "Content-Type": "application/json" } });
  assert.equal(answer.status, 401);
  assert.equal(world.api.control.log.length, seen + 1);
});

test("twenty calls whose token the API has come to refuse lead to one refresh and twenty successes", async () => {
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: TTL / 2 });
  await world.call(browser);
  const before = refreshes();
  world.api.control.refuseToken(tokenSeen().slice(7));
  const answers = await burst(browser, 20);
  assert.deepEqual(answers.map((answer) => answer.status), Array(20).fill(200));
  assert.equal(refreshes(), before + 1);
});

test("twenty calls at once that the API refuses whatever token they bring lead to one refresh and its own 401s", async () => {
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: TTL / 2 });
  await world.call(browser);
  const before = refreshes();
  const seen = world.api.control.log.length;
  world.api.control.refuse(1000);
  const answers = await burst(browser, 20);
  assert.deepEqual(answers.map((answer) => [answer.status, answer.code]), Array(20).fill([401, null]));
  assert.equal(refreshes(), before + 1);
  assert.ok(world.api.control.log.length - seen <= 40, "each call is sent twice at most");
});

// Some APIs say 401 where they mean 403, to every call. A token is renewed when a quarter of its life is
// over, at most: four times a life, however many calls there are.
test("an API that says 401 for \"forbidden\" makes no refresh a call", async () => {
  const browser = await world.loggedIn();
  const before = refreshes();
  world.api.control.refuse(10_000);
  let calls = 0;
  for (let seconds = 0; seconds <= TTL; seconds += 4) {
    await world.worker.clock({ seconds });
    for (const answer of await burst(browser, 5)) {
      calls += 1;
      assert.deepEqual([answer.status, answer.code], [401, null]);
    }
  }
  assert.ok(calls > 150);
  assert.ok(refreshes() - before <= 4, `${refreshes() - before} refreshes for ${calls} calls`);
});

test("a caller that goes away doesn't take the refresh with it", async () => {
  const browser = await world.loggedIn();
  const before = refreshes();
  world.provider.control.fail("token", { grant: "refresh_token", late: 400, times: 1 });
  await expired();
  let request;
  const cut = world.raw({ path: "/api/whoami", headers: world.headersOf(browser), onRequest: (own) => { request = own; } });
  await until(() => refreshes() === before + 1, "the refresh to leave");
  request.destroy();
  await assert.rejects(cut);
  assert.equal((await world.call(browser)).status, 200);
  assert.equal(refreshes(), before + 1);
});

// CVE-2021-41230 and §12.2: what a refresh says about somebody else is not believed.
test("a refreshed ID token of another subject isn't believed", async () => {
  const browser = await world.loggedIn();
  world.provider.control.fail("token", {
    grant: "refresh_token",
    transform: (answer) => {
      const [head, payload, signature] = answer.id_token.split(".");
      const claims = { ...JSON.parse(Buffer.from(payload, "base64url")), sub: "usr_bob" };
      return { ...answer, id_token: [head, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".") };
    },
  });
  await expired();
  const answer = await world.call(browser);
  assert.ok([401, 503].includes(answer.status), `${answer.status}`);
});

test("a restart in the middle of a refresh loses neither the session nor, where the answer came, the token", { timeout: 60_000 }, async () => {
  const browser = await world.loggedIn();
  await expired();
  assert.equal((await world.call(browser)).status, 200);
  const before = refreshes();
  await world.worker.restart();
  assert.equal((await world.call(browser)).status, 200, "after a plain restart");
  // The refresh leaves, the process dies before the answer: one more try, and then it is said.
  await world.worker.clock({ seconds: 3 * TTL });
  world.provider.control.fail("token", { grant: "refresh_token", hang: true, times: 1 });
  const cut = world.call(browser).catch(() => "cut");
  await until(() => refreshes() >= before + 1, "the refresh to leave");
  await world.worker.restart();
  world.provider.control.heal();
  await cut;
  await world.worker.clock({ seconds: 3 * TTL });
  const answer = await world.call(browser);
  assert.equal(answer.status, 200, `${answer.code} ${answer.text}`);
  assert.equal(refreshes(), before + 2);
});
