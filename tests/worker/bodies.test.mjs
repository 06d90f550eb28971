// Bodies pass natively, in both directions; what isn't a plain 200 passes too.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import zlib from "node:zlib";

import { startUpstream } from "./support/upstream.mjs";
import { gate } from "./support/wait.mjs";
import { assertProblem, AUDIENCE, startWorld } from "./support/world.mjs";

const SIZE = 5 * 1024 * 1024;
const sha = (bytes) => createHash("sha256").update(bytes).digest("hex");

let world;
let upstream;
let browser;
before(async () => {
  upstream = await startUpstream();
  world = await startWorld({ routes: () => [{ path: "/api/*", upstream: { url: upstream.url }, session: "required", resource: AUDIENCE, methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] }] });
  browser = await world.loggedIn();
});
after(async () => {
  await world?.stop();
  await upstream?.stop();
});

test("five megabytes up arrive as they left, with and without a length", async () => {
  const body = randomBytes(SIZE);
  for (const [headers, sent] of [[{ "Content-Length": SIZE }, body], [{ "Transfer-Encoding": "chunked" }, Readable.from([body.subarray(0, 1), body.subarray(1, 70_000), body.subarray(70_000)])]]) {
    const before = upstream.seen.length;
    const answer = await world.call(browser, "/api/upload", { method: "POST", headers: { ...headers, "Content-Type": "application/octet-stream" }, body: sent });
    assert.equal(answer.status, 200, answer.text);
    const [seen] = upstream.seen.slice(before);
    assert.equal(seen.bytes, SIZE);
    assert.equal(seen.hash, sha(body));
    assert.equal(upstream.values(seen, "content-type").join(), "application/octet-stream");
  }
});

test("five megabytes down arrive as they left", async () => {
  const body = randomBytes(SIZE);
  upstream.reply("/api/download", 200, [["Content-Type", "application/octet-stream"]], body);
  const answer = await world.call(browser, "/api/download");
  assert.equal(answer.status, 200);
  assert.equal(sha(answer.body), sha(body));
});

test("a compressed answer stays compressed and opens to what it was", async () => {
  const plain = Buffer.from(JSON.stringify({ text: "so ".repeat(5_000) }));
  for (const [coding, pack, open] of [["gzip", zlib.gzipSync, zlib.gunzipSync], ["br", zlib.brotliCompressSync, zlib.brotliDecompressSync]]) {
    upstream.reply("/api/packed", 200, [["Content-Type", "application/json"], ["Content-Encoding", coding]], pack(plain));
    const answer = await world.call(browser, "/api/packed", { headers: { "Accept-Encoding": "gzip, br" } });
    assert.equal(answer.header("content-encoding"), coding);
    assert.deepEqual(open(answer.body), plain);
    const accepted = upstream.values(upstream.seen.at(-1), "accept-encoding").join();
    assert.match(accepted, new RegExp(coding));
  }
});

test("a client that accepts no compression gets none", async () => {
  upstream.answers.set("/api/maybe", (req, res) => {
    const gzip = /gzip/.test(req.headers["accept-encoding"] ?? "");
    res.writeHead(200, gzip ? { "Content-Encoding": "gzip" } : {});
    res.end(gzip ? zlib.gzipSync("text") : "text");
  });
  const answer = await world.call(browser, "/api/maybe", { headers: { "Accept-Encoding": "identity" } });
  assert.equal(answer.header("content-encoding"), null);
  assert.equal(answer.text, "text");
});

test("HEAD has the headers and no body, and stays HEAD", async () => {
  upstream.reply("/api/head", 200, [["Content-Type", "text/plain"], ["Content-Length", "1234"], ["ETag", '"h"']], "");
  const answer = await world.call(browser, "/api/head", { method: "HEAD" });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.length, 0);
  assert.equal(answer.header("etag"), '"h"');
  assert.equal(upstream.seen.at(-1).method, "HEAD");
});

// H10: a length without a body, and a body where there should be none.
test("GET and HEAD with a length of zero arrive; a GET's body isn't passed off as delivered", async () => {
  for (const method of ["GET", "HEAD"]) {
    const answer = await world.call(browser, "/api/empty", { method, headers: { "Content-Length": "0" } });
    assert.equal(answer.status, 200, `${method}: ${answer.code}`);
  }
  const before = upstream.seen.length;
  const answer = await world.call(browser, "/api/empty", { method: "GET", body: "hello" });
  const seen = upstream.seen.slice(before);
  // `fetch` can't send one: refused, or sent without a word of it. Never another request on that road.
  if (answer.status !== 200) assert.ok(answer.status >= 400 && answer.status < 500 && seen.length === 0, `${answer.status} ${answer.code}`);
  else {
    assert.equal(seen.length, 1);
    assert.equal(seen[0].bytes, 0);
    assert.deepEqual(upstream.values(seen[0], "content-length").filter((length) => length !== "0"), []);
    assert.deepEqual(upstream.values(seen[0], "transfer-encoding"), []);
  }
});

test("204, 205, 304 and odd statuses pass with their headers", async () => {
  for (const status of [201, 204, 205, 304, 400, 403, 404, 409, 412, 418, 422, 429, 500, 503, 599]) {
    upstream.reply("/api/status", status, [["X-Status", String(status)], ["ETag", '"s"']], [204, 205, 304].includes(status) ? "" : "text");
    const answer = await world.call(browser, "/api/status", { headers: { "If-None-Match": '"s"' } });
    assert.equal(answer.status, status, `${status}: ${answer.code}`);
    assert.equal(answer.header("x-status"), String(status));
    assert.equal(answer.text, [204, 205, 304].includes(status) ? "" : "text");
    assert.equal(answer.code, null, "the API's own error isn't ours");
  }
});

test("ranges pass", async () => {
  upstream.answers.set("/api/range", (req, res) => {
    res.writeHead(206, { "Content-Range": "bytes 2-4/10", "Accept-Ranges": "bytes", "X-Asked": req.headers.range ?? "none" });
    res.end("234");
  });
  const answer = await world.call(browser, "/api/range", { headers: { Range: "bytes=2-4" } });
  assert.equal(answer.status, 206);
  assert.equal(answer.header("content-range"), "bytes 2-4/10");
  assert.equal(answer.header("x-asked"), "bytes=2-4");
  assert.equal(answer.text, "234");
});

test("DELETE and OPTIONS with a body pass as they are", async () => {
  const deleted = await world.call(browser, "/api/thing", { method: "DELETE", body: '{"why":"x"}', headers: { "Content-Type": "application/json" } });
  assert.equal(deleted.status, 200);
  assert.equal(upstream.seen.at(-1).hash, sha('{"why":"x"}'));
  const options = await world.call(browser, "/api/thing", { method: "OPTIONS" });
  assert.equal(options.status, 200);
  assert.equal(upstream.seen.at(-1).method, "OPTIONS");
});

test("an answer streams: its first part is there before its last is made", { timeout: 20_000 }, async () => {
  const { opened, open } = gate();
  upstream.answers.set("/api/stream", async (_req, res) => {
    res.writeHead(200, { "Content-Type": "text/event-stream" });
    res.write("data: 1\n\n");
    await opened;
    res.end("data: 2\n\n");
  });
  const text = await new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port: world.worker.port, path: "/api/stream", headers: { Host: `localhost:${world.worker.port}`, ...world.headersOf(browser) }, agent: false }, (response) => {
      let all = "";
      response.on("data", (chunk) => {
        all += chunk;
        open();
      });
      response.on("end", () => resolve(all));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
  assert.equal(text, "data: 1\n\ndata: 2\n\n");
});

test("a request streams: its first part arrives before its last has left", { timeout: 20_000 }, async () => {
  const { opened, open } = gate();
  upstream.answers.set("/api/slow-upload", Object.assign(() => {}, {
    early(req, res) {
      let size = 0;
      req.on("data", (chunk) => {
        size += chunk.length;
        open();
      });
      req.on("end", () => res.end(String(size)));
    },
  }));
  async function* parts() {
    yield Buffer.alloc(70_000, "a");
    await opened;
    yield Buffer.alloc(10, "b");
  }
  const answer = await world.call(browser, "/api/slow-upload", { method: "POST", headers: { "Transfer-Encoding": "chunked" }, body: Readable.from(parts()) });
  assert.equal(answer.text, "70010");
});

test("an answer that is cut in its middle is cut here too, never passed off as whole", async () => {
  upstream.answers.set("/api/cut", (_req, res) => {
    res.writeHead(200, { "Content-Length": "1000" });
    res.write("half");
    setTimeout(() => res.destroy(), 50);
  });
  await assert.rejects(world.call(browser, "/api/cut"));
  assert.equal((await world.call(browser, "/api/after")).status, 200);
});

test("an upstream that isn't there is 502 with a code, and tells nothing of its address", async () => {
  const { port } = upstream;
  upstream.answers.set("/api/dies", Object.assign(() => {}, { early: (req) => req.socket.destroy() }));
  for (const [method, body] of [["GET", undefined], ["POST", "x".repeat(100_000)]]) {
    const answer = await world.call(browser, "/api/dies", { method, body });
    assertProblem(answer, 502, "upstream_unreachable");
    assert.doesNotMatch(answer.text, new RegExp(String(port)));
  }
});

test("a large body for nobody is refused without harm to what comes next", async () => {
  const answer = await world.raw({ method: "POST", path: "/api/upload", headers: { "Sec-Fetch-Site": "same-origin" }, body: Buffer.alloc(1024 * 1024) }).catch((error) => error);
  if (!(answer instanceof Error)) assertProblem(answer, 401, "unauthenticated");
  assert.equal((await world.call(browser, "/api/x")).status, 200);
});

test("an upgrade to WebSocket is refused with a code where the route doesn't say that it passes", async () => {
  const before = upstream.seen.length;
  const answer = await world.raw({ path: "/api/ws", headers: { ...world.headersOf(browser), Origin: world.origin, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" } });
  assertProblem(answer, 501, "upgrade_not_supported");
  assert.equal(upstream.seen.length, before);
});

test("a hundred calls at once all come back, each with its own answer", async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => world.call(browser, `/api/n?i=${i}`)));
  assert.deepEqual(answers.map((answer) => answer.json.url), Array.from({ length: 100 }, (_, i) => `/api/n?i=${i}`));
});
