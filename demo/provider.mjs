// The demo's OpenID provider: the real `oidc-provider`, with users, pages and keys of our own.
//
// `node demo/provider.mjs` starts it for the demo. The tests import `startProvider`: the same
// provider with short lifetimes, and with `control` to make it fail the way providers fail.

import { generateKeyPair, randomBytes } from "node:crypto";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import Provider from "oidc-provider";

import { listen } from "./listen.mjs";
import { BackChannel } from "./provider/backchannel.mjs";
import { Front } from "./provider/front.mjs";
import * as pages from "./provider/pages.mjs";
import { Store } from "./provider/store.mjs";

/** The two people who can sign in. */
export const USERS = [
  { username: "alice", password: "wonderland", sub: "usr_alice", name: "Alice Liddell", email: "alice@example.com" },
  { username: "bob", password: "builder", sub: "usr_bob", name: "Bob Baumeister", email: "bob@example.com" },
];

/** What the demo's Worker is registered as. The secret comes from the environment (`demo/.dev.vars`). */
export function demoClient({ origin = "http://localhost:8787", clientId = "tokenkeep-demo", clientSecret, ...rest } = {}) {
  return {
    client_id: clientId,
    client_secret: clientSecret,
    client_name: "Tokenkeep demo",
    redirect_uris: [`${origin}/auth/callback`],
    post_logout_redirect_uris: [`${origin}/auth/logged-out`],
    backchannel_logout_uri: `${origin}/auth/backchannel-logout`,
    // With it ID tokens and logout tokens say which session at the provider they are of: `sid`.
    backchannel_logout_session_required: true,
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_basic",
    ...rest,
  };
}

/** Paths of our own choosing, below the issuer's path. */
const ROUTES = {
  authorization: "/authorize",
  end_session: "/logout",
  jwks: "/jwks.json",
  pushed_authorization_request: "/par",
  revocation: "/revoke",
  token: "/token",
  userinfo: "/userinfo",
};
const ENDPOINTS = new Map([
  ...Object.entries(ROUTES).map(([name, path]) => [path, name]),
  ["/.well-known/openid-configuration", "discovery"],
]);

/**
 * Starts a provider.
 *
 * @param {object} [options]
 * @param {number} [options.port] 0 (default): any free one
 * @param {string} [options.issuer] `http://localhost:<port>` if missing; may have a path and a trailing slash
 * @param {object[]} [options.clients] registrations; `demoClient()` makes one
 * @param {object[]} [options.users] who can sign in (`USERS`)
 * @param {number} [options.accessTokenTtl] seconds, 300
 * @param {number} [options.idTokenTtl] seconds, 600
 * @param {number} [options.refreshTokenTtl] seconds, 14 days
 * @param {number} [options.sessionTtl] seconds that the provider's own session lives, 1 day
 * @param {boolean} [options.rotate] a new refresh token with each refresh, the old one used up (true)
 * @param {boolean} [options.claimsInIdToken] name and email in the ID token, not in UserInfo alone (true)
 * @param {string} [options.accessTokenAlg] of JWT access tokens: ES256, RS256, PS256, EdDSA
 * @param {{ key: string, cert: string }} [options.tls] https with this certificate
 * @param {object} [options.configuration] merged over oidc-provider's configuration, last
 * @returns {Promise<{ issuer: string, port: number, control: object, stop(): Promise<void> }>}
 *   `control`: `log`, `count(endpoint, grant?)`, `fail(endpoint, fault)`, `heal()`, `reset()` (see
 *   provider/front.mjs; endpoints: authorization, token, jwks, discovery, userinfo, revocation,
 *   end_session), `rotateKeys({ keepOld })`, `settings` (lifetimes and `rotate`, changeable while it
 *   runs), `forget(model)` and `countStored(model)` (RefreshToken, Session, Grant, …); `sent`,
 *   `logoutToken(…)` and `endSessions(sub)` of the back channel (see provider/backchannel.mjs)
 */
export async function startProvider(options = {}) {
  const settings = {
    accessTokenTtl: options.accessTokenTtl ?? 300,
    refreshTokenTtl: options.refreshTokenTtl ?? 14 * 86_400,
    sessionTtl: options.sessionTtl ?? 86_400,
    rotate: options.rotate ?? true,
  };
  const store = new Store();
  const cookieKeys = [randomBytes(32).toString("base64url")];
  const clients = options.clients ?? [demoClient({ clientSecret: "demo-secret" })];
  let keys = await signingKeys();
  let provider;
  let handle;

  // The issuer needs the port, the port needs a server: the handler comes a moment later.
  const server = await listen((req, res) => handle(req, res), { port: options.port, tls: options.tls });
  const issuer = options.issuer ?? `${options.tls ? "https" : "http"}://localhost:${server.port}`;
  const mount = new URL(issuer).pathname.replace(/\/$/, "");
  const front = new Front((path) => ENDPOINTS.get(path.slice(mount.length)) ?? "other");

  const backChannel = new BackChannel(() => ({ provider, store, keys, issuer, clients }));

  const install = () => {
    provider = new Provider(issuer, configuration({ issuer, settings, store, cookieKeys, keys, clients, fetch: backChannel.fetch, options }));
    provider.on("server_error", (_ctx, error) => console.error("provider:", error));
    handle = front.around(interactions(provider, { issuer, mount, users: options.users ?? USERS }));
  };
  install();

  const control = Object.assign(front, {
    settings,
    sent: backChannel.sent,
    logoutToken: (how) => backChannel.logoutToken(how),
    endSessions: (sub) => backChannel.endSessions(sub),
    forget: (model) => store.forget(model),
    countStored: (model) => store.count(model),
    async rotateKeys({ keepOld = true } = {}) {
      const fresh = await signingKeys();
      keys = keepOld ? [...fresh, ...keys] : fresh;
      install();
    },
  });
  return { issuer, port: server.port, control, stop: () => server.stop() };
}

function configuration({ issuer, settings, store, cookieKeys, keys, clients, fetch, options }) {
  return {
    adapter: store.adapter,
    clients,
    fetch,
    jwks: { keys },
    routes: ROUTES,
    pkce: { required: () => true },
    scopes: ["openid", "offline_access", "profile", "email"],
    claims: { openid: ["sub"], profile: ["name", "preferred_username"], email: ["email", "email_verified"] },
    // Strictly, claims of a scope come from UserInfo when there is one; most providers in the field
    // put them into the ID token all the same.
    conformIdTokenClaims: !(options.claimsInIdToken ?? true),
    // Cookies know no ports: on localhost these lie beside Tokenkeep's, hence names of their own.
    cookies: {
      keys: cookieKeys,
      names: { session: "lantern-session", interaction: "lantern-interaction", resume: "lantern-resume" },
    },
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          const { IdTokenHint: hint, Client: client } = ctx.oidc.entities;
          const back = (client?.postLogoutRedirectUris ?? []).map((uri) => new URL(uri).origin);
          ctx.set(pages.headers(back));
          ctx.body = hint
            ? pages.signOutAtOnce({ issuer, form })
            : pages.signOutAsked({ issuer, form, client: client?.clientName });
        },
        postLogoutSuccessSource: (ctx) => {
          ctx.set(pages.headers());
          ctx.body = pages.signedOut({ issuer });
        },
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: "orders",
          audience: resource,
          accessTokenFormat: "jwt",
          accessTokenTTL: settings.accessTokenTtl,
          jwt: { sign: { alg: options.accessTokenAlg ?? "ES256" } },
        }),
      },
    },
    // A refresh token without prompt=consent, as most providers give one to a server-side client.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    expiresWithSession: () => false,
    rotateRefreshToken: () => settings.rotate,
    ttl: {
      AccessToken: () => settings.accessTokenTtl,
      AuthorizationCode: () => 60,
      Grant: () => settings.refreshTokenTtl,
      IdToken: () => options.idTokenTtl ?? 600,
      Interaction: () => 600,
      RefreshToken: () => settings.refreshTokenTtl,
      Session: () => settings.sessionTtl,
    },
    findAccount: (_ctx, sub) => {
      const user = (options.users ?? USERS).find((u) => u.sub === sub);
      if (user === undefined) return undefined;
      return {
        accountId: sub,
        claims: () => ({ sub, name: user.name, preferred_username: user.username, email: user.email, email_verified: true }),
      };
    },
    loadExistingGrant: grantEverything,
    interactions: { url: (_ctx, interaction) => `${new URL(issuer).pathname.replace(/\/$/, "")}/interaction/${interaction.uid}` },
    renderError: (ctx, out) => {
      ctx.set(pages.headers());
      ctx.body = pages.failure({ issuer, out });
    },
    ...options.configuration,
  };
}

/** Consent is given beforehand: the application belongs to the same house as the provider. */
async function grantEverything(ctx) {
  const { provider, session, client, result, resourceServers } = ctx.oidc;
  const grantId = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
  const found = grantId && (await provider.Grant.find(grantId));
  // One grant a person, client and session, as many providers keep it.
  const grant = found?.accountId === session.accountId ? found : new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope("openid offline_access profile email");
  for (const resource of Object.keys(resourceServers ?? {})) grant.addResourceScope(resource, "orders");
  await grant.save();
  return grant;
}

/** The sign-in page before the provider's own routes. */
function interactions(provider, { issuer, mount, users }) {
  const next = provider.callback();
  return async (req, res) => {
    const path = req.url.split("?")[0];
    const [, uid, submit] = new RegExp(`^${mount}/interaction/([\\w-]+)(/sign-in)?$`).exec(path) ?? [];
    if (uid === undefined) {
      if (mount !== "") {
        if (!path.startsWith(`${mount}/`)) return void res.writeHead(404).end();
        req.originalUrl = req.url;
        req.url = req.url.slice(mount.length);
      }
      return next(req, res);
    }
    try {
      await interact(provider, req, res, { issuer, users, submit: submit !== undefined, action: `${mount}/interaction/${uid}/sign-in` });
    } catch (error) {
      res.writeHead(error.statusCode ?? 500, pages.headers());
      res.end(pages.failure({ issuer, out: { error: error.error ?? "server_error", error_description: error.error_description } }));
    }
  };
}

async function interact(provider, req, res, { issuer, users, submit, action }) {
  const { prompt, params } = await provider.interactionDetails(req, res);
  const client = await provider.Client.find(params.client_id);
  const site = new URL(params.redirect_uri).origin;
  const show = (status, more) => {
    res.writeHead(status, pages.headers([site]));
    res.end(pages.signIn({ action, issuer, client: client?.clientName ?? params.client_id, site: new URL(site).host, users, username: params.login_hint, ...more }));
  };
  // Asked for with prompt=consent: `grantEverything` has given it already.
  if (prompt.name === "consent") {
    return provider.interactionFinished(req, res, { consent: {} }, { mergeWithLastSubmission: true });
  }
  if (!submit || req.method !== "POST") return show(200);

  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  const user = users.find((u) => u.username === form.get("username")?.trim().toLowerCase() && u.password === form.get("password"));
  if (user === undefined) return show(401, { wrong: true, username: form.get("username") });
  return provider.interactionFinished(req, res, { login: { accountId: user.sub, remember: true, amr: ["pwd"] } });
}

/** One key of each kind that a client may register for; fresh at each start. */
async function signingKeys() {
  const make = promisify(generateKeyPair);
  const pairs = [
    ["RS256", await make("rsa", { modulusLength: 2048 })],
    ["ES256", await make("ec", { namedCurve: "P-256" })],
    ["EdDSA", await make("ed25519")],
    ["PS256", await make("rsa", { modulusLength: 2048 })],
  ];
  return pairs.map(([alg, { privateKey }]) => ({
    ...privateKey.export({ format: "jwk" }),
    alg,
    use: "sig",
    kid: `${alg.toLowerCase()}-${randomBytes(6).toString("hex")}`,
  }));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { PROVIDER_PORT = "9000", PORT = "8787", CLIENT_SECRET } = process.env;
  if (!CLIENT_SECRET) throw new Error("CLIENT_SECRET must be set: what Tokenkeep is registered with");
  const { issuer } = await startProvider({
    port: Number(PROVIDER_PORT),
    clients: [demoClient({ origin: `http://localhost:${PORT}`, clientSecret: CLIENT_SECRET })],
  });
  console.log(`provider ready on ${issuer}`);
}
