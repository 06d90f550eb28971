// Promise 3: one refresh, however many ask, through however many isolates.

import assert from "node:assert/strict";

import { send } from "../../worker/support/raw.mjs";
import { CLIENT_ID } from "../../worker/support/world.mjs";
import { startFleet } from "../support/fleet.mjs";
import { Tally } from "../support/tally.mjs";

/** Seconds that an access token lives. The last five of them make calls wait for the next one. */
export const TTL = 120;
const WAIT = 5;

/** Sessions outlive the clock that these cases set ahead, and ID tokens are good for it. */
export const LONG_LIVED = {
  provider: { accessTokenTtl: TTL, idTokenTtl: 60 * 86_400, refreshTokenTtl: 60 * 86_400 },
  settings: { session: { idle_minutes: 43_200, absolute_hours: 960, cache_seconds: 5 } },
};

export const oneRequest = {
  row: "expiry",
  name: "calls at the moment of expiry are one token request, through whichever isolate they come",
  async run({ rounds, calls, sessions, fronts }, chance) {
    const fleet = await startFleet({ ...LONG_LIVED, fronts });
    try {
      const tally = new Tally();
      const people = [];
      for (let i = 0; i < sessions; i += 1) people.push(await fleet.login());
      const before = await fleet.isolates({ reset: true });
      const isolates = [before.objects, ...before.fronts].map(({ instance }) => instance);
      assert.equal(new Set(isolates).size, fronts + 1, "each front and the objects' holder is an isolate of its own");

      for (let done = 0; done < rounds; done += sessions) {
        // From the first moment in which calls wait for the new token to half a minute past the old one.
        await fleet.wait({ seconds: TTL - WAIT + chance.draw() * (WAIT + 30) });
        const turns = people.map(() => Array.from({ length: calls }, (_, i) => chance.between(0, 1000) * fronts + (i % fronts)));
        const answers = await Promise.all(people.map((person, i) => fleet.burst(person, chance.shuffled(turns[i]))));
        for (const answer of answers.flat()) tally.answer(answer);
        assert.deepEqual(tally.statuses, { 200: (done + sessions) * calls }, "every call is answered");

        fleet.books.read();
        const asked = fleet.books.refreshes.slice(done);
        assert.deepEqual(asked.map(({ record }) => record.status), Array(sessions).fill(200));
        assert.equal(new Set(asked.map(({ person }) => person)).size, sessions, "one request a session");
        const given = asked.map(({ gave }) => `Bearer ${gave.access_token}`).sort();
        const used = [...new Set(fleet.apiCalls().map(({ headers }) => headers.authorization))].sort();
        assert.deepEqual(used, given, "the API saw the new tokens and no others");

        const now = await fleet.isolates({ reset: true });
        for (const front of now.fronts) {
          for (const person of people) assert.ok(front.asked[person.object] > 0, "each front has asked each object");
        }
        assert.deepEqual([now.objects, ...now.fronts].map(({ instance }) => instance), isolates, "no isolate began anew");
      }
      const lost = fleet.heard().filter(({ event }) => event === "session_ended");
      assert.deepEqual(lost, []);
      return tally.result({ rounds, requests: fleet.books.refreshes.length, figures: { sessions, isolates: isolates.length } });
    } finally {
      await fleet.stop();
    }
  },
};

export const reuse = {
  row: "reuse",
  name: "the provider rotates, and takes the whole grant back when a used refresh token comes again",
  async run(_size, _chance) {
    const fleet = await startFleet(LONG_LIVED);
    try {
      const tally = new Tally();
      const [person, other] = [await fleet.login(), await fleet.login()];
      const used = person.refreshToken;
      await fleet.wait({ seconds: TTL + 1 });
      for (const each of [person, other]) tally.answer(await fleet.call(each));
      fleet.books.read();
      assert.notEqual(person.refreshToken, used, "rotated");

      assert.deepEqual(await refreshAtProvider(fleet, used), { status: 400, error: "invalid_grant" });
      assert.deepEqual(await refreshAtProvider(fleet, person.refreshToken), { status: 400, error: "invalid_grant" });
      await fleet.wait({ seconds: TTL + 1 });
      assert.equal((await fleet.call(person)).status, 401);
      assert.equal((await fleet.ending(person)).reason, "invalid_grant");
      tally.lose("invalid_grant");
      assert.equal((await fleet.call(other)).status, 200, "another grant goes on");
      return tally.result({ rounds: 1, requests: fleet.books.read().length });
    } finally {
      await fleet.stop();
    }
  },
};

/** What the provider says to a refresh token when it comes from the registered client itself. */
export async function refreshAtProvider(fleet, token) {
  const credentials = [CLIENT_ID, fleet.world.secrets.CLIENT_SECRET].map(encodeURIComponent).join(":");
  const answer = await send(fleet.world.provider.issuer, {
    method: "POST",
    path: "/token",
    headers: { Authorization: `Basic ${Buffer.from(credentials).toString("base64")}`, "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: token }).toString(),
  });
  return { status: answer.status, error: answer.json.error };
}
