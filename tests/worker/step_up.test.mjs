// RFC 9470: an API that asks for a better login than the session's. The page learns where to navigate,
// the provider is asked for what the API wants, and no refresh is spent on it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startUpstream } from "./support/upstream.mjs";
import { assertProblem, AUDIENCE, startWorld } from "./support/world.mjs";

const TTL = 120;

let world;
let upstream;
before(async () => {
  upstream = await startUpstream();
  const route = { upstream: { url: upstream.url }, resource: AUDIENCE };
  world = await startWorld({
    provider: { accessTokenTtl: TTL },
    routes: () => [
      { path: "/api/*", ...route },
      { path: "/page/*", ...route, navigation: "page" },
      { path: "/open/*", upstream: { url: upstream.url }, session: "anonymous" },
    ],
  });
});
after(async () => {
  await world?.stop();
  await upstream?.stop();
});

const refreshes = () => world.provider.control.count("token", "refresh_token");

/** The API answers this path with 401 and these challenges, one a line. */
function challenge(path, ...challenges) {
  upstream.reply(path, 401, challenges.map((value) => ["WWW-Authenticate", value]), '{"error":"theirs"}');
}

const asks = (more) => `Bearer error="insufficient_user_authentication", error_description="More, please"${more}`;

test("a fetch gets a problem with the URL that asks the provider for what the API wants", async (t) => {
  t.after(() => world.worker.clock({}));
  challenge("/api/pay", asks(', acr_values="urn:mfa urn:hw", max_age="300"'));
  const browser = await world.loggedIn();
  const before = refreshes();
  // Young or old, replayable or not: the same.
  for (const [seconds, method] of [[0, "GET"], [TTL / 2, "GET"], [TTL / 2, "POST"], [TTL / 2, "PUT"]]) {
    await world.worker.clock({ seconds });
    const seen = upstream.seen.length;
    const problem = assertProblem(await world.call(browser, "/api/pay", { method }), 401, "insufficient_user_authentication");
    const url = new URL(problem.login_url);
    assert.equal(url.origin + url.pathname, `${world.origin}/auth/login`);
    assert.deepEqual([...url.searchParams], [["acr_values", "urn:mfa urn:hw"], ["max_age", "300"]]);
    assert.equal(upstream.seen.length, seen + 1, "sent once");
  }
  assert.equal(refreshes(), before, "no refresh for it");
  assert.equal((await world.call(browser, "/api/other")).status, 200, "the session goes on");
});

test("the URL leads to a login that the provider is asked for in these words, and back", async () => {
  challenge("/api/pay", "Basic realm=\"old\"", asks(", max_age=0"));
  const browser = await world.loggedIn();
  const { login_url: loginUrl } = assertProblem(await world.call(browser, "/api/pay"), 401, "insufficient_user_authentication");
  const before = world.provider.control.count("token", "authorization_code");
  const page = await browser.navigate(`${loginUrl}&return_to=/pay`, { from: world.origin });
  const asked = new URL(page.hops[0].location);
  assert.equal(asked.searchParams.get("max_age"), "0");
  // The person is logged in at the provider, and is asked all the same.
  const isCallback = (url) => url.href.startsWith(`${world.origin}/auth/callback`);
  const signedIn = await world.signIn(browser, page, { username: "alice", password: "wonderland" }, isCallback);
  const done = await world.callback(browser, signedIn.header("location"));
  assert.equal(done.status, 303, done.code);
  assert.equal(done.header("location"), "/pay");
  assert.equal(world.provider.control.count("token", "authorization_code"), before + 1);
  const { auth_time: authTime } = world.idToken();
  assert.ok(Date.now() / 1000 - authTime < 60, "the person was asked just now");
});

test("what no login can bring is the API's own 401, and costs no refresh either", async (t) => {
  t.after(() => world.worker.clock({}));
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: TTL / 2 });
  const before = refreshes();
  for (const [what, more] of [
    ["nothing is asked", ""],
    ["an age that is no number", ', max_age="soon"'],
    ["an endless list", `, acr_values="${"x".repeat(600)}"`],
    ["one of each", ', acr_values="a", max_age="-1"'],
  ]) {
    challenge("/api/odd", asks(more));
    const answer = await world.call(browser, "/api/odd");
    assert.deepEqual([answer.status, answer.code, answer.text], [401, null, '{"error":"theirs"}'], what);
    assert.match(answer.header("www-authenticate"), /insufficient_user_authentication/);
  }
  assert.equal(refreshes(), before);
});

test("a document, and a call without a token, get the API's own word", async () => {
  const browser = await world.loggedIn();
  challenge("/page/x", asks(", max_age=1"));
  const page = await world.call(browser, "/page/x", { headers: { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", Referer: `${world.origin}/` } });
  assert.deepEqual([page.status, page.code], [401, null]);
  challenge("/open/x", asks(", max_age=1"));
  const open = await world.call(browser, "/open/x");
  assert.deepEqual([open.status, open.code], [401, null]);
});
