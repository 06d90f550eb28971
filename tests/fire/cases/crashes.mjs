// The process is killed at any moment, under load, and comes back on the same storage.
//
// What may be lost is what the provider alone can know: a refresh that it was sent and whose answer
// was not written before the kill (the token is spent there, and the next try is refused), and a
// login whose code may be spent (it isn't sent a second time). Everything else goes on.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "../../worker/support/wait.mjs";
import { startFleet } from "../support/fleet.mjs";
import { Tally } from "../support/tally.mjs";
import { LONG_LIVED } from "./expiry.mjs";

/**
 * Seconds that an access token lives: so few that the clock is less than an hour ahead after a hundred
 * rounds. An ID token that is older than that makes no login.
 */
const TTL = 30;

export const kills = {
  row: "kills",
  name: "kill -9 at any moment loses a session only where the provider had acted and its answer was not written",
  async run({ rounds, sessions, logins, calls, fronts, delay }, chance) {
    const fleet = await startFleet({ ...LONG_LIVED, provider: { ...LONG_LIVED.provider, accessTokenTtl: TTL }, fronts });
    try {
      const tally = new Tally();
      const figures = { sessions, refresh_not_sent: 0, refresh_written: 0, logins_killed: 0, logins_lost: 0, of_these_code_not_sent: 0 };
      // One provider session a person: a grant that the provider takes back is nobody else's.
      const people = [];
      for (let i = 0; i < sessions; i += 1) people.push(await fleet.login());

      // Some kills wait for the worst moment: the provider has acted, and its answer is on its way.
      for (const [round, moment] of chance.deck(rounds, [[1 / 5, "acted"]], "any").entries()) {
        const newcomers = [];
        for (let i = 0; i < logins; i += 1) {
          const person = fleet.person();
          newcomers.push({ person, url: await fleet.world.untilCallback(person.browser) });
        }
        await fleet.wait({ seconds: TTL + 1 });
        const before = fleet.books.read().length;
        const slow = () => ({ [chance.pick(["delay", "late"])]: chance.between(0, delay) });
        for (let i = 0; i < sessions; i += 1) fleet.provider.fail("token", { grant: "refresh_token", times: 1, ...slow() });
        for (let i = 0; i < logins; i += 1) fleet.provider.fail("token", { grant: "authorization_code", times: 1, ...slow() });

        const calling = people.map((person) => Promise.allSettled(Array.from({ length: calls }, (_, i) => fleet.call(person, round + i))));
        const arriving = newcomers.map(({ person, url }) => fleet.world.callback(person.browser, url).catch(() => undefined));
        if (moment === "any") await sleep(chance.between(0, delay + 100));
        else await until(() => fleet.books.read().slice(before).some(({ record }) => record.status === 200), "the provider to act");
        await fleet.kill();
        tally.fault("kill");
        const answers = await Promise.all(calling);
        const arrivals = await Promise.all(arriving);
        // What reached the provider is done there, whoever has died.
        await fleet.books.settled();
        fleet.provider.heal();

        const sent = new Map(fleet.books.refreshes.slice(before).map((entry) => [entry.person, entry]));
        for (const [i, person] of people.entries()) {
          const goes = await goesOn(fleet, tally, person, { answers: answers[i], sent: sent.get(person) }, figures);
          // In a browser of its own: one that logs in again and again within a minute is taken for a loop.
          if (!goes) people[i] = await fleet.login();
        }
        for (const [i, newcomer] of newcomers.entries()) await arrives(fleet, tally, newcomer, arrivals[i], figures);
        fleet.apiCalls();
      }
      const ended = fleet.heard().filter(({ event, reason }) => event === "session_ended" && reason !== "logout");
      assert.deepEqual(ended.map(({ reason }) => reason), Array(tally.lost.refresh_answer_lost ?? 0).fill("refresh_answer_lost"));
      await fleet.restart(() => fleet.objects.files().forEach((file) => assert.equal(fleet.objects.integrity(file), "ok")));
      return tally.result({ rounds, requests: fleet.books.read().length, figures });
    } finally {
      await fleet.stop();
    }
  },
};

/** After the kill: the session goes on, or the provider has two requests with one token to show for it. */
async function goesOn(fleet, tally, person, { answers, sent }, figures) {
  const known = fleet.books.read().length;
  for (const { status, value } of answers) {
    tally.answer(status === "fulfilled" ? value : { status: 0 });
    if (status === "fulfilled") assert.equal(value.status, 200, `before the kill: ${value.code}`);
  }
  const answer = await fleet.call(person, answers.length);
  tally.answer(answer);
  await fleet.books.settled();
  const again = fleet.books.refreshes.slice(known);
  if (answer.status === 200) {
    if (sent === undefined) figures.refresh_not_sent += 1;
    else figures.refresh_written += 1;
    assert.equal(again.length, sent === undefined ? 1 : 0, "what was sent had been written: it isn't asked again");
    return true;
  }
  assert.equal(answer.status, 401, `${answer.code}`);
  assert.equal((await fleet.ending(person)).reason, "refresh_answer_lost");
  tally.lose("refresh_answer_lost");
  assert.ok(answers.every(({ status }) => status === "rejected"), "nobody had been given what was not written");
  assert.equal(sent?.record.status, 200, "the provider had rotated");
  assert.deepEqual(again.map(({ record }) => [record.form.refresh_token, record.status]), [[sent.record.form.refresh_token, 400]]);
  return false;
}

/** After the kill, a login that was under way: the callback again, as a person's reload does it. */
async function arrives(fleet, tally, { person, url }, answer, figures) {
  const code = new URL(url).searchParams.get("code");
  if (answer === undefined) {
    figures.logins_killed += 1;
    answer = await fleet.world.callback(person.browser, url);
  }
  tally.answer(answer);
  fleet.books.read();
  const exchanges = fleet.books.exchanges.filter(({ record }) => record.form.code === code);
  assert.ok(exchanges.length <= 1, "a code is never sent twice");
  if (answer.status !== 303) {
    assert.equal(answer.code, "code_refused");
    figures.logins_lost += 1;
    figures.of_these_code_not_sent += exchanges.length === 0 ? 1 : 0;
    return;
  }
  fleet.note(person, url);
  const first = await fleet.call(person);
  tally.answer(first);
  assert.equal(first.status, 200, `${first.code}`);
  // A user has a hundred sessions at most.
  await fleet.logout(person);
}
