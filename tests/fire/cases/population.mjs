// What a call costs beside thousands of sessions, and what they take of memory. CPU is the runtime
// process's own, user and system: time on the wall says little on a shared machine.
//
// Two questions: whether a call to an object that is in memory costs more the more of them are, and
// whether opening one from storage costs more the more sessions are stored. The runtime drops an object
// that nobody has asked for a while (20 to 25 seconds here); the first question needs it not to.

import assert from "node:assert/strict";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { CALL, startFleet } from "../support/fleet.mjs";
import { median, Tally } from "../support/tally.mjs";

/** So many calls, and logins, at a time. */
const AT_ONCE = 16;

/** Browsers of one user: far from the number at which a login ends the user's oldest session. */
const BROWSERS = 25;

const USERS = Array.from({ length: 500 }, (_, n) => ({
  username: `user${n}`,
  password: "secret",
  sub: `usr_${n}`,
  name: `User ${n}`,
  email: `user${n}@example.com`,
}));

/** Each call asks its object, and no token comes to its end meanwhile. */
const ASKING = {
  fronts: 1,
  provider: { accessTokenTtl: 7_200, idTokenTtl: 86_400, users: USERS },
  settings: { session: { idle_minutes: 1_440, absolute_hours: 24, cache_seconds: 0 } },
};

/** Longer than the runtime keeps an object that nobody asks. */
const DROPPED_AFTER = 30_000;

export const liveObjects = {
  row: "live objects",
  name: "calls by chance over many objects in memory are all answered, each at the cost of one among few",
  async run({ few, many, rounds, calls, ...bar }, chance) {
    return compared({ few, many, rounds, pinned: true, ...bar }, chance, async ({ fleet, people }, tally) => {
      const cost = await measured(fleet, Array.from({ length: calls }, () => chance.pick(people)), tally);
      assert.equal((await fleet.isolates({ reset: true })).objects.made, 0, "no object began anew");
      return cost;
    });
  },
};

export const storedSessions = {
  row: "stored sessions",
  name: "calls by chance over many sessions that lie in storage alone are all answered, each at the cost of one among few",
  async run({ few, many, rounds, ...bar }, chance) {
    return compared({ few, many, rounds, pause: DROPPED_AFTER, ...bar }, chance, async ({ fleet, people }, tally) => {
      const cost = await measured(fleet, chance.shuffled(people).slice(0, few), tally);
      const { made } = (await fleet.isolates({ reset: true })).objects;
      assert.ok(made > few * 0.9, `the objects began anew: ${made} of ${few}`);
      return cost;
    });
  },
};

/** Two runtimes, one with few sessions and one with many, asked in turns. */
async function compared({ few, many, rounds, pinned, pause = 0, bar, margin }, chance, round) {
  const tally = new Tally();
  const figures = { few, many, bar, margin, memory_mb: {}, ms_a_login: {} };
  const crowds = [];
  try {
    for (const sessions of [few, many]) crowds.push(await crowd(sessions, pinned, figures));
    // The first round warms up.
    const costs = new Map(crowds.map((each) => [each, []]));
    for (let turn = 0; turn <= rounds; turn += 1) {
      await sleep(pause);
      for (const each of chance.shuffled(crowds)) {
        const cost = await round(each, tally);
        if (turn > 0) costs.get(each).push(cost);
      }
    }
    assert.deepEqual(Object.keys(tally.statuses), ["200"], "every call is answered");
    for (const [i, sessions] of [few, many].entries()) figures.memory_mb[sessions].push(rounded(crowds[i].fleet.worker.memory()));
    const [small, large] = crowds.map((each) => median(costs.get(each)));
    if (!Number.isNaN(small)) {
      figures.cpu_us_a_call = { [few]: rounded(small), [many]: rounded(large) };
      figures.ratio = Math.round((large / small) * 100) / 100;
      if (bar !== undefined) assert.ok(figures.ratio <= bar + margin, `${figures.ratio} times the CPU of a call beside ${few} sessions`);
    }
    return tally.result({ rounds, figures });
  } finally {
    for (const { fleet } of crowds) await fleet.stop();
  }
}

/** A runtime with so many sessions; its memory without and with them. */
async function crowd(sessions, pinned, figures) {
  const fleet = await startFleet({ ...ASKING, pinned });
  try {
    const empty = rounded(fleet.worker.memory());
    const began = process.hrtime.bigint();
    const people = await loggedIn(fleet, sessions);
    figures.ms_a_login[sessions] = rounded(Number(process.hrtime.bigint() - began) / 1e6 / sessions);
    figures.memory_mb[sessions] = [empty, rounded(fleet.worker.memory())];
    await fleet.isolates({ reset: true });
    return { fleet, people };
  } catch (error) {
    await fleet.stop();
    throw error;
  }
}

/**
 * Users with a few browsers each. The first browser brings the password; the others find their user signed
 * in at the provider, and are logins of their own all the same.
 */
async function loggedIn(fleet, sessions) {
  const provider = new URL(fleet.world.provider.issuer).hostname;
  const people = [];
  let next = 0;
  await together(async () => {
    for (let user = USERS[next++]; people.length < sessions; user = USERS[next++]) {
      const first = await fleet.login(fleet.person(), { user });
      const known = first.browser.cookies.filter(({ host }) => host === provider);
      people.push(first);
      for (let i = 1; i < BROWSERS && people.length < sessions; i += 1) {
        const person = fleet.person();
        person.browser.cookies = known.map((cookie) => ({ ...cookie }));
        people.push(await fleet.login(person, { user }));
        person.browser.cookies = [];
      }
      first.browser.cookies = [];
    }
  });
  fleet.world.browsers.length = 0;
  return people.slice(0, sessions);
}

/** Microseconds of the runtime's CPU for each of these people's calls. */
async function measured(fleet, people, tally) {
  const turns = [...people];
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const before = fleet.worker.cpu();
  await together(async () => {
    for (let person = turns.pop(); person !== undefined; person = turns.pop()) tally.answer(await keptAlive(fleet, person, agent));
  });
  const after = fleet.worker.cpu();
  agent.destroy();
  fleet.apiCalls();
  return (after - before) / people.length;
}

// Over connections that are kept: a connection a call would cost more than the call.
function keptAlive(fleet, { cookie }, agent) {
  const { hostname: host, port } = new URL(fleet.fronts[0]);
  const headers = { Host: new URL(fleet.world.origin).host, ...CALL, Cookie: cookie };
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port, path: "/api/whoami", headers, agent }, (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode }));
    });
    request.on("error", reject);
  });
}

const together = (inTurn) => Promise.all(Array.from({ length: AT_ONCE }, inTurn));
const rounded = (number) => (number === undefined ? undefined : Math.round(number));
