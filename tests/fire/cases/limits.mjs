// How long a session lives and what that costs to write, in the runtime's own storage and by its own
// alarms.

import assert from "node:assert/strict";

import { startFleet } from "../support/fleet.mjs";
import { Tally } from "../support/tally.mjs";

/** How long a tombstone is kept, from the session's begin: a login that comes late finds it. */
const TOMBSTONE = 600;

export const limits = {
  row: "limits",
  name: "idle and absolute limit end a session across a restart, by the runtime's alarm, and leave nothing",
  async run({ sessions, idle, absolute }, _chance) {
    const fleet = await startFleet({ settings: { session: { idle_minutes: idle / 60, absolute_hours: absolute / 3600 } } });
    try {
      const tally = new Tally();
      const figures = { idle_s: idle, absolute_s: absolute, ended: {} };
      const [silent, busy] = [[], []];
      for (let i = 0; i < sessions; i += 1) {
        silent.push(Object.assign(await fleet.login(), { since: Date.now() }));
        const person = await fleet.login();
        busy.push(person);
        // A call when half of the idle limit is over: a step that is written. It outlives the absolute limit.
        await fleet.clock({ seconds: idle / 2 + 0.1 });
        tally.answer(await fleet.call(person));
        await fleet.clock({ seconds: 0 });
      }
      assert.deepEqual(tally.statuses, { 200: sessions });

      const due = new Map();
      await fleet.restart(() => {
        const people = [...silent, ...busy];
        const files = fleet.objects.of(people);
        for (const [i, person] of people.entries()) {
          person.file = files[i];
          const { created, deadlines } = fleet.objects.open(person.file);
          assert.equal(deadlines.absolute - created, absolute * 1000);
          // The idle limit counts from when the code had been exchanged, the other from before that.
          const active = deadlines.idle - idle * 1000;
          if (silent.includes(person)) assert.ok(active >= created && active <= person.since, "from its login");
          else assert.ok(deadlines.idle >= deadlines.absolute);
          // It may ring early and sets itself anew; it never rings late.
          assert.ok(fleet.objects.content(person.file).alarm <= Math.min(deadlines.idle, deadlines.absolute));
          due.set(person.hash, Math.min(deadlines.idle, deadlines.absolute));
        }
      });
      for (const [people, reason] of [[silent, "idle"], [busy, "absolute"]]) {
        for (const person of people) {
          const end = await fleet.ending(person);
          assert.equal(end.reason, reason);
          assert.ok(end.time >= due.get(person.hash), "not a moment before");
          figures.ended[reason] = (figures.ended[reason] ?? 0) + 1;
          const answer = await fleet.call(person);
          tally.answer(answer);
          assert.equal(answer.status, 401);
        }
      }

      for (const { file } of [...silent, ...busy]) {
        const { session: _, until: end, ...left } = fleet.objects.open(file);
        assert.deepEqual(Object.keys(left).sort(), ["alarm", "login", "logout", "reason", "revocations", "state"], "a tombstone");
        assert.equal(fleet.objects.content(file).alarm, end, "and an alarm that will remove it");
      }
      await fleet.clock({ seconds: TOMBSTONE });
      for (const person of [...silent, ...busy]) await fleet.ring(person);
      await fleet.restart(() => {
        for (const { file } of [...silent, ...busy]) assert.deepEqual(fleet.objects.content(file), { rows: 0, alarm: undefined });
      });
      return tally.result({ rounds: 2 * sessions, figures });
    } finally {
      await fleet.stop();
    }
  },
};

export const budget = {
  row: "writes",
  name: "a login writes three rows, a refresh two, and calls one a step",
  async run({ rounds }, _chance) {
    const fleet = await startFleet({
      provider: { accessTokenTtl: 1800, idTokenTtl: 30 * 86_400 },
      settings: { session: { idle_minutes: 60, absolute_hours: 24, cache_seconds: 0 } },
    });
    // A twentieth of the idle limit.
    const step = 180;
    try {
      const tally = new Tally();
      const figures = {};
      for (let round = 0; round < rounds; round += 1) {
        await fleet.clock({ seconds: 0 });
        const person = await fleet.login();
        const calls = async (seconds) => {
          await fleet.clock({ seconds });
          for (let i = 0; i < 10; i += 1) tally.answer(await fleet.call(person, i));
        };
        const wrote = async (what, expected) => {
          const { objects } = await fleet.isolates({ reset: true });
          figures[what] = objects.writes[person.object] ?? {};
          assert.deepEqual(figures[what], expected, what);
        };
        await wrote("login", { put: 2, setAlarm: 1 });
        await fleet.clock({ seconds: TOMBSTONE + 1 });
        await fleet.ring(person);
        await wrote("its alarm, after ten minutes", { setAlarm: 1 });

        let now = TOMBSTONE + 2;
        await calls(now);
        await wrote("calls after a step", { put: 1 });
        for (let steps = 0; steps < 2; steps += 1) {
          await calls(now + step - 30);
          await wrote("calls within a step", {});
          await calls((now += step + 30));
          await wrote("calls after a step", { put: 1 });
        }
        // The token's end comes a step later: the row that says "sending" takes the touch along.
        await fleet.clock({ seconds: 1801 });
        for (const answer of await fleet.burst(person, [0, 1, 0, 1])) tally.answer(answer);
        await wrote("refresh", { put: 2 });
      }
      assert.deepEqual(Object.keys(tally.statuses), ["200"]);
      return tally.result({ rounds, requests: fleet.books.read().length, figures });
    } finally {
      await fleet.stop();
    }
  },
};
