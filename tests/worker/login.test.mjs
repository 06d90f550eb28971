// A login from end to end, what begins one and what doesn't, and where it returns to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { isSession } from "./support/browser.mjs";
import { ROOT } from "./support/worker.mjs";
import { until } from "./support/wait.mjs";
import { ALICE, AUDIENCE, assertProblem, BOB, startWorld } from "./support/world.mjs";

const RETURN_TO = JSON.parse(readFileSync(`${ROOT}tests/corpus/return_to.json`, "utf8"));

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

const lastLogin = () => world.provider.control.log.findLast((entry) => entry.endpoint === "authorization" && entry.query.client_id);

test("a login ends where it was to return to, with a session cookie and nothing else for the browser", async () => {
  const browser = world.browser();
  const answer = await world.login(browser, { returnTo: "/inbox?box=1#newest" });
  assert.equal(answer.header("location"), "/inbox?box=1#newest");
  const cookies = browser.cookies.filter((cookie) => cookie.host === "localhost");
  const session = cookies.find((cookie) => isSession(cookie.name));
  assert.match(session.value, /^[A-Za-z0-9_-]{64}$/);
  assert.ok(session.httpOnly);
  assert.equal(session.sameSite, "strict");
  assert.equal(session.path, "/");
  assert.doesNotMatch(session.line, /domain/i);
  const maxAge = Number(/max-age=(\d+)/i.exec(session.line)[1]);
  assert.ok(maxAge > 86_390 && maxAge <= 86_400, `Max-Age ${maxAge} is the absolute limit`);
  assert.deepEqual(browser.transactionCookies(world.origin), [], "the transaction cookie is gone");
  assert.equal(browser.documentCookie(world.origin), "");
});

test("the authorization request has code flow, PKCE S256, state, nonce, the resource and our redirect URI", async () => {
  const browser = world.browser();
  await world.beginLogin(browser);
  const { query } = lastLogin();
  assert.equal(query.response_type, "code");
  assert.equal(query.code_challenge_method, "S256");
  assert.match(query.code_challenge, /^[A-Za-z0-9_-]{43}$/);
  assert.match(query.state, /^[A-Za-z0-9_-]{22,}$/);
  assert.match(query.nonce, /^[A-Za-z0-9_-]{22,}$/);
  assert.notEqual(query.state, query.nonce);
  assert.equal(query.redirect_uri, `${world.origin}/auth/callback`);
  assert.equal(query.resource, AUDIENCE);
  assert.ok(query.scope.split(" ").includes("openid"));
});

test("a login under way stores nothing: no object is asked before the callback", async () => {
  const objects = world.worker.objects().length;
  for (let i = 0; i < 3; i += 1) await world.beginLogin(world.browser());
  assert.equal(world.worker.objects().length, objects);
});

test("the session endpoint tells who is there, and to an anonymous visitor that nobody is", async () => {
  const anonymous = await world.session(world.browser());
  assert.equal(anonymous.authenticated, false);
  assert.ok(!anonymous.user);

  const browser = await world.loggedIn();
  const session = await world.session(browser);
  assert.equal(session.authenticated, true);
  assert.equal(session.user.name, ALICE.name);
  assert.equal(session.user.email, ALICE.email);
  assert.ok(session.expires_at, "says until when");
  const text = JSON.stringify(session);
  assert.doesNotMatch(text, /eyJ|access_token|refresh_token|id_token|nonce/, "no token and no protocol claim");
});

test("a call reaches the API with exactly one bearer token and without a cookie", async () => {
  const browser = await world.loggedIn();
  world.api.control.reset();
  const answer = await world.call(browser, "/api/whoami");
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.subject, ALICE.sub);
  assert.equal(answer.json.cookie, false);
  const [{ rawHeaders, url }] = world.api.control.log;
  assert.equal(url, "/whoami");
  const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  assert.equal(names.filter((name) => name === "authorization").length, 1);
  assert.ok(!names.includes("cookie"));
});

test("the SPA's own calls work: orders are listed, created, and listed again", async () => {
  const browser = await world.loggedIn({ user: BOB });
  const before = (await world.call(browser, "/api/orders")).json.orders.length;
  const created = await world.call(browser, "/api/orders", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ item: "Sidamo, 500 g", quantity: 3 }),
  });
  assert.equal(created.status, 201, created.text);
  const orders = (await world.call(browser, "/api/orders")).json.orders;
  assert.equal(orders.length, before + 1);
  assert.equal(orders.at(-1).item, "Sidamo, 500 g");
});

test("without a session a call gets 401 with the URL to navigate to, and the API isn't asked", async () => {
  world.api.control.reset();
  const answer = await world.call(world.browser(), "/api/orders");
  const problem = assertProblem(answer, 401, "unauthenticated");
  assert.match(problem.login_url, /\/auth\/login/);
  assert.deepEqual(world.api.control.log, []);
  assert.deepEqual(answer.all("set-cookie"), []);
});

// CVE-2021-41246, CVE-2022-25896, GHSA-f24x-5g9q-753f.
test("a login never takes over a session that the browser brought (fixation)", async () => {
  const browser = await world.loggedIn();
  const first = browser.sessionCookie(world.origin).value;
  const thief = browser.copy();
  await world.login(browser);
  const second = browser.sessionCookie(world.origin).value;
  assert.notEqual(second, first);
  assert.equal((await world.call(browser)).status, 200);
  assertProblem(await world.call(thief), 401, "unauthenticated");
  assert.ok(world.worker.audit.some((event) => event.event === "session_ended" && event.reason === "replaced"));
});

test("a session cookie that somebody planted is not the one that a login gives", async () => {
  const browser = world.browser();
  const planted = "A".repeat(64);
  const name = `tokenkeep-${world.worker.port}`;
  browser.store(new URL(world.origin), `${name}=${planted}; Path=/`);
  await world.login(browser);
  assert.notEqual(browser.sessionCookie(world.origin).value, planted);
});

// CVE-2015-9284: anybody could log a visitor in as somebody else.
test("a navigation from another site gets a page with one button, and the button works", async () => {
  const browser = world.browser();
  for (const from of ["https://evil.example", "http://localhost:1"]) {
    const page = await browser.navigate(`${world.origin}/auth/login?return_to=/inbox`, { from });
    assert.equal(page.status, 200, page.text);
    assert.match(page.header("content-type"), /^text\/html/);
    assert.doesNotMatch(page.text, /<script/i);
    assert.match(page.header("content-security-policy"), /default-src 'none'/);
    assert.match(page.header("content-security-policy"), /frame-ancestors 'none'/);
    assert.deepEqual(browser.transactionCookies(world.origin), []);
  }
  const page = await browser.navigate(`${world.origin}/auth/login?return_to=/inbox`, { from: "https://evil.example" });
  const link = /<a\b[^>]*href="([^"]+)"/i.exec(page.text)?.[1]?.replaceAll("&amp;", "&");
  const signIn = link
    ? await browser.navigate(new URL(link, page.url), { from: world.origin })
    : await browser.submit(page);
  assert.ok(signIn.url.startsWith(world.provider.issuer), `the button leads to ${signIn.url}`);
  const callback = await world.signIn(browser, signIn, ALICE, (url) => url.pathname === "/auth/callback");
  const answer = await world.callback(browser, callback.header("location"));
  assert.equal(answer.header("location"), "/inbox");
});

test("prefetch, prerender, frames and whatever isn't a document start nothing", async () => {
  const navigation = { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
  const cases = {
    prefetch: { ...navigation, "Sec-Purpose": "prefetch" },
    prerender: { ...navigation, "Sec-Purpose": "prefetch;prerender" },
    "old prefetch": { ...navigation, Purpose: "prefetch" },
    iframe: { ...navigation, "Sec-Fetch-Dest": "iframe" },
    frame: { ...navigation, "Sec-Fetch-Dest": "frame" },
    object: { ...navigation, "Sec-Fetch-Dest": "object" },
    image: { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image" },
    fetch: { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" },
    serviceworker: { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "serviceworker" },
  };
  for (const [name, headers] of Object.entries(cases)) {
    const answer = await world.raw({ path: "/auth/login", headers });
    assert.ok(answer.status >= 400 && answer.status < 500, `${name}: ${answer.status}`);
    assert.ok(answer.code, name);
    assert.equal(answer.header("location"), null, name);
    assert.deepEqual(answer.all("set-cookie"), [], name);
  }
});

test("a login from fetch gets 401 with the URL to navigate to, never a redirect into CORS", async () => {
  const answer = await world.browser().fetch(world.origin, "/auth/login?return_to=/inbox");
  assert.equal(answer.status, 401);
  assert.ok(answer.code);
  const url = new URL(answer.json.login_url, world.origin);
  assert.equal(url.origin, world.origin);
  assert.equal(url.pathname, "/auth/login");
  assert.equal(url.searchParams.get("return_to"), "/inbox");
  assert.equal(answer.header("location"), null);
});

test("prompt, login_hint, max_age and ui_locales reach the provider; parameters of the protocol can't be set", async () => {
  await world.beginLogin(world.browser(), { query: { prompt: "login", login_hint: "alice", max_age: "600", ui_locales: "de" } });
  const { query } = lastLogin();
  assert.equal(query.prompt, "login");
  assert.equal(query.login_hint, "alice");
  assert.equal(query.max_age, "600");
  assert.equal(query.ui_locales, "de");
  for (const [name, value] of [["redirect_uri", "https://evil.example/cb"], ["client_id", "other"], ["scope", "admin"], ["code_challenge", "x".repeat(43)], ["request_uri", "https://evil.example"], ["resource", "https://other.example"]]) {
    const before = world.provider.control.count("authorization");
    await world.beginLogin(world.browser(), { query: { [name]: value } });
    const seen = world.provider.control.log.filter((entry) => entry.endpoint === "authorization").slice(before);
    assert.ok(seen.every((entry) => entry.query[name] !== value), `${name} came through`);
  }
});

// Attacks §6.1; CVE-2026-107369. A refused value falls back to "/".
test("return_to leads nowhere but to a path of ours", async () => {
  const hostile = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\/evil.example", "\\\\evil.example", "/%09/evil.example", "/\t/evil.example", "/%5cevil.example",
    "/%2f%2fevil.example", "/%2fevil.example", "https:evil.example", "https:/evil.example", "https://evil.example", "http:evil.example", "HtTpS://evil.example",
    "//evil.example@localhost/", "https://localhost@evil.example", `${"https://"}localhost.evil.example`, "//evil%E3%80%82example", "//evil。example", "/／evil.example", "//ｅvil.example",
    "//xn--evil-0ra.example", `//localhost:1/`, "/.//evil.example", "/x/..//evil.example", "/./\\evil.example", "/%2e%2e//evil.example", "/%252f%252fevil.example",
    "/auth/login", "/auth/logout", "/auth/login?return_to=/auth/login", "/auth", "/auth/callback?code=x&state=y", "/x\r\nSet-Cookie: a=b", "/x%0d%0aSet-Cookie:%20a=b",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "\u0001javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,<script>alert(1)</script>", " /x", "/x ", "evil.example", "@evil.example", ".evil.example", ":8080", "?x", "#x", "",
    `/${"a".repeat(16_384)}`, `/${"a".repeat(1_100)}`,
    ...RETURN_TO.filter(({ expect }) => expect === "refused").map(({ value }) => value),
  ];
  const browser = world.browser();
  // One sign-in; afterwards the provider knows the browser and answers at once.
  await world.login(browser);
  const wrong = [];
  await Promise.all(
    hostile.map(async (value) => {
      const own = browser.copy();
      own.cookies = own.cookies.filter((cookie) => !cookie.name.startsWith("tokenkeep"));
      const begun = await own.navigate(`${world.origin}/auth/login?return_to=${encodeURIComponent(value)}`, { from: world.origin, stopAt: (url) => url.pathname === "/auth/callback" && url.origin === world.origin });
      if (begun.status >= 400 && begun.url.startsWith(world.origin)) return;
      const url = begun.header("location");
      if (!url?.startsWith(`${world.origin}/auth/callback`)) return void wrong.push([value, begun.status, begun.url]);
      const answer = await world.callback(own, url);
      if (answer.status !== 303 || answer.header("location") !== "/") wrong.push([value, answer.status, answer.header("location")]);
    }),
  );
  assert.deepEqual(wrong, []);
});

test("return_to keeps what is ours, byte for byte", async () => {
  const browser = world.browser();
  await world.login(browser);
  for (const value of [...RETURN_TO.filter(({ expect }) => expect === "accepted").map((line) => line.value), "/", "/inbox", "/inbox/", "/a/b?c=d&e=%20f", "/a#/route/x", "/a?u=https://other.example/", "/caf%C3%A9", "/authors"]) {
    const own = browser.copy();
    own.cookies = own.cookies.filter((cookie) => !cookie.name.startsWith("tokenkeep"));
    const url = await world.untilCallback(own, { returnTo: value });
    assert.equal((await world.callback(own, url)).header("location"), value);
  }
});

test("a duplicated parameter of the login is refused or ignored, never the last one taken", async () => {
  const answer = await world.browser().navigate(`${world.origin}/auth/login?return_to=/a&return_to=/b`, { from: world.origin, stopAt: () => true });
  assert.equal(answer.status, 400);
  assert.ok(answer.code);
});

test("logins that go in circles are stopped with a page that says what to do", async () => {
  const browser = world.browser();
  let answer;
  for (let i = 0; i < 30; i += 1) {
    answer = await browser.navigate(`${world.origin}/auth/login`, { from: world.origin, stopAt: () => true });
    if (answer.status !== 302 && answer.status !== 303) break;
  }
  assertProblem(answer, 429, "login_loop");
  assert.match(answer.header("content-type"), /^text\/html/);
  assert.doesNotMatch(answer.text, /<script/i);
  const transactions = browser.transactionCookies(world.origin);
  assert.ok(transactions.length <= 5, `${transactions.length} transaction cookies`);
});

test("an endpoint takes its own methods and says which", async () => {
  for (const [method, path] of [["POST", "/auth/login"], ["DELETE", "/auth/session"], ["PUT", "/auth/logout"], ["POST", "/auth/callback"], ["POST", "/auth/health"]]) {
    const answer = await world.raw({ method, path, headers: { "Sec-Fetch-Site": "same-origin" } });
    assertProblem(answer, 405, "method_not_allowed");
    assert.match(answer.header("allow"), /GET/);
  }
  for (const path of ["/auth", "/auth/", "/auth/login/", "/auth/Login", "/auth/loginx", "/auth/token", "/auth/%6cogin"]) {
    assertProblem(await world.raw({ path }), 404, "not_found");
  }
});

test("health answers without a session, and deep health asks the provider", async () => {
  const answer = await world.raw({ path: "/auth/health" });
  assert.equal(answer.status, 200);
  assert.equal(answer.header("cache-control"), "no-store");
  assert.equal((await world.raw({ path: "/auth/health?deep" })).status, 200);
});

test("a host that isn't configured is refused before anything else", async () => {
  for (const host of ["evil.example", `127.0.0.1:${world.worker.port}`, "localhost", "localhost:1", `localhost:${world.worker.port}.evil.example`, `u@localhost:${world.worker.port}`, `LOCALHOST.:${world.worker.port}`]) {
    const answer = await world.raw({ path: "/auth/login", headers: { Host: host, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" } });
    assert.ok([400, 421].includes(answer.status), `${host}: ${answer.status}`);
    assert.equal(answer.header("location"), null, host);
  }
  // The operator learns which; the answer says neither.
  const line = await until(() => world.worker.audit.find((event) => event.event === "origin_unknown" && event.called === "http://evil.example"), "the line in the log");
  assert.deepEqual(line.configured, [world.origin]);
});
