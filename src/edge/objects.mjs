// The Durable Objects' classes.

import { DurableObject } from "cloudflare:workers";
import * as core from "./core/tokenkeep.js";
import { asker } from "./ask.mjs";
import { enter, environmentText, generation, noteTrap, poisoned, settled } from "./instance.mjs";

// The generation that this half is configured in, and where objects live. (Nothing of the Worker half's.)
let configured = -1;
let jurisdiction = "";

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
      if (configured !== generation) {
        jurisdiction = core.configure_objects(environmentText(this.env));
        configured = generation;
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

  // Whether the struct is one of the instance that runs.
  isCurrent() {
    return !poisoned && this.#generation === generation;
  }

  #failed(error) {
    noteTrap(error);
    // What it waited for went with the instance: the caller's second try is to find a fresh object.
    if (!this.isCurrent()) this.ctx.abort("the core was restarted");
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

// No command has this text.
const NONE = { text: null, since: 0, until: 0, reply: "" };

/** Keeps one session. */
export class SessionObject extends CoreObject {
  // The last command, where its reply stays the same for a while if no other comes in between: the core
  // has said until when, and has nothing under way.
  #steady = NONE;

  make() {
    return new core.SessionObject(this.ctx, asker(this.env.SUBJECTS, jurisdiction));
  }

  command(text) {
    const steady = this.#steady;
    if (text === steady.text && this.isCurrent()) {
      const now = Date.now();
      if (now >= steady.since && now < steady.until) return steady.reply;
    }
    this.#steady = NONE;
    const reply = super.command(text);
    if (typeof reply !== "string" || reply.startsWith("{") || reply.startsWith('"')) return reply;
    const at = reply.indexOf("\n");
    this.#steady = { text, since: Date.now(), until: Number(reply.slice(0, at)), reply: reply.slice(at + 1) };
    return this.#steady.reply;
  }

  alarm() {
    this.#steady = NONE;
    return super.alarm();
  }
}

/** Lists the sessions of a subject, or of a session at the provider. */
export class SubjectObject extends CoreObject {
  make() {
    const sessions = asker(this.env.SESSIONS, jurisdiction);
    // One that is slow counts as silent and is asked again later. A logout of a hundred, five times
    // twenty, under two names, is to be answered before its own time is up.
    return new core.SubjectObject(this.ctx, (name, text) => settled(sessions(name, text), 5_000));
  }
}
