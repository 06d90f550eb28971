// WebSockets and event streams: passed as they are, or held so that they end with their session.

import * as core from "./core/tokenkeep.js";
import { askers } from "./ask.mjs";
import { change } from "./heads.mjs";
import { enterWorkerHalf, noteTrap } from "./instance.mjs";

// The upstream's own socket, as it is. One that ends with its session passes through our hands.
export function relaySocket(response, lines, env, ctx) {
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
      if (closed.has(to)) return;
      try {
        to.send(data);
      } catch {
        // It broke, and its own event is still to come.
        closeBoth(1006);
      }
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
export function relayStream(response, lines, env, ctx) {
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
