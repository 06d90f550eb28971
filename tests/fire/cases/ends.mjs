// Promise 4: a session that ends in the middle of its refresh has ended. What the refresh brings is
// taken back at the provider, and no call leaves with it.

import assert from "node:assert/strict";

import { gate, until } from "../../worker/support/wait.mjs";
import { startFleet } from "../support/fleet.mjs";
import { Tally } from "../support/tally.mjs";
import { refreshAtProvider, TTL } from "./expiry.mjs";

const HOUR = 3600;
const LIMITS = { idle_minutes: 60, absolute_hours: 2, cache_seconds: 5 };

/** How a session ends, with the log's word for it. */
const WAYS = [
  {
    reason: "logout",
    end: (fleet, person) => fleet.logout(person, 1),
  },
  {
    reason: "back_channel",
    async end(fleet, person) {
      const { sub, sid } = person.claims;
      const claims = { sub, sid, iat: fleet.now, exp: fleet.now + 120 };
      const answer = await fleet.through(1, {
        method: "POST",
        path: "/auth/backchannel-logout",
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ logout_token: fleet.provider.logoutToken({ claims }) }).toString(),
      });
      assert.equal(answer.status, 200, `${answer.text}`);
    },
  },
  {
    reason: "idle",
    async end(fleet, person) {
      await fleet.wait({ seconds: HOUR });
      await fleet.ring(person);
    },
  },
  {
    reason: "absolute",
    // Kept alive by calls until its refresh begins shortly before the end.
    async prepare(fleet, person) {
      for (const seconds of [HOUR / 2, HOUR / 2, HOUR / 2]) {
        await fleet.wait({ seconds });
        assert.equal((await fleet.call(person)).status, 200);
      }
    },
    async end(fleet, person) {
      await fleet.wait({ seconds: HOUR / 2 });
      await fleet.ring(person);
    },
  },
];

/** Where the provider is when the end comes. */
const MOMENTS = {
  "has acted, its answer is on its way": { held: "late", gives: true },
  "has not acted yet": { held: "delay" },
  "has not acted yet, and has taken the token back by then": { held: "delay", hears: true, gives: false },
};

export const duringRefresh = {
  row: "ends",
  name: "a logout, a logout token and an alarm in the middle of a refresh win, and what the refresh brings is revoked and never used",
  async run({ rounds, calls, fronts }, chance) {
    const fleet = await startFleet({ provider: { accessTokenTtl: TTL, idTokenTtl: 86_400 }, settings: { session: LIMITS }, fronts });
    try {
      const tally = new Tally();
      const figures = { ended: {}, tokens_that_came_after_the_end: 0 };
      const cases = WAYS.flatMap((way) => Object.values(MOMENTS).map((moment) => ({ way, ...moment })));
      const all = chance.shuffled(Array.from({ length: rounds }, () => cases).flat());
      for (const [round, { way, held, hears, gives }] of all.entries()) {
        await fleet.clock({ seconds: 0 });
        const person = await fleet.login();
        await way.prepare?.(fleet, person);
        await fleet.books.settled();
        fleet.apiCalls();
        const own = person.refreshToken;
        const before = fleet.books.refreshes.length;
        await fleet.wait({ seconds: TTL + 1 });

        const { opened, open } = gate();
        fleet.provider.fail("token", { grant: "refresh_token", times: 1, [held]: opened });
        const waiting = fleet.burst(person, Array.from({ length: calls }, (_, i) => i));
        await until(() => {
          const sent = fleet.books.read()[before];
          return sent !== undefined && (held === "delay" || sent.gave !== undefined);
        }, "the refresh under way");
        await way.end(fleet, person);
        for (const answer of await waiting) {
          tally.answer(answer);
          assert.equal(answer.status, 401, `${answer.code}: who waits is told at once`);
        }
        assert.equal((await fleet.ending(person)).reason, way.reason);
        figures.ended[way.reason] = (figures.ended[way.reason] ?? 0) + 1;
        if (hears) await until(() => fleet.books.isRevoked(own), "the revocation at the provider");
        open();
        await fleet.books.settled();

        const { gave } = fleet.books.refreshes[before];
        if (gives !== undefined) assert.equal(gave !== undefined, gives);
        const tokens = gave === undefined ? [own] : [own, gave.refresh_token];
        if (gave !== undefined) figures.tokens_that_came_after_the_end += 1;
        for (const token of tokens) {
          await until(() => fleet.books.isRevoked(token), "the revocation at the provider");
          assert.deepEqual(await refreshAtProvider(fleet, token), { status: 400, error: "invalid_grant" });
        }
        const answer = await fleet.call(person, round);
        tally.answer(answer);
        assert.equal(answer.status, 401, "and it stays so");
        assert.deepEqual(fleet.apiCalls().map(({ headers }) => headers.authorization), [], "no call reached the API");
      }
      return tally.result({ rounds: all.length, requests: fleet.books.read().length, figures });
    } finally {
      await fleet.stop();
    }
  },
};
