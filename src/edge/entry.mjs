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

// What the core says of a header by its name alone, asked once for each name (its bits are those of
// src/http/request_headers.rs). Names are the sender's to choose: past a thousand it is asked again.
const READ = 1;
const DROPPED = 2;
const WHOLE = 4;

class Kinds {
  #known = new Map();
  #ask;

  constructor(ask) {
    this.#ask = ask;
  }

  of(name) {
    let kind = this.#known.get(name);
    if (kind === undefined) {
      kind = this.#ask(name);
      if (this.#known.size < 1_000) this.#known.set(name, kind);
    }
    return kind;
  }
}

const requestKinds = new Kinds(core.request_header);
const responseKinds = new Kinds(core.response_header);

// A head as the core needs it: what it reads of the headers. The names of those that go no further
// are added to `dropped`, but where that hangs on other headers: then the core sees all of them and
// names them itself.
function readHead(first, second, headers, kinds, dropped) {
  let text = `${first}\n${second}\n`;
  for (const [name, value] of headers) {
    const kind = kinds.of(name);
    if (kind === 0) continue;
    if (kind & WHOLE && value !== "keep-alive") {
      dropped.length = 0;
      return headText(first, second, headers);
    }
    if (kind & READ) text += `${name}: ${value}\n`;
    if (kind & DROPPED) dropped.push(name);
  }
  return text;
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
function ask(binding, jurisdiction, name, text) {
  const namespace = jurisdiction ? binding.jurisdiction(jurisdiction) : binding;
  const once = () => namespace.getByName(name).command(text);
  return once().catch(once);
}

const asker = (binding, jurisdiction) => async (name, text) => ask(binding, jurisdiction, name, text);

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
  return answered(read(text));
}

function answered({ body, init }) {
  return new Response(body, init);
}

function read(text) {
  const { status, headers, body } = JSON.parse(text);
  const list = new Headers();
  for (const [name, value] of headers) list.append(name, value);
  return { body: body === "" ? null : body, init: { status, headers: list } };
}

// Refusals of calls, by their text: there are few, and whoever is refused asks again.
const refusals = new Map();

function refuse(text) {
  let refusal = refusals.get(text);
  if (refusal === undefined) {
    refusal = read(text);
    if (refusals.size >= 100) refusals.clear();
    refusals.set(text, refusal);
  }
  return answered(refusal);
}

// Deletes the names in line `from` and sets the headers in the lines after it.
function change(headers, lines, from) {
  if (lines[from] !== "") for (const name of lines[from].split(",")) headers.delete(name);
  for (let i = from + 1; i < lines.length; i += 1) {
    const at = lines[i].indexOf(":");
    headers.set(lines[i].slice(0, at), lines[i].slice(at + 1));
  }
  return headers;
}

function relayResponse(response, lines) {
  const answer = new Response(response.body, response);
  change(answer.headers, lines, 1);
  return answer;
}

// Edits of plain responses, by what they hang on. Whoever runs the API chooses how many there are.
const edits = new Map();

// An API's response where nothing but its headers has to be looked at; else nothing.
function relayPlain(response, rules) {
  const dropped = [];
  const text = readHead(response.status, rules, response.headers, responseKinds, dropped);
  let lines = edits.get(text);
  if (lines === undefined) {
    lines = core.relay_plain(rules, text).split("\n");
    if (edits.size >= 500) edits.clear();
    edits.set(text, lines);
  }
  if (lines[0] !== "R") return undefined;
  const answer = relayResponse(response, lines);
  for (const name of dropped) answer.headers.delete(name);
  return answer;
}

// The upstream's own socket, as it is. One that ends with its session passes through our hands.
function relaySocket(response, lines, env, ctx) {
  const webSocket = lines[1] === "" ? response.webSocket : boundSocket(response.webSocket, lines, env, ctx);
  return new Response(null, { status: 101, webSocket, headers: change(new Headers(response.headers), lines, 4) });
}

// How long an end may take to answer the other's Close.
const LINGER = 10_000;

// Both ends in our hands: what one says the other hears, closes included, until the session ends.
//
// An end that has closed may go on hearing until the other has closed too, so the session is watched
// until both are closed from here: then nothing passes any more, whatever they still send.
function boundSocket(upstream, lines, env, ctx) {
  const [client, server] = Object.values(new WebSocketPair());
  const closed = new Set();
  let linger;
  const close = (socket, code, reason = "") => {
    if (closed.has(socket)) return;
    closed.add(socket);
    closeSocket(socket, code, reason);
    if (closed.size < 2) {
      // One that doesn't answer counts as broken.
      linger = setTimeout(closeBoth, LINGER, 1006);
    } else {
      clearTimeout(linger);
      stop();
    }
  };
  const closeBoth = (code, reason) => {
    for (const socket of [server, upstream]) close(socket, code, reason);
  };
  const stop = watchSession(lines, env, ctx, (code) => closeBoth(code, code === 4401 ? "the session has ended" : ""));
  for (const [from, to] of [[server, upstream], [upstream, server]]) {
    from.binaryType = "arraybuffer";
    from.addEventListener("message", ({ data }) => {
      if (!closed.has(to)) to.send(data);
    });
    from.addEventListener("close", ({ code, reason }) => (code === 1006 ? closeBoth(code) : close(to, code, reason)));
    from.addEventListener("error", () => closeBoth(1006));
    from.accept({ allowHalfOpen: true });
  }
  return client;
}

// What the runtime refuses to send is 1011: codes that are none, 1006 of an end that broke without a
// word, a reason that was no text.
function closeSocket(socket, code, reason) {
  for (const words of code === 1005 ? [[]] : [[code, reason], [1011]]) {
    try {
      socket.close(...words);
      return;
    } catch {
      // Or it broke, and nothing can be sent.
    }
  }
}

// An answer that ends with its session: whole where the session is what ends it, cut where the
// upstream's was. The pipe keeps this request, and with it the timer, alive.
function relayStream(response, lines, env, ctx) {
  const { status, statusText } = response;
  const body = response.body === null ? null : boundStream(response.body, lines, env, ctx);
  return new Response(body, { status, statusText, headers: change(new Headers(response.headers), lines, 4) });
}

function boundStream(body, lines, env, ctx) {
  const { readable, writable } = new IdentityTransformStream();
  const ended = new AbortController();
  const stop = watchSession(lines, env, ctx, () => ended.abort());
  body
    .pipeTo(writable, { signal: ended.signal, preventAbort: true })
    .catch((error) => (ended.signal.aborted ? writable.close() : writable.abort(error)))
    .catch(() => {})
    .finally(stop);
  return readable;
}

// Asks again and again whether a session lives (how often, its object's name, the command), and
// calls `end` with a code when the answer is no, or doesn't come before it is time for the next.
// Returns what stops it.
function watchSession(lines, env, ctx, end) {
  let isAsking = false;
  const stop = () => clearInterval(timer);
  const finish = (code) => {
    stop();
    end(code);
  };
  const timer = setInterval(async () => {
    if (isAsking) return finish(1013);
    isAsking = true;
    let reply = "";
    try {
      enterWorkerHalf(env);
      reply = await askers(env, ctx)[0](lines[2], lines[3]);
    } catch {
      // An empty reply is the core's word for a store that didn't answer.
    }
    isAsking = false;
    let code = 1013;
    try {
      enterWorkerHalf(env);
      code = core.watched(reply);
    } catch (error) {
      noteTrap(error);
    }
    if (code !== 0) finish(code);
  }, Number(lines[1]));
  return stop;
}

function discard(response, ctx) {
  if (response.body !== null) ctx.waitUntil(response.body.cancel().catch(() => {}));
}

// What is sent along: a stream that can go once, or nothing. (A length of zero comes with a stream too,
// which a GET may not have and a second try could not send.)
function bodyOf(request) {
  return request.body === null || request.headers.get("content-length") === "0" ? null : request.body;
}

// What was sent for, or nothing if it isn't there in time. The call itself ends with this request.
function within(sent, limit) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, limit);
  });
  // Nobody may be left to hear of it.
  sent.catch(() => {});
  return Promise.race([sent, late]).finally(() => clearTimeout(timer));
}

// F, method, URL, binding, whether the body is kept, cache mode, time-out, the response's rules, journey,
// names to drop, headers to set…
function send(lines, dropped, request, body, env) {
  const headers = new Headers(request.headers);
  for (const name of dropped) headers.delete(name);
  const init = { method: lines[1], headers: change(headers, lines, 9), redirect: "manual" };
  if (lines[5] !== "default") init.cache = lines[5];
  if (body !== null) init.body = body;
  const sent = lines[3] === "" ? fetch(lines[2], init) : env[lines[3]].fetch(lines[2], init);
  return lines[6] === "" ? sent : within(sent, Number(lines[6]));
}

// A request, and what was made of its head.
class Call {
  constructor(request, env, ctx) {
    this.request = request;
    this.env = env;
    this.ctx = ctx;
    this.dropped = [];
    this.head = readHead(request.method, request.url, request.headers, requestKinds, this.dropped);
  }

  // Most calls are sent on as they are and answered plainly, or answered by us; some after one question.
  // No async function is in the way of those.
  begin() {
    const plan = core.plan(this.head, Date.now());
    if (!plan.startsWith("K") || store === "kv") return this.#go(plan);
    const [, name, command, question] = plan.split("\n");
    return ask(this.env.SESSIONS, workerJurisdiction, name, command).then(
      (reply) => this.#replied(question, reply),
      // An empty reply is the core's word for a store that didn't answer.
      () => this.#replied(question, ""),
    );
  }

  #replied(question, reply) {
    try {
      enterWorkerHalf(this.env);
      return this.#go(core.plan_with_reply(this.head, question, reply));
    } catch (error) {
      return fail(error, this.request, this.env);
    }
  }

  #go(plan) {
    const lines = plan.split("\n");
    if (lines[0] === "A") return refuse(lines[1]);
    if (lines[0] !== "F" || lines[4] !== "") return this.follow(plan);
    const body = bodyOf(this.request);
    return send(lines, this.dropped, this.request, body, this.env).then(
      (response) => this.#answered(response, lines, body),
      () => this.#answered(null),
    );
  }

  #answered(response, lines, body) {
    try {
      enterWorkerHalf(this.env);
      if (response === null) return this.follow(core.upstream_unreachable());
      if (response === undefined) return this.follow(core.upstream_timed_out());
      return relayPlain(response, lines[7]) ?? this.follow(this.#relay(response, lines), { response, journey: lines[8] }, body);
    } catch (error) {
      return fail(error, this.request, this.env);
    }
  }

  #relay(response, lines) {
    return core.relay(this.head, lines[8], headText(response.status, "", response.headers), Date.now());
  }

  follow(plan, held = null, body = bodyOf(this.request)) {
    return this.#follow(plan, held, body).catch((error) => fail(error, this.request, this.env));
  }

  // Does what the core's plans say until there is a response. Bodies stay native on both ways. `held` is
  // the API's response, while the core says what becomes of it.
  async #follow(plan, held, body) {
    const { request, env, ctx, head, dropped } = this;
    for (;;) {
      const lines = plan.split("\n");
      switch (lines[0]) {
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
          let response;
          try {
            response = await send(lines, dropped, request, body, env);
          } catch {
            enterWorkerHalf(env);
            plan = core.upstream_unreachable();
            break;
          }
          enterWorkerHalf(env);
          if (response === undefined) {
            plan = core.upstream_timed_out();
            break;
          }
          const plain = relayPlain(response, lines[7]);
          if (plain !== undefined) return plain;
          plan = this.#relay(response, lines);
          held = { response, journey: lines[8] };
          break;
        }
        // names to drop, headers to set…
        case "R":
          return relayResponse(held.response, lines);
        // how often to ask, the object's name, the command, names to drop, headers to set…
        case "W":
          return relaySocket(held.response, lines, env, ctx);
        case "B":
          return relayStream(held.response, lines, env, ctx);
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
  fetch(request, env, ctx) {
    try {
      enterWorkerHalf(env);
      return new Call(request, env, ctx).begin();
    } catch (error) {
      return fail(error, request, env);
    }
  },
};

// A person gets a page, made by the next instance; a program gets a problem.
function fail(error, request, env) {
  if (!noteTrap(error)) console.error(JSON.stringify({ level: "error", event: "failed", kind: error?.name ?? "unknown" }));
  const status = poisoned ? 502 : 500;
  try {
    if (request.headers.get("sec-fetch-mode") !== "navigate") return broken(status);
    enterWorkerHalf(env);
    return answer(core.failed(headText(request.method, request.url, request.headers)).slice(2));
  } catch (another) {
    noteTrap(another);
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

  command(text) {
    try {
      const reply = this.enter().command(text);
      return typeof reply === "string" ? reply : settled(reply, 60_000).catch((error) => this.#failed(error));
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error) {
    noteTrap(error);
    // What it waited for went with the instance: the caller's second try is to find a fresh object.
    if (poisoned || this.#generation !== generation) this.ctx.abort("the core was restarted");
    throw new Error("the object failed");
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
