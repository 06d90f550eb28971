// What nobody is logged in for stores nothing and asks nothing: logins that are begun and never
// finished, and cookies that we never issued.

import assert from "node:assert/strict";

import { CALL, startFleet } from "../support/fleet.mjs";
import { Tally } from "../support/tally.mjs";

/** So many requests at a time. */
const AT_ONCE = 50;

/** An idle object's database would be closed after a while, which moves its bytes from file to file. */
const STILL = { pinned: true };

export const begunLogins = {
  row: "begun logins",
  name: "logins that are begun and never finished leave the storage's files as they were",
  async run({ rounds }, _chance) {
    const fleet = await startFleet(STILL);
    try {
      const tally = new Tally();
      await fleet.login();
      const headers = { ...CALL, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" };
      // The metadata is at hand from here on.
      const authorization = new URL(`${fleet.world.provider.issuer}/authorize`);
      await fleet.isolates({ reset: true });
      const before = { files: fleet.objects.fingerprint(), provider: fleet.provider.log.length, memory: fleet.worker.memory() };
      await inTurn(rounds, async (i) => {
        const answer = await fleet.through(0, { path: `/auth/login?return_to=/${i}`, headers });
        tally.answer(answer);
        assert.equal(answer.status, 302, `${answer.code}`);
        assert.ok(answer.header("location").startsWith(authorization.href));
      });
      const { objects, fronts } = await fleet.isolates();
      assert.deepEqual([objects.made, ...fronts.map(({ asked }) => asked)], [0, ...fronts.map(() => ({}))], "no object was asked");
      assert.equal(fleet.objects.fingerprint(), before.files, "every file of the storage is as it was");
      assert.equal(fleet.provider.log.length, before.provider, "nor the provider");
      const memory_mb = { before: Math.round(before.memory), after: Math.round(fleet.worker.memory()) };
      return tally.result({ rounds, figures: { storage_bytes: fleet.objects.bytes(), memory_mb } });
    } finally {
      await fleet.stop();
    }
  },
};

export const cookies = {
  row: "cookies",
  name: "cookies that are unknown, forged, malformed, too long or doubled ask no object and make none",
  async run({ rounds }, chance) {
    const fleet = await startFleet(STILL);
    try {
      const tally = new Tally();
      const person = await fleet.login();
      const strangers = [];
      for (const target of TARGETS) strangers.push(await ask(fleet, target));
      await fleet.isolates({ reset: true });
      const files = fleet.objects.fingerprint();
      const [name, value] = person.cookie.split("=");
      const genuine = { name, value, bytes: Buffer.from(value, "base64url"), chance };
      const forged = Array.from({ length: rounds }, (_, i) => {
        const [kind, forge] = FORGERIES[i % FORGERIES.length];
        return { kind, cookie: forge(genuine), target: chance.between(0, TARGETS.length - 1) };
      });
      await inTurn(rounds, async (i) => {
        const { kind, cookie, target } = forged[i];
        const answer = await ask(fleet, TARGETS[target], { cookie, front: i });
        tally.answer(answer);
        tally.fault(kind);
        assert.deepEqual(seen(answer), seen(strangers[target]), `${kind}: answered like somebody without a cookie`);
      });
      const { objects, fronts } = await fleet.isolates();
      assert.deepEqual([objects.made, ...fronts.map(({ asked }) => asked)], [0, ...fronts.map(() => ({}))], "no object was asked");
      assert.equal(fleet.objects.fingerprint(), files, "and none has a file");
      assert.equal((await fleet.call(person)).status, 200);
      return tally.result({ rounds });
    } finally {
      await fleet.stop();
    }
  },
};

/** Where a session is looked for. */
const TARGETS = [{ path: "/api/whoami" }, { path: "/auth/session" }, { path: "/auth/logout", method: "POST" }];

/** Cookie headers that open nothing, by kind. */
const FORGERIES = Object.entries({
  "a bit flipped": ({ name, bytes, chance }) => {
    const forged = Buffer.from(bytes);
    forged[chance.between(0, forged.length - 1)] ^= 1 << chance.between(0, 7);
    return `${name}=${forged.toString("base64url")}`;
  },
  "never issued": ({ name, chance }) => `${name}=${chance.bytes(48).toString("base64url")}`,
  "another's tag": ({ name, bytes, chance }) => `${name}=${Buffer.concat([chance.bytes(32), bytes.subarray(32)]).toString("base64url")}`,
  "cut short": ({ name, value, chance }) => `${name}=${value.slice(0, chance.between(0, value.length - 1))}`,
  "too long": ({ name, value, chance }) => `${name}=${value}${"A".repeat(chance.between(1, 4000))}`,
  "not base64url": ({ name, value, chance }) => `${name}=${value.slice(0, 63)}${chance.pick(["=", "+", "/", "%", "~", "\u00e9", " x"])}`,
  "any bytes": ({ name, chance }) => `${name}=${chance.bytes(chance.between(1, 96)).toString("latin1").replace(/[\0-\x1f\x7f;]/g, "x")}`,
  doubled: ({ name, value }) => `${name}=${value}; ${name}=${value}`,
  "doubled by a forged one": ({ name, value, chance }) => chance.shuffled([`${name}=${value}`, `${name}=${chance.bytes(48).toString("base64url")}`]).join("; "),
  "joined by a comma": ({ name, value }) => `${name}=${value}, ${name}=${value}`,
  "another name": ({ name, value, chance }) => `${chance.pick([name.toUpperCase(), `x${name}`, `${name}x`, `__Host-Http-${name}`, ""])}=${value}`,
});

function ask(fleet, target, { cookie, front = 0 } = {}) {
  return fleet.through(front, { ...target, headers: cookie === undefined ? CALL : { ...CALL, Cookie: cookie } });
}

/** All of an answer but what is never the same twice. */
export function seen(answer) {
  return { status: answer.status, headers: answer.headers.filter(([name]) => name !== "date"), body: answer.text };
}

async function inTurn(count, step) {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(AT_ONCE, count) }, async () => {
      while (next < count) await step((next += 1) - 1);
    }),
  );
}
