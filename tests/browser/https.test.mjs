// https in a real Chromium, as it is deployed: the cookie with its prefix, a sibling subdomain, and the
// response mode that needs a cross-site cookie. The whole site goes through the Worker here.
//
// Names are the browser's own: it is told where they lead, and takes the certificate made for the test.

import assert from "node:assert/strict";
import https from "node:https";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { findBrowser } from "../../scripts/browser.mjs";
import { privateCa } from "../worker/support/ca.mjs";
import { startUpstream } from "../worker/support/upstream.mjs";
import { startWorld } from "../worker/support/world.mjs";

const APP = "https://app.example.test";
const SIBLING = "https://evil.example.test";
const COOKIE = "__Host-Http-tokenkeep";

let upstream;
let sibling;
const stops = [];
const later = (stop) => stops.unshift(stop);

before(async () => {
  upstream = await startUpstream();
  later(() => upstream.stop());
  upstream.reply("/", 200, [["Content-Type", "text/html"]], "<!doctype html><title>app</title><p>the app");
  sibling = https.createServer({ ...privateCa().tls }, (_req, res) => {
    res.writeHead(200, { "content-type": "text/html" });
    res.end("<!doctype html><title>sibling</title><p>a page of somebody else's");
  });
  await new Promise((resolve) => sibling.listen(0, "127.0.0.1", resolve));
  later(() => (sibling.close(), sibling.closeAllConnections()));
});
after(async () => {
  for (const stop of stops) await stop();
});

/** A Worker for APP with these settings of the provider, and a browser that finds it. */
async function start(providerSettings = {}) {
  const world = await startWorld({
    worker: { origin: APP, bare: true, https: true },
    providerSettings,
    settings: { dangerously_allow_loopback_http: true },
    routes: () => [
      { path: "/api/*", upstream: { url: upstream.url } },
      { path: "/*", upstream: { url: upstream.url }, session: "anonymous", navigation: "page" },
    ],
  });
  later(() => world.stop());
  const rules = [
    `MAP app.example.test:443 127.0.0.1:${await world.worker.frontDoor()}`,
    `MAP evil.example.test:443 127.0.0.1:${sibling.address().port}`,
  ];
  const browser = await chromium.launch({
    executablePath: findBrowser(),
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", `--host-resolver-rules=${rules.join(", ")}`],
  });
  later(() => browser.close());
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(15_000);
  return { world, context };
}

/** The login, through the provider's page, as far as the app's own. */
async function signIn({ world, context }) {
  const page = await context.newPage();
  await page.goto(`${APP}/`);
  await page.evaluate(() => location.assign("/auth/login?return_to=/"));
  await page.waitForURL((url) => url.origin === world.provider.issuer);
  await page.fill("#username", "alice");
  await page.fill("#password", "wonderland");
  await page.click('button[type="submit"]');
  await page.waitForURL(`${APP}/`);
  return page;
}

const session = (page) => page.evaluate(async () => (await fetch("/auth/session")).json());
const tokens = () => upstream.seen.filter(({ headers }) => headers.authorization !== undefined).length;

test("the session's cookie has its prefix and every attribute, and no script sees it", async () => {
  const started = await start();
  const page = await signIn(started);
  assert.equal((await session(page)).authenticated, true);
  const cookies = await started.context.cookies(APP);
  const { httpOnly, secure, sameSite, path, domain } = cookies.find(({ name }) => name === COOKIE);
  assert.deepEqual({ httpOnly, secure, sameSite, path, domain }, { httpOnly: true, secure: true, sameSite: "Strict", path: "/", domain: "app.example.test" });
  assert.deepEqual(cookies.filter(({ name }) => name.includes("login-")), [], "the login's own cookie is gone");
  assert.equal(await page.evaluate(() => document.cookie), "");
  const before = tokens();
  assert.equal(await page.evaluate(async () => (await fetch("/api/orders")).status), 200);
  assert.equal(tokens(), before + 1);
});

// RFC 10017 §6.1.3.3.1: SameSite is no help against a page of the same site.
test("a sibling subdomain can make no call, log nobody out and plant no cookie", async () => {
  const started = await start();
  const page = await signIn(started);
  const evil = await started.context.newPage();
  await evil.goto(`${SIBLING}/`);
  const before = tokens();
  const outcomes = await evil.evaluate(async (app) => {
    const tries = [
      ["/api/orders", { credentials: "include" }],
      ["/api/orders", { credentials: "include", mode: "no-cors" }],
      ["/api/orders", { credentials: "include", mode: "no-cors", method: "POST", body: "x" }],
      ["/api/orders", { credentials: "include", method: "POST", body: "x", headers: { "X-Tokenkeep": "1" } }],
      ["/auth/logout", { credentials: "include", mode: "no-cors", method: "POST" }],
      ["/auth/session", { credentials: "include" }],
    ];
    const found = [];
    for (const [path, init] of tries) found.push(await fetch(app + path, init).then(({ type }) => type, () => "refused"));
    document.cookie = "__Host-Http-tokenkeep=planted; Domain=example.test; Path=/; Secure";
    document.cookie = "__Host-Http-tokenkeep=planted; Path=/; Secure";
    return found;
  }, APP);
  for (const outcome of outcomes) assert.match(outcome, /^(refused|opaque)$/);
  await Promise.all([
    evil.waitForNavigation(),
    evil.evaluate((action) => {
      const form = Object.assign(document.createElement("form"), { method: "post", action });
      document.body.append(form);
      form.submit();
    }, `${APP}/auth/logout`),
  ]);
  assert.equal(new URL(evil.url()).origin, APP, "it got no further than our refusal");
  assert.equal(tokens(), before, "no token went out");
  assert.equal((await session(page)).authenticated, true, "and the session is whole");
});

test("with form_post the provider's cross-site POST finds the login it belongs to", async () => {
  const started = await start({ response_mode: "form_post" });
  const page = await signIn(started);
  assert.equal((await session(page)).authenticated, true);
});
