// The runtime dies in the middle of a logout of many, at any moment: what was ordered is finished.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "./support/wait.mjs";
import { ALICE, startWorld } from "./support/world.mjs";

/** More than are asked at the same time. */
const SESSIONS = 24;
const MOMENTS = 10;

let world;
before(async () => {
  world = await startWorld();
});
after(() => world?.stop());

/** Alice in many browsers. Dates are whole seconds, and a login of a logout's own second is refused. */
async function signInEverywhere() {
  await sleep(1005 - (Date.now() % 1000));
  const browsers = [];
  for (let i = 0; i < SESSIONS; i += 1) browsers.push(await world.loggedIn());
  return browsers;
}

async function living(browsers) {
  const words = await Promise.all(browsers.map((browser) => world.isAlive(browser)));
  return words.filter(Boolean).length;
}

const tellProvidersLogout = () => world.tell({ claims: { sub: ALICE.sub } });

/** A minute passes: the subjects' alarms that ring by then, ring. */
async function aMinuteLater() {
  await world.worker.clock({ seconds: 61 });
  for (const id of world.worker.objects("SubjectObject")) {
    const { alarm } = await world.worker.look("SUBJECTS", id);
    if (alarm !== null && alarm <= Date.now() + 61_000) await world.worker.ring("SUBJECTS", id);
  }
}

test("a logout token, and kill -9 at ten moments after it: what was written down is finished by the alarm, what was not is ended by the next token", { timeout: 180_000 }, async (t) => {
  const first = await signInEverywhere();
  const begun = performance.now();
  assert.equal((await tellProvidersLogout()).status, 200);
  const whole = performance.now() - begun;
  assert.equal(await living(first), 0);

  const outcomes = [];
  for (let k = 0; k < MOMENTS; k += 1) {
    const browsers = await signInEverywhere();
    const telling = tellProvidersLogout().then(({ status }) => status, () => "no answer");
    // Closer together at the beginning, where most of it happens.
    const moment = Math.round(whole * (k / MOMENTS) ** 2);
    await sleep(moment);
    await world.worker.kill();
    const answer = await telling;
    await world.worker.start();
    const before = await living(browsers);
    await aMinuteLater();
    const isDone = await until(async () => (await living(browsers)) === 0, "the alarm's work", 1_500).catch(() => false);
    await world.worker.clock({});
    if (!isDone) {
      assert.notEqual(answer, 200, `moment ${moment}: an answered logout token was forgotten`);
      assert.equal(before, SESSIONS, `moment ${moment}: sessions have ended, and the others were forgotten`);
      // A provider that got no answer sends another token.
      assert.equal((await tellProvidersLogout()).status, 200);
      assert.equal(await living(browsers), 0, `moment ${moment}`);
    }
    outcomes.push({ moment, answer, before, isDone });
  }
  t.diagnostic(`a whole logout of ${SESSIONS}: ${whole.toFixed(0)} ms. Killed after ` + outcomes.map(({ moment, answer, before, isDone }) => `${moment} ms: ${answer}, ${before} still lived, ended by the ${isDone ? "alarm" : "next token"}`).join("; "));
  assert.ok(outcomes.some(({ before, isDone }) => before > 0 && isDone), "some moment fell between the order and its end");

  // When a login that the logout bars, and its token, can't come any more, nothing is kept of it.
  await world.worker.clock({ minutes: 11 });
  for (const [binding, name] of [["SUBJECTS", "SubjectObject"], ["SESSIONS", "SessionObject"]]) {
    const ids = world.worker.objects(name);
    assert.ok(ids.length > 0);
    for (const id of ids) {
      await world.worker.ring(binding, id);
      await until(async () => {
        const { rows, alarm } = await world.worker.look(binding, id);
        return rows === 0 && alarm === null;
      }, `${name} ${id} to be empty`);
    }
  }
});
