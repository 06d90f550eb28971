// Another release's record and another release's command, at the real object with its real storage. The entry
// is patched to write the one and to say the other; what reads them is the real core.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { until } from "./support/wait.mjs";
import { ENTRY } from "./support/worker.mjs";
import { assertProblem, startWorld } from "./support/world.mjs";

// Where a session's object takes a command.
const COMMAND = /(?<=[;}])command\(text\)\{(?=let steady)/;

function patch(source) {
  assert.match(source, ENTRY, "the entry has the place that the test knows");
  assert.match(source, COMMAND, "the object has the place that the test knows");
  return source
    .replace(ENTRY, (start) => `${start}
      const version = new URL(request.url).pathname.match(/^\\/version\\/(-?\\d+|later)$/);
      if (version) { globalThis.nextCommand = version[1]; return new Response(null, { status: 204 }); }`)
    .replace(COMMAND, (start) => `async command(text){
      const what = globalThis.nextCommand;
      delete globalThis.nextCommand;
      if (what === "later") text = text.replace('"access"', '"access_later"');
      else if (what) {
        const row = this.ctx.storage.kv.get("session");
        row[0] += Number(what);
        this.ctx.storage.kv.put("session", row);
        await this.ctx.storage.sync();
        this.ctx.abort("another release");
      }
      ${start.slice(start.indexOf("{") + 1)}`);
}

let world;
before(async () => {
  world = await startWorld({ worker: { patch }, settings: { session: { cache_seconds: 0 } } });
});
after(() => world?.stop());

const next = async (what) => assert.equal((await world.raw({ path: `/version/${what}` })).status, 204);
const reported = () => world.worker.audit.filter(({ event }) => event === "newer_record");

test("a record of a later release is left alone, reported once, and goes on when that release is back", async () => {
  const browser = await world.loggedIn();
  await next(1);
  for (let calls = 0; calls < 3; calls += 1) {
    const answer = await world.call(browser);
    assertProblem(answer, 503, "session_unavailable");
    assert.ok(Number(answer.header("retry-after")) > 0);
    assert.deepEqual(answer.all("set-cookie"), []);
  }
  assertProblem(await world.logout(browser), 503, "session_unavailable");
  await until(() => reported().length > 0, "its line in the log");
  assert.deepEqual(reported().map(({ level }) => level), ["warn"]);
  await next(-1);
  assert.equal((await world.call(browser)).status, 200);
});

test("a command of a later release is answered with 503, and the session goes on", async () => {
  const browser = await world.loggedIn();
  await next("later");
  const answer = await world.call(browser);
  assertProblem(answer, 503, "session_unavailable");
  assert.ok(Number(answer.header("retry-after")) > 0);
  assert.equal((await world.call(browser)).status, 200);
});
