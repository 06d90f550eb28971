// An API in trouble: each kind of it has its answer, and the isolate goes on.

import assert from "node:assert/strict";
import net from "node:net";
import { after, before, test } from "node:test";

import { freePort } from "./support/raw.mjs";
import { until } from "./support/wait.mjs";
import { ENTRY } from "./support/worker.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

/** Each kind of trouble: what the API does with a connection once it has read a request's head. */
const TROUBLE = {
  "reset before any byte": (socket) => socket.resetAndDestroy(),
  "closed before any byte": (socket) => socket.end(),
  "reset within the status line": (socket) => socket.write("HTTP/1.1 20", () => socket.resetAndDestroy()),
  "closed within the head": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Type: te"),
  "a status line of something else": (socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n"),
  "a status that is no number": (socket) => socket.end("HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nhi"),
  "a status of one digit": (socket) => socket.end("HTTP/1.1 2 OK\r\nContent-Length: 2\r\n\r\nhi"),
  "a status that there isn't": (socket) => socket.end("HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nhi"),
  "a header without a colon": (socket) => socket.end("HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nhi"),
  "a length that is no number": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhi"),
  "nothing but bytes": (socket) => socket.end(Buffer.from(Array.from({ length: 300 }, (_, i) => i % 256))),
  "a switch that nobody asked for": (socket) => socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
  "a head without an end": (socket) => endless(socket, "HTTP/1.1 200 OK\r\nX-Long: "),
};

/** The same, where the head is good and the body isn't. */
const CUT = {
  "reset within a body of a known length": (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf", () => socket.resetAndDestroy()),
  "closed within a body of a known length": (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"),
  "closed within a chunk": (socket) => socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf"),
  "closed between chunks": (socket) => socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
  "a chunk of no size": (socket) => socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n"),
};

function endless(socket, beginning) {
  socket.write(beginning);
  const more = () => {
    if (!socket.destroyed && socket.write("x".repeat(65_536))) setImmediate(more);
  };
  socket.on("drain", more);
  more();
}

let world;
let api;
before(async () => {
  api = await startRaw();
  const nobody = await freePort();
  const upstream = { url: `http://127.0.0.1:${api.port}` };
  world = await startWorld({
    worker: { patch: watched },
    routes: () => [
      { path: "/api/late/*", upstream: { ...upstream, timeout_seconds: 1 }, share_token: true },
      { path: "/api/again/*", upstream, retry_after_401: true, share_token: true },
      { path: "/api/*", upstream, share_token: true },
      { path: "/nobody/*", upstream: { url: `http://127.0.0.1:${nobody}` }, share_token: true },
      { path: "/nowhere/*", upstream: { url: "https://nowhere.invalid" }, share_token: true },
    ],
  });
});
after(async () => {
  await world?.stop();
  await api?.stop();
});

/** An API on bare sockets: the path says what it does. `waiting` is how many it keeps waiting. */
async function startRaw() {
  const kinds = { ...TROUBLE, ...CUT };
  const own = { waiting: 0, port: 0 };
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    let text = "";
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (!text.includes("\r\n\r\n")) return;
      const path = decodeURIComponent(text.split(" ")[1]).replace(/^\/api\/(late\/|again\/)?/, "");
      text = "";
      if (path === "well") socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
      else if (path === "silence") {
        own.waiting += 1;
        socket.on("close", () => (own.waiting -= 1));
      } else if (path === "slow body") {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        setTimeout(() => socket.write("full"), 1500);
      } else kinds[path]?.(socket);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  own.port = server.address().port;
  own.stop = () =>
    new Promise((resolve) => {
      server.close(resolve);
      for (const socket of sockets) socket.destroy();
    });
  return own;
}

/** The entry tells which isolate answers, how much memory the core has, and whether it was made anew. */
function watched(source) {
  assert.match(source, ENTRY, "the entry has the place that the test knows");
  return source.replace(ENTRY, (start) => `${start}
    if (request.url.endsWith("/test/isolate")) {
      globalThis.isolate ??= crypto.randomUUID();
      return Response.json({ isolate: globalThis.isolate, generation, poisoned, memory: wasm.memory.buffer.byteLength });
    }
  `);
}

const isolate = async () => (await world.raw({ path: "/test/isolate" })).json;
const at = (kind, where = "/api/") => `${where}${encodeURIComponent(kind)}`;

/** A call that has no answer of its own: what became of it, in a word. */
async function outcome(browser, path, init) {
  try {
    const answer = await world.call(browser, path, init);
    return `${answer.status} ${answer.code ?? answer.text}`;
  } catch {
    return "cut";
  }
}

for (const kind of Object.keys(TROUBLE)) {
  test(`${kind} is 502 with a code, and the next call is served`, async () => {
    const browser = await world.loggedIn();
    const answer = await world.call(browser, at(kind));
    const code = { "a status that there isn't": "upstream_status_invalid", "a switch that nobody asked for": "upstream_status_invalid" }[kind];
    assertProblem(answer, 502, code ?? "upstream_unreachable");
    assert.doesNotMatch(answer.text, /127\.0\.0\.1/);
    const posted = await world.call(browser, at(kind), { method: "POST", body: "x".repeat(100_000) });
    assert.equal(posted.status, 502, posted.text);
    assert.equal(await outcome(browser, at("well")), "200 well");
  });
}

for (const kind of Object.keys(CUT)) {
  test(`${kind}: what came is passed, and the end is no clean one`, async () => {
    const browser = await world.loggedIn();
    assert.equal(await outcome(browser, at(kind)), "cut");
    assert.equal(await outcome(browser, at("well")), "200 well");
  });
}

test("an API that isn't there is 502 with a code", async () => {
  const browser = await world.loggedIn();
  for (const path of ["/nobody/x", "/nowhere/x"]) assertProblem(await world.call(browser, path), 502, "upstream_unreachable");
});

test("a response whose head is late is 504 with a code where the route says so, and the API is let go", async () => {
  const browser = await world.loggedIn();
  for (const init of [{}, { method: "POST", body: "x".repeat(100_000) }]) {
    const began = Date.now();
    assertProblem(await world.call(browser, at("silence", "/api/late/"), init), 504, "upstream_timed_out");
    const took = Date.now() - began;
    assert.ok(api.waiting <= 1);
    assert.ok(took >= 1000 && took < 4000, `${took} ms`);
  }
  await until(() => api.waiting === 0, "the silent connections to be closed", 3000);
  assert.equal(await outcome(browser, at("well", "/api/late/")), "200 well");
});

test("the time-out is the head's, not the body's", async () => {
  const browser = await world.loggedIn();
  assert.equal(await outcome(browser, at("slow body", "/api/late/")), "200 halffull");
});

test("a thousand troubles of every kind restart nothing", { timeout: 180_000 }, async () => {
  const browser = await world.loggedIn();
  const kinds = [...Object.keys(TROUBLE), ...Object.keys(CUT)].filter((kind) => kind !== "a head without an end");
  const paths = [...kinds.map((kind) => at(kind)), at("silence", "/api/late/"), "/nobody/x", at("reset before any byte", "/api/again/")];
  await outcome(browser, at("well"));
  const before = await isolate();
  const counts = new Map();
  let left = 1000;
  let next = 0;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      const path = paths[next++ % paths.length];
      const what = await outcome(browser, path, path.includes("again") ? { method: "POST", body: "kept" } : {});
      const word = `${decodeURIComponent(path)}: ${what}`;
      counts.set(word, (counts.get(word) ?? 0) + 1);
      if (left % 50 === 0) assert.equal(await outcome(browser, at("well")), "200 well");
    }
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  const made = [...counts.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(made, 1000);
  // Each kind has one outcome, however often and beside whatever it comes.
  assert.equal(counts.size, paths.length, [...counts].join("\n"));
  for (const word of counts.keys()) assert.match(word, /: (cut|502 upstream_(unreachable|status_invalid)|504 upstream_timed_out)$/);
  const then = await isolate();
  assert.equal(then.isolate, before.isolate, "the isolate is the same");
  assert.equal(then.generation, before.generation, "the core was never made anew");
  assert.equal(then.poisoned, false);
  assert.ok(then.memory - before.memory <= 4 * 65_536, `the core's memory grew from ${before.memory} to ${then.memory}`);
  assert.deepEqual(world.worker.logs.filter((line) => line.includes("trapped") || line.includes("uncaught")), []);
  assert.equal((await world.session(browser)).authenticated, true);
});
