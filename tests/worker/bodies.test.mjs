// Bodies pass natively, in both directions; what isn't a plain 200 passes too.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import { Readable } from "node:stream";
import { after, before, test } from "node:test";
import zlib from "node:zlib";

import { startUpstream } from "./support/upstream.mjs";
import { gate, until } from "./support/wait.mjs";
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

// What a cache or a player asks for: an API that knows what it has is asked in the client's own words.
test("conditional requests and ranges reach the API as they are, and so do its answers", async () => {
  const body = "0123456789";
  upstream.answers.set("/api/kept", (req, res) => {
    const { range } = req.headers;
    const own = { ETag: '"v1"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT", "Accept-Ranges": "bytes" };
    if (req.headers["if-match"] === '"other"' || req.headers["if-unmodified-since"]) return res.writeHead(412, own).end();
    if (req.headers["if-none-match"] === '"v1"' || (!req.headers["if-none-match"] && req.headers["if-modified-since"])) return res.writeHead(304, own).end();
    if (range === "bytes=2-4" && req.headers["if-range"] !== '"other"') return res.writeHead(206, { ...own, "Content-Range": "bytes 2-4/10", "Content-Length": 3 }).end(body.slice(2, 5));
    if (range === "bytes=0-1,8-9") {
      const parts = ["0-1", "8-9"].map((part) => `--b\r\nContent-Range: bytes ${part}/10\r\n\r\n${body.slice(part[0], Number(part[2]) + 1)}\r\n`).join("");
      return res.writeHead(206, { ...own, "Content-Type": "multipart/byteranges; boundary=b" }).end(`${parts}--b--\r\n`);
    }
    if (range === "bytes=99-") return res.writeHead(416, { ...own, "Content-Range": "bytes */10" }).end();
    res.writeHead(200, { ...own, "Content-Length": 10 }).end(body);
  });
  for (const [headers, status, text, contentRange] of [
    [{}, 200, body, null],
    [{ "If-None-Match": '"v1"' }, 304, "", null],
    [{ "If-None-Match": '"v0"' }, 200, body, null],
    [{ "If-Modified-Since": "Thu, 02 Jan 2025 00:00:00 GMT" }, 304, "", null],
    [{ "If-Match": '"other"' }, 412, "", null],
    [{ "If-Unmodified-Since": "Thu, 02 Jan 2020 00:00:00 GMT" }, 412, "", null],
    [{ Range: "bytes=2-4" }, 206, "234", "bytes 2-4/10"],
    [{ Range: "bytes=2-4", "If-Range": '"v1"' }, 206, "234", "bytes 2-4/10"],
    [{ Range: "bytes=2-4", "If-Range": '"other"' }, 200, body, null],
    [{ Range: "bytes=99-" }, 416, "", "bytes */10"],
  ]) {
    const answer = await world.call(browser, "/api/kept", { headers });
    const what = JSON.stringify(headers);
    assert.deepEqual([answer.status, answer.text, answer.header("content-range")], [status, text, contentRange], what);
    assert.equal(answer.header("etag"), '"v1"', what);
    assert.equal(answer.code, null);
  }
  const several = await world.call(browser, "/api/kept", { headers: { Range: "bytes=0-1,8-9" } });
  assert.equal(several.status, 206);
  assert.match(several.header("content-type"), /^multipart\/byteranges; boundary=b/);
  assert.match(several.text, /\r\n\r\n01\r\n.*\r\n\r\n89\r\n/s);
});

test("a 304 that names a length or a type has no body all the same, and the connection goes on", async () => {
  upstream.reply("/api/unchanged", 304, [["ETag", '"v1"'], ["Content-Length", "5000"], ["Content-Type", "text/html"]]);
  for (let i = 0; i < 3; i += 1) {
    const answer = await world.call(browser, "/api/unchanged", { headers: { "If-None-Match": '"v1"' } });
    assert.deepEqual([answer.status, answer.body.length], [304, 0]);
    assert.equal((await world.call(browser, "/api/x")).status, 200);
  }
});

test("HEAD has the length that GET would have", async () => {
  upstream.reply("/api/sized", 200, [["Content-Length", "123456"], ["Content-Type", "video/mp4"]], "");
  const answer = await world.call(browser, "/api/sized", { method: "HEAD" });
  assert.deepEqual([answer.status, answer.header("content-length"), answer.header("content-type")], [200, "123456", "video/mp4"]);
});

test("what is encoded passes byte for byte, in codings that the runtime knows and in others", async () => {
  const plain = Buffer.from(JSON.stringify({ text: "so ".repeat(20_000) }));
  // No packer of the runtime's would choose these levels: packing anew would show.
  const packed = {
    gzip: zlib.gzipSync(plain, { level: 1, strategy: zlib.constants.Z_HUFFMAN_ONLY }),
    br: zlib.brotliCompressSync(plain, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
    zstd: randomBytes(5_000),
    "x-own": randomBytes(5_000),
    "gzip, br": zlib.brotliCompressSync(zlib.gzipSync(plain)),
  };
  for (const [coding, bytes] of Object.entries(packed)) {
    upstream.reply("/api/bytes", 200, [["Content-Type", "application/json"], ["Content-Encoding", coding], ["Content-Length", String(bytes.length)]], bytes);
    const answer = await world.call(browser, "/api/bytes", { headers: { "Accept-Encoding": "gzip, br, zstd" } });
    assert.equal(answer.header("content-encoding"), coding);
    assert.equal(sha(answer.body), sha(bytes), coding);
  }
  const sent = packed.gzip;
  await world.call(browser, "/api/upload", { method: "POST", headers: { "Content-Encoding": "gzip" }, body: sent });
  assert.equal(upstream.seen.at(-1).hash, sha(sent));
  assert.deepEqual(upstream.values(upstream.seen.at(-1), "content-encoding"), ["gzip"]);
});

test("what comes before an answer and after its body is left aside: 100, 103, trailers", async () => {
  upstream.answers.set("/api/around", (_req, res) => {
    res.writeEarlyHints({ link: "</style.css>; rel=preload" });
    res.writeProcessing();
    res.writeHead(200, { "Content-Type": "text/plain", Trailer: "X-After" });
    res.write("text");
    res.addTrailers({ "X-After": "late" });
    res.end();
  });
  const answer = await world.call(browser, "/api/around");
  assert.deepEqual([answer.status, answer.text, answer.header("x-after"), answer.header("link")], [200, "text", null, null]);
  const expecting = await world.call(browser, "/api/upload", { method: "POST", headers: { Expect: "100-continue", "Content-Length": "5" }, body: "hello" });
  assert.equal(expecting.status, 200);
  assert.deepEqual(upstream.values(upstream.seen.at(-1), "expect"), []);
});

test("a client that goes away in the middle is soon gone at the API: its upload at once, its download with the next bytes", { timeout: 20_000 }, async () => {
  const gone = {};
  upstream.answers.set("/api/half-up", Object.assign(() => {}, {
    early(req) {
      req.on("data", () => (gone.began = true));
      req.on("error", () => {});
      req.on("close", () => (gone.up = Date.now()));
    },
  }));
  let request;
  const up = world.raw({ method: "POST", path: "/api/half-up", headers: { ...world.headersOf(browser), "Content-Length": "1000000" }, body: new Readable({ read() {} }), onRequest: (own) => (request = own) });
  request.write(Buffer.alloc(70_000));
  await until(() => gone.began, "the first part");
  let left = Date.now();
  request.destroy();
  await assert.rejects(up);
  await until(() => gone.up, "the API to see the upload's end");
  assert.ok(gone.up - left < 3000, `${gone.up - left} ms`);
  upstream.answers.set("/api/half-down", (_req, res) => {
    const timer = setInterval(() => res.write(Buffer.alloc(1000)), 50);
    res.on("close", () => {
      clearInterval(timer);
      gone.down = Date.now();
    });
  });
  const down = world.raw({ path: "/api/half-down", headers: world.headersOf(browser), onRequest: (own) => own.on("response", (response) => response.once("data", () => {
    left = Date.now();
    own.destroy();
  })) });
  await assert.rejects(down);
  await until(() => gone.down, "the API to see the download's end");
  assert.ok(gone.down - left < 3000, `${gone.down - left} ms`);
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
