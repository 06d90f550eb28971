// Promise 3 with callers that go away: the refresh is the session's, not theirs.

import assert from "node:assert/strict";

import { gate, until } from "../../worker/support/wait.mjs";
import { startFleet } from "../support/fleet.mjs";
import { Tally } from "../support/tally.mjs";
import { LONG_LIVED, TTL } from "./expiry.mjs";

export const disconnects = {
  row: "disconnects",
  name: "callers that disconnect while their refresh is under way don't take it along: the next caller has it",
  async run({ rounds, calls, fronts }, chance) {
    const fleet = await startFleet({ ...LONG_LIVED, fronts });
    try {
      const tally = new Tally();
      const person = await fleet.login();
      for (let round = 0; round < rounds; round += 1) {
        await fleet.wait({ seconds: TTL + chance.draw() * 30 });
        // Half of the time they go before the provider has acted, half of the time after.
        const held = chance.pick(["delay", "late"]);
        const { opened, open } = gate();
        fleet.provider.fail("token", { grant: "refresh_token", times: 1, [held]: opened });
        const requests = [];
        const gone = Array.from({ length: calls }, (_, i) => fleet.call(person, round + i, { onRequest: (own) => requests.push(own) }));
        const cut = Promise.allSettled(gone);
        await until(() => {
          const sent = fleet.books.read()[round];
          return sent !== undefined && (held === "delay" || sent.gave !== undefined);
        }, "the refresh under way");
        for (const request of chance.shuffled(requests)) request.destroy();
        for (const { status } of await cut) {
          assert.equal(status, "rejected", "nobody waits any more");
          tally.fault("caller gone");
        }
        // Through the other front; half of the time the refresh is over by then.
        const next = chance.pick([true, false]) ? fleet.call(person, round + 1) : undefined;
        open();
        await fleet.books.settled();
        const answer = await (next ?? fleet.call(person, round + 1));
        tally.answer(answer);
        assert.equal(answer.status, 200, `${answer.code}`);
        const { gave } = fleet.books.refreshes[round];
        assert.equal(fleet.apiCalls().at(-1).headers.authorization, `Bearer ${gave.access_token}`, "the token that was asked for by those who went");
        assert.equal(fleet.books.refreshes.length, round + 1, "and no second request");
      }
      return tally.result({ rounds, requests: fleet.books.refreshes.length });
    } finally {
      await fleet.stop();
    }
  },
};
