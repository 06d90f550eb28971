// Bodies that are too large for anybody's memory, and a thousand sockets at once: what the runtime's
// process needs for them. The figures are printed; the limits are what the docs promise.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { openSocket, startSocketApi } from "./support/sockets.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/wait.mjs";
import { AUDIENCE, startWorld } from "./support/world.mjs";

const CHUNK = randomBytes(1024 * 1024);
/** A hundred megabytes. */
const CHUNKS = 100;
/** What a body may add to the process's memory, in megabytes, whatever its size. */
const MARGIN = 20;

let world;
let upstream;
let sockets;
let browser;
/** The process's memory when small calls have been served, in megabytes. */
let baseline;
before(async () => {
  upstream = await startUpstream();
  sockets = await startSocketApi();
  const token = { resource: AUDIENCE };
  world = await startWorld({
    routes: () => [
      { path: "/api/*", upstream: { url: upstream.url }, ...token },
      { path: "/pass/*", upstream: { url: sockets.url }, connections: "pass", ...token },
      { path: "/bound/*", upstream: { url: sockets.url }, connections: "bound", ...token },
    ],
  });
  browser = await world.loggedIn();
  upstream.answers.set("/api/down", async (_req, res) => {
    res.writeHead(200, { "Content-Type": "application/octet-stream" });
    for (let i = 0; i < CHUNKS; i += 1) if (!res.write(CHUNK)) await new Promise((resolve) => res.once("drain", resolve));
    res.end();
  });
  // Else the first test would measure what any first calls cost.
  for (let i = 0; i < 20; i += 1) {
    const body = Buffer.alloc(200_000, i);
    assert.equal((await world.call(browser, "/api/warm", { method: "POST", body })).status, 200);
  }
  baseline = world.worker.memory().now;
});
after(async () => {
  await world?.stop();
  await Promise.all([upstream?.stop(), sockets?.stop()]);
});

function request(path, method, headers = {}) {
  return http.request({ host: "127.0.0.1", port: world.worker.port, path, method, headers: { Host: `localhost:${world.worker.port}`, ...world.headersOf(browser), ...headers }, agent: false });
}

const digest = () => createHash("sha256");
const whole = () => {
  const hash = digest();
  for (let i = 0; i < CHUNKS; i += 1) hash.update(CHUNK);
  return hash.digest("hex");
};

/** Reads a hundred megabytes, `slow` with a pause at each; gives their hash. */
function download({ pause = 0 } = {}) {
  return new Promise((resolve, reject) => {
    const call = request("/api/down", "GET");
    call.on("error", reject);
    call.on("response", async (response) => {
      assert.equal(response.statusCode, 200);
      const hash = digest();
      let since = 0;
      for await (const chunk of response) {
        hash.update(chunk);
        since += chunk.length;
        if (pause > 0 && since > 10 * CHUNK.length) {
          since = 0;
          await sleep(pause);
        }
      }
      resolve(hash.digest("hex"));
    });
    call.end();
  });
}

async function upload(hasLength, path = "/api/up") {
  const before = upstream.seen.length;
  const call = request(path, "POST", hasLength ? { "Content-Length": CHUNKS * CHUNK.length } : { "Transfer-Encoding": "chunked" });
  const answered = new Promise((resolve, reject) => call.on("error", reject).on("response", resolve));
  for (let i = 0; i < CHUNKS; i += 1) if (!call.write(CHUNK)) await new Promise((resolve) => call.once("drain", resolve));
  call.end();
  const response = await answered;
  assert.equal(response.statusCode, 200);
  response.resume();
  assert.equal(upstream.seen[before].bytes, CHUNKS * CHUNK.length);
  return upstream.seen[before].hash;
}

/** An API that reads slowly: what it can't take yet has to wait at the sender. */
async function slowUpload() {
  const done = new Promise((resolve) => {
    upstream.answers.set("/api/slow", Object.assign(() => {}, {
      async early(req, res, record) {
        const hash = digest();
        let since = 0;
        for await (const chunk of req) {
          hash.update(chunk);
          record.bytes += chunk.length;
          since += chunk.length;
          if (since > 10 * CHUNK.length) {
            since = 0;
            await sleep(100);
          }
        }
        res.end();
        resolve(hash.digest("hex"));
      },
    }));
  });
  await upload(true, "/api/slow");
  return done;
}

for (const [what, move] of [
  ["down", () => download()],
  ["down to a slow reader", () => download({ pause: 100 })],
  ["up with a length", () => upload(true)],
  ["up in chunks", () => upload(false)],
  ["up to a slow API", () => slowUpload()],
]) {
  test(`a hundred megabytes ${what} pass whole, in flat memory`, { timeout: 60_000 }, async (t) => {
    world.worker.forgetPeak();
    const hash = await move();
    const grown = world.worker.memory().peak - baseline;
    t.diagnostic(`100 MB ${what}: the runtime had ${grown.toFixed(1)} MB more at its peak than before the first, ${baseline.toFixed(0)} MB`);
    assert.equal(hash, whole());
    assert.ok(grown < MARGIN, `${grown} MB`);
  });
}

for (const [kind, most] of [["pass", 250], ["bound", 350]]) {
  test(`a thousand open sockets on a ${kind} route cost less than ${most} KB each`, { timeout: 120_000 }, async (t) => {
    const before = world.worker.memory().now;
    const open = [];
    for (let i = 0; i < 1000; i += 50) {
      open.push(...(await Promise.all(Array.from({ length: 50 }, () => openSocket(world, browser, `/${kind}/x`, { perMessageDeflate: false })))));
    }
    for (const socket of open) socket.send("hello");
    for (const socket of open) assert.equal(await socket.next(), "hello");
    // On a bound route: each has asked for its session.
    await sleep(6000);
    const each = ((world.worker.memory().now - before) * 1024) / open.length;
    t.diagnostic(`1,000 sockets, ${kind}: ${each.toFixed(0)} KB of the runtime's memory each`);
    assert.ok(each < most, `${each} KB each`);
    for (const socket of open) socket.close();
    for (const socket of open) await socket.closed;
    await until(() => sockets.sockets.clients.size === 0, "the API's ends to be closed");
    assert.equal((await world.call(browser, "/api/x")).status, 200);
  });
}
