// WebSocket and EventSource in a real Chromium: what its handshakes say about themselves is enough for
// us, and what a page sees when its session ends is what the docs say.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { findBrowser } from "../../scripts/browser.mjs";
import { startSocketApi } from "../worker/support/sockets.mjs";
import { startUpstream } from "../worker/support/upstream.mjs";
import { until } from "../worker/support/wait.mjs";
import { AUDIENCE, startWorld } from "../worker/support/world.mjs";

const WAIT = 15_000;

let world;
let sockets;
let upstream;
let browser;
let stranger;
before(async () => {
  sockets = await startSocketApi();
  upstream = await startUpstream();
  upstream.reply("/", 200, [["Content-Type", "text/html"]], "<!doctype html><title>app</title>");
  stranger = http.createServer((_req, res) => {
    res.writeHead(200, { "content-type": "text/html" });
    res.end("<!doctype html><title>stranger</title>");
  });
  await new Promise((resolve) => stranger.listen(0, "127.0.0.1", resolve));
  const token = { resource: AUDIENCE };
  world = await startWorld({
    routes: () => [
      { path: "/ws/*", upstream: { url: sockets.url }, connections: "bound", ...token },
      { path: "/events/*", upstream: { url: upstream.url }, connections: "bound", ...token },
      { path: "/*", upstream: { url: upstream.url }, session: "anonymous", navigation: "page" },
    ],
  });
  const executablePath = findBrowser();
  assert.ok(executablePath, "a Chromium is installed (CHROMIUM names another)");
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
});
after(async () => {
  await browser?.close();
  await world?.stop();
  await Promise.all([sockets?.stop(), upstream?.stop()]);
  stranger?.close();
});

/** A page of the app's in a window whose person is logged in, and the browser that logged in. */
async function appPage() {
  const person = await world.loggedIn();
  const cookie = person.sessionCookie(world.origin);
  const context = await browser.newContext();
  context.setDefaultTimeout(WAIT);
  await context.addCookies([{ name: cookie.name, value: cookie.value, domain: "localhost", path: "/", httpOnly: true, sameSite: "Strict", expires: Date.now() / 1000 + 3600 }]);
  const page = await context.newPage();
  await page.goto(world.origin);
  return { page, person, context };
}

test("a page's WebSocket passes, says what it hears, and closes with 4401 when the person logs out", { timeout: 60_000 }, async () => {
  const { page, person, context } = await appPage();
  const opened = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const socket = new WebSocket("/ws/chat", ["v1"]);
        window.ended = new Promise((done) => (socket.onclose = ({ code, reason }) => done([code, reason])));
        window.socket = socket;
        socket.onopen = () => socket.send("hello");
        socket.onmessage = ({ data }) => resolve({ data, protocol: socket.protocol, extensions: socket.extensions });
        window.ended.then((closed) => resolve({ closed }));
      }),
  );
  assert.deepEqual({ ...opened, extensions: undefined }, { data: "hello", protocol: "v1", extensions: undefined });
  assert.match(opened.extensions, /permessage-deflate/);
  await world.logout(person);
  assert.deepEqual(await page.evaluate(() => window.ended), [4401, "the session has ended"]);
  await context.close();
});

test("another site's page gets no socket, though the cookie is there", { timeout: 60_000 }, async () => {
  const { page, context } = await appPage();
  const seen = sockets.seen.length;
  for (const host of ["localhost", "127.0.0.1"]) {
    await page.goto(`http://${host}:${stranger.address().port}/`);
    const code = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const socket = new WebSocket(url);
          socket.onclose = ({ code }) => resolve(code);
          socket.onopen = () => resolve("open");
        }),
      `${world.origin.replace("http", "ws")}/ws/chat`,
    );
    assert.equal(code, 1006, host);
  }
  assert.equal(sockets.seen.length, seen);
  assert.equal(world.worker.audit.filter(({ event, code }) => event === "call_refused" && code === "csrf_origin").length, 2);
  await context.close();
});

test("a page's EventSource hears each event when it is said, and isn't let in again after a logout", { timeout: 60_000 }, async () => {
  let say;
  upstream.answers.set("/events/mine", (_req, res) => {
    res.writeHead(200, { "Content-Type": "text/event-stream" });
    res.flushHeaders();
    say = (text) => res.write(`retry: 100\ndata: ${text}\n\n`);
  });
  const { page, person, context } = await appPage();
  await page.evaluate(() => {
    window.heard = [];
    window.source = new EventSource("/events/mine");
    window.source.onmessage = ({ data }) => window.heard.push(data);
  });
  await until(() => say, "the stream");
  for (const text of ["one", "two", "three"]) {
    say(text);
    await page.waitForFunction((last) => window.heard.at(-1) === last, text);
  }
  await world.logout(person);
  // It ends; the page connects again by itself and gets 401: then a browser gives up.
  await page.waitForFunction(() => window.source.readyState === EventSource.CLOSED);
  assert.deepEqual(await page.evaluate(() => window.heard), ["one", "two", "three"]);
  await context.close();
});
