// Several APIs, each with a resource of its own (RFC 8707): each call gets the token that is meant for it.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { startUpstream } from "./support/upstream.mjs";
import { startWorld } from "./support/world.mjs";

const RESOURCES = { "/orders": "https://orders.example", "/stock": "https://stock.example" };

let world;
const upstreams = {};
before(async () => {
  for (const path of Object.keys(RESOURCES)) upstreams[path] = await startUpstream();
  world = await startWorld({
    provider: { accessTokenTtl: 120 },
    routes: () => Object.entries(RESOURCES).map(([path, resource]) => ({ path: `${path}/*`, upstream: { url: upstreams[path].url }, session: "required", resource })),
  });
});
after(async () => {
  await world?.stop();
  await Promise.all(Object.values(upstreams).map((upstream) => upstream.stop()));
});
afterEach(() => world.worker.clock({}));

/** Whom the tokens that reached an upstream were meant for. */
function audiences(path) {
  const upstream = upstreams[path];
  return upstream.seen.splice(0).map((record) => {
    const [, token] = upstream.values(record, "authorization")[0].split(" ");
    return JSON.parse(Buffer.from(token.split(".")[1], "base64url")).aud;
  });
}

async function callBoth(browsers, times) {
  const calls = browsers.flatMap((browser) => Array.from({ length: times }, (_, i) => Object.keys(RESOURCES).map((path) => world.call(browser, `${path}/${i}`))).flat());
  return (await Promise.all(calls)).map((answer) => answer.status);
}

// CVE-2025-26620, CVE-2021-32701: concurrent requests got each other's token.
test("parallel calls to two APIs carry each the token for its own, at first and after expiry", async () => {
  const browser = await world.loggedIn();
  for (const seconds of [0, 150]) {
    await world.worker.clock({ seconds });
    const before = world.provider.control.count("token", "refresh_token");
    assert.deepEqual(await callBoth([browser], 8), Array(16).fill(200));
    for (const [path, resource] of Object.entries(RESOURCES)) assert.deepEqual(audiences(path), Array(8).fill(resource));
    const asked = world.provider.control.count("token", "refresh_token") - before;
    assert.ok(asked <= 2, `${asked} token requests for two tokens`);
  }
});

test("two people's calls at the same time carry their own tokens", async () => {
  const browsers = [await world.loggedIn(), await world.loggedIn({ user: { username: "bob", password: "builder" } })];
  await world.worker.clock({ seconds: 150 });
  assert.deepEqual(await callBoth(browsers, 4), Array(16).fill(200));
  for (const path of Object.keys(RESOURCES)) {
    const subjects = upstreams[path].seen.map((record) => JSON.parse(Buffer.from(upstreams[path].values(record, "authorization")[0].split(".")[1], "base64url")).sub);
    assert.deepEqual(subjects.toSorted(), [...Array(4).fill("usr_alice"), ...Array(4).fill("usr_bob")]);
    audiences(path);
  }
});

test("a token for one API never reaches the other, whatever the API says", async () => {
  const browser = await world.loggedIn();
  upstreams["/orders"].reply("/orders/401", 401, [["WWW-Authenticate", 'Bearer error="invalid_token"']], "");
  await world.worker.clock({ seconds: 60 });
  await world.call(browser, "/orders/401");
  await callBoth([browser], 2);
  for (const [path, resource] of Object.entries(RESOURCES)) assert.deepEqual([...new Set(audiences(path))], [resource]);
});
