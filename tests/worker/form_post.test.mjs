// https: the cookies with their prefix, and the response mode `form_post` that needs them.
//
// The runtime listens with a certificate made for the occasion and is asked for the origin's host.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { send } from "./support/raw.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

const ORIGIN = "https://app.example.com";

let world;
before(async () => {
  world = await startWorld({
    worker: { origin: ORIGIN, bare: true, https: true },
    providerSettings: { response_mode: "form_post" },
    settings: { dangerously_allow_loopback_http: true },
  });
});
after(() => world?.stop());

function browser() {
  const own = world.browser();
  own.networks.set(ORIGIN, (origin, init) => world.worker.dispatch(origin, init));
  return own;
}

/** As far as the page on which the provider's form posts the response to us. */
async function untilForm(own) {
  const page = await own.navigate(`${ORIGIN}/auth/login?return_to=/inbox`, { from: ORIGIN });
  if (/type="password"/.test(page.text)) return own.submit(page, { username: "alice", password: "wonderland" });
  return page;
}

const post = (own, form, from = new URL(world.provider.issuer).origin) => own.navigate(`${ORIGIN}/auth/callback`, { method: "POST", form, from, stopAt: () => true });

function fields(page) {
  return Object.fromEntries([...page.text.matchAll(/<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)].map(([, name, value]) => [name, value.replaceAll("&amp;", "&").replaceAll("&#x2F;", "/")]));
}

test("form_post: the login ends in a session under the cookie with its prefix", async () => {
  const own = browser();
  const page = await untilForm(own);
  const form = fields(page);
  assert.ok(form.code && form.state, `${page.url}: ${page.text.slice(0, 400)}`);
  const [transaction] = own.transactionCookies(ORIGIN);
  assert.match(transaction.name, /^__Host-Http-tokenkeep-login-/);
  assert.equal(transaction.sameSite, "none", "or the cross-site POST wouldn't bring it");
  assert.ok(transaction.secure && transaction.httpOnly);
  const answer = await post(own, form);
  assert.equal(answer.status, 303, `${answer.code} ${answer.text.slice(0, 300)}`);
  assert.equal(answer.header("location"), "/inbox");
  const session = own.sessionCookie(ORIGIN);
  assert.equal(session.name, "__Host-Http-tokenkeep");
  assert.ok(session.secure && session.httpOnly && session.path === "/" && session.sameSite === "strict");
  assert.equal((await own.fetch(ORIGIN, "/auth/session")).json.authenticated, true);
  assert.equal((await own.fetch(ORIGIN, "/api/whoami")).status, 200);

  // CVE-2025-55162: a deletion without Secure is ignored by browsers.
  const out = await own.fetch(ORIGIN, "/auth/logout", { method: "POST" });
  const deletion = out.all("set-cookie").find((line) => line.startsWith("__Host-Http-tokenkeep="));
  assert.match(deletion, /;\s*Secure/i);
  assert.match(deletion, /;\s*HttpOnly/i);
  assert.match(deletion, /;\s*Path=\//i);
  assert.equal(own.sessionCookie(ORIGIN), undefined);
});

// CVE-2025-3891, CVE-2021-20718, workers-oauth-provider #240.
test("a POST that is no form of the provider's is refused and breaks nothing", async () => {
  const own = browser();
  const form = fields(await untilForm(own));
  const body = new URLSearchParams(form).toString();
  const cookie = own.cookieHeader(new URL(`${ORIGIN}/auth/callback`), { method: "POST", sameSite: false, topLevel: true });
  const ask = (headers, content) => world.worker.dispatch(ORIGIN, { method: "POST", path: "/auth/callback", headers: [["Cookie", cookie], ["Sec-Fetch-Site", "cross-site"], ["Sec-Fetch-Mode", "navigate"], ["Sec-Fetch-Dest", "document"], ...headers], body: content });
  const type = "application/x-www-form-urlencoded";
  const cases = {
    "no body": [[["Content-Type", type]], undefined],
    "an empty body": [[["Content-Type", type]], ""],
    "another type": [[["Content-Type", "text/plain"]], body],
    "two types": [[["Content-Type", `application/json, ${type}`]], body],
    "multipart": [[["Content-Type", "multipart/form-data; boundary=x"]], `--x\r\nContent-Disposition: form-data; name="code"\r\n\r\nx\r\n--x--`],
    "code twice": [[["Content-Type", type]], `${body}&code=x`],
    "state twice": [[["Content-Type", type]], `${body}&state=x`],
    "bytes that aren't UTF-8": [[["Content-Type", type]], Buffer.from([0x63, 0x3d, 0xff, 0xfe])],
    "a huge body": [[["Content-Type", type]], `${body}&x=${"y".repeat(100_000)}`],
  };
  for (const [name, [headers, content]] of Object.entries(cases)) {
    const answer = await ask(headers, content);
    assert.ok(answer.status >= 400 && answer.status < 500, `${name}: ${answer.status}`);
    assert.ok(answer.code, name);
    assert.ok(!answer.all("set-cookie").some((line) => line.startsWith("__Host-Http-tokenkeep=")), name);
  }
  assert.equal((await post(own, form)).status, 303, "the real one still counts");
});

test("a response in the query isn't taken where the form was asked for, and mixing the two neither", async () => {
  const own = browser();
  const form = fields(await untilForm(own));
  const query = new URLSearchParams(form).toString();
  const mixed = await own.navigate(`${ORIGIN}/auth/callback?${query}`, { method: "POST", form: {}, from: new URL(world.provider.issuer).origin, stopAt: () => true });
  assert.ok(mixed.status >= 400, `${mixed.status}`);
  assert.equal(own.sessionCookie(ORIGIN), undefined);
});

test("cookies without the prefix, or in another case, count as none on https", async () => {
  const own = browser();
  await post(own, fields(await untilForm(own)));
  const { value } = own.sessionCookie(ORIGIN);
  for (const name of ["tokenkeep", "__host-http-tokenkeep", "__Host-tokenkeep", "__Http-tokenkeep", "tokenkeep-443", "=__Host-Http-tokenkeep"]) {
    const answer = await world.worker.dispatch(ORIGIN, { path: "/api/whoami", headers: [["Sec-Fetch-Site", "same-origin"], ["Cookie", `${name}=${value}`]] });
    assertProblem(answer, 401, "unauthenticated");
  }
});

test("the same host over http is not an origin of ours", async () => {
  const answer = await send(`http://localhost:${world.worker.port}`, { path: "/auth/session", headers: { Host: "app.example.com" } });
  assertProblem(answer, 421, "origin_unknown");
});
