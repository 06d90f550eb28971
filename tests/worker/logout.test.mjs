// Logout means logged out: here, at the provider, and in every race.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { isSession } from "./support/browser.mjs";
import { gate, until } from "./support/wait.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());
afterEach(() => world.provider.control.heal());

const control = () => world.provider.control;
const navigation = (site = "same-origin") => ({ "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" });

// As a person's browser does: through the provider's page with the form, back to us.
async function leaveProvider(browser, url, from = world.origin) {
  const page = await browser.navigate(url, { from });
  if (!page.url.startsWith(world.provider.issuer)) return page;
  return browser.submit(page, { logout: "yes" });
}

test("logout ends the session here, revokes the refresh token and leads to the provider's logout", async () => {
  const browser = await world.loggedIn();
  const thief = browser.copy();
  const revocations = control().count("revocation");
  const answer = await world.logout(browser);
  assert.equal(answer.status, 200, answer.text);
  const url = new URL(answer.json.logout_url, world.origin);
  assert.equal(url.origin, world.origin, "a URL of ours, not the provider's with the ID token in it");
  assert.doesNotMatch(answer.text, /eyJ/);
  assert.equal(browser.sessionCookie(world.origin), undefined, "the cookie is gone");
  const [deletion] = answer.all("set-cookie").filter((line) => isSession(line.split("=")[0]));
  assert.match(deletion, /Path=\//i);
  assert.match(deletion, /HttpOnly/i);

  // CVE-2023-20862, CVE-2025-13173: the cookie replayed.
  assertProblem(await world.call(thief), 401, "unauthenticated");
  assert.equal((await world.session(thief)).authenticated, false);
  const revoked = await until(() => control().log.filter((entry) => entry.endpoint === "revocation" && entry.status)[revocations], "the revocation");
  assert.equal(revoked.status, 200);
  assert.equal(revoked.form.token_type_hint, "refresh_token");
  // RFC 7009 §2.2.1: this provider takes no JWT back. It isn't asked again, and nobody is alarmed.
  const refused = await until(() => world.worker.audit.find(({ step }) => step === "access_token_revocation"), "the access token's line in the log");
  assert.deepEqual([refused.level, refused.trouble, refused.status], ["info", "refused", 400]);
  const hints = control().log.filter((entry) => entry.endpoint === "revocation" && entry.status).slice(revocations).map((entry) => entry.form.token_type_hint);
  assert.deepEqual(hints, ["refresh_token", "access_token"]);
  assert.ok(!world.worker.audit.some(({ event }) => event === "revocation_failed"));

  const back = await leaveProvider(browser, url);
  const left = control().log.findLast((entry) => entry.endpoint === "end_session" && entry.query.id_token_hint);
  assert.equal(left.query.client_id, "tokenkeep-test");
  assert.equal(left.query.post_logout_redirect_uri, `${world.origin}/auth/logged-out`);
  assert.ok(back.url.startsWith(world.origin), `back here, not at ${back.url}`);
  // The provider's own session is over: the next login asks for the password again.
  const page = await world.beginLogin(browser);
  assert.match(page.text, /type="password"/);
});

test("a form's navigation to logout goes straight to the provider", async () => {
  const browser = await world.loggedIn();
  const answer = await browser.navigate(`${world.origin}/auth/logout`, { method: "POST", form: {}, from: world.origin, stopAt: () => true });
  assert.equal(answer.status, 303);
  assert.ok(answer.header("location").startsWith(world.provider.issuer));
  assert.equal(browser.sessionCookie(world.origin), undefined);
  assertProblem(await world.call(browser), 401, "unauthenticated");
});

test("the one-time logout URL works once, for a same-origin navigation only", async () => {
  const browser = await world.loggedIn();
  const { json } = await world.logout(browser);
  const url = new URL(json.logout_url, world.origin);
  const path = url.pathname + url.search;
  for (const [name, headers] of Object.entries({
    fetch: { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" },
    "cross-site": navigation("cross-site"),
    "same-site": navigation("same-site"),
    frame: { ...navigation(), "Sec-Fetch-Dest": "iframe" },
    image: { ...navigation(), "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image" },
  })) {
    const answer = await world.raw({ path, headers });
    assert.ok(answer.status >= 400, `${name}: ${answer.status}`);
    assert.doesNotMatch(`${answer.header("location")} ${answer.text}`, /eyJ/, name);
    const isWindow = headers["Sec-Fetch-Dest"] === "document";
    assert.match(answer.header("content-type"), isWindow ? /^text\/html/ : /^application\/problem\+json/, name);
  }
  const first = await world.raw({ path, headers: navigation() });
  assert.equal(first.status, 303, `${first.status} ${first.code}`);
  const target = new URL(first.header("location"));
  assert.equal(target.origin, new URL(world.provider.issuer).origin);
  assert.match(target.searchParams.get("id_token_hint"), /^eyJ/);
  assert.ok(target.searchParams.get("state"));
  const second = await world.raw({ path, headers: navigation() });
  assertProblem(second, 410, "logout_link_used");
  assert.doesNotMatch(second.text, /auth\/login/, "a login is no answer to a logout");
});

test("the one-time logout URL runs out after two minutes, and a made-up one opens nothing", async () => {
  const browser = await world.loggedIn();
  const { json } = await world.logout(browser);
  const url = new URL(json.logout_url, world.origin);
  await world.worker.clock({ seconds: 150 });
  try {
    const late = await world.raw({ path: url.pathname + url.search, headers: navigation() });
    assert.doesNotMatch(String(late.header("location")), /id_token_hint/);
  } finally {
    await world.worker.clock({});
  }
  const forged = url.search.replace(/[A-Za-z0-9_-]{20}(?=[A-Za-z0-9_-]{0,4}(&|$))/, "A".repeat(20));
  assert.notEqual(forged, url.search);
  const answer = await world.raw({ path: url.pathname + forged, headers: navigation() });
  assert.doesNotMatch(String(answer.header("location")), /id_token_hint/);
});

// CVE-2018-style logout CSRF (attacks 69): another site must not log anybody out.
test("nobody else can log a person out, and a refused logout deletes no cookie", async () => {
  const browser = await world.loggedIn();
  const cookie = world.headersOf(browser).Cookie;
  const foreign = {
    "another site": { "Sec-Fetch-Site": "cross-site", Origin: "https://evil.example" },
    "another site, without Origin": { "Sec-Fetch-Site": "cross-site" },
    "another port of ours": { "Sec-Fetch-Site": "same-site", Origin: "http://localhost:1" },
    "an old browser's foreign Origin": { Origin: "https://evil.example" },
    "an opaque Origin": { Origin: "null" },
    "nothing at all": {},
    "an Origin of ours with a suffix": { Origin: `${world.origin}.evil.example` },
    "a foreign Origin with the header": { Origin: "https://evil.example", "X-Tokenkeep": "1" },
    "the address bar": { "Sec-Fetch-Site": "none" },
  };
  for (const [name, headers] of Object.entries(foreign)) {
    for (const more of [{}, { "Content-Type": "application/x-www-form-urlencoded" }, { "Content-Type": "text/plain" }]) {
      const answer = await world.raw({ method: "POST", path: "/auth/logout", headers: { ...headers, ...more, Cookie: cookie }, body: "" });
      assert.equal(answer.status, 403, `${name}: ${answer.status}`);
      assert.deepEqual(answer.all("set-cookie"), [], name);
    }
  }
  for (const path of ["/auth/logout", "/auth/logged-out"]) {
    await world.raw({ path, headers: { Cookie: cookie, ...navigation("cross-site") } });
    await world.raw({ path, headers: { Cookie: cookie, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image" } });
  }
  assert.equal((await world.call(browser)).status, 200, "still logged in");
});

test("a logout that comes twice, or without a session, is no error", async () => {
  const browser = await world.loggedIn();
  const twin = browser.copy();
  assert.equal((await world.logout(browser)).status, 200);
  assert.equal((await world.logout(twin)).status, 200);
  assert.equal((await world.logout(world.browser())).status, 200);
});

// CVE-2025-71402: an unsigned cookie must not end somebody's session.
test("a logout with a forged cookie touches nothing", async () => {
  const browser = await world.loggedIn();
  const { name, value } = browser.sessionCookie(world.origin);
  const objects = world.worker.objects().length;
  const forged = value.slice(0, -1) + (value.endsWith("A") ? "B" : "A");
  await world.raw({ method: "POST", path: "/auth/logout", headers: { "Sec-Fetch-Site": "same-origin", Cookie: `${name}=${forged}` }, body: "" });
  assert.equal((await world.call(browser)).status, 200);
  assert.equal(world.worker.objects().length, objects);
});

test("revocation that fails never stops a logout", async () => {
  for (const fault of [{ drop: true }, { status: 500, body: "" }, { status: 400, body: { error: "unsupported_token_type" } }]) {
    const browser = await world.loggedIn();
    const thief = browser.copy();
    control().fail("revocation", fault);
    const answer = await world.logout(browser);
    assert.equal(answer.status, 200);
    assert.ok(answer.json.logout_url);
    assertProblem(await world.call(thief), 401, "unauthenticated");
    control().heal();
  }
});

test("a revocation that hangs doesn't make the person wait for it", { timeout: 30_000 }, async () => {
  const browser = await world.loggedIn();
  const thief = browser.copy();
  control().fail("revocation", { hang: true });
  const begun = Date.now();
  const answer = await world.logout(browser);
  assert.equal(answer.status, 200);
  assert.ok(Date.now() - begun < 10_000, `${Date.now() - begun} ms`);
  assertProblem(await world.call(thief), 401, "unauthenticated");
});

test("another session of the same person goes on", async () => {
  const one = await world.loggedIn();
  const two = await world.loggedIn();
  await world.logout(one);
  assert.equal((await world.call(two)).status, 200);
});

test("where the provider returns to, the person gets back to the app", async () => {
  const browser = await world.loggedIn();
  const { json } = await world.logout(browser);
  const end = await leaveProvider(browser, new URL(json.logout_url, world.origin));
  const hop = end.hops.find(({ url }) => url.startsWith(`${world.origin}/auth/logged-out`));
  assert.ok(hop, JSON.stringify(end.hops));
  assert.match(hop.url, /state=/);
  assert.equal(new URL(hop.location, world.origin).pathname, "/");
  await until(() => world.worker.audit.some((event) => event.event === "logout_returned" && event.confirmed), "the log's line");
});

test("logged-out with another state, or none, confirms nothing and redirects nowhere else", async () => {
  for (const query of ["", "?state=forged", "?state=a&state=b", "?return_to=//evil.example", "?post_logout_redirect_uri=https://evil.example"]) {
    const answer = await world.browser().navigate(`${world.origin}/auth/logged-out${query}`, { from: world.provider.issuer, stopAt: () => true });
    const location = answer.header("location");
    if (location !== null) assert.equal(new URL(location, world.origin).href, `${world.origin}/`);
    assert.doesNotMatch(answer.text, /evil\.example/);
    assert.ok(answer.all("set-cookie").every((line) => !isSession(line.split("=")[0])));
  }
});

// A late 401 of a call that began before: it must not delete the next login's cookie.
test("a late 401 beside a new login leaves the new cookie alone", async () => {
  const browser = await world.loggedIn();
  const old = browser.copy();
  const { opened, open } = gate();
  const late = opened.then(() => world.call(old));
  await world.logout(browser);
  await world.login(browser);
  const cookie = browser.sessionCookie(world.origin).value;
  open();
  const answer = await late;
  assertProblem(answer, 401, "unauthenticated");
  assert.deepEqual(answer.all("set-cookie"), [], "an answer with Set-Cookie would hit the new session");
  for (const line of answer.all("set-cookie")) browser.store(new URL(world.origin), line);
  assert.equal(browser.sessionCookie(world.origin)?.value, cookie);
  assert.equal((await world.call(browser)).status, 200);
});

test("a logout in the middle of a refresh wins", async () => {
  const browser = await world.loggedIn();
  const thief = browser.copy();
  await world.worker.clock({ seconds: 400 });
  try {
    const before = control().count("token", "refresh_token");
    control().fail("token", { grant: "refresh_token", late: 500, times: 1 });
    const calling = world.call(thief);
    await until(() => control().count("token", "refresh_token") === before + 1, "the refresh to leave");
    assert.equal((await world.logout(browser)).status, 200);
    await calling;
    assertProblem(await world.call(thief), 401, "unauthenticated");
  } finally {
    await world.worker.clock({});
  }
});

// (The provider may drop its whole grant with the old refresh token, so a code that isn't exchanged yet may be
// refused after this logout: hence it comes after the exchange.)
test("a logout of the old session in the middle of a callback ends the old one, not the new one", async () => {
  const browser = await world.loggedIn();
  const old = browser.copy();
  const url = await world.untilCallback(browser);
  const exchanged = () => control().log.filter((entry) => entry.grant === "authorization_code" && entry.status).length;
  const before = exchanged();
  control().fail("token", { grant: "authorization_code", late: 400, times: 1 });
  const calling = world.callback(browser, url);
  await until(() => exchanged() === before + 1, "the exchange");
  assert.equal((await world.logout(old)).status, 200);
  const answer = await calling;
  assert.equal(answer.status, 303, `${answer.code}`);
  assertProblem(await world.call(old), 401, "unauthenticated");
  assert.equal((await world.call(browser)).status, 200);
});

test("logout ends it in the storage too: after a restart the cookie is still worth nothing", async () => {
  const browser = await world.loggedIn();
  const thief = browser.copy();
  await world.logout(browser);
  await world.worker.restart();
  assertProblem(await world.call(thief), 401, "unauthenticated");
});
