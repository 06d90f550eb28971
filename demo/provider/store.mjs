// Keeps what oidc-provider keeps, in memory: its adapter interface over one Map.
//
// Our own and not the library's: it can be shared by two Provider instances (that is how keys are
// rotated at run time), it has no cap of 1,000 entries, and a test can empty parts of it.

/** Models whose entries belong to a grant and go with it. */
const OF_A_GRANT = new Set(["AccessToken", "AuthorizationCode", "RefreshToken"]);

export class Store {
  #entries = new Map();

  /** The `adapter` of a Provider's configuration. */
  get adapter() {
    return (model) => new Adapter(model, this.#entries);
  }

  /** Drops everything of one model: "RefreshToken" gone is `invalid_grant` at the next refresh. */
  forget(model) {
    for (const key of this.#entries.keys()) {
      if (key.startsWith(`${model}:`)) this.#entries.delete(key);
    }
  }

  /** What is stored of one model. */
  all(model) {
    return [...this.#entries].filter(([key]) => key.startsWith(`${model}:`)).map(([, { payload }]) => payload);
  }

  /** How many entries of one model there are. */
  count(model) {
    return [...this.#entries.keys()].filter((key) => key.startsWith(`${model}:`)).length;
  }
}

class Adapter {
  constructor(model, entries) {
    this.model = model;
    this.entries = entries;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const until = expiresIn === undefined ? Infinity : Date.now() + (expiresIn + 15) * 1000;
    this.entries.set(this.key(id), { payload: structuredClone(payload), until });
  }

  async find(id) {
    const entry = this.entries.get(this.key(id));
    if (entry === undefined) return undefined;
    if (entry.until <= Date.now()) {
      this.entries.delete(this.key(id));
      return undefined;
    }
    return structuredClone(entry.payload);
  }

  async findByUid(uid) {
    for (const [key, { payload }] of this.entries) {
      if (key.startsWith(`${this.model}:`) && payload.uid === uid) {
        return this.find(key.slice(this.model.length + 1));
      }
    }
    return undefined;
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const entry = this.entries.get(this.key(id));
    if (entry !== undefined) entry.payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.entries.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of this.entries) {
      if (OF_A_GRANT.has(key.split(":")[0]) && payload.grantId === grantId) {
        this.entries.delete(key);
      }
    }
  }
}
