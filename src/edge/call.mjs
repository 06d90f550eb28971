// A request, step by step, as the core's plans say.

import * as core from "./core/tokenkeep.js";
import { answer, answered, fail, refusals } from "./answers.mjs";
import { ask, askers } from "./ask.mjs";
import { relaySocket, relayStream } from "./connections.mjs";
import { Memo, change, headText, readHeaders, requestKinds, responseKinds } from "./heads.mjs";
import { enterWorkerHalf, jurisdiction, noteTrap, poisoned, settled, store } from "./instance.mjs";
import { findPass, forgetEnded, keepPass } from "./passes.mjs";
import { ACCEPT_ENCODING, AUTHORIZATION, BINDING, CACHE, CARRIED, DROP, KEEP, METHOD, RULES, TIMEOUT, URL_ } from "./plans.mjs";

function relayResponse(response, lines) {
  const answer = new Response(response.body, response);
  change(answer.headers, lines, 1);
  return answer;
}

// Edits of plain responses, by all that they hang on: the status, the rules, and the headers that are read.
const edits = new Memo(1_000, 500, (text) => core.relay_plain(text).split("\n"));

// An API's response where nothing but its headers has to be looked at; else nothing.
function relayPlain(response, rules) {
  const dropped = [];
  const headers = readHeaders(response.headers, responseKinds, dropped);
  const lines = edits.of(`${response.status}\n${rules}\n${headers}`);
  if (lines[0] !== "R") return undefined;
  const answer = relayResponse(response, lines);
  for (const name of dropped) answer.headers.delete(name);
  return answer;
}

function discard(response, ctx) {
  if (response.body !== null) ctx.waitUntil(response.body.cancel().catch(() => {}));
}

// Whatever became of an endpoint, it may have ended sessions. (NaN is no count that was known before.)
function forgetOfEnded(env) {
  let times = NaN;
  try {
    if (!poisoned) {
      enterWorkerHalf(env);
      times = core.ended();
    }
  } catch (error) {
    noteTrap(error);
  }
  forgetEnded(times);
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

function send(url, authorization, lines, dropped, request, body, env) {
  const headers = new Headers(request.headers);
  for (const name of dropped) headers.delete(name);
  if (lines[DROP] !== "") for (const name of lines[DROP].split(",")) headers.delete(name);
  if (lines[ACCEPT_ENCODING] !== "") headers.set("accept-encoding", lines[ACCEPT_ENCODING]);
  if (authorization !== "") headers.set("authorization", authorization);
  const init = { method: lines[METHOD], headers, redirect: "manual" };
  if (lines[CACHE] !== "default") init.cache = lines[CACHE];
  if (body !== null) init.body = body;
  try {
    const sent = lines[BINDING] === "" ? fetch(url, init) : env[lines[BINDING]].fetch(url, init);
    return lines[TIMEOUT] === "" ? sent : within(sent, Number(lines[TIMEOUT]));
  } catch (error) {
    return Promise.reject(error);
  }
}

// A request, and what was made of its headers.
export class Call {
  constructor(request, env, ctx) {
    this.request = request;
    this.env = env;
    this.ctx = ctx;
    this.dropped = [];
    this.headers = readHeaders(request.headers, requestKinds, this.dropped);
  }

  get head() {
    return `${this.request.method}\n${this.request.url}\n${this.headers}`;
  }

  // All that is decided by, but the URL.
  get key() {
    return `${this.request.method}\n${this.headers}`;
  }

  // Most calls are sent on as they are and answered plainly, or answered by us; some after one question.
  // No async function is in the way of those.
  begin() {
    const now = Date.now();
    const pass = findPass(this.key, this.request.url, now);
    return (pass === undefined ? undefined : this.#recall(pass, now)) ?? this.#decide(now);
  }

  // A call like one before it; nothing where the core has to see all of it.
  #recall(pass, now) {
    const { url } = this.request;
    const said = core.recall(pass.number, url, now);
    if (said > 0) {
      const grant = said === pass.grant.serial ? pass.grant : pass.take(core.granted(pass.number, now));
      return grant && this.#forward(pass.to(url), grant.authorization, grant.carried, pass.lines);
    }
    pass.drop();
    if (said === 0 || store === "kv") return undefined;
    const ends = -1 - said;
    return this.#ask(pass.name, pass.command, (reply) => {
      const grant = pass.isCurrent ? pass.take(core.recall_replied(pass.number, now, ends, reply)) : undefined;
      if (grant === undefined) return this.#go(core.plan_with_reply(this.head, `${now};${ends};`, reply));
      return this.#forward(pass.to(url), grant.authorization, grant.carried, pass.lines);
    });
  }

  #decide(now) {
    const plan = core.plan(this.head, now);
    if (!plan.startsWith("K") || store === "kv") return this.#go(plan);
    const [, name, command, question] = plan.split("\n");
    return this.#ask(name, command, (reply) => this.#go(core.plan_with_reply(this.head, question, reply)));
  }

  #ask(name, command, then) {
    const replied = (reply) => {
      try {
        enterWorkerHalf(this.env);
        return then(reply);
      } catch (error) {
        return fail(error, this.request, this.env);
      }
    };
    // An empty reply is the core's word for a store that didn't answer.
    return ask(this.env.SESSIONS, jurisdiction, name, command).then(replied, () => replied(""));
  }

  #go(plan) {
    const lines = plan.split("\n");
    if (lines[0] === "A") return answered(refusals.of(lines[1]));
    if (lines[0] !== "F" || lines[KEEP] !== "") return this.follow(plan);
    keepPass(this.key, lines);
    return this.#forward(lines[URL_], lines[AUTHORIZATION], lines[CARRIED], lines);
  }

  #forward(url, authorization, carried, lines) {
    const body = bodyOf(this.request);
    return send(url, authorization, lines, this.dropped, this.request, body, this.env).then(
      (response) => this.#answered(response, lines[RULES], carried, body),
      () => this.#answered(null),
    );
  }

  #answered(response, rules, carried, body) {
    try {
      enterWorkerHalf(this.env);
      if (response === null) return this.follow(core.upstream_unreachable());
      if (response === undefined) return this.follow(core.upstream_timed_out());
      return relayPlain(response, rules) ?? this.follow(this.#relay(response, rules, carried), { response, rules, carried }, body);
    } catch (error) {
      return fail(error, this.request, this.env);
    }
  }

  #relay(response, rules, carried) {
    return core.relay(this.head, rules, carried, headText(response.status, "", response.headers), Date.now());
  }

  follow(plan, held = null, body = bodyOf(this.request)) {
    return this.#follow(plan, held, body).catch((error) => fail(error, this.request, this.env));
  }

  // Does what the core's plans say until there is a response. Bodies stay native on both ways. `held` is
  // the API's response, while the core says what becomes of it.
  async #follow(plan, held, body) {
    const { request, env, ctx, dropped } = this;
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
          keepPass(this.key, lines);
          if (lines[KEEP] === "keep" && body instanceof ReadableStream) body = await request.arrayBuffer();
          let response;
          try {
            response = await send(lines[URL_], lines[AUTHORIZATION], lines, dropped, request, body, env);
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
          const [rules, carried] = [lines[RULES], lines[CARRIED]];
          const plain = relayPlain(response, rules);
          if (plain !== undefined) return plain;
          plan = this.#relay(response, rules, carried);
          held = { response, rules, carried };
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
          plan = core.plan_with_reply(this.head, lines[3], reply);
          break;
        }
        // no other token is to be had: the API's own 401 goes through
        case "H":
          plan = core.relay_held(held.rules, held.carried, headText(held.response.status, "", held.response.headers));
          break;
        case "A":
          if (held !== null) discard(held.response, ctx);
          return answer(lines[1]);
        case "E": {
          const limit = Number(lines[1]);
          const form = limit > 0 ? await boundedText(request, limit) : undefined;
          enterWorkerHalf(env);
          try {
            return answer(await settled(core.endpoint(headText(request.method, request.url, request.headers), form, ...askers(env, ctx)), 60_000));
          } finally {
            forgetOfEnded(env);
          }
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
