// The provider's side of OpenID Connect Back-Channel Logout: where its logout tokens go, and tokens and
// ends of sessions that a test wants. `oidc-provider` sends a token itself when a person signs out at it.

import { constants, createPrivateKey, randomUUID, sign } from "node:crypto";

const EVENT = "http://schemas.openid.net/event/backchannel-logout";

/** How node signs what a JWS algorithm names (RFC 7518 §3.1, RFC 8037). */
const SIGNERS = {
  RS256: { hash: "sha256" },
  PS256: { hash: "sha256", padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
  ES256: { hash: "sha256", dsaEncoding: "ieee-p1363" },
  EdDSA: { hash: null },
};

export class BackChannel {
  /** Every logout token that was sent: {url, token, status, answer}; the last two once there are any. */
  sent = [];
  #parts;

  /** @param {() => { provider: object, store: object, keys: object[], issuer: string, clients: object[] }} parts as they are now */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * `fetch` of oidc-provider's configuration. The library keeps its requests from loopback and private
   * addresses, by the dispatcher that comes along; this provider lives on one machine and knows no
   * other, so it is the other way round.
   */
  fetch = async (url, { dispatcher: _strangersOnly, ...init }) => {
    if (!isLoopback(new URL(url).hostname)) throw new Error(`the demo's provider sends nothing to ${url}`);
    const entry = { url, token: new URLSearchParams(init.body).get("logout_token") };
    this.sent.push(entry);
    const response = await fetch(url, init);
    Object.assign(entry, { status: response.status, answer: await response.clone().text() });
    return response;
  };

  /**
   * A logout token as the provider itself would sign it. `claims` and `header` go over what is usual;
   * `undefined` leaves one out. `key` (a private KeyObject) or `signature` replaces the provider's own.
   */
  logoutToken({ claims = {}, header = {}, key, signature } = {}) {
    const { keys, issuer, clients } = this.#parts();
    const [client] = clients;
    const alg = header.alg ?? client.id_token_signed_response_alg ?? "RS256";
    const jwk = keys.find((other) => other.alg === alg);
    const now = Math.floor(Date.now() / 1000);
    const usual = { iss: issuer, aud: client.client_id, iat: now, exp: now + 120, jti: randomUUID(), events: { [EVENT]: {} } };
    const parts = [{ typ: "logout+jwt", alg, kid: jwk?.kid, ...header }, { ...usual, ...claims }];
    const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    return `${signed}.${(signature ?? signatureOf(signed, alg, key ?? createPrivateKey({ key: jwk, format: "jwk" }))).toString("base64url")}`;
  }

  /**
   * Ends the provider's own sessions of a person, as an administrator there would: their browsers are
   * signed out, and each client hears of it. Returns how the tokens were answered.
   */
  async endSessions(sub) {
    const { provider, store } = this.#parts();
    const answers = [];
    for (const { jti } of store.all("Session").filter(({ accountId }) => accountId === sub)) {
      const session = await provider.Session.find(jti);
      for (const clientId of Object.keys(session?.authorizations ?? {})) {
        const client = await provider.Client.find(clientId);
        if (!client?.backchannelLogoutUri) continue;
        const how = client.backchannelLogout(sub, session.sidFor(clientId));
        answers.push(await how.then(() => "accepted", (error) => error.message));
      }
      await session?.destroy();
    }
    return answers;
  }
}

function signatureOf(signed, alg, key) {
  const { hash, ...options } = SIGNERS[alg];
  return sign(hash, Buffer.from(signed), { key, ...options });
}

function isLoopback(hostname) {
  return ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
}
