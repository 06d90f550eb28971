// Storage that somebody has written to while the runtime was down. A record that isn't whole is no
// session, said as if there had never been one; a newer release's is left alone; and a record that
// is put back whole, but old, opens and is found out by the provider.

import assert from "node:assert/strict";

import { assertProblem } from "../../worker/support/world.mjs";
import { sessionKey } from "../../worker/support/worker.mjs";
import { startFleet } from "../support/fleet.mjs";
import { HEAD } from "../support/objects.mjs";
import { Tally } from "../support/tally.mjs";
import { TTL } from "./expiry.mjs";
import { seen } from "./strangers.mjs";

const HOUR = 3600;

/** What becomes of a record: `now` and `old` are its bytes, `other` another session's. */
const DAMAGES = Object.entries({
  "a bit of the sealed part flipped": ({ now, chance }) => flipped(now, chance.between(HEAD + openLength(now), now.length - 1), chance),
  "a bit of the open part flipped": ({ now, chance }) => flipped(now, chance.between(HEAD, HEAD + openLength(now) - 1), chance),
  "a bit of the length flipped": ({ now, chance }) => flipped(now, chance.between(1, HEAD - 1), chance),
  "cut short": ({ now, chance }) => now.subarray(0, chance.between(0, now.length - 1)),
  lengthened: ({ now, chance }) => Buffer.concat([now, chance.bytes(chance.between(1, 64))]),
  "any bytes": ({ now, chance }) => Buffer.concat([now.subarray(0, 1), chance.bytes(chance.between(0, 200))]),
  "another session's": ({ other }) => other,
  "its own open part with another session's sealed part": ({ now, other }) => joined(openPart(now), sealedPart(other)),
  "an old open part with the new sealed part": ({ now, old }) => joined(openPart(old), sealedPart(now)),
  "the new open part with an old sealed part": ({ now, old }) => joined(openPart(now), sealedPart(old)),
  "under another key of the ring": ({ now }) => changed(now, (open) => ({ ...open, kid: "k2" })),
  "under a key that no ring had": ({ now }) => changed(now, (open) => ({ ...open, kid: "k3" })),
  "with a later idle deadline": ({ now }) => changed(now, (open) => ({ ...open, deadlines: { ...open.deadlines, idle: open.deadlines.idle + 1000 * HOUR } })),
  "with another epoch": ({ now }) => changed(now, (open) => ({ ...open, epoch: open.epoch + 1 })),
  "with version 0": ({ now }) => Buffer.concat([Buffer.of(0), now.subarray(1)]),
});

export const records = {
  row: "damage",
  name: "a record that somebody changed is no session, told like any other, and costs nobody else anything",
  async run({ rounds }, chance) {
    const fleet = await startFleet({
      provider: { accessTokenTtl: TTL, idTokenTtl: 86_400 },
      secrets: { SESSION_KEYS: `${sessionKey("k1")},${sessionKey("k2")}` },
      settings: { session: { idle_minutes: 60, absolute_hours: 24 } },
    });
    try {
      const tally = new Tally();
      const kinds = Array.from({ length: rounds }, () => DAMAGES).flat();
      const [leaver, whole, newer] = [await fleet.login(), await fleet.login(), await fleet.login()];
      const victims = [];
      for (const [kind, damage] of kinds) victims.push(Object.assign(await fleet.login(), { kind, damage }));
      const everyone = [whole, newer, ...victims];

      // Old records, then a refresh each, then new ones.
      const records = (into) => () => {
        const files = fleet.objects.of(everyone);
        for (const [i, person] of everyone.entries()) {
          person.file = files[i];
          person[into] = fleet.objects.row(person.file);
        }
      };
      await fleet.restart(records("old"));
      await fleet.wait({ seconds: TTL + 1 });
      for (const person of everyone) assert.equal((await fleet.call(person)).status, 200);
      await fleet.logout(leaver);
      const gone = await fleet.call(leaver);
      assertProblem(gone, 401, "unauthenticated");
      await fleet.restart(records("now"));
      await fleet.restart(() => {
        for (const [i, { file, damage, now, old }] of victims.entries()) {
          fleet.objects.replace(file, damage({ now, old, other: victims[(i + 1) % victims.length].now, chance }));
        }
        fleet.objects.replace(newer.file, Buffer.concat([Buffer.of(chance.between(2, 0x1f)), newer.now.subarray(1)]));
      });

      const before = await fleet.isolates();
      const told = [];
      for (const person of chance.shuffled(victims)) {
        for (const front of [0, 1]) {
          const answer = await fleet.call(person, front);
          tally.answer(answer);
          told.push(answer);
          assert.deepEqual(seen(answer), seen(gone), `${person.kind}: told like a session that isn't there`);
        }
        tally.fault(person.kind);
      }
      const left = await fleet.call(newer);
      tally.answer(left);
      assertProblem(left, 503, "session_unavailable");
      tally.answer(await fleet.call(whole));
      assert.equal(tally.statuses[200], 1, "the session beside them goes on");
      const after = await fleet.isolates();
      assert.deepEqual(after.fronts.map(({ instance }) => instance), before.fronts.map(({ instance }) => instance));
      assert.equal(after.objects.instance, before.objects.instance, "no isolate began anew");
      silent(fleet, [...told, left, gone], [...everyone, leaver]);

      // What nobody can open goes at its limits, but for what a newer release may read. (A flipped bit can
      // make "created" a late one: then an empty tombstone stands until then.)
      await fleet.wait({ seconds: 1001 * HOUR });
      for (const person of [newer, ...victims]) await fleet.ring(person);
      await fleet.restart(() => {
        for (const { file, kind } of victims) {
          if (fleet.objects.open(file)?.state === "ended") continue;
          assert.deepEqual(fleet.objects.content(file), { rows: 0, alarm: undefined }, kind);
        }
        assert.deepEqual(fleet.objects.row(newer.file).subarray(1), newer.now.subarray(1), "left as it was");
        assert.ok(fleet.objects.content(newer.file).alarm !== undefined, "to be looked at again");
      });
      return tally.result({ rounds: victims.length + 1, requests: fleet.books.read().length });
    } finally {
      await fleet.stop();
    }
  },
};

export const rolledBack = {
  row: "rolled back",
  name: "an object that is put back as it was before a refresh opens, and its used refresh token ends it",
  async run({ rounds }, _chance) {
    const fleet = await startFleet({ provider: { accessTokenTtl: TTL, idTokenTtl: 86_400 } });
    try {
      const tally = new Tally();
      const people = [];
      for (let i = 0; i < rounds; i += 1) people.push(await fleet.login());
      const puts = [];
      await fleet.restart(() => puts.push(...fleet.objects.of(people).map((file) => fleet.objects.copy(file))));
      const used = people.map(({ refreshToken }) => refreshToken);
      await fleet.wait({ seconds: TTL + 1 });
      for (const person of people) assert.equal((await fleet.call(person)).status, 200);
      await fleet.restart(() => puts.forEach((back) => back()));
      fleet.apiCalls();

      await fleet.clock({ seconds: 0 });
      for (const person of people) {
        const answer = await fleet.call(person);
        tally.answer(answer);
        assert.equal(answer.status, 200, "its old access token is good for as long as the provider said");
      }
      await fleet.clock({ seconds: TTL + 1 });
      for (const [i, person] of people.entries()) {
        const answer = await fleet.call(person);
        tally.answer(answer);
        assertProblem(answer, 401, "unauthenticated");
        assert.equal((await fleet.ending(person)).reason, "invalid_grant");
        tally.lose("invalid_grant");
        const last = fleet.books.read().at(-1).record;
        assert.deepEqual([last.form.refresh_token, last.status], [used[i], 400]);
      }
      return tally.result({ rounds, requests: fleet.books.read().length });
    } finally {
      await fleet.stop();
    }
  },
};

/** No answer and no line of the log has anything in it that is secret, and nothing trapped. */
function silent(fleet, answers, people) {
  const given = [...fleet.books.exchanges, ...fleet.books.read()].flatMap(({ record }) => (record.answer?.startsWith("{") ? [JSON.parse(record.answer)] : []));
  const secrets = [
    ...given.flatMap(({ access_token, refresh_token, id_token }) => [access_token, refresh_token, id_token]),
    ...people.map(({ cookie }) => cookie.split("=")[1]),
    ...Object.values(fleet.world.secrets).flatMap((secret) => secret.split(/[,:]/)).filter((part) => part.length > 8),
  ].filter(Boolean);
  assert.ok(secrets.length > 3 * people.length);
  const texts = [...fleet.worker.logs, ...answers.map((answer) => `${answer.headers.flat().join("\n")}\n${answer.text}`)];
  for (const text of texts) {
    for (const secret of secrets) assert.ok(!text.includes(secret), `found: ${secret.slice(0, 8)}…`);
    assert.doesNotMatch(text, /"event":"(trapped|failed)"|^uncaught/);
  }
}

const openLength = (record) => record.readUInt32BE(1);
const openPart = (record) => record.subarray(HEAD, HEAD + openLength(record));
const sealedPart = (record) => record.subarray(HEAD + openLength(record));

function joined(open, sealed) {
  const head = Buffer.from([1, 0, 0, 0, 0]);
  head.writeUInt32BE(open.length, 1);
  return Buffer.concat([head, open, sealed]);
}

function changed(record, change) {
  return joined(Buffer.from(JSON.stringify(change(JSON.parse(openPart(record).toString())))), sealedPart(record));
}

function flipped(record, at, chance) {
  const copy = Buffer.from(record);
  copy[at] ^= 1 << chance.between(0, 7);
  return copy;
}
