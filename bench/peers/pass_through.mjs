// (a) The bare pass-through: what a Worker costs that does nothing but pass a call on.

import { env } from "cloudflare:workers";

const { ORIGIN, UPSTREAM } = env;
const PREFIX = `${ORIGIN}/api`.length;

export default {
  fetch: (request) => fetch(UPSTREAM + request.url.slice(PREFIX), request),
};
