// Answers of a pure function, kept: what clients send is nearly always what they sent before.

/** How many are kept; beyond that they are made anew, so that nobody can fill the memory. */
const LIMIT = 1_000;

export class Kept {
  #answers = new Map();

  constructor(make) {
    this.make = make;
  }

  of(question) {
    const known = this.#answers.get(question);
    return known === undefined ? this.#made(question) : known;
  }

  #made(question) {
    const answer = this.make(question);
    if (this.#answers.size < LIMIT && question.length < LIMIT) this.#answers.set(question, answer);
    return answer;
  }
}
