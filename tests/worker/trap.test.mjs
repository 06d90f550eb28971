// After a trap. No request can make the core trap, so the entry is patched to: it calls the
// wasm instance itself with a pointer past its memory. What trapped is the real instance.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { openSocket, startSocketApi } from "./support/sockets.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { gate, until } from "./support/wait.mjs";
import { ENTRY_CATCH } from "./support/worker.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

const TRAP = "wasm.plan(4294967295,64,0)";

function patch(source) {
  assert.match(source, ENTRY_CATCH, "the entry has the place that the test knows");
  return source.replace(ENTRY_CATCH, (entry) => `${entry}
    if (request.url.endsWith("/trap/caught")) ${TRAP};
    if (request.url.endsWith("/trap/uncaught")) { queueMicrotask(() => ${TRAP}); return new Response(null, { status: 204 }); }
  `);
}

let world;
let upstream;
let sockets;
before(async () => {
  upstream = await startUpstream();
  sockets = await startSocketApi();
  world = await startWorld({
    worker: { patch },
    settings: { session: { cache_seconds: 0 } },
    routes: () => [
      { path: "/api/*", upstream: { url: upstream.url }, share_token: true },
      { path: "/ws/*", upstream: { url: sockets.url }, connections: "bound", share_token: true },
    ],
  });
});
after(async () => {
  await world?.stop();
  await Promise.all([upstream?.stop(), sockets?.stop()]);
});

const trapped = () => world.worker.logs.filter((line) => line.includes('"event":"trapped"')).length;

test("a trap is answered with a problem, and the next call of the same session is served", async () => {
  const browser = await world.loggedIn();
  assert.equal((await world.call(browser, "/api/x")).status, 200);
  for (let times = 1; times <= 3; times += 1) {
    const before = trapped();
    assertProblem(await world.call(browser, "/trap/caught"), 502, "internal");
    await until(() => trapped() === before + 1, "the trap's line in the log");
    // The session's object was made by the instance that is gone: it starts anew from its storage.
    const answer = await world.call(browser, "/api/x");
    assert.equal(answer.status, 200, `${answer.status} ${answer.code} after trap ${times}`);
  }
});

test("a person whose navigation met a trap gets a page with an id that the log has", async () => {
  const page = await world.browser().navigate(`${world.origin}/trap/caught`);
  assert.equal(page.status, 500);
  assert.match(page.header("content-type"), /^text\/html/);
  assert.match(page.text, /Back to the app/);
  const shown = await until(() => world.worker.audit.find((event) => event.event === "error_shown"), "the page's line in the log");
  assert.ok(page.text.includes(shown.event_id));
});

test("a trap that no catch sees is noticed all the same", async () => {
  const browser = await world.loggedIn();
  const before = trapped();
  await world.call(browser, "/trap/uncaught");
  await until(() => trapped() === before + 1, "the trap's notice");
  assert.equal((await world.call(browser, "/api/x")).status, 200);
  assert.equal((await world.session(browser)).authenticated, true);
});

test("calls that other people have under way are finished", async () => {
  const browser = await world.loggedIn();
  const { opened, open } = gate();
  upstream.answers.set("/api/slow", async (_req, res) => {
    await opened;
    res.end("done");
  });
  const calls = Array.from({ length: 10 }, () => world.call(browser, "/api/slow"));
  await until(() => upstream.seen.filter((seen) => seen.url === "/api/slow").length === 10, "the calls' arrival");
  await world.call(browser, "/trap/caught");
  open();
  for (const answer of await Promise.all(calls)) {
    assert.equal(answer.status, 200, `${answer.status} ${answer.code}`);
    assert.equal(answer.text, "done");
  }
});

test("open sockets outlive a trap, and a bound one still ends with its session", { timeout: 30_000 }, async () => {
  const browser = await world.loggedIn();
  const bound = await openSocket(world, browser, "/ws/x");
  await world.call(browser, "/trap/caught");
  bound.send("hello");
  assert.equal(await bound.next(), "hello");
  await sleep(6000);
  bound.send("still here");
  assert.equal(await bound.next(), "still here");
  await world.logout(browser);
  assert.equal((await bound.closed)[0], 4401);
});

test("a call that waited for a refresh when the core trapped is served by a fresh object", async (t) => {
  t.after(() => world.worker.clock({}));
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: 400 });
  const { control } = world.provider;
  const before = control.count("token", "refresh_token");
  control.fail("token", { grant: "refresh_token", hang: true, times: 1 });
  const call = world.call(browser, "/api/x");
  await until(() => control.count("token", "refresh_token") === before + 1, "the refresh under way");
  await world.call(browser, "/trap/caught");
  const answer = await call;
  assert.equal(answer.status, 200, `${answer.status} ${answer.code}`);
});

test("a login works after a trap, and the log holds no stack and no text of it", async () => {
  await world.call(world.browser(), "/trap/caught");
  const browser = await world.loggedIn();
  assert.equal((await world.call(browser, "/api/x")).status, 200);
  const about = world.worker.logs.filter((line) => line.includes("trapped"));
  assert.ok(about.length > 0);
  for (const line of about) assert.doesNotMatch(line, /wasm|memory|at /i);
});
