// Who owns which refresh token, by the provider's own log: what it was asked, what it gave.

import { until } from "../../worker/support/wait.mjs";

export class Books {
  #owners = new Map();
  #open = [];

  /** @param {object} control of the provider */
  constructor(control) {
    this.control = control;
    /** Every refresh request so far: the log's record, whose it was, and which number it had. */
    this.refreshes = [];
    /** Every code exchange so far. */
    this.exchanges = [];
    /** Every revocation so far. */
    this.revocations = [];
  }

  /** Notes whose session the code has led to. */
  own(code, person) {
    this.read();
    const exchange = this.exchanges.find(({ record }) => record.form.code === code && record.status === 200);
    const { id_token, refresh_token } = JSON.parse(exchange.record.answer);
    person.claims = JSON.parse(Buffer.from(id_token.split(".")[1], "base64url"));
    person.refreshToken = refresh_token;
    this.#owners.set(person.refreshToken, person);
  }

  /** Takes over what the provider has logged since. Records that aren't answered yet stay open. */
  read() {
    for (const record of this.control.log.splice(0)) {
      if (record.grant === "refresh_token") {
        const entry = { record, number: this.refreshes.length, person: undefined, gave: undefined };
        this.refreshes.push(entry);
        this.#open.push(entry);
      }
      if (record.grant === "authorization_code") this.exchanges.push({ record });
      if (record.endpoint === "revocation") this.revocations.push({ record });
    }
    // In the order in which they came: a token's owner is known before the token is used.
    this.#open = this.#open.filter((entry) => !this.#close(entry));
    return this.refreshes;
  }

  /** The provider has done what it was asked: all but `unanswered(number)` have an answer. */
  async settled(unanswered = () => false) {
    await until(() => {
      this.read();
      return this.#open.every(({ number }) => unanswered(number));
    }, "the provider to have answered", 60_000);
  }

  /** Whether the provider has taken this refresh token back. */
  isRevoked(token) {
    this.read();
    return this.revocations.some(({ record }) => record.form.token === token && record.status === 200);
  }

  #close(entry) {
    const { record } = entry;
    entry.person ??= this.#owners.get(record.form.refresh_token);
    if (record.status === undefined) return false;
    // The provider may have acted and then found nobody to answer to: a status without an answer.
    if (record.status === 200 && record.answer !== undefined) {
      entry.gave = JSON.parse(record.answer);
      if (entry.person !== undefined) {
        entry.person.refreshToken = entry.gave.refresh_token;
        this.#owners.set(entry.gave.refresh_token, entry.person);
      }
    }
    return true;
  }
}
