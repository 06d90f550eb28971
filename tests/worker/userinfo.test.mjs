// UserInfo, where it is configured: asked once a login, and believed only about the same subject.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { startUpstream } from "./support/upstream.mjs";
import { ALICE, assertProblem, startWorld } from "./support/world.mjs";

let world;
let upstream;
before(async () => {
  upstream = await startUpstream();
  world = await startWorld({
    provider: { claimsInIdToken: false },
    providerSettings: { userinfo: true },
    // Without a resource the provider's token is opaque and good for UserInfo.
    routes: () => [{ path: "/api/*", upstream: { url: upstream.url }, session: "required" }],
  });
});
after(async () => {
  await world?.stop();
  await upstream?.stop();
});
afterEach(async () => {
  world.provider.control.heal();
  await world.worker.clock({});
});

const asked = () => world.provider.control.count("userinfo");

test("UserInfo is asked exactly once a login, and its claims are the person's", async () => {
  const before = asked();
  const browser = await world.loggedIn();
  assert.equal(asked(), before + 1);
  const { user } = await world.session(browser);
  assert.equal(user.name, ALICE.name);
  assert.equal(user.email, ALICE.email);
  await world.worker.clock({ seconds: 400 });
  assert.equal((await world.call(browser)).status, 200);
  assert.equal(asked(), before + 1, "a refresh doesn't ask again");
});

test("an opaque access token does as well as any", async () => {
  const browser = await world.loggedIn();
  await world.call(browser, "/api/x");
  const [authorization] = upstream.values(upstream.seen.at(-1), "authorization");
  assert.match(authorization, /^Bearer [\w-]{20,}$/);
  assert.doesNotMatch(authorization, /\./);
});

test("UserInfo about somebody else logs nobody in", async () => {
  for (const transform of [(claims) => ({ ...claims, sub: "usr_bob" }), ({ sub, ...claims }) => claims]) {
    const browser = world.browser();
    const url = await world.untilCallback(browser);
    world.provider.control.fail("userinfo", { transform, times: 1 });
    assertProblem(await world.callback(browser, url), 502, "identity_refused");
    assert.equal(browser.sessionCookie(world.origin), undefined);
  }
});

test("UserInfo that can't be had ends the login on a page, with no session", async () => {
  for (const fault of [{ drop: true }, { status: 500, body: "oops" }, { status: 401, body: "" }, { status: 200, body: "<html>" }, { status: 302, body: "", headers: { location: "/elsewhere" } }]) {
    const browser = world.browser();
    const url = await world.untilCallback(browser);
    const mend = world.provider.control.fail("userinfo", fault);
    const answer = await world.callback(browser, url);
    mend();
    assert.ok(answer.status >= 500 && answer.code, `${JSON.stringify(fault)}: ${answer.status}`);
    assert.equal(browser.sessionCookie(world.origin), undefined);
  }
});

// A token that is bound to an API's resource is refused at UserInfo: each gets a token of its own.
test("UserInfo and an API with a resource of its own both get a token that they take", async () => {
  const other = await startWorld({ provider: { claimsInIdToken: false }, providerSettings: { userinfo: true } });
  try {
    const browser = await other.loggedIn();
    assert.equal((await other.session(browser)).user.name, ALICE.name);
    assert.equal((await other.call(browser)).status, 200);
    assert.equal(other.provider.control.count("userinfo"), 1);
  } finally {
    await other.stop();
  }
});
