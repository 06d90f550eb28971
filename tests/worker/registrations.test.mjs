// How Tokenkeep can be registered at a provider: client authentication and signature algorithms.

import assert from "node:assert/strict";
import { test } from "node:test";

import { until } from "./support/wait.mjs";
import { startWorld } from "./support/world.mjs";

// RFC 6749 §2.3.1: credentials are form-encoded before they become Basic. Some providers don't decode.
const AWKWARD = "a-b._~c:d/e+f%20g&h=i?j!k*l'm(n)";

const REGISTRATIONS = {
  "client_secret_basic, with a secret full of odd characters": { secret: AWKWARD, auth: "client_secret_basic", settings: { client_auth: "client_secret_basic" } },
  "client_secret_basic unencoded, with a secret that needs none": { auth: "client_secret_basic", settings: { client_auth: "client_secret_basic_unencoded" } },
  "client_secret_post, with a secret full of odd characters": { secret: AWKWARD, auth: "client_secret_post", settings: { client_auth: "client_secret_post" } },
  "ID tokens signed with PS256": { alg: "PS256" },
  "ID tokens signed with ES256": { alg: "ES256" },
  "ID tokens signed with EdDSA": { alg: "EdDSA" },
};

for (const [name, { secret, auth, alg, settings }] of Object.entries(REGISTRATIONS)) {
  test(`login, refresh and logout work with ${name}`, async () => {
    const world = await startWorld({
      secrets: secret ? { CLIENT_SECRET: secret } : {},
      client: { ...(auth ? { token_endpoint_auth_method: auth } : {}), ...(alg ? { id_token_signed_response_alg: alg } : {}) },
      providerSettings: { ...settings, ...(alg ? { id_token_signed_response_alg: alg } : {}) },
    });
    try {
      const browser = await world.loggedIn();
      await world.worker.clock({ seconds: 400 });
      const answer = await world.call(browser);
      assert.equal(answer.status, 200, `${answer.status} ${answer.code}`);
      assert.equal(world.provider.control.count("token", "refresh_token"), 1);
      assert.equal((await world.logout(browser)).status, 200);
      const revocation = await until(() => world.provider.control.log.find((entry) => entry.endpoint === "revocation" && entry.status), "the revocation");
      assert.equal(revocation.status, 200, "it is authenticated as well");
    } finally {
      await world.stop();
    }
  });
}

test("an ID token with another algorithm than the registered one logs nobody in", async () => {
  // The provider signs with ES256, Tokenkeep was told RS256.
  const world = await startWorld({ client: { id_token_signed_response_alg: "ES256" } });
  try {
    const browser = world.browser();
    const answer = await world.callback(browser, await world.untilCallback(browser));
    assert.equal(answer.code, "identity_refused");
    assert.equal(browser.sessionCookie(world.origin), undefined);
  } finally {
    await world.stop();
  }
});
