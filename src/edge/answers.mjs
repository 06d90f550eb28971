// Our own answers.

import * as core from "./core/tokenkeep.js";
import { Memo, headText } from "./heads.mjs";
import { enterWorkerHalf, noteTrap, poisoned } from "./instance.mjs";

export function answer(text) {
  return answered(read(text));
}

export function answered({ body, init }) {
  return new Response(body, init);
}

function read(text) {
  const { status, headers, body } = JSON.parse(text);
  const list = new Headers();
  for (const [name, value] of headers) list.append(name, value);
  return { body: body === "" ? null : body, init: { status, headers: list } };
}

// Refusals of calls: there are few, and whoever is refused asks again.
export const refusals = new Memo(1_000, 100, read);

// A person gets a page, made by the next instance; a program gets a problem.
export function fail(error, request, env) {
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
