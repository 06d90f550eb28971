// The reply that a session's object gives again without asking the core: only while nothing else came.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { ENTRY } from "./support/worker.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

// Where an object enters the core, and where one is asked.
const ENTERED = /(?<=[;}])command\(\w+\)\{(?=try\{)/;
const ASKED = /function ask\((\w+),(\w+),(\w+),(\w+)\)\{/;

function patch(source) {
  for (const place of [ENTRY, ENTERED, ASKED]) assert.match(source, place, "the entry has the place that the test knows");
  return source
    .replace(ENTERED, (start) => `${start} globalThis.entered = (globalThis.entered ?? 0) + 1;`)
    .replace(ASKED, (start, binding, where, name, text) => `${start} if (${text}.includes('"access"')) globalThis.asked = ${name};`)
    .replace(ENTRY, (start) => `${start}
      if (request.url.endsWith("/test/entered")) return Response.json(globalThis.entered ?? 0);
      if (request.url.endsWith("/test/empty")) return env.SESSIONS.getByName(globalThis.asked).command("").then((reply) => new Response(reply));`);
}

let world;
before(async () => {
  world = await startWorld({ provider: { accessTokenTtl: 3_600 }, settings: { session: { idle_minutes: 60, cache_seconds: 0 } }, worker: { patch, second: true } });
});
after(() => world?.stop());
afterEach(() => world.worker.clock({}));

const entered = async () => (await world.raw({ path: "/test/entered" })).json;

/** How often the core was entered by `calls` calls of a browser. */
async function entries(browser, calls) {
  const before = await entered();
  for (let n = 0; n < calls; n += 1) assert.equal((await world.call(browser)).status, 200);
  return (await entered()) - before;
}

test("calls that ask the same are one question to the core, until a touch is due", async () => {
  const browser = await world.loggedIn();
  assert.equal(await entries(browser, 5), 1);
  assert.equal(await entries(browser, 5), 0);
  // A twentieth of the idle limit, three minutes here.
  await world.worker.clock({ minutes: 4 });
  assert.equal(await entries(browser, 5), 1);
});

test("another command comes between: the next call asks anew", async () => {
  const browser = await world.loggedIn();
  await entries(browser, 2);
  assert.equal((await world.session(browser)).authenticated, true);
  assert.equal(await entries(browser, 3), 1);
});

test("after a logout nothing is left to be given again", async () => {
  const browser = await world.loggedIn();
  const other = world.elsewhere(browser);
  await entries(browser, 3);
  assert.equal((await world.logout(other)).status, 200);
  assertProblem(await world.call(browser), 401, "unauthenticated");
  const { text } = await world.raw({ path: "/test/empty" });
  assert.equal(text, '"unsupported"');
});
