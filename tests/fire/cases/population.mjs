// What a call costs beside ten thousand sessions, and what they take of memory. CPU is the runtime
// process's own, user and system: time on the wall says little on a shared machine.

import assert from "node:assert/strict";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { CALL, startFleet } from "../support/fleet.mjs";
import { median, Tally } from "../support/tally.mjs";

const MB = 2 ** 20;

/** So many calls, and logins, at a time. */
const AT_ONCE = 16;

/** Longer than the runtime keeps an object that nobody asks: ten seconds. */
const EVICTED_AFTER = 30_000;

/** Each call asks its object, and no token comes to its end meanwhile. */
const COLD = {
  fronts: 1,
  provider: { accessTokenTtl: 7_200, idTokenTtl: 86_400 },
  settings: { session: { idle_minutes: 1_440, absolute_hours: 24, cache_seconds: 0 } },
};

export const manySessions = {
  row: "population",
  name: "calls by chance over many live sessions are all answered, each at the cost of one among few",
  async run({ few, many, rounds, calls, bar, margin }, chance) {
    const tally = new Tally();
    const figures = { few, many, bar, margin };
    // Objects stay in memory: what is compared is the number of live ones alone.
    const small = await crowd(few, figures);
    const large = await crowd(many, figures);
    try {
      figures.memory_mb = Object.fromEntries([[few, small], [many, large]].map(([n, { fleet }]) => [n, megabytes(fleet.worker.memory())]));
      figures.kb_an_object = round2(((large.fleet.worker.memory() - small.fleet.worker.memory()) / (many - few) / 1024));
      // The first round of each warms up.
      const measured = { small: [], large: [] };
      for (let round = 0; round <= rounds; round += 1) {
        for (const [name, { fleet, people }] of chance.shuffled(Object.entries({ small, large }))) {
          const cpu = await cost(fleet, people, calls, chance, tally);
          if (round > 0) measured[name].push(cpu);
        }
      }
      assert.deepEqual(tally.statuses, { 200: 2 * (rounds + 1) * calls });
      for (const { fleet } of [small, large]) assert.equal((await fleet.isolates()).objects.made, 0, "no object began anew");
      if (measured.small[0] !== undefined) {
        figures.cpu_us_a_call = { [few]: round2(median(measured.small)), [many]: round2(median(measured.large)) };
        figures.ratio = round2(median(measured.large) / median(measured.small));
        if (bar !== undefined) assert.ok(figures.ratio <= bar + margin, `${figures.ratio} times the CPU of a call beside ${few} sessions`);
      }
      return tally.result({ rounds, figures });
    } finally {
      await small.fleet.stop();
      await large.fleet.stop();
    }
  },
};

export const eviction = {
  row: "eviction",
  name: "an object that nobody asks leaves the memory, and the next call opens it again",
  async run({ sessions, calls }, chance) {
    const fleet = await startFleet(COLD);
    try {
      const tally = new Tally();
      const empty = fleet.worker.memory();
      const people = await loggedIn(fleet, sessions);
      await fleet.isolates({ reset: true });
      const full = fleet.worker.memory();
      const live = await cost(fleet, people, calls, chance, tally);
      const before = (await fleet.isolates({ reset: true })).objects.made;
      await sleep(EVICTED_AFTER);
      const idle = fleet.worker.memory();
      const evicted = await cost(fleet, people, calls, chance, tally);
      const after = (await fleet.isolates()).objects.made;
      assert.deepEqual(Object.keys(tally.statuses), ["200"], "every session is there");
      assert.ok(after > before, "objects that were idle began anew");
      return tally.result({
        rounds: 1,
        figures: {
          sessions,
          objects_made_again: { at_once: before, after_idling: after },
          cpu_us_a_call: { at_once: live, after_idling: evicted },
          memory_mb: { empty: megabytes(empty), full: megabytes(full), after_idling: megabytes(idle) },
        },
      });
    } finally {
      await fleet.stop();
    }
  },
};

async function crowd(sessions, figures) {
  const fleet = await startFleet({ ...COLD, pinned: true });
  try {
    const began = process.hrtime.bigint();
    const people = await loggedIn(fleet, sessions);
    (figures.ms_a_login ??= {})[sessions] = round2(Number(process.hrtime.bigint() - began) / 1e6 / sessions);
    await fleet.isolates({ reset: true });
    return { fleet, people };
  } catch (error) {
    await fleet.stop();
    throw error;
  }
}

/** Many browsers of one person who is signed in at the provider: each a login of its own, without a password. */
async function loggedIn(fleet, sessions) {
  const first = await fleet.login();
  const people = [first];
  const provider = new URL(fleet.world.provider.issuer).hostname;
  const known = first.browser.cookies.filter(({ host }) => host === provider);
  let left = sessions - 1;
  const inTurn = async () => {
    while ((left -= 1) >= 0) {
      const person = fleet.person();
      person.browser.cookies = known.map((cookie) => ({ ...cookie }));
      people.push(await fleet.login(person));
      // It has its session; the provider's cookies go.
      person.browser.cookies = [];
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, inTurn));
  fleet.world.browsers.length = 0;
  fleet.apiCalls();
  return people;
}

/** Microseconds of the runtime's CPU for each of so many calls, over people by chance. */
async function cost(fleet, people, calls, chance, tally) {
  const turns = Array.from({ length: calls }, () => chance.pick(people));
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const before = fleet.worker.cpu();
  const inTurn = async () => {
    for (let person = turns.pop(); person !== undefined; person = turns.pop()) {
      tally.answer({ status: await status(fleet, person, agent) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, inTurn));
  const after = fleet.worker.cpu();
  agent.destroy();
  fleet.apiCalls();
  return before === undefined ? undefined : round2(((after - before) * 1000) / calls);
}

// Over connections that are kept: a connection a call would cost more than the call.
function status(fleet, { cookie }, agent) {
  const { hostname: host, port } = new URL(fleet.fronts[0]);
  const headers = { Host: new URL(fleet.world.origin).host, ...CALL, Cookie: cookie };
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port, path: "/api/whoami", headers, agent }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
    });
    request.on("error", reject);
  });
}

const megabytes = (bytes) => (bytes === undefined ? undefined : Math.round(bytes / MB));
const round2 = (number) => Math.round(number * 100) / 100;
