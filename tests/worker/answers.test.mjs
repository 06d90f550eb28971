// What the provider answers with is bounded in size and never followed through a redirect, whatever
// was asked: a followed one would take our credentials and the person's tokens along.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/wait.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

let world;
let elsewhere;
before(async () => {
  elsewhere = await startUpstream();
  world = await startWorld({
    provider: { claimsInIdToken: false },
    providerSettings: { userinfo: true },
    routes: ({ api }) => [{ path: "/api/*", upstream: { url: api.url }, session: "required" }],
  });
});
after(async () => {
  await world?.stop();
  await elsewhere?.stop();
});

// A Worker that has been refused something asks again after a pause only.
beforeEach(() => world.worker.restart());

/** Every step of a login in which the provider is asked, in their order. */
const STEPS = ["discovery", "token", "jwks", "userinfo"];

/** The login with this fault at this step, by a Worker that knows nothing of the provider yet. */
async function failsAt(endpoint, fault) {
  await world.worker.restart();
  const browser = world.browser();
  const isFirst = endpoint === STEPS[0];
  const url = isFirst ? undefined : await world.untilCallback(browser);
  const before = world.provider.control.count(endpoint);
  const mend = world.provider.control.fail(endpoint, fault);
  const answer = await (isFirst ? world.beginLogin(browser, { stopAt: () => true }) : world.callback(browser, url));
  mend();
  assert.ok(world.provider.control.count(endpoint) > before, `${endpoint} was asked`);
  assertProblem(answer, 503, "provider_unavailable");
  assert.equal(browser.sessionCookie(world.origin), undefined);
}

// GHSA-9v7f-9g4p-ffgj and attacks 6.5. What it leads to would be a good answer.
for (const endpoint of STEPS) {
  test(`a redirect in the answer of ${endpoint} leads nowhere`, { timeout: 60_000 }, async () => {
    await world.loggedIn();
    const good = world.provider.control.log.findLast((entry) => entry.endpoint === endpoint && entry.status === 200);
    assert.ok(good?.answer, "there is a good answer to lead to");
    for (const status of [302, 307]) {
      elsewhere.reply("/good", 200, [["content-type", "application/json"]], good.answer);
      await failsAt(endpoint, { status, body: "", headers: { location: `${elsewhere.url}/good` } });
    }
    assert.deepEqual(elsewhere.seen, [], "nobody went there");
  });

  // J27, J41: 10 MB of white space behind a good answer would still be JSON.
  test(`an answer of ${endpoint} that is too long is cut off`, { timeout: 60_000 }, async () => {
    await world.loggedIn();
    const good = world.provider.control.log.findLast((entry) => entry.endpoint === endpoint && entry.status === 200);
    const events = world.worker.audit.length;
    await failsAt(endpoint, { status: 200, body: good.answer + " ".repeat(10_000_000), headers: { "content-type": "application/json" } });
    const cut = (event) => event.event === "provider_trouble" && event.trouble === "too_large";
    await until(() => world.worker.audit.slice(events).some(cut), "the log's word that it was cut off, not read and then refused");
  });
}

test("the next login is none the worse for it", async () => {
  const browser = await world.loggedIn();
  assert.equal((await world.session(browser)).authenticated, true);
});
