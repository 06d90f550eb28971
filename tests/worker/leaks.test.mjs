// Every flow, and then a search of all that left for every secret that the run knew.
//
// What leaves: bodies, headers and URLs of every answer of the Worker's, what the API was sent, every
// line of the log. One exception stands in the design: the ID token as `id_token_hint` in the Location
// of the navigation to the provider's end-session endpoint.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { isSession } from "./support/browser.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

let world;
before(async () => {
  world = await startWorld({ provider: { accessTokenTtl: 120 }, providerSettings: { frontchannel_logout: true }, secrets: { ADMIN_SECRET: randomBytes(32).toString("base64url") } });
});
after(() => world?.stop());

/** Every way in which somebody else than the browser ends a session, with what must be seen of it nowhere. */
async function everyEnd() {
  const json = { "Content-Type": "application/json" };
  const [own, other, third] = [await world.loggedIn(), await world.loggedIn(), await world.loggedIn()];
  const { sid, sub } = world.idToken();
  const { sessions } = (await own.fetch(world.origin, "/auth/sessions")).json;
  const end = (body) => own.fetch(world.origin, "/auth/sessions/end", { method: "POST", headers: json, body: JSON.stringify(body) });
  await end({ id: sessions.at(-1).id });
  await end({ id: "x" });
  await end({ others: 1 });
  const token = world.provider.control.logoutToken({ claims: { sid, sub, jti: "the-token-is-of-this-name" } });
  const told = [await world.tell(token), await world.tell(token), await world.tell(`${token}A`)];
  const query = new URLSearchParams({ iss: world.provider.issuer, sid });
  told.push(await world.raw({ path: `/auth/frontchannel-logout?${query}` }), await world.raw({ path: `/auth/frontchannel-logout?${query}&sid=x` }));
  for (const secret of [world.secrets.ADMIN_SECRET, "wrong-administrators-secret"]) {
    told.push(await world.raw({ method: "POST", path: "/auth/admin/end-sessions", headers: { ...json, Authorization: `Bearer ${secret}` }, body: JSON.stringify({ sub }) }));
  }
  assert.deepEqual(told.map(({ status }) => status), [200, 400, 400, 200, 400, 200, 404]);
  for (const browser of [own, other, third]) await world.session(browser);
  // The administrator's end bars logins of its own second.
  await sleep(1005 - (Date.now() % 1000));
  return { told, unseen: [["provider's sid", sid], ["sub", sub], ["logout token", token], ["logout token's name", "the-token-is-of-this-name"]] };
}

async function everyFlow() {
  const browser = await world.loggedIn({ returnTo: "/inbox" });
  await world.session(browser);
  await world.call(browser, "/api/orders");
  await world.call(browser, "/api/nowhere");
  await world.call(browser, "/api/test/hostile");
  await world.call(browser, "/api/test/redirect?to=/orders");
  await world.worker.clock({ seconds: 60 });
  world.api.control.refuse(1);
  await world.call(browser);
  await world.worker.clock({ seconds: 300 });
  await world.call(browser);
  world.provider.control.fail("token", { status: 500, body: "internal: the secret is hunter2hunter2" });
  await world.worker.clock({ seconds: 600 });
  await world.call(browser);
  world.provider.control.heal();
  await world.worker.clock({ seconds: 900 });
  await world.call(browser);
  await world.raw({ path: "/api/whoami", headers: { "Sec-Fetch-Site": "cross-site", Cookie: world.headersOf(browser).Cookie } });
  const { json } = await world.logout(browser);
  const page = await browser.navigate(new URL(json.logout_url, world.origin), { from: world.origin });
  await browser.submit(page, { logout: "yes" });
  await world.worker.clock({});

  // Logins that fail, in each way that has its own page.
  const replayed = world.browser();
  const url = await world.untilCallback(replayed);
  const twin = replayed.copy();
  await world.callback(world.browser(), url);
  await world.callback(replayed, url.replace(/iss=[^&]*/, "iss=https%3A%2F%2Fevil.example"));
  await world.callback(replayed, url);
  await world.callback(twin, url);
  const refused = world.browser();
  const second = await world.untilCallback(refused);
  world.provider.control.fail("token", { status: 401, body: { error: "invalid_client", error_description: "no" } });
  await world.callback(refused, second);
  world.provider.control.heal();
  const tampered = world.browser();
  const third = await world.untilCallback(tampered);
  world.provider.control.fail("token", { transform: (answer) => ({ ...answer, id_token: `${answer.id_token.slice(0, -6)}AAAAAA` }) });
  await world.callback(tampered, third);
  world.provider.control.heal();
  const ended = await world.loggedIn();
  world.provider.control.forget("RefreshToken");
  await world.worker.clock({ seconds: 300 });
  assertProblem(await world.call(ended), 401, "unauthenticated");
  await world.worker.clock({});
  return browser;
}

test("nothing that left has a token, a code, a verifier, a key or a cookie in it", { timeout: 60_000 }, async () => {
  const { told, unseen } = await everyEnd();
  await everyFlow();
  const { log } = world.provider.control;
  const tokens = log.filter((entry) => entry.endpoint === "token" && entry.status === 200).map((entry) => JSON.parse(entry.answer));
  assert.ok(tokens.length >= 5, "logins and refreshes took place");
  const secrets = new Map();
  const know = (name, value) => value && value.length >= 8 && secrets.set(value, name);
  for (const answer of tokens) {
    know("access token", answer.access_token);
    know("access token's signature", answer.access_token.split(".")[2]);
    know("access token's claims", answer.access_token.split(".")[1]);
    know("refresh token", answer.refresh_token);
    know("ID token", answer.id_token);
    know("ID token's signature", answer.id_token?.split(".")[2]);
  }
  for (const entry of log) {
    know("code verifier", entry.form.code_verifier);
    know("refresh token", entry.form.refresh_token);
    know("code", entry.form.code);
    know("client secret", entry.form.client_secret);
    know("Basic credentials", entry.headers.authorization?.startsWith("Basic ") ? entry.headers.authorization.slice(6) : undefined);
  }
  for (const [name, value] of Object.entries(world.secrets)) know(name, value.replace(/^\w+:/, ""));
  know("a provider's error text", "hunter2hunter2");
  // The claims at the session endpoint have the sub, the access token's claims too.
  for (const [name, value] of unseen.filter(([what]) => what !== "sub")) know(name, value);
  const cookies = new Map();
  for (const browser of world.browsers) {
    for (const { answer } of browser.trail) {
      for (const line of answer.all("set-cookie")) {
        const [name, value] = line.split(";")[0].split(/=(.*)/s);
        if (isSession(name) && value.length === 64) cookies.set(value, "session cookie");
        if (/tokenkeep.*login/.test(name) && value.length > 100) cookies.set(value, "transaction cookie");
      }
    }
  }
  assert.ok(cookies.size >= 5);

  const found = [];
  const search = (where, text, wanted, allow = () => false) => {
    for (const [value, name] of wanted) if (text.includes(value) && !allow(name)) found.push(`${name} in ${where}`);
  };
  for (const browser of world.browsers) {
    for (const { method, url, answer } of browser.trail) {
      if (!url.startsWith(world.origin)) continue;
      const where = `${method} ${url.split("?")[0]} → ${answer.status}`;
      search(`the body of ${where}`, answer.text, [...secrets, ...cookies]);
      for (const [name, value] of answer.headers) {
        if (name === "set-cookie") search(`Set-Cookie of ${where}`, value, secrets);
        else {
          const hint = name === "location" && value.startsWith(world.provider.issuer) && new URL(value).pathname === "/logout";
          search(`${name} of ${where}`, value, [...secrets, ...cookies], (what) => hint && what.startsWith("ID token"));
        }
      }
    }
  }
  // To the provider in a URL: nothing but the hint (the code is the provider's own word to us).
  for (const entry of log) search(`the query of ${entry.endpoint}`, JSON.stringify(entry.query), [...secrets, ...cookies], (what) => what.startsWith("ID token") && entry.endpoint === "end_session");
  // To the API: its own access token in Authorization, and nothing else.
  for (const entry of world.api.control.log) {
    const { authorization, ...rest } = entry.headers;
    search("a header to the API", JSON.stringify(rest), [...secrets, ...cookies]);
    search("a URL to the API", entry.url, [...secrets, ...cookies]);
    if (authorization) assert.ok(secrets.get(authorization.slice(7)) === "access token", "only an access token goes to the API");
  }
  for (const answer of told) search("an answer to who isn't the browser", answer.text + JSON.stringify(answer.headers), [...secrets, ...cookies, ...unseen.map(([name, value]) => [value, name])]);
  const text = world.worker.logs.join("\n");
  assert.ok(world.worker.audit.length > 10, "there is a log to search");
  search("the log", text, [...secrets, ...cookies]);
  assert.deepEqual([...new Set(found)], []);
});

test("the log has no person in it, and every line of it is an event of ours", async () => {
  const text = world.worker.logs.join("\n");
  assert.doesNotMatch(text, /usr_alice|Alice|alice@example/);
  for (const line of world.worker.logs) {
    const at = line.indexOf("{");
    assert.ok(at >= 0, `not an event: ${line}`);
    const event = JSON.parse(line.slice(at));
    assert.ok(event.event && event.level, line);
    assert.notEqual(event.event, "trapped");
  }
});

test("a claim with markup in it is data, not a page", async () => {
  const browser = await world.loggedIn();
  const answer = await browser.fetch(world.origin, "/auth/session");
  assert.match(answer.header("content-type"), /^application\/json/);
  assert.equal(answer.header("x-content-type-options"), "nosniff");
});
