// WebSockets through a route: who gets one, what of the handshake goes on, how they end.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { WebSocket } from "ws";

import { CLOSE, TEXT, closeOf, handshakeOf, openRaw, openSocket, startRawApi, startSocketApi } from "./support/sockets.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/wait.mjs";
import { ENTRY } from "./support/worker.mjs";
import { AUDIENCE, startWorld } from "./support/world.mjs";

const TTL = 120;
/** How often a bound connection asks, in seconds: `cache_seconds`, five at least. */
const EVERY = 5;
/** The promise: noticed within that, and a moment for the way. */
const DELAY = EVERY * 1000 + 3000;

/** How long an end may take to answer the other's Close, and a moment for the way. */
const LINGER = 10_000 + 3000;

/** A Worker of the operator's own, behind a service binding: it says what it was told, and echoes. */
const CHAT = `
export default {
  fetch(request) {
    const [client, server] = Object.values(new WebSocketPair());
    server.accept();
    server.addEventListener("message", ({ data }) => server.send(data));
    server.send(JSON.stringify([...request.headers]));
    return new Response(null, { status: 101, webSocket: client });
  },
};`;

let world;
let api;
let plain;
let frames;
let refusals = 0;
before(async () => {
  plain = await startUpstream();
  frames = await startRawApi();
  api = await startSocketApi({
    refuse(req, connection) {
      if (refusals === 0) return false;
      refusals -= 1;
      connection.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
      return true;
    },
  });
  const upstream = { url: api.url };
  const token = { resource: AUDIENCE };
  world = await startWorld({
    provider: { accessTokenTtl: TTL },
    worker: { second: true, services: { CHAT } },
    routes: () => [
      { path: "/pass/*", upstream, connections: "pass", ...token },
      { path: "/bound/*", upstream, connections: "bound", ...token },
      { path: "/open/*", upstream, connections: "pass", session: "anonymous" },
      { path: "/maybe/*", upstream, connections: "bound", session: "optional", ...token },
      { path: "/service/pass/*", upstream: { service: "CHAT" }, connections: "pass", ...token, share_token: true },
      { path: "/service/bound/*", upstream: { service: "CHAT" }, connections: "bound", ...token, share_token: true },
      { path: "/closed/*", upstream, ...token },
      { path: "/frames/*", upstream: { url: frames.url }, connections: "bound", ...token, share_token: true },
      { path: "/plain/*", upstream: { url: plain.url }, connections: "pass", ...token, share_token: true },
    ],
  });
});
after(async () => {
  await world?.stop();
  await Promise.all([api?.stop(), plain?.stop(), frames?.stop()]);
});
afterEach(() => {
  refusals = 0;
});

/** What the API has of a header, each line of it. */
function linesOf({ raw }, name) {
  return raw.flatMap((text, i) => (i % 2 === 0 && text.toLowerCase() === name ? [raw[i + 1]] : []));
}

async function refused(promise, status, code) {
  const seen = api.seen.length;
  await assert.rejects(promise, (error) => {
    assert.equal(error.status, status, error.message);
    assert.equal(error.code, code);
    return true;
  });
  assert.equal(api.seen.length, seen, "nothing reached the API");
}

for (const kind of ["pass", "bound"]) {
  test(`${kind}: the API sees the token, what the page offered, and nothing of the browser's`, async () => {
    const browser = await world.loggedIn();
    const socket = await openSocket(world, browser, `/${kind}/chat?room=1`, { protocols: ["v1.chat", "v2.chat"], headers: { Authorization: "Bearer mine", "X-Forwarded-For": "1.2.3.4", "X-App": "here" } });
    const seen = api.seen.at(-1);
    assert.equal(seen.url, `/${kind}/chat?room=1`);
    assert.match(seen.headers.authorization, /^Bearer ey/);
    for (const name of ["authorization", "sec-websocket-key", "sec-websocket-version", "upgrade", "sec-websocket-protocol"]) assert.equal(linesOf(seen, name).length, 1, name);
    assert.deepEqual(linesOf(seen, "sec-websocket-protocol"), ["v1.chat,v2.chat"]);
    assert.match(linesOf(seen, "sec-websocket-extensions").join(), /permessage-deflate/);
    for (const name of ["cookie", "origin", "sec-fetch-site", "sec-fetch-dest", "x-forwarded-for"]) assert.deepEqual(linesOf(seen, name), [], name);
    assert.deepEqual(linesOf(seen, "x-app"), ["here"]);
    assert.equal(socket.protocol, "v2.chat");
    assert.match(socket.extensions, /permessage-deflate/);
    socket.close();
    await socket.closed;
  });

  test(`${kind}: texts, bytes and long messages pass both ways, in their order`, async () => {
    const socket = await openSocket(world, await world.loggedIn(), `/${kind}/echo`);
    for (const message of ["", "grüße 👋", "x".repeat(900_000), Buffer.from([0, 255, 1]), Buffer.alloc(0), Buffer.alloc(500_000, 7)]) {
      socket.send(message);
      assert.deepEqual(await socket.next(), message);
    }
    socket.send("many 2000");
    for (let i = 0; i < 2000; i += 1) assert.equal(await socket.next(), String(i));
    socket.close();
    await socket.closed;
  });

  test(`${kind}: close codes and reasons pass both ways`, async () => {
    const browser = await world.loggedIn();
    for (const [code, reason] of [[1000, ""], [1000, "done"], [1001, "leaving"], [1009, "too big"], [3000, ""], [4999, "größe"]]) {
      const first = await openSocket(world, browser, `/${kind}/a`);
      const theirs = api.seen.at(-1);
      first.close(code, reason);
      assert.deepEqual(await first.closed, [code, reason]);
      assert.deepEqual(await until(() => theirs.closed, "the close at the API"), [code, reason]);
      const second = await openSocket(world, browser, `/${kind}/b`);
      second.send(`close ${code}${reason === "" ? "" : ` ${reason}`}`);
      assert.deepEqual(await second.closed, [code, reason]);
    }
    const bare = await openSocket(world, browser, `/${kind}/c`);
    bare.close();
    assert.equal((await bare.closed)[0], 1005);
    assert.equal((await until(() => api.seen.at(-1).closed, "the close at the API"))[0], 1005);
    const theirs = await openSocket(world, browser, `/${kind}/d`);
    theirs.send("close");
    assert.equal((await theirs.closed)[0], 1005);
  });

  test(`${kind}: an end that breaks is the end of the other, and never a clean one`, async () => {
    const browser = await world.loggedIn();
    const first = await openSocket(world, browser, `/${kind}/a`);
    first.send("die");
    assert.equal((await first.closed)[0], kind === "pass" ? 1006 : 1011);
    const second = await openSocket(world, browser, `/${kind}/b`);
    second.terminate();
    const [code] = await until(() => api.seen.at(-1).closed, "the end at the API");
    assert.equal(code, kind === "pass" ? 1006 : 1011);
    assert.equal((await world.call(browser, "/pass/x")).status, 200, "the Worker goes on");
  });

  test(`${kind}: without a session there is no socket`, async () => {
    await refused(openSocket(world, world.browser(), `/${kind}/x`), 401, "unauthenticated");
    const browser = await world.loggedIn();
    await world.logout(browser.copy());
    await refused(openSocket(world, browser, `/${kind}/x`), 401, "unauthenticated");
  });
}

// Cross-site WebSocket hijacking. A cookie that isn't Strict, or a sibling's page, would be enough.
test("a handshake from another origin is refused on every route, an anonymous one too", async () => {
  const browser = await world.loggedIn();
  const { port } = new URL(world.origin);
  for (const path of ["/pass/x", "/bound/x", "/maybe/x", "/open/x"]) {
    for (const Origin of ["https://evil.example", "null", "http://localhost", `https://localhost:${port}`, `http://127.0.0.1:${port}`, `${world.origin}/`, undefined]) {
      for (const site of ["same-origin", undefined]) {
        await refused(openSocket(world, browser, path, { headers: { Origin, "Sec-Fetch-Site": site } }), 403, "csrf_origin");
      }
    }
  }
  await refused(openSocket(world, browser, "/pass/x", { headers: { "Sec-Fetch-Site": "cross-site" } }), 403, "csrf_cross_site");
});

test("a socket passes to a Worker behind a service binding", async () => {
  const browser = await world.loggedIn();
  for (const kind of ["pass", "bound"]) {
    const socket = await openSocket(world, browser, `/service/${kind}/x`);
    const headers = new Map(JSON.parse(await socket.next()));
    assert.match(headers.get("authorization"), /^Bearer ey/);
    assert.equal(headers.has("cookie"), false);
    socket.send("hello");
    assert.equal(await socket.next(), "hello");
    socket.close(4000, "bye");
    assert.equal((await socket.closed)[0], 4000);
  }
});

test("a route that doesn't say so passes no WebSocket, and the answer names the key", async () => {
  const browser = await world.loggedIn();
  await assert.rejects(openSocket(world, browser, "/closed/x"), (error) => {
    assert.equal(error.status, 501);
    assert.equal(error.code, "upgrade_not_supported");
    assert.match(JSON.parse(error.body).detail, /connections/);
    return true;
  });
  assert.equal((await world.call(browser, "/closed/x")).text, "no socket");
});

test("an anonymous route's socket carries no token, an optional one's where there is a session", async () => {
  const browser = await world.loggedIn();
  for (const [path, who, has] of [["/open/x", browser, false], ["/maybe/x", world.browser(), false], ["/maybe/x", browser, true]]) {
    const socket = await openSocket(world, who, path);
    assert.equal(api.seen.at(-1).headers.authorization !== undefined, has, path);
    socket.close();
    await socket.closed;
  }
});

test("an API that takes no handshake answers as it answers anybody", async () => {
  const browser = await world.loggedIn();
  plain.reply("/plain/x", 426, [["Upgrade", "websocket"], ["X-Why", "none here"]], "no");
  // Node hands an upgrade to a listener if there is one: this API has none to speak of.
  await assert.rejects(openSocket(world, browser, "/plain/x"), (error) => {
    assert.equal(error.status, 502, "it breaks the connection");
    assert.equal(error.code, "upstream_unreachable");
    return true;
  });
  refusals = 1;
  await assert.rejects(openSocket(world, browser, "/pass/x"), (error) => {
    assert.deepEqual([error.status, error.code, error.body], [401, undefined, "no"]);
    return true;
  });
});

test("a handshake that the API answers with 401 is tried once more with a fresh token", async (t) => {
  t.after(() => world.worker.clock({}));
  const browser = await world.loggedIn();
  await world.worker.clock({ seconds: TTL / 2 });
  const before = world.provider.control.count("token", "refresh_token");
  refusals = 1;
  const socket = await openSocket(world, browser, "/pass/x");
  assert.equal(world.provider.control.count("token", "refresh_token"), before + 1);
  socket.send("hello");
  assert.equal(await socket.next(), "hello");
  socket.close();
  await socket.closed;
});

test("what the API sets along with its 101 doesn't reach the page", async () => {
  api.sockets.once("headers", (headers) => headers.push("Set-Cookie: a=b", "Clear-Site-Data: *", "Tokenkeep-Error: x", "X-Api: yes"));
  const socket = await openSocket(world, await world.loggedIn(), "/pass/x");
  const { headers } = socket.answer;
  assert.deepEqual([headers["set-cookie"], headers["clear-site-data"], headers["tokenkeep-error"]], [undefined, undefined, undefined]);
  assert.equal(headers["x-api"], "yes");
  assert.equal(socket.answer.rawHeaders.filter((name) => name.toLowerCase() === "sec-websocket-accept").length, 1);
  socket.close();
  await socket.closed;
});

test("malformed handshakes reach nobody and harm nobody", async () => {
  const browser = await world.loggedIn();
  const base = { ...handshakeOf(world, browser), Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==" };
  for (const kind of ["pass", "bound"]) {
    for (const [what, method, more, code] of [
      ["a list of protocols to upgrade to", "GET", { Upgrade: "h2c, websocket" }],
      ["a POST", "POST", {}],
      ["no key", "GET", { "Sec-WebSocket-Key": undefined }],
      ["a short key", "GET", { "Sec-WebSocket-Key": "c2hvcnQ=" }],
      ["two keys", "GET", { "Sec-WebSocket-Key": [base["Sec-WebSocket-Key"], base["Sec-WebSocket-Key"]] }],
      ["no version", "GET", { "Sec-WebSocket-Version": undefined }],
      ["a version of its own", "GET", { "Sec-WebSocket-Version": "8" }],
      ["a body", "GET", { "Content-Length": "5" }, "body_not_allowed"],
    ]) {
      const seen = api.seen.length;
      const headers = Object.entries({ ...base, ...more }).flatMap(([name, value]) => [value].flat().filter((one) => one !== undefined).map((one) => [name, one]));
      const answer = await world.raw({ path: `/${kind}/x`, method, headers, ...(what === "a body" ? { body: "hello" } : {}), timeout: 5_000 });
      assert.deepEqual([answer.status, answer.code], [400, code ?? "request_malformed"], `${kind}, ${what}`);
      assert.equal(api.seen.length, seen, `${kind}, ${what}: it reached the API`);
    }
  }
  assert.equal((await world.call(browser, "/pass/x")).status, 200);
});

/** A Close frame of a server's, as its peer hears it. */
const heardClose = (code, reason) => {
  const payload = closeOf(code, reason);
  return Buffer.concat([Buffer.from([0x80 | CLOSE, payload.length]), payload]);
};

test("bound: a Close that can't be passed on as it is reaches the other end as 1011", async () => {
  const browser = await world.loggedIn();
  for (const [code, reason] of [[0, ""], [999, ""], [1004, ""], [1006, ""], [1015, ""], [5000, ""], [65535, ""], [1000, Buffer.alloc(123, 0xff)]]) {
    const client = await openRaw(world, browser, "/bound/x");
    const theirs = api.seen.at(-1);
    client.say(CLOSE, closeOf(code, reason));
    assert.deepEqual(await until(() => theirs.closed, `the close at the API: ${code}`), [1011, ""]);
    await until(() => client.gone, `the end of the client's connection: ${code}`);
    assert.deepEqual(client.heard, heardClose(1011));
    const page = await openSocket(world, browser, "/frames/x");
    frames.seen.at(-1).say(CLOSE, closeOf(code, reason));
    assert.deepEqual(await page.closed, [1011, ""], `${code}`);
  }
});

for (const [who, other] of [["client", "API"], ["API", "client"]]) {
  /** Both ends, one of which says Close; the other goes on talking and answers nothing. */
  const halfClosed = async (t, browser) => {
    const client = await openRaw(world, browser, "/frames/x");
    const [closing, deaf] = who === "client" ? [client, frames.seen.at(-1)] : [frames.seen.at(-1), client];
    const talk = setInterval(() => deaf.say(TEXT, "on and on"), 200);
    t.after(() => {
      clearInterval(talk);
      client.destroy();
    });
    closing.say(CLOSE, closeOf(4000));
    await until(() => closing.heard.length > 0, "what is still said");
    return closing;
  };
  /** Nothing is heard any more, though it is said. */
  const silent = async (end) => {
    const { length } = end.heard;
    await sleep(1000);
    assert.equal(end.heard.length, length, "it still hears");
  };
  // What a client hears is not masked.
  const assertLast = (end, code, reason) => who === "client" && assert.deepEqual(end.heard.subarray(-heardClose(code, reason).length), heardClose(code, reason));

  test(`bound: the ${who} closes and the ${other} ignores it: both are closed within the stated time`, { timeout: 30_000 }, async (t) => {
    const closing = await halfClosed(t, await world.loggedIn());
    await until(() => closing.gone, "the end", LINGER);
    assertLast(closing, 1011);
    await silent(closing);
  });

  test(`bound: the ${who} closes and the ${other} ignores it: a logout ends it all the same`, { timeout: 30_000 }, async (t) => {
    const browser = await world.loggedIn();
    const closing = await halfClosed(t, browser);
    assert.equal((await world.logout(browser)).status, 200);
    await until(() => closing.gone, "the end", DELAY);
    assertLast(closing, 4401, "the session has ended");
    await silent(closing);
  });
}

test("a bound socket is closed with 4401 within the stated time after a logout, an unbound one goes on", { timeout: 30_000 }, async () => {
  const browser = await world.loggedIn();
  const bound = await openSocket(world, browser, "/bound/x");
  const theirs = api.seen.at(-1);
  const free = await openSocket(world, browser, "/pass/x");
  await sleep(EVERY * 1000 + 500);
  bound.send("still here");
  assert.equal(await bound.next(), "still here", "while the session lives it stays");
  assert.equal((await world.logout(browser)).status, 200);
  const left = Date.now();
  assert.deepEqual(await bound.closed, [4401, "the session has ended"]);
  assert.ok(Date.now() - left <= DELAY, `${Date.now() - left} ms`);
  assert.deepEqual(await until(() => theirs.closed, "the end at the API"), [4401, "the session has ended"]);
  free.send("on");
  assert.equal(await free.next(), "on");
  free.close();
  await free.closed;
});

test("a bound socket ends where the session ends elsewhere, and at the absolute limit", { timeout: 40_000 }, async (t) => {
  t.after(() => world.worker.clock({}));
  const browser = await world.loggedIn();
  const first = await openSocket(world, browser, "/bound/x");
  assert.equal((await world.logout(world.elsewhere(browser))).status, 200);
  const left = Date.now();
  assert.equal((await first.closed)[0], 4401);
  assert.ok(Date.now() - left <= DELAY, `${Date.now() - left} ms`);
  const second = await openSocket(world, await world.loggedIn(), "/bound/x");
  await world.worker.clock({ hours: 25 });
  const over = Date.now();
  assert.equal((await second.closed)[0], 4401);
  assert.ok(Date.now() - over <= DELAY, `${Date.now() - over} ms`);
});

test("an open bound socket is no use of the session: the idle limit ends both", { timeout: 30_000 }, async (t) => {
  t.after(() => world.worker.clock({}));
  const browser = await world.loggedIn();
  const { idle_expires_at: before } = await world.session(browser, "?touch=false");
  const socket = await openSocket(world, browser, "/bound/x");
  await world.worker.clock({ minutes: 50 });
  await sleep(EVERY * 1000 + 1000);
  const { idle_expires_at: then } = await world.session(browser, "?touch=false");
  assert.ok(then - before < 60, "asking moved the limit");
  assert.equal(socket.readyState, WebSocket.OPEN);
  await world.worker.clock({ minutes: 70 });
  assert.equal((await socket.closed)[0], 4401);
});

test("a store that doesn't say whether the session lives closes what is bound to it, with another code", { timeout: 60_000 }, async (t) => {
  const patch = (source) =>
    source
      .replace(ENTRY, (start) => `${start} if (request.url.includes("/test/")) { globalThis.store = request.url.split("/test/")[1]; return new Response(); }`)
      .replace(/function ask\([^)]*\)\{/, (start) => `${start} if (globalThis.store === "silent") return new Promise(() => {}); if (globalThis.store === "broken") throw new Error("no store");`);
  const other = await startWorld({ worker: { patch }, routes: () => [{ path: "/bound/*", upstream: { url: api.url }, connections: "bound", resource: AUDIENCE }] });
  t.after(() => other.stop());
  const browser = await other.loggedIn();
  for (const [state, intervals] of [["broken", 1], ["silent", 2]]) {
    const socket = await openSocket(other, browser, "/bound/x");
    const theirs = api.seen.at(-1);
    await other.raw({ path: `/test/${state}` });
    const began = Date.now();
    assert.deepEqual(await socket.closed, [1013, ""], state);
    assert.ok(Date.now() - began <= intervals * EVERY * 1000 + 3000, `${state}: ${Date.now() - began} ms`);
    assert.equal((await until(() => theirs.closed, "the end at the API"))[0], 1013);
    await other.raw({ path: "/test/well" });
  }
});
