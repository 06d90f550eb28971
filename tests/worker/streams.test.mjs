// Event streams and long polls: what an API has to say is there when it says it, for as long as it
// takes, and on a bound route no longer than the session.

import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import zlib from "node:zlib";

import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/wait.mjs";
import { startWorld } from "./support/world.mjs";

/** As in sockets.test.mjs: a session's end is noticed within `cache_seconds`, five at least. */
const EVERY = 5;
const DELAY = EVERY * 1000 + 3000;
/** An event is passed on within this, on a busy machine too. On an idle one it is a millisecond or two. */
const LAG = 2000;

let world;
let upstream;
before(async () => {
  upstream = await startUpstream();
  const route = { upstream: { url: upstream.url } };
  world = await startWorld({
    routes: () => [
      { path: "/api/*", ...route },
      { path: "/bound/*", ...route, connections: "bound" },
      { path: "/open/*", ...route, session: "anonymous" },
    ],
  });
});
after(async () => {
  await world?.stop();
  await upstream?.stop();
});

/** An event stream of the API's under `path`. `say` sends an event; `left` is set when the reader is gone. */
function stream(path, { coding } = {}) {
  const own = { left: undefined };
  upstream.answers.set(path, (_req, res) => {
    res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache", ...(coding ? { "Content-Encoding": coding } : {}) });
    const packer = coding === "gzip" ? zlib.createGzip() : coding === "br" ? zlib.createBrotliCompress() : undefined;
    packer?.pipe(res);
    own.say = (text) => {
      (packer ?? res).write(`data: ${text}\n\n`);
      packer?.flush();
    };
    own.end = () => (packer ?? res).end();
    own.cut = () => res.destroy();
    res.on("close", () => (own.left = Date.now()));
    if (packer === undefined) res.flushHeaders();
    else own.say("first");
  });
  return own;
}

/** Reads a response as it comes: `events` with the times of their arrival, `ended` "whole" or "cut". */
async function read(browser, path, headers = {}) {
  const own = { events: [], ended: undefined };
  await new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port: world.worker.port, path, headers: { Host: `localhost:${world.worker.port}`, ...world.headersOf(browser), ...headers }, agent: false }, (response) => {
      own.status = response.statusCode;
      own.headers = response.headers;
      own.leave = () => request.destroy();
      const body = response.headers["content-encoding"] === "gzip" ? response.pipe(zlib.createGunzip({ flush: zlib.constants.Z_SYNC_FLUSH })) : response.headers["content-encoding"] === "br" ? response.pipe(zlib.createBrotliDecompress()) : response;
      let text = "";
      body.on("data", (chunk) => {
        text += chunk;
        const parts = text.split("\n\n");
        text = parts.pop();
        for (const part of parts) own.events.push({ at: Date.now(), text: part.replace(/^data: /, "") });
      });
      body.on("end", () => (own.ended ??= "whole"));
      for (const part of [body, response]) part.on("error", () => (own.ended ??= "cut"));
      resolve();
    });
    request.on("error", (error) => (own.status === undefined ? reject(error) : (own.ended ??= "cut")));
  });
  return own;
}

for (const where of ["api", "bound", "open"]) {
  for (const coding of [undefined, "gzip", "br"]) {
    test(`/${where}: each event is there when it is said, ${coding ?? "plain"}`, async (t) => {
      const browser = await world.loggedIn();
      const path = `/${where}/events-${coding}`;
      const theirs = stream(path, { coding });
      const mine = await read(browser, path, { "Accept-Encoding": coding ?? "identity" });
      assert.equal(mine.status, 200);
      assert.match(mine.headers["content-type"], /^text\/event-stream/);
      assert.equal(mine.headers["content-encoding"], where === "bound" ? undefined : coding);
      if (coding) await until(() => mine.events.length === 1, "the first event");
      const lags = [];
      for (let i = 0; i < 20; i += 1) {
        const had = mine.events.length;
        const said = Date.now();
        theirs.say(`event ${i}`);
        await until(() => mine.events.length === had + 1, `event ${i}, which is there before the next is said`);
        assert.equal(mine.events.at(-1).text, `event ${i}`);
        lags.push(mine.events.at(-1).at - said);
      }
      t.diagnostic(`passed on within ${Math.max(...lags)} ms at most`);
      assert.ok(Math.max(...lags) < LAG, `${lags}`);
      assert.equal(mine.ended, undefined);
      theirs.end();
      await until(() => mine.ended === "whole", "the end");
    });
  }

  test(`/${where}: a stream that the API cuts is cut, one that the reader leaves ends at the API with its next words`, async () => {
    const browser = await world.loggedIn();
    const theirs = stream(`/${where}/cut`);
    const mine = await read(browser, `/${where}/cut`);
    theirs.say("half");
    await until(() => mine.events.length === 1, "the event");
    theirs.cut();
    await until(() => mine.ended, "the end");
    assert.equal(mine.ended, "cut");
    const second = stream(`/${where}/left`);
    const reader = await read(browser, `/${where}/left`);
    second.say("hello");
    await until(() => reader.events.length === 1, "the event");
    const left = Date.now();
    reader.leave();
    // The runtime on this machine looks whether somebody reads when there is something to write.
    await until(() => second.left ?? second.say("anybody?"), "the API to notice");
    assert.ok(second.left - left < 3000, `${second.left - left} ms`);
  });
}

// A browser's fetch waits for minutes, a proxy in front of us for 100 seconds: ours is no time at all.
test("a long poll and a stream that falls silent wait as long as the API does", { timeout: 60_000 }, async () => {
  const SILENCE = 33_000;
  const browser = await world.loggedIn();
  upstream.answers.set("/api/poll", async (_req, res) => {
    await sleep(SILENCE);
    res.end("at last");
  });
  const poll = world.call(browser, "/api/poll", { timeout: 50_000 });
  const streams = [];
  for (const path of ["/api/silent", "/bound/silent"]) {
    const theirs = stream(path);
    streams.push({ theirs, mine: await read(browser, path) });
  }
  await sleep(SILENCE);
  for (const { theirs, mine } of streams) {
    theirs.say("still here");
    await until(() => mine.events.length === 1, "the event after the silence");
    theirs.end();
    await until(() => mine.ended === "whole", "the end");
  }
  assert.equal((await poll).text, "at last");
});

test("a bound stream ends, whole, within the stated time after a logout, and the API sees it", { timeout: 30_000 }, async () => {
  const browser = await world.loggedIn();
  const theirs = stream("/bound/mine");
  const mine = await read(browser, "/bound/mine");
  const free = stream("/api/free");
  const freely = await read(browser, "/api/free");
  await sleep(EVERY * 1000 + 500);
  theirs.say("while it lives");
  await until(() => mine.events.length === 1, "an event after the first question");
  assert.equal((await world.logout(browser)).status, 200);
  const out = Date.now();
  await until(() => mine.ended === "whole", "the end", DELAY);
  await until(() => theirs.left, "the API to notice", 3000);
  assert.ok(theirs.left - out < DELAY, `${theirs.left - out} ms`);
  free.say("on");
  await until(() => freely.events.length === 1, "an unbound stream goes on");
  freely.leave();
  assert.deepEqual(world.worker.logs.filter((line) => /uncaught/i.test(line)), []);
});

test("what is no event stream ends when it ends, on a bound route too", { timeout: 30_000 }, async () => {
  const browser = await world.loggedIn();
  let rest;
  upstream.answers.set("/bound/download", (_req, res) => {
    res.writeHead(200, { "Content-Type": "application/octet-stream" });
    res.write("half\n\n");
    rest = () => res.end("rest\n\n");
  });
  const mine = await read(browser, "/bound/download");
  await world.logout(browser);
  await sleep(DELAY);
  rest();
  await until(() => mine.ended === "whole", "the end");
  assert.deepEqual(mine.events.map(({ text }) => text), ["half", "rest"]);
});

// The runtime decodes gzip and br and nothing else: without the name of its coding nobody could read it.
test("a bound stream in a coding that the runtime doesn't know arrives as it is, under its name", async () => {
  const browser = await world.loggedIn();
  const event = "data: packed\n\n";
  for (const [coding, packed] of [["deflate", zlib.deflateSync(event)], ["zstd", zlib.zstdCompressSync?.(event) ?? Buffer.from("28b52ffd", "hex")], ["GZIP", zlib.gzipSync(event)]]) {
    upstream.reply("/bound/packed", 200, [["Content-Type", "text/event-stream"], ["Content-Encoding", coding]], packed);
    const answer = await world.call(browser, "/bound/packed", { headers: { "Accept-Encoding": coding } });
    assert.deepEqual([answer.status, answer.header("content-encoding")], [200, coding]);
    assert.deepEqual(answer.body, packed);
  }
});

test("an event stream without a body is no stream", async () => {
  const browser = await world.loggedIn();
  upstream.reply("/bound/none", 204, [["Content-Type", "text/event-stream"]]);
  assert.equal((await world.call(browser, "/bound/none")).status, 204);
  upstream.reply("/bound/head", 200, [["Content-Type", "text/event-stream"]]);
  assert.equal((await world.call(browser, "/bound/head", { method: "HEAD" })).status, 200);
});
