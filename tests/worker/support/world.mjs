// All of it: the real provider, the real API, the built Worker, and browsers to use them with.
//
// The provider is `127.0.0.1`, the Worker `localhost`: another site, as in the field, so that the
// provider's navigation back is cross-site and brings no Strict cookie.

import assert from "node:assert/strict";

import { startApi } from "../../../demo/api.mjs";
import { demoClient, startProvider, USERS } from "../../../demo/provider.mjs";
import { Browser } from "./browser.mjs";
import { freePort, send } from "./raw.mjs";
import { freshSecrets, startWorker } from "./worker.mjs";

export const AUDIENCE = "https://orders.example";
export const CLIENT_ID = "tokenkeep-test";
export const [ALICE, BOB] = USERS;

/** The route that nearly every test uses: the API with a session. */
export function apiRoute(api, more = {}) {
  return { path: "/api/*", upstream: { url: api.url }, strip_prefix: true, session: "required", resource: AUDIENCE, ...more };
}

/**
 * @param {object} [options]
 * @param {object} [options.provider] options of `startProvider`
 * @param {object} [options.client] more of the registration
 * @param {(parts: {api, provider, origin}) => object[]} [options.routes]
 * @param {object} [options.settings] merged over TOKENKEEP
 * @param {object} [options.providerSettings] merged over its `provider`
 * @param {object} [options.worker] options of `startWorker`
 */
export async function startWorld(options = {}) {
  const secrets = freshSecrets(options.secrets);
  const port = await freePort();
  const origin = options.worker?.origin ?? `http://localhost:${port}`;
  const providerPort = await freePort();
  const scheme = options.provider?.tls ? "https" : "http";
  const provider = await startProvider({
    port: providerPort,
    issuer: `${scheme}://127.0.0.1:${providerPort}`,
    clients: [demoClient({ origin, clientId: CLIENT_ID, clientSecret: secrets.CLIENT_SECRET, ...options.client })],
    ...options.provider,
  });
  const started = [provider];
  try {
    const api = await startApi({ issuer: provider.issuer, audience: AUDIENCE, ...options.api });
    started.push(api);
    const routes = options.routes?.({ api, provider, origin }) ?? [apiRoute(api)];
    const worker = await startWorker({
      port,
      secrets,
      tokenkeep: (own) => ({
        origin: own,
        provider: {
          issuer: provider.issuer,
          client_id: CLIENT_ID,
          client_auth: "client_secret_basic",
          scopes: ["openid", "offline_access", "profile", "email"],
          ...options.providerSettings,
        },
        ...(own.startsWith("http:") ? { dangerously_allow_loopback_http: true } : {}),
        routes,
        ...options.settings,
      }),
      ...options.worker,
    });
    started.push(worker);
    return new World({ provider, api, worker, secrets, ca: options.ca });
  } catch (error) {
    await Promise.all(started.map((part) => part.stop()));
    throw error;
  }
}

export class World {
  constructor({ provider, api, worker, secrets, ca }) {
    Object.assign(this, { provider, api, worker, secrets, ca });
    this.browsers = [];
  }

  get origin() {
    return this.worker.origin;
  }

  browser(how) {
    const browser = new Browser({ ca: this.ca, ...how });
    this.browsers.push(browser);
    return browser;
  }

  /** Follows the login as far as the provider's sign-in page, or back where the provider knows us. */
  beginLogin(browser, { returnTo = "/", query = {}, from = this.origin, stopAt } = {}) {
    const search = new URLSearchParams({ return_to: returnTo, ...query });
    return browser.navigate(`${this.origin}/auth/login?${search}`, { from, stopAt });
  }

  /** Signs in at the provider and stops before the callback: gives the callback's URL. */
  async untilCallback(browser, { user = ALICE, ...how } = {}) {
    const isCallback = (url) => url.href.startsWith(`${this.origin}/auth/callback`);
    let page = await this.beginLogin(browser, { ...how, stopAt: isCallback });
    if (page.header("location") === null) page = await this.signIn(browser, page, user, isCallback);
    const location = page.header("location");
    assert.ok(location?.startsWith(`${this.origin}/auth/callback`), `no callback, but ${page.status} at ${page.url}`);
    return location;
  }

  async signIn(browser, page, user, stopAt) {
    assert.ok(page.url.startsWith(this.provider.issuer), `not at the provider but at ${page.url}: ${page.status} ${page.text.slice(0, 300)}`);
    const { navigate } = browser;
    try {
      if (stopAt) browser.navigate = (url, init) => navigate.call(browser, url, { ...init, stopAt });
      return await browser.submit(page, { username: user.username, password: user.password });
    } finally {
      delete browser.navigate;
    }
  }

  /** A navigation to a callback's URL, as the provider's redirect makes it. */
  callback(browser, url) {
    return browser.navigate(url, { from: new URL(this.provider.issuer).origin, stopAt: () => true });
  }

  /** A whole login. Returns the navigation's last answer. */
  async login(browser = this.browser(), { user = ALICE, ...how } = {}) {
    const url = await this.untilCallback(browser, { user, ...how });
    const answer = await this.callback(browser, url);
    assert.equal(answer.status, 303, `the login failed: ${answer.status} ${answer.code} ${answer.text.slice(0, 400)}`);
    assert.ok(browser.sessionCookie(this.origin), "a session cookie is set");
    return answer;
  }

  /** A browser with a session. */
  async loggedIn({ userAgent, ...how } = {}) {
    const browser = this.browser({ userAgent });
    await this.login(browser, how);
    return browser;
  }

  /** A call of the app's own. */
  call(browser, path = "/api/whoami", init = {}) {
    return browser.fetch(this.origin, path, init);
  }

  async session(browser, query = "") {
    const answer = await browser.fetch(this.origin, `/auth/session${query}`);
    assert.equal(answer.status, 200, `session: ${answer.status} ${answer.code}`);
    return answer.json;
  }

  logout(browser, init = {}) {
    return browser.fetch(this.origin, "/auth/logout", { method: "POST", ...init });
  }

  /** Whether this browser's session lives, by the word of its object: no warm grant has a say. */
  async isAlive(browser) {
    return (await this.session(browser, "?touch=false")).authenticated;
  }

  /** The claims of the newest login's ID token. */
  idToken() {
    const { answer } = this.provider.control.log.findLast((entry) => entry.grant === "authorization_code" && entry.status === 200);
    return JSON.parse(Buffer.from(JSON.parse(answer).id_token.split(".")[1], "base64url"));
  }

  /** Posts a logout token as a provider does; `token` may be a text or what `logoutToken` takes. */
  tell(token, { origin = this.origin, ...init } = {}) {
    const text = typeof token === "string" ? token : this.provider.control.logoutToken(token);
    return send(origin, {
      method: "POST",
      path: "/auth/backchannel-logout",
      headers: { "Content-Type": "application/x-www-form-urlencoded", Host: new URL(this.origin).host },
      body: new URLSearchParams({ logout_token: text }).toString(),
      ...init,
    });
  }

  /** The same browser as if it came to another data centre (`worker: { second: true }`). */
  elsewhere(browser) {
    const other = browser.copy();
    const { secondOrigin } = this.worker;
    const host = new URL(this.origin).host;
    other.networks = new Map([[this.origin, (_origin, init) => send(secondOrigin, { ...init, headers: [["Host", host], ...init.headers] })]]);
    return other;
  }

  /** A request without a browser. */
  raw(init) {
    return send(this.origin, init);
  }

  /** Headers of a same-origin call with this browser's session, for raw requests. */
  headersOf(browser, more = {}) {
    const cookie = browser.sessionCookie(this.origin);
    return { "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", Cookie: `${cookie.name}=${cookie.value}`, ...more };
  }

  async stop() {
    this.provider.control.heal();
    await this.worker.stop();
    await Promise.all([this.api.stop(), this.provider.stop()]);
  }
}

/** An answer of ours that is a problem with this code; gives its members. */
export function assertProblem(answer, status, code) {
  assert.equal(answer.code, code, `Tokenkeep-Error of ${answer.status}: ${answer.text.slice(0, 300)}`);
  assert.equal(answer.status, status);
  assert.equal(answer.header("cache-control"), "no-store");
  assert.equal(answer.header("x-content-type-options"), "nosniff");
  if (answer.header("content-type")?.startsWith("application/problem+json")) {
    assert.equal(answer.json.code, code);
    assert.equal(answer.json.status, status);
    return answer.json;
  }
  assert.match(answer.header("content-type") ?? "", /^text\/html/);
  return undefined;
}
