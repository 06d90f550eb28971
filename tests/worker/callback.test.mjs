// The callback: whoever brings the same login gets one session, whoever brings another's gets none.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { until } from "./support/wait.mjs";
import { assertProblem, BOB, startWorld } from "./support/world.mjs";

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

const exchanges = () => world.provider.control.count("token", "authorization_code");
const noSession = (browser) => assert.equal(browser.sessionCookie(world.origin), undefined);

function changed(url, change) {
  const other = new URL(url);
  change(other.searchParams);
  return other.href;
}

test("a callback that comes again finds its login used up, and the session stays as it is", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const before = exchanges();
  assert.equal((await world.callback(browser, url)).status, 303);
  const cookie = browser.sessionCookie(world.origin).value;
  const again = await world.callback(browser, url);
  assert.ok(again.status === 303 || again.status === 400, `${again.status}`);
  assert.equal(exchanges(), before + 1, "the code left once");
  assert.equal(browser.sessionCookie(world.origin).value, cookie);
  assert.equal((await world.call(browser)).status, 200);
});

test("a callback replayed with the transaction cookie (a reload) ends in the same session", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const reload = browser.copy();
  const before = exchanges();
  const first = await world.callback(browser, url);
  const second = await world.callback(reload, url);
  assert.deepEqual([first.status, second.status], [303, 303]);
  assert.equal(exchanges(), before + 1);
  assert.equal(reload.sessionCookie(world.origin).value, browser.sessionCookie(world.origin).value);
  assert.equal((await world.call(reload)).status, 200);
});

test("two callbacks at the same instant make one code exchange and one session", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  world.provider.control.fail("token", { grant: "authorization_code", late: 300, times: 1 });
  const tabs = [browser, browser.copy(), browser.copy()];
  const before = exchanges();
  const answers = await Promise.all(tabs.map((tab) => world.callback(tab, url)));
  assert.deepEqual(answers.map((answer) => answer.status), [303, 303, 303]);
  assert.equal(exchanges(), before + 1);
  assert.equal(new Set(tabs.map((tab) => tab.sessionCookie(world.origin).value)).size, 1);
  assert.equal((await world.call(tabs[2])).status, 200);
});

test("a browser that disconnects in the middle of its callback and comes again is logged in", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const end = world.provider.control.fail("token", { grant: "authorization_code", late: 400, times: 1 });
  const before = exchanges();
  const target = new URL(url);
  const cookie = browser.cookieHeader(target, { method: "GET", sameSite: false, topLevel: true });
  const headers = { Cookie: cookie, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
  let request;
  const cut = world.raw({ path: target.pathname + target.search, headers, onRequest: (own) => { request = own; } });
  await until(() => exchanges() === before + 1, "the code to leave");
  request.destroy();
  await assert.rejects(cut);
  const answer = await world.callback(browser, url);
  end();
  assert.equal(answer.status, 303, `${answer.code} ${answer.text.slice(0, 200)}`);
  assert.equal(exchanges(), before + 1, "still one exchange");
  assert.equal((await world.call(browser)).status, 200);
});

// GHSA-h64q-xp38-pgwr: somebody sends a victim the end of his own login.
test("a callback from another browser is refused, and the code isn't spent by it", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const other = world.browser();
  const before = exchanges();
  assertProblem(await world.callback(other, url), 400, "login_not_found");
  noSession(other);
  assert.equal(exchanges(), before);
  assert.equal((await world.callback(browser, url)).status, 303);
});

test("a browser with a login of its own under way doesn't take another's callback", async () => {
  const attacker = world.browser();
  const url = await world.untilCallback(attacker, { user: BOB });
  const victim = world.browser();
  await world.beginLogin(victim);
  assertProblem(await world.callback(victim, url), 400, "login_not_found");
  noSession(victim);
  assert.equal(victim.transactionCookies(world.origin).length, 1, "the victim's own login goes on");
});

test("two tabs that log in at once both end logged in, each in a session of its own", async () => {
  const first = world.browser();
  const one = await world.untilCallback(first);
  const two = await world.untilCallback(first);
  assert.equal(first.transactionCookies(world.origin).length, 2);
  assert.equal((await world.callback(first, one)).status, 303);
  const earlier = first.copy();
  assert.equal((await world.callback(first, two)).status, 303);
  assert.equal((await world.call(first)).status, 200);
  assert.notEqual(first.sessionCookie(world.origin).value, earlier.sessionCookie(world.origin).value);
  assert.deepEqual(first.transactionCookies(world.origin), []);
});

test("only the transaction that a callback belongs to is deleted by it", async () => {
  const browser = world.browser();
  const one = await world.untilCallback(browser);
  await world.untilCallback(browser);
  const [, open] = browser.transactionCookies(world.origin);
  await world.callback(browser, one);
  assert.deepEqual(browser.transactionCookies(world.origin).map((cookie) => cookie.name), [open.name]);
});

// CVE-2023-27490, CVE-2023-27496, mod_auth_openidc 2026-08-12, RFC 9207 §2.4. The login itself must
// survive each of them: what is wrong in a response says nothing about the browser's own login.
test("a response that lacks a parameter, has one twice or a wrong one is refused, and nothing is exchanged", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const { searchParams } = new URL(url);
  const cases = {
    "no state": changed(url, (query) => query.delete("state")),
    "no code": changed(url, (query) => query.delete("code")),
    "no parameter": `${world.origin}/auth/callback`,
    "another state": changed(url, (query) => query.set("state", "x".repeat(43))),
    "an empty state": changed(url, (query) => query.set("state", "")),
    "another issuer": changed(url, (query) => query.set("iss", "https://evil.example")),
    "no issuer where it is announced": changed(url, (query) => query.delete("iss")),
    "the issuer with a slash": changed(url, (query) => query.set("iss", `${searchParams.get("iss")}/`)),
    "state twice": `${url}&state=${searchParams.get("state")}`,
    "code twice": `${url}&code=other`,
    "iss twice": `${url}&iss=${encodeURIComponent("https://evil.example")}`,
    "an error beside": `${url}&error=access_denied`,
    "garbage": `${world.origin}/auth/callback?%ff%fe=%&state=%zz&&==`,
  };
  const before = exchanges();
  for (const [name, wrong] of Object.entries(cases)) {
    const own = browser.copy();
    const answer = await world.callback(own, wrong);
    assert.ok(answer.status >= 400 && answer.status < 500, `${name}: ${answer.status}`);
    assert.ok(answer.code, name);
    assert.match(answer.header("content-type"), /^text\/html/, name);
    assert.doesNotMatch(answer.text, /evil\.example|<script/i, name);
    noSession(own);
  }
  assert.equal(exchanges(), before);
  assert.equal((await world.callback(browser, url)).status, 303, "the real one still counts");
});

test("the error page says what to do and has an event id that the log has too", async () => {
  const answer = await world.callback(world.browser(), `${world.origin}/auth/callback?code=x&state=${"s".repeat(43)}&iss=${encodeURIComponent(world.provider.issuer)}`);
  assertProblem(answer, 400, "login_not_found");
  assert.match(answer.header("content-type"), /^text\/html/);
  assert.match(answer.header("content-security-policy"), /default-src 'none'/);
  assert.equal(answer.header("referrer-policy"), "no-referrer");
  const shown = await until(() => world.worker.audit.find((event) => event.event === "error_shown" && answer.text.includes(event.event_id)), "the log's line");
  assert.equal(shown.code, "login_not_found");
});

test("a login that the person cancels at the provider ends on a page, without a session", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const denied = changed(url, (query) => {
    query.delete("code");
    query.set("error", "access_denied");
    query.set("error_description", "<script>alert(1)</script>");
  });
  const answer = await world.callback(browser, denied);
  assertProblem(answer, 403, "access_denied");
  assert.doesNotMatch(answer.text, /alert\(1\)/);
  noSession(browser);
});

test("a code that the provider refuses ends the login with a page", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const answer = await world.callback(browser, changed(url, (query) => query.set("code", "not-a-code")));
  assertProblem(answer, 400, "code_refused");
  noSession(browser);
  // One transaction, one code: the true code doesn't come through afterwards.
  const second = await world.callback(browser, url);
  assert.ok(second.status >= 400);
  noSession(browser);
});

test("an ID token that fails a check logs nobody in, whatever is wrong with it", async () => {
  const tamper = {
    "another nonce": (claims) => ({ ...claims, nonce: "other" }),
    "no nonce": ({ nonce, ...claims }) => claims,
  };
  for (const name of Object.keys(tamper)) {
    const browser = world.browser();
    const url = await world.untilCallback(browser);
    const end = world.provider.control.fail("token", {
      grant: "authorization_code",
      times: 1,
      transform: (answer) => {
        const [head, payload, signature] = answer.id_token.split(".");
        const claims = tamper[name](JSON.parse(Buffer.from(payload, "base64url")));
        return { ...answer, id_token: [head, Buffer.from(JSON.stringify(claims)).toString("base64url"), signature].join(".") };
      },
    });
    assertProblem(await world.callback(browser, url), 502, "identity_refused");
    end();
    noSession(browser);
  }
  for (const [name, transform] of Object.entries({
    "no ID token": ({ id_token, ...answer }) => answer,
    "alg none": (answer) => ({ ...answer, id_token: `${Buffer.from('{"alg":"none"}').toString("base64url")}.${answer.id_token.split(".")[1]}.` }),
    "another's signature": (answer) => ({ ...answer, id_token: `${answer.id_token.slice(0, -8)}AAAAAAAA` }),
  })) {
    const browser = world.browser();
    const url = await world.untilCallback(browser);
    const end = world.provider.control.fail("token", { grant: "authorization_code", times: 1, transform });
    const answer = await world.callback(browser, url);
    end();
    assert.ok(answer.status >= 400, name);
    noSession(browser);
  }
});

test("a provider that rotates its keys is followed: the new key is fetched when it is met", async () => {
  await world.loggedIn();
  await world.provider.control.rotateKeys({ keepOld: false });
  const browser = await world.loggedIn();
  assert.equal((await world.call(browser)).status, 200);
});

test("a provider that is down at the callback ends on a page that says so, with no session", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const end = world.provider.control.fail("token", { grant: "authorization_code", drop: true });
  assertProblem(await world.callback(browser, url), 503, "provider_unavailable");
  end();
  noSession(browser);
});

test("wrong credentials at the provider are the operator's fault and said as such", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const end = world.provider.control.fail("token", { grant: "authorization_code", status: 401, body: { error: "invalid_client" } });
  assertProblem(await world.callback(browser, url), 503, "provider_refuses_client");
  end();
  noSession(browser);
});

test("a forged or foreign transaction cookie is no login", async () => {
  const browser = world.browser();
  const url = await world.untilCallback(browser);
  const [transaction] = browser.transactionCookies(world.origin);
  const flip = (text, at) => text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
  const { value } = transaction;
  for (const forged of [flip(value, 0), flip(value, value.length >> 1), flip(value, value.length - 2), value.slice(0, -1), value.slice(0, 20), `${value}AAAA`, "", "%00", "a".repeat(3000)]) {
    const own = browser.copy();
    own.transactionCookies(world.origin)[0].value = forged;
    const answer = await world.callback(own, url);
    assert.equal(answer.status, 400, `${forged.slice(0, 30)}: ${answer.status}`);
    noSession(own);
  }
});

// Session data of the provider's comes back sealed under its own purpose: a transaction is no session.
test("a transaction cookie's value is no session cookie and the other way round", async () => {
  const browser = world.browser();
  await world.beginLogin(browser);
  const [transaction] = browser.transactionCookies(world.origin);
  const swapped = world.browser();
  swapped.store(new URL(world.origin), `tokenkeep-${world.worker.port}=${transaction.value}; Path=/`);
  assertProblem(await world.call(swapped), 401, "unauthenticated");
});
