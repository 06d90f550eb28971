// Stands before the provider's endpoints: writes down what came and what was answered, and makes an
// endpoint fail in the ways that providers fail. A demo never uses the second half; the tests do.

import { Readable } from "node:stream";

/**
 * One thing that goes wrong.
 *
 * @typedef {object} Fault
 * @property {number} [status] answered instead of asking the provider, with `body` and `headers`
 * @property {object | string} [body] an object is sent as JSON
 * @property {Record<string, string>} [headers]
 * @property {boolean} [hang] the request is taken and never answered
 * @property {boolean} [drop] the connection is cut before the provider is asked
 * @property {boolean} [lose] the provider does its work, then the connection is cut: the answer is lost
 * @property {number | Promise<void>} [delay] milliseconds before the provider is asked, or until this is resolved
 * @property {number | Promise<void>} [late] the same between the provider's work and its answer
 * @property {(body: object) => object} [transform] rewrites the provider's JSON
 * @property {string} [grant] token endpoint: only for this grant_type
 * @property {number} [times] how often; for good if missing
 */

/** Records of more than this many requests: the oldest go. */
const KEPT = 5_000;

export class Front {
  /**
   * Every request since the start or the last `reset`: {endpoint, method, grant, headers, form, query,
   * status, answer, delivered: whether the answer went out whole}.
   */
  log = [];
  #faults = [];
  #hanging = new Set();

  /** @param {(path: string) => string} nameOf which endpoint a path belongs to */
  constructor(nameOf) {
    this.nameOf = nameOf;
  }

  /** How many requests reached an endpoint; for the token endpoint by grant_type if given. */
  count(endpoint, grant) {
    return this.log.filter((r) => r.endpoint === endpoint && (!grant || r.grant === grant)).length;
  }

  /** Makes an endpoint fail. Returns a function that ends it. */
  fail(endpoint, fault) {
    const entry = { endpoint, left: fault.times ?? Infinity, fault };
    this.#faults.push(entry);
    return () => {
      this.#faults = this.#faults.filter((other) => other !== entry);
    };
  }

  /** Ends every fault and cuts what hangs; `log` stays. */
  heal() {
    this.#faults = [];
    for (const res of this.#hanging) res.destroy();
    this.#hanging.clear();
  }

  /** Ends every fault and empties the log. */
  reset() {
    this.heal();
    this.log = [];
  }

  /** A handler for the server, around `next`, the provider's own. */
  around(next) {
    return async (req, res) => {
      const url = new URL(req.url, "http://provider");
      const endpoint = this.nameOf(url.pathname);
      let body = "";
      if (req.method === "POST") {
        const chunks = [];
        for await (const chunk of req) chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        body = bytes.toString();
        req = replayed(req, bytes);
      }
      const form = Object.fromEntries(new URLSearchParams(body));
      const record = {
        endpoint,
        at: Date.now(),
        method: req.method,
        grant: endpoint === "token" ? form.grant_type : undefined,
        headers: { ...req.headers },
        query: Object.fromEntries(url.searchParams),
        form,
        status: undefined,
        answer: undefined,
        delivered: undefined,
      };
      res.once("close", () => {
        record.delivered = res.writableFinished;
      });
      this.log.push(record);
      if (this.log.length > KEPT) this.log.shift();

      const fault = this.#take(endpoint, record.grant);
      if (fault?.delay) await pause(fault.delay);
      if (fault?.hang) return void this.#hanging.add(res);
      if (fault?.drop) return void res.destroy();
      if (fault?.status) {
        const json = typeof fault.body === "object";
        record.status = fault.status;
        record.answer = json ? JSON.stringify(fault.body) : (fault.body ?? "");
        res.writeHead(fault.status, {
          "content-type": json ? "application/json" : "text/plain",
          "cache-control": "no-store",
          ...fault.headers,
        });
        return void res.end(record.answer);
      }
      overhear(res, record, fault);
      next(req, res);
    };
  }

  #take(endpoint, grant) {
    const entry = this.#faults.find(
      (f) => f.endpoint === endpoint && f.left > 0 && (!f.fault.grant || f.fault.grant === grant),
    );
    if (entry === undefined) return undefined;
    entry.left -= 1;
    return entry.fault;
  }
}

/** Puts the provider's answer into the record, and what the fault wants in its way. */
function overhear(res, record, fault) {
  const end = res.end.bind(res);
  res.end = (chunk, ...rest) => {
    let out = chunk;
    record.status = res.statusCode;
    if (fault?.transform && chunk) {
      out = JSON.stringify(fault.transform(JSON.parse(String(chunk))));
      res.setHeader("content-length", Buffer.byteLength(out));
    }
    if (typeof out === "string" || Buffer.isBuffer(out)) record.answer = String(out);
    if (fault?.lose) {
      res.destroy();
      return res;
    }
    if (fault?.late) {
      pause(fault.late).then(() => end(out, ...rest));
      return res;
    }
    return end(out, ...rest);
  };
}

/** The same request once more, its body not read yet: the provider wants to read it itself. */
function replayed(req, bytes) {
  const again = Readable.from(bytes.length > 0 ? [bytes] : [], { objectMode: false });
  for (const name of ["method", "url", "headers", "rawHeaders", "httpVersion", "httpVersionMajor", "httpVersionMinor", "socket", "connection"]) {
    again[name] = req[name];
  }
  return again;
}

const pause = (span) => (typeof span === "number" ? new Promise((done) => setTimeout(done, span)) : span);
