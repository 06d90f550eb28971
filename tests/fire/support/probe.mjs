// Runs in workerd, before the built Worker, and changes nothing of what it does: says which isolate
// answers, counts what objects are asked and what they write, rings an alarm, and holds the clock.

import built, { SessionObject as Built, SubjectObject } from "./tokenkeep.js";

export { SubjectObject };

const real = Date.now.bind(Date);
let ahead = 0;
Date.now = () => real() + ahead;

// Drawn at the first request: the global scope has no randomness.
let instance;
let asked = {};
let made = 0;
let writes = {};

export class SessionObject extends Built {
  constructor(ctx, env) {
    super(ctx, env);
    made += 1;
    this.ctx = watched(ctx, (what) => {
      const own = (writes[ctx.id.name] ??= {});
      own[what] = (own[what] ?? 0) + 1;
    });
  }

  ring() {
    return this.alarm();
  }
}

export default {
  async fetch(request, env, ctx) {
    instance ??= crypto.randomUUID();
    const order = request.headers.get("x-fire");
    if (order !== null) return Response.json(await obey(JSON.parse(order), env));
    return built.fetch(request, { ...env, SESSIONS: counting(env.SESSIONS) }, ctx);
  },
};

async function obey(order, env) {
  if (order.ahead !== undefined) ahead = order.ahead;
  if (order.ring !== undefined) await env.SESSIONS.getByName(order.ring).ring();
  const report = { instance, asked, made, writes };
  if (order.reset) [asked, made, writes] = [{}, 0, {}];
  return report;
}

function counting(namespace) {
  return {
    getByName(name) {
      const stub = namespace.getByName(name);
      return {
        command(text) {
          asked[name] = (asked[name] ?? 0) + 1;
          return stub.command(text);
        },
      };
    },
  };
}

// An object's `ctx`, with what it writes counted. Each of these is billed as a row (or more).
function watched(ctx, wrote) {
  const { storage } = ctx;
  const counted = (target, name) => (...args) => {
    wrote(name);
    return target[name](...args);
  };
  const kv = behind(storage.kv, { put: counted(storage.kv, "put"), delete: counted(storage.kv, "delete") });
  const own = { kv };
  for (const name of ["setAlarm", "deleteAlarm", "deleteAll"]) own[name] = counted(storage, name);
  return behind(ctx, { storage: behind(storage, own) });
}

function behind(target, own) {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(own, name)) return own[name];
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
