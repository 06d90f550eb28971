// A provider with a certificate of a private CA: trusted when NODE_EXTRA_CA_CERTS names it, and only then.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import tls from "node:tls";

import { privateCa } from "./support/ca.mjs";

// Miniflare reads the variable when it is loaded: so it is set first.
const folder = mkdtempSync(path.join(os.tmpdir(), "tokenkeep-ca-"));
const trusted = privateCa();
const stranger = privateCa();
process.env.NODE_EXTRA_CA_CERTS = path.join(folder, "ca.pem");
writeFileSync(process.env.NODE_EXTRA_CA_CERTS, trusted.ca);
tls.setDefaultCACertificates([...tls.getCACertificates("default"), trusted.ca]);
const { assertProblem, startWorld } = await import("./support/world.mjs");
const { freePort } = await import("./support/raw.mjs");

async function worldWith(tls, ca, issuerPath = "") {
  const port = await freePort();
  return startWorld({ ca, provider: { tls, port, issuer: `https://localhost:${port}${issuerPath}` } });
}

let world;
before(async () => {
  // An issuer may have a path and a trailing slash, which is part of it.
  world = await worldWith(trusted.tls, trusted.ca, "/realms/main/");
});
after(async () => {
  await world?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a login at a provider with a private CA, a path and a trailing slash in its issuer", async () => {
  const discovered = () => world.provider.control.log.filter((entry) => entry.endpoint === "discovery");
  const browser = await world.loggedIn();
  assert.equal((await world.call(browser)).status, 200);
  assert.ok(discovered().length >= 1, "the discovery URL has no doubled slash");
});

test("a provider whose CA nobody named isn't trusted: no login, and no session", async () => {
  const other = await worldWith(stranger.tls, stranger.ca);
  try {
    const answer = await other.beginLogin(other.browser());
    assertProblem(answer, 503, "provider_unavailable");
    assert.equal(other.provider.control.count("discovery"), 0);
  } finally {
    await other.stop();
  }
});
