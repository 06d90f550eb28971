// The entry of the built Worker: the only JavaScript in the data's way.
//
// It hands heads to the core as text, does what the core's plan says (forward, ask the session's
// object, answer), and streams bodies natively. It decides nothing itself. It also owns the wasm
// instance: after a trap the instance is poisoned and is made anew before the next entry into it,
// because a trapped instance answers every later call of every user with an error.

import { DurableObject } from "cloudflare:workers";
import * as core from "./core/tokenkeep.js";
import wasm from "./core/tokenkeep_bg.wasm";

core.initSync({ module: wasm });

// Which wasm instance is the current one, and whether it has trapped.
let generation = 0;
let poisoned = false;
// The generation that each half is configured in; the halves share no state.
let workerConfigured = -1;
let objectsConfigured = -1;
// Where sessions are kept ("durable" or "kv"), and where objects live, as either half knows it.
let store = "";
let workerJurisdiction = "";
let objectsJurisdiction = "";

// A trap inside a Rust future reaches no catch: only this event tells.
addEventListener("error", (event) => noteTrap(event.error));
addEventListener("unhandledrejection", (event) => noteTrap(event.reason));

function noteTrap(error) {
  if (!(error instanceof WebAssembly.RuntimeError)) return false;
  if (!poisoned) console.error(JSON.stringify({ level: "error", event: "trapped", generation }));
  poisoned = true;
  return true;
}

// Before every entry into wasm; never with wasm frames on the stack.
function enter() {
  if (!poisoned) return;
  core.__wbg_reset_state();
  generation += 1;
  poisoned = false;
}

// What the core may know of the environment: our variables and secrets, names of bindings and of what
// may be a variable of ours misspelt, flags.
function environmentText(env) {
  const bindings = Object.keys(env).filter((name) => env[name] !== null && typeof env[name] === "object" && name !== "TOKENKEEP");
  const flags = globalThis.Cloudflare?.compatibilityFlags ?? {};
  return JSON.stringify({
    tokenkeep: env.TOKENKEEP ?? null,
    overrides: env.TOKENKEEP_OVERRIDES ?? null,
    routes: env.TOKENKEEP_ROUTES ?? null,
    client_secret: env.CLIENT_SECRET ?? null,
    session_keys: env.SESSION_KEYS ?? null,
    name_key: env.NAME_KEY ?? null,
    admin_secret: env.ADMIN_SECRET ?? null,
    bindings,
    variables: Object.keys(env).filter((name) => name.startsWith("TOKENKEEP_") && typeof env[name] === "string"),
    compatibility_flags: Object.keys(flags).filter((name) => flags[name]),
  });
}

function enterWorkerHalf(env) {
  enter();
  if (workerConfigured === generation) return;
  [store, workerJurisdiction] = core.configure_worker(environmentText(env)).split("\n");
  workerConfigured = generation;
}

function headText(first, second, headers) {
  let text = `${first}\n${second}\n`;
  for (const [name, value] of headers) text += `${name}: ${value}\n`;
  return text;
}

// A promise of the core settles, or the trap that keeps it from settling is seen. The timer belongs
// to the caller's own context: another request's timer could not wake this one.
function settled(promise, limit) {
  const mine = generation;
  let timer;
  const watch = new Promise((_, reject) => {
    let waited = 0;
    timer = setInterval(() => {
      waited += 100;
      if (poisoned || generation !== mine || waited >= limit) reject(new Error("the core did not settle"));
    }, 100);
  });
  return Promise.race([promise, watch]).finally(() => clearInterval(timer));
}

// Asks an object; one that restarted under the call is asked once more, on a fresh stub. No command
// does harm when it is delivered twice. (The second delivery of a logout whose first reply was lost has
// no logout URL to give: the session here has ended, the provider's stays.)
async function ask(binding, jurisdiction, name, text) {
  const namespace = jurisdiction ? binding.jurisdiction(jurisdiction) : binding;
  try {
    return await namespace.getByName(name).command(text);
  } catch {
    return await namespace.getByName(name).command(text);
  }
}

const asker = (binding, jurisdiction) => (name, text) => ask(binding, jurisdiction, name, text);

// How the Worker half reaches sessions and subjects.
function askers(env, ctx) {
  if (store !== "kv") return [env.SESSIONS, env.SUBJECTS].map((binding) => asker(binding, workerJurisdiction));
  return ["ask_kv", "ask_kv_subject"].map((entry) => (_name, text) => askKv(env, ctx, entry, text).catch(() => askKv(env, ctx, entry, text)));
}

// A session in KV has no object: the core runs its machine here. What the command leads to after its
// reply (a refresh ahead of time, a revocation) goes on, and so does the command when the client leaves.
// One that the core trapped under is asked once more, as an object is.
async function askKv(env, ctx, entry, text) {
  // The endpoint that asks is wasm, and may be on the stack.
  await undefined;
  enterWorkerHalf(env);
  return new Promise((resolve, reject) => {
    const done = settled(core[entry](env.SESSIONS_KV, text, resolve), 60_000);
    ctx.waitUntil(done.then(() => reject(new Error("the core gave no reply")), reject));
  });
}

function answer(text) {
  const { status, headers, body } = JSON.parse(text);
  const list = new Headers();
  for (const [name, value] of headers) list.append(name, value);
  return new Response(body === "" ? null : body, { status, headers: list });
}

// A copy of `headers` without the names in line `from` and with the headers in the lines after it.
function changed(headers, lines, from) {
  const list = new Headers(headers);
  if (lines[from] !== "") for (const name of lines[from].split(",")) list.delete(name);
  for (let i = from + 1; i < lines.length; i += 1) {
    const at = lines[i].indexOf(":");
    list.set(lines[i].slice(0, at), lines[i].slice(at + 1));
  }
  return list;
}

function relayResponse(response, lines) {
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers: changed(response.headers, lines, 1) });
}

function discard(response, ctx) {
  if (response.body !== null) ctx.waitUntil(response.body.cancel().catch(() => {}));
}

// Does what the core's plans say until there is a response. Bodies stay native on both ways.
async function follow(plan, head, request, env, ctx) {
  // What is sent along: a stream that can go once, a short body that was kept, or nothing. (A length
  // of zero comes with a stream too, which a GET may not have and a second try could not send.)
  let body = request.headers.get("content-length") === "0" ? null : request.body;
  // The API's response, while the core says what becomes of it.
  let held = null;
  for (;;) {
    const lines = plan.split("\n");
    switch (lines[0]) {
      // method, URL, binding, whether the body is kept, cache mode, journey, names to drop, headers…
      case "F": {
        if (held !== null) {
          if (body instanceof ReadableStream) {
            // It went with the first try and can't go again: the API's own 401 stands.
            plan = "H";
            break;
          }
          discard(held.response, ctx);
          held = null;
        }
        if (lines[4] === "keep" && body instanceof ReadableStream) body = await request.arrayBuffer();
        const init = { method: lines[1], headers: changed(request.headers, lines, 7), redirect: "manual" };
        if (lines[5] !== "default") init.cache = lines[5];
        if (body !== null) init.body = body;
        let response;
        try {
          response = await (lines[3] === "" ? fetch(lines[2], init) : env[lines[3]].fetch(lines[2], init));
        } catch {
          enterWorkerHalf(env);
          plan = core.upstream_unreachable();
          break;
        }
        enterWorkerHalf(env);
        plan = core.relay(head, lines[6], headText(response.status, "", response.headers), Date.now());
        held = { response, journey: lines[6] };
        break;
      }
      // names to drop, headers to set…
      case "R":
        return relayResponse(held.response, lines);
      // the object's name, the command, the question to come back with
      case "K": {
        let reply = "";
        try {
          reply = await askers(env, ctx)[0](lines[1], lines[2]);
        } catch {
          // An empty reply is the core's word for a store that didn't answer.
        }
        enterWorkerHalf(env);
        plan = core.plan_with_reply(head, lines[3], reply);
        break;
      }
      // no other token is to be had: the API's own 401 goes through
      case "H":
        plan = core.relay_held(held.journey, headText(held.response.status, "", held.response.headers));
        break;
      case "A":
        if (held !== null) discard(held.response, ctx);
        return answer(lines[1]);
      case "E": {
        const limit = Number(lines[1]);
        const form = limit > 0 ? await boundedText(request, limit) : undefined;
        enterWorkerHalf(env);
        return answer(await settled(core.endpoint(head, form, ...askers(env, ctx)), 60_000));
      }
      case "S":
        if (env.ASSETS) return env.ASSETS.fetch(request);
        plan = core.not_found();
        break;
      default:
        throw new Error("the core gave no plan");
    }
  }
}

// A form's text, at most `limit` bytes of strict UTF-8; otherwise nothing.
async function boundedText(request, limit) {
  if (request.body === null) return "";
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let size = 0;
  try {
    for await (const chunk of request.body) {
      size += chunk.byteLength;
      if (size > limit) return undefined;
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } catch {
    return undefined;
  }
}

function broken(status) {
  return new Response(JSON.stringify({ type: "about:blank", title: "Something went wrong here", status, code: "internal" }), {
    status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "tokenkeep-error": "internal",
    },
  });
}

export default {
  async fetch(request, env, ctx) {
    const head = headText(request.method, request.url, request.headers);
    try {
      enterWorkerHalf(env);
      return await follow(core.plan(head, Date.now()), head, request, env, ctx);
    } catch (error) {
      if (!noteTrap(error)) console.error(JSON.stringify({ level: "error", event: "failed", kind: error?.name ?? "unknown" }));
      return failed(head, request, env);
    }
  },
};

// A person gets a page, made by the next instance; a program gets a problem.
function failed(head, request, env) {
  const status = poisoned ? 502 : 500;
  try {
    if (request.headers.get("sec-fetch-mode") !== "navigate") return broken(status);
    enterWorkerHalf(env);
    return answer(core.failed(head).slice(2));
  } catch (error) {
    noteTrap(error);
    return broken(status);
  }
}

// A Durable Object whose logic is a Rust struct of one wasm instance. When the instance is gone the
// struct is too: then the object ends itself, so that its hanging calls are rejected and the next
// call gets a fresh one that reads its state from storage.
class CoreObject extends DurableObject {
  #object = null;
  #generation = -1;

  enter() {
    enter();
    if (this.#object !== null && this.#generation !== generation) {
      this.ctx.abort("the core was restarted");
    }
    if (this.#object === null) {
      if (objectsConfigured !== generation) {
        objectsJurisdiction = core.configure_objects(environmentText(this.env));
        objectsConfigured = generation;
      }
      this.#object = this.make();
      this.#generation = generation;
    }
    return this.#object;
  }

  async command(text) {
    try {
      const reply = this.enter().command(text);
      return typeof reply === "string" ? reply : await settled(reply, 60_000);
    } catch (error) {
      noteTrap(error);
      // What it waited for went with the instance: the caller's second try is to find a fresh object.
      if (poisoned || this.#generation !== generation) this.ctx.abort("the core was restarted");
      throw new Error("the object failed");
    }
  }

  async alarm() {
    try {
      this.enter().alarm();
    } catch (error) {
      noteTrap(error);
      throw new Error("the object failed");
    }
  }
}

/** Keeps one session. */
export class SessionObject extends CoreObject {
  make() {
    return new core.SessionObject(this.ctx, asker(this.env.SUBJECTS, objectsJurisdiction));
  }
}

/** Lists the sessions of a subject, or of a session at the provider. */
export class SubjectObject extends CoreObject {
  make() {
    const sessions = asker(this.env.SESSIONS, objectsJurisdiction);
    // One that is slow counts as silent and is asked again later. A logout of a hundred, five times
    // twenty, under two names, is to be answered before its own time is up.
    return new core.SubjectObject(this.ctx, (name, text) => settled(sessions(name, text), 5_000));
  }
}
