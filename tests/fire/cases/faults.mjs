// Promise 3 with a provider that is slow, overloaded, broken or cut off: it ends nothing, but for
// the one window that is documented: an answer that was lost after the refresh token was rotated.

import assert from "node:assert/strict";

import { startFleet } from "../support/fleet.mjs";
import { Tally } from "../support/tally.mjs";
import { LONG_LIVED, TTL } from "./expiry.mjs";

/** Of so many token requests each, by kind. */
const SHARES = [
  [1 / 20, { kind: "answered 500", status: 500, body: "" }],
  [1 / 50, { kind: "answered 429", status: 429, body: "" }],
  [1 / 50, { kind: "cut before it acted", drop: true }],
  [1 / 50, { kind: "cut after it acted", lose: true }],
];
const NONE = { kind: undefined };

/** Not planned: on a machine that has too much to do an answer comes after we have given up on it. */
const UNHEARD = "answered when nobody waited any more";

export const outages = {
  row: "faults",
  name: "a provider that is slow, refuses, breaks or is cut off loses no session but where it had acted and its answer was lost",
  async run({ rounds, calls, sessions, fronts, delay }, chance) {
    const fleet = await startFleet({ ...LONG_LIVED, fronts });
    try {
      const tally = new Tally();
      // One provider session a person: a grant that the provider takes back is nobody else's.
      const people = [];
      for (let i = 0; i < sessions; i += 1) people.push(await fleet.login());
      const deck = dealt(fleet, chance, rounds, delay);

      for (let done = 0; done < rounds; done += sessions) {
        await fleet.wait({ seconds: TTL + chance.draw() * 5 });
        const turns = people.map(() => chance.between(0, 1000));
        await Promise.all(people.map((person, i) => round(fleet, tally, person, (k) => turns[i] + k, calls)));
        // Whoever was refused comes again when our pause is over, which doubles, until all have had their round.
        let pause = 1;
        for (let waiting = people.filter(unfinished); waiting.length > 0; waiting = waiting.filter(unfinished)) {
          await fleet.wait({ seconds: (pause *= 2) });
          await Promise.all(waiting.map((person) => round(fleet, tally, person, (k) => k, calls)));
        }
        for (const person of people.filter(({ state }) => state === "lost")) {
          await accounted(fleet, tally, person);
          await fleet.login(person);
        }
        fleet.apiCalls();
      }

      const requests = fleet.books.read();
      for (const { number, record } of requests) {
        const { kind } = deck[number] ?? NONE;
        if (kind !== undefined) tally.fault(kind);
        else if (record.delivered === false) tally.fault(UNHEARD);
      }
      const faults = Object.values(tally.faults).reduce((sum, n) => sum + n, 0);
      assert.ok(requests.length <= rounds + faults, `${requests.length} token requests for ${rounds} rounds with ${faults} faults`);
      assert.ok((tally.lost.refresh_answer_lost ?? 0) <= tally.faults["cut after it acted"] + (tally.faults[UNHEARD] ?? 0));
      const ended = fleet.heard().filter(({ event }) => event === "session_ended");
      assert.deepEqual(ended.map(({ reason }) => reason), Array(tally.lost.refresh_answer_lost ?? 0).fill("refresh_answer_lost"), "the log tells the same");
      return tally.result({ rounds, requests: requests.length, figures: { sessions, longest_delay_ms: delay } });
    } finally {
      await fleet.stop();
    }
  },
};

const unfinished = ({ state }) => state === "refused";

/** Gives each token request to come what goes wrong with it and how long it takes. */
function dealt(fleet, chance, rounds, delay) {
  const deck = chance.deck(rounds, SHARES, NONE);
  for (const { kind: _, ...fault } of deck) {
    // Slow before it acts, or between that and its answer.
    const slow = { [chance.pick(["delay", "late"])]: chance.between(0, delay) };
    fleet.provider.fail("token", { grant: "refresh_token", times: 1, ...slow, ...fault });
  }
  return deck;
}

/** Everybody's calls of one round: they are all answered alike, and never with somebody's fault but the provider's. */
async function round(fleet, tally, person, front, calls) {
  const answers = await fleet.burst(person, Array.from({ length: calls }, (_, k) => front(k)));
  for (const answer of answers) {
    tally.answer(answer);
    if (answer.status === 503) assert.match(answer.code, /^provider_(unavailable|overloaded)$/);
    else if (answer.status === 401) assert.equal(answer.code, "unauthenticated");
    else assert.equal(answer.status, 200, `${answer.code}`);
  }
  const statuses = new Set(answers.map(({ status }) => status));
  if (statuses.has(401)) person.state = "lost";
  else person.state = statuses.has(200) ? "fresh" : "refused";
}

/** A lost session: its refresh token was rotated there and the answer cut, and the log says so. */
async function accounted(fleet, tally, person) {
  const { reason } = await fleet.ending(person);
  assert.equal(reason, "refresh_answer_lost");
  tally.lose(reason);
  const own = fleet.books.read().filter((entry) => entry.person === person);
  const token = own.at(-1).record.form.refresh_token;
  const tries = own.filter(({ record }) => record.form.refresh_token === token);
  assert.equal(tries.at(-1).record.status, 400);
  const spent = tries.find(({ record }) => record.status === 200);
  assert.equal(spent?.record.delivered, false, "the token had been used, and the answer never came");
}
