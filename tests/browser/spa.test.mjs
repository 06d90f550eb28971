// The demo in a real Chromium, served as it is deployed: `wrangler dev` with demo/wrangler.toml.
//
// The provider is 127.0.0.1, so another site than the page's localhost. Screenshots go to
// tests/results/ (not kept in git).

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { startApi } from "../../demo/api.mjs";
import { demoClient, startProvider } from "../../demo/provider.mjs";
import { findBrowser } from "../../scripts/browser.mjs";
import { freePort } from "../worker/support/raw.mjs";
import { freshSecrets, ROOT } from "../worker/support/worker.mjs";
import { startWrangler } from "../worker/support/wrangler.mjs";

const RESULTS = path.join(ROOT, "tests", "results");
const AUDIENCE = "https://orders.example";
const WAIT = 15_000;

let provider;
let api;
let demo;
let browser;
let stranger;
const contexts = [];

before(async () => {
  mkdirSync(RESULTS, { recursive: true });
  const secrets = freshSecrets();
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const providerPort = await freePort();
  provider = await startProvider({ port: providerPort, issuer: `http://127.0.0.1:${providerPort}`, clients: [demoClient({ origin, clientSecret: secrets.CLIENT_SECRET })] });
  api = await startApi({ issuer: provider.issuer, audience: AUDIENCE });
  stranger = await strangersPage();
  demo = await startWrangler({
    folder: path.join(ROOT, "demo"),
    port,
    vars: {
      ...secrets,
      TOKENKEEP_OVERRIDES: JSON.stringify({
        origin: [origin],
        provider: { issuer: provider.issuer, frontchannel_logout: true },
        routes: [{ path: "/api/*", upstream: { url: api.url }, strip_prefix: true, session: "required", resource: AUDIENCE }],
      }),
    },
  });
  const executablePath = findBrowser();
  assert.ok(executablePath, "a Chromium is installed (CHROMIUM names another)");
  browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});
after(async () => {
  for (const context of contexts) await context.close().catch(() => {});
  await browser?.close();
  await demo?.stop();
  await Promise.all([provider?.stop(), api?.stop(), stranger?.stop()]);
});

/** A page of somebody else's, on a port of its own: `127.0.0.1` is another site, `localhost` the same. */
async function strangersPage() {
  const server = http.createServer((_req, res) => {
    res.writeHead(200, { "content-type": "text/html" });
    res.end("<!doctype html><title>stranger</title><p>a page of somebody else's");
  });
  const { port } = await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address())));
  return { port, stop: () => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())) };
}

async function person(size = { width: 1280, height: 900 }, more = {}) {
  const context = await browser.newContext({ viewport: size, serviceWorkers: "allow", ...more });
  context.setDefaultTimeout(WAIT);
  contexts.push(context);
  return context;
}

const state = (page, name) => page.waitForSelector(`body[data-state="${name}"]`);
const shot = (page, name) => page.screenshot({ path: path.join(RESULTS, `${name}.png`), fullPage: true });

async function signIn(page, { user = "alice", password = "wonderland", open = true } = {}) {
  if (open) await page.goto(`${demo.origin}/`);
  await state(page, "signed-out");
  await page.click("#sign-in");
  await page.waitForURL((url) => url.origin === provider.issuer);
  await page.fill("#username", user);
  await page.fill("#password", password);
  await page.click('button[type="submit"]');
  await page.waitForURL((url) => url.origin === demo.origin);
  await state(page, "signed-in");
}

async function signedIn(size, { user, password, ...more } = {}) {
  const context = await person(size, more);
  const page = await context.newPage();
  await signIn(page, { user, password });
  // The page's own call is through, so that whoever counts calls counts others'.
  await page.locator("#orders li").first().waitFor();
  return { context, page };
}

/** What a call from this page's own script comes to. */
const callFrom = (page, url, init) =>
  page.evaluate(async ([target, options]) => {
    try {
      const response = await fetch(target, options);
      return { status: response.status, type: response.type, text: response.type === "opaque" ? "" : await response.text() };
    } catch (error) {
      return { error: error.name };
    }
  }, [url, init]);

/** The panel has looked, and found nothing. */
async function nothingFound(page) {
  await page.waitForFunction(() => !/^Looking/.test(document.getElementById("verdict").textContent));
  assert.equal(await page.getAttribute("#verdict", "data-found"), "no", await page.textContent("#verdict"));
  assert.match(await page.textContent("#verdict"), /nothing/i);
}

const orders = () => api.control.log.filter(({ url }) => url.startsWith("/orders"));

test("a person logs in through the provider's page, sees orders and creates one", async () => {
  const context = await person();
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  await page.goto(`${demo.origin}/`);
  await state(page, "signed-out");
  await shot(page, "signed-out-1280");
  await signIn(page, { open: false });
  assert.equal(new URL(page.url()).pathname, "/");
  assert.equal(await page.textContent("#name"), "Alice Liddell");
  await page.locator("#orders li").nth(1).waitFor();
  const before = await page.locator("#orders li").count();
  await page.fill("#item", "Sidamo, 500 g");
  await page.fill("#quantity", "3");
  await page.click("#place button[type=submit]");
  await page.waitForFunction((count) => document.querySelectorAll("#orders li").length === count, before + 1);
  assert.match(await page.textContent("#orders li"), /Sidamo, 500 g/);
  await shot(page, "signed-in-1280");
  assert.deepEqual(faults, []);
});

test("a reload keeps the session, and a second tab shares it", async () => {
  const { context, page } = await signedIn();
  await page.reload();
  await state(page, "signed-in");
  const second = await context.newPage();
  await second.goto(`${demo.origin}/`);
  await state(second, "signed-in");
  assert.equal(await second.textContent("#name"), "Alice Liddell");
});

test("signing out in one tab is signing out in the other at its next call", async () => {
  const { context, page } = await signedIn();
  const other = await context.newPage();
  await other.goto(`${demo.origin}/`);
  await state(other, "signed-in");
  await other.fill("#item", "too late");
  await page.bringToFront();
  await page.click("#sign-out");
  await page.waitForURL((url) => url.origin === demo.origin && !url.pathname.startsWith("/auth/"));
  await state(page, "signed-out");
  const late = await callFrom(other, "/api/orders", {});
  assert.equal(late.status, 401);
  assert.match(late.text, /"unauthenticated"/);
  // The page may have noticed by itself by now; if not, this call of its own tells it.
  await other.evaluate(() => document.getElementById("place").requestSubmit());
  await state(other, "signed-out");
  assert.equal((await context.cookies(demo.origin)).filter(({ name }) => /^tokenkeep-\d+$/.test(name)).length, 0);
  // At the provider as well: it asks for the password again.
  await page.click("#sign-in");
  await page.waitForSelector("#password");
});

test("the panel shows that there is nothing to steal, and what the API received", async () => {
  const { context, page } = await signedIn();
  await nothingFound(page);
  assert.match(await page.textContent("#received"), /Bearer/);
  // Not on the panel's word alone.
  const loot = await page.evaluate(() => ({ cookie: document.cookie, local: { ...localStorage }, session: { ...sessionStorage }, url: location.href, history: JSON.stringify(history.state), referrer: document.referrer }));
  assert.deepEqual({ ...loot, url: "", referrer: "" }, { cookie: "", local: {}, session: {}, url: "", history: "null", referrer: "" });
  assert.doesNotMatch(loot.url + loot.referrer, /code=|state=|eyJ/);
  assert.equal(await page.evaluate(async () => (await globalThis.cookieStore?.getAll())?.length ?? 0), 0);
  const [cookie] = (await context.cookies(demo.origin)).filter(({ name }) => /^tokenkeep-\d+$/.test(name));
  assert.ok(cookie.httpOnly);
  assert.equal(cookie.sameSite, "Strict");
  const answer = await callFrom(page, "/auth/session", {});
  assert.doesNotMatch(answer.text, /eyJ/);
});

test("no request of the page, and no answer to it, holds a token", async () => {
  const context = await person();
  const page = await context.newPage();
  const seen = [];
  page.on("response", async (response) => {
    if (!response.url().startsWith(demo.origin)) return;
    const request = response.request();
    seen.push(request.url(), JSON.stringify(request.headers()), JSON.stringify(response.headers()), await response.text().catch(() => ""));
  });
  await signIn(page);
  await page.click("#again");
  await nothingFound(page);
  const text = seen.join("\n");
  assert.ok(seen.length > 20);
  assert.doesNotMatch(text, /eyJ[\w-]{10,}\.[\w-]{10,}/);
  for (const entry of provider.control.log.filter(({ endpoint, status }) => endpoint === "token" && status === 200)) {
    const { access_token: access, refresh_token: refresh } = JSON.parse(entry.answer);
    assert.ok(!text.includes(access) && !text.includes(refresh));
  }
});

for (const [who, host] of [["another site", "127.0.0.1"], ["another port of the same site", "localhost"]]) {
  test(`a page from ${who} can make no call and log nobody out`, async () => {
    const { context, page } = await signedIn();
    const evil = await context.newPage();
    await evil.goto(`http://${host}:${stranger.port}/`);
    const before = orders().length;
    const json = { "Content-Type": "application/json" };
    const order = '{"item":"stolen","quantity":1}';
    for (const [target, init] of [
      ["/api/orders", { credentials: "include" }],
      ["/api/orders", { credentials: "include", mode: "no-cors" }],
      ["/api/orders", { credentials: "include", mode: "no-cors", method: "POST", body: order }],
      ["/api/orders", { credentials: "include", method: "POST", body: order, headers: json }],
      ["/api/orders", { credentials: "include", method: "POST", body: order, headers: { ...json, "X-Tokenkeep": "1" } }],
      ["/auth/logout", { credentials: "include", mode: "no-cors", method: "POST" }],
      ["/auth/logout", { credentials: "include", method: "POST", headers: { "X-Tokenkeep": "1" } }],
      ["/auth/session", { credentials: "include" }],
    ]) {
      const answer = await callFrom(evil, demo.origin + target, init);
      assert.ok(answer.error || answer.type === "opaque", `${target} was readable: ${JSON.stringify(answer)}`);
    }
    assert.equal(orders().length, before, "nothing reached the API");
    // Elements and navigations, which need no CORS.
    await evil.evaluate(async (origin) => {
      for (const tag of ["img", "script", "iframe", "embed"]) {
        const element = document.createElement(tag);
        element.src = `${origin}${tag === "img" ? "/auth/logout" : "/api/orders"}`;
        document.body.append(element);
        await new Promise((resolve) => {
          element.onload = element.onerror = resolve;
          setTimeout(resolve, 1500);
        });
      }
    }, demo.origin);
    for (const target of ["/auth/logout", "/api/orders"]) {
      await evil.goto(`http://${host}:${stranger.port}/`);
      await Promise.all([
        evil.waitForNavigation(),
        evil.evaluate((action) => {
          const form = document.createElement("form");
          form.method = "post";
          form.action = action;
          document.body.append(form);
          form.submit();
        }, demo.origin + target),
      ]);
    }
    assert.equal(orders().length, before, "nothing reached the API");
    await page.reload();
    await state(page, "signed-in");
  });
}

test("a login that another site begins stops at a page with a button", async () => {
  const context = await person({ width: 390, height: 844 });
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${stranger.port}/`);
  await Promise.all([page.waitForNavigation(), page.evaluate((url) => location.assign(url), `${demo.origin}/auth/login?return_to=/`)]);
  assert.equal(new URL(page.url()).origin, demo.origin);
  await shot(page, "login-from-elsewhere-390");
  await page.locator("a[href], button").first().click();
  await page.waitForURL((url) => url.origin === provider.issuer);
});

test("an API's answer can't be opened as a page, framed by the app or taken as a service worker", async () => {
  const { context, page } = await signedIn();
  const before = orders().length;
  const tab = await context.newPage();
  const answer = await tab.goto(`${demo.origin}/api/orders`);
  assert.equal(answer.status(), 403);
  assert.equal(orders().length, before);
  const registered = await page.evaluate(() => navigator.serviceWorker.register("/api/test/html", { scope: "/api/" }).then(() => "registered", (error) => error.name));
  assert.notEqual(registered, "registered");
});

test("the page fits a phone and a desktop, signed out and signed in", async () => {
  for (const width of [390, 1280]) {
    const context = await person({ width, height: width === 390 ? 844 : 900 });
    const page = await context.newPage();
    await page.goto(`${demo.origin}/`);
    await state(page, "signed-out");
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
    assert.ok(await fits(), `signed out at ${width}`);
    await shot(page, `signed-out-${width}`);
    await page.click("#sign-in");
    await page.waitForSelector("#password");
    assert.ok(await fits(), `the provider's page at ${width}`);
    await shot(page, `provider-${width}`);
    await page.goBack();
    await signIn(page, { open: false });
    await nothingFound(page);
    assert.ok(await fits(), `signed in at ${width}`);
    await shot(page, `signed-in-${width}`);
    const error = await page.goto(`${demo.origin}/auth/callback?state=${"x".repeat(43)}&code=y`);
    assert.equal(error.status(), 400);
    assert.ok(await fits(), `the error page at ${width}`);
    await shot(page, `error-${width}`);
  }
});

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0";
const IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1";
const BOB = { user: "bob", password: "builder" };

/** Bob in these browsers and in no other: earlier tests' sessions of his are ended. */
async function bobOn(...userAgents) {
  const all = [];
  for (const userAgent of userAgents) all.push(await signedIn(undefined, { ...BOB, userAgent }));
  const [{ page }] = all;
  const sessions = await page.evaluate(async () => (await (await fetch("/auth/sessions")).json()).sessions);
  for (const { id } of sessions.slice(userAgents.length)) {
    await page.evaluate((gone) => fetch("/auth/sessions/end", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ id: gone }) }), id);
  }
  await page.reload();
  await page.waitForFunction((count) => document.querySelectorAll("#devices li").length === count, userAgents.length);
  return all;
}

const devices = (page) => page.$$eval("#devices li", (items) => items.map((item) => item.querySelector("b").textContent));

test("a person sees where they are signed in, and signs one device out from another", async () => {
  const [laptop, phone] = await bobOn(FIREFOX, IPHONE);
  assert.deepEqual(await devices(laptop.page), ["Firefox on Linux", "Safari on iPhone"]);
  assert.match(await laptop.page.textContent("#devices li:first-child"), /This device/);
  assert.equal(await laptop.page.locator("#devices li:first-child button").count(), 0, "this one is signed out at the top of the page");
  await shot(laptop.page, "devices-1280");

  // By the keyboard, as by the mouse; the button says whom it is about.
  const button = laptop.page.getByRole("button", { name: /^Sign out Safari on iPhone, since / });
  await button.focus();
  await laptop.page.keyboard.press("Enter");
  await laptop.page.waitForFunction(() => document.querySelectorAll("#devices li").length === 1);
  assert.equal(await laptop.page.textContent("#devices-said"), "Safari on iPhone is signed out.");
  assert.equal(await laptop.page.evaluate(() => document.activeElement.id), "devices-title", "the focus isn't lost with the button");
  assert.equal(await laptop.page.locator("#end-others").isVisible(), false);

  // Its next call tells it, and the page says so; the laptop goes on.
  const late = await callFrom(phone.page, "/api/orders", {});
  assert.equal(late.status, 401);
  await phone.page.click("#again");
  await state(phone.page, "signed-out");
  assert.match(await phone.page.textContent("#notice"), /session has ended/);
  assert.equal(await phone.page.locator("#devices li").count(), 0);
  await laptop.page.reload();
  await state(laptop.page, "signed-in");
});

test("a person signs out everywhere else; a page that is open elsewhere notices by itself", async () => {
  const [here, there, third] = await bobOn(FIREFOX, IPHONE, FIREFOX);
  await here.page.getByRole("button", { name: "Sign out everywhere else" }).click();
  await here.page.waitForFunction(() => document.querySelectorAll("#devices li").length === 1);
  assert.match(await here.page.textContent("#devices-said"), /everywhere else/);
  for (const { page } of [there, third]) {
    await page.waitForSelector('body[data-state="signed-out"]', { timeout: 30_000 });
    assert.match(await page.textContent("#notice"), /signed out/);
  }
  // A device that had ended meanwhile is no error to a person who ends it from an old list.
  const [one, two] = await bobOn(FIREFOX, IPHONE);
  await callFrom(two.page, "/auth/logout", { method: "POST" });
  await one.page.getByRole("button", { name: /^Sign out Safari on iPhone/ }).click();
  await one.page.waitForFunction(() => document.getElementById("devices-said").textContent !== "");
  assert.equal(await one.page.textContent("#devices-said"), "That one had ended already.");
  assert.equal(await one.page.locator("#notice").isVisible(), false);
});

test("a sign-out at the provider reaches the app by the back channel", async () => {
  const [left, stays] = await bobOn(FIREFOX, IPHONE);
  const tab = await left.context.newPage();
  await tab.goto(`${provider.issuer}/logout`);
  await tab.click('button[name="logout"]');
  await tab.getByText("You are signed out").waitFor();
  assert.equal(provider.control.sent.at(-1).status, 200);
  await left.page.bringToFront();
  await left.page.waitForSelector('body[data-state="signed-out"]', { timeout: 30_000 });
  assert.match(await left.page.textContent("#notice"), /at the provider/);
  await stays.page.reload();
  await state(stays.page, "signed-in");
});

test("a frame on the provider's page signs the app out (front channel), without a cookie of ours", async () => {
  const [{ context, page }] = await bobOn(FIREFOX);
  const { answer } = provider.control.log.findLast((entry) => entry.grant === "authorization_code" && entry.status === 200);
  const { sid } = JSON.parse(Buffer.from(JSON.parse(answer).id_token.split(".")[1], "base64url"));
  const tab = await context.newPage();
  const framed = tab.waitForResponse((response) => response.url().includes("/auth/frontchannel-logout"));
  await tab.goto(`${provider.issuer}/.well-known/openid-configuration`);
  const shown = await tab.evaluate((src) => new Promise((resolve) => {
    const frame = Object.assign(document.createElement("iframe"), { src });
    frame.onload = () => resolve("loaded");
    document.body.append(frame);
  }), `${demo.origin}/auth/frontchannel-logout?${new URLSearchParams({ iss: provider.issuer, sid })}`);
  assert.equal(shown, "loaded");
  const response = await framed;
  assert.equal(response.status(), 200);
  assert.equal((await response.request().allHeaders()).cookie, undefined);
  assert.equal(await tab.frames().at(-1).title(), "Logged out", "the provider's page may show it");
  await page.bringToFront();
  await page.click("#again");
  await state(page, "signed-out");
});

test("the list of devices fits a phone and a desktop, in light and in dark", async () => {
  await bobOn(IPHONE);
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [390, 1280]) {
      const { page } = await signedIn({ width, height: 900 }, { ...BOB, userAgent: FIREFOX, colorScheme });
      await page.locator("#devices li").nth(1).waitFor();
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), `${colorScheme} at ${width}`);
      await nothingFound(page);
      await shot(page, `devices-${colorScheme}-${width}`);
    }
  }
});
