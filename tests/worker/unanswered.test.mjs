// Objects that don't answer: nobody waits for one who is told about the others, and no order is left
// out because another came to nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { until } from "./support/wait.mjs";
import { ALICE, assertProblem, startWorld } from "./support/world.mjs";

// Where an object takes a command. The first end that a session's is asked for gets no answer in time,
// and no subject's takes an order about sessions without a sid.
const COMMAND = /(?<=[;}])command\((\w+)\)\{(?=try\{)/;
const patch = (source) => {
  assert.match(source, COMMAND, "the entry has the place that the test knows");
  return source.replace(COMMAND, (entry, text) => `${entry}
    if (${text}.includes('"close"') && !globalThis.slowed) { globalThis.slowed = true; return new Promise((go) => setTimeout(go, 90_000)); }
    if (${text}.includes("before_without_sid")) throw new Error("unanswered");
  `);
};

let world;
before(async () => {
  world = await startWorld({ worker: { patch } });
});
after(() => world?.stop());

test("one object that doesn't answer keeps neither the provider waiting nor the other sessions alive, and is asked again", { timeout: 120_000 }, async () => {
  const browsers = [await world.loggedIn(), await world.loggedIn(), await world.loggedIn()];
  const begun = performance.now();
  const answer = await world.tell({ claims: { sub: ALICE.sub } });
  const took = performance.now() - begun;
  assert.equal(answer.status, 200, `${answer.status} ${answer.code} after ${Math.round(took)} ms`);
  assert.ok(took < 10_000, `${Math.round(took)} ms`);
  const accepted = await until(() => world.worker.audit.find(({ event }) => event === "logout_token_accepted"), "its line");
  assert.deepEqual([accepted.ended, accepted.left], [2, 1]);

  await world.worker.clock({ seconds: 70 });
  for (const id of world.worker.objects("SubjectObject")) await world.worker.ring("SUBJECTS", id);
  await until(async () => !(await Promise.all(browsers.map((browser) => world.isAlive(browser)))).some(Boolean), "the last one's end");
});

test("a person's index that doesn't answer spares no session that the token names by its sid, and the same token works later", async () => {
  const browser = await world.loggedIn();
  const { sid } = world.idToken();
  const token = world.provider.control.logoutToken({ claims: { sid, sub: ALICE.sub } });
  for (let times = 0; times < 2; times += 1) {
    assertProblem(await world.tell(token), 503, "session_unavailable");
    assert.equal(await world.isAlive(browser), false);
  }
});
