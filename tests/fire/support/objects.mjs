// The objects' files, as the local runtime keeps them: one SQLite database an object, with its row
// in `_cf_KV`, its alarm in `_cf_METADATA`, and beside them one that lists the alarms of a class.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import v8 from "node:v8";

/** The record begins with its version and the open part's length. */
export const HEAD = 5;

const PARTS = ["", "-wal", "-shm"];

export class Objects {
  constructor(storage) {
    this.storage = storage;
  }

  /** The databases of these people's sessions, in their order. */
  of(people) {
    const found = new Map(this.files().map((file) => [this.open(file)?.session, file]));
    return people.map(({ object }) => found.get(object));
  }

  /** The databases of all session objects that were ever asked. */
  files() {
    return this.#all().filter((file) => /SessionObject/.test(file) && file.endsWith(".sqlite") && path.basename(file) !== "metadata.sqlite");
  }

  /** The record: the bytes of the one row, if there is one. */
  row(file) {
    if (this.#rows(file) === 0) return undefined;
    const [{ value }] = this.#read(file, "SELECT value FROM _cf_KV WHERE key = 'session'");
    return Buffer.from(v8.deserialize(value));
  }

  /** The record's open part: what is known without the cookie. */
  open(file) {
    const row = this.row(file);
    return row && JSON.parse(row.subarray(HEAD, HEAD + row.readUInt32BE(1)).toString());
  }

  /** Writes a record in the place of the one there. */
  replace(file, record) {
    const database = new DatabaseSync(file);
    database.prepare("UPDATE _cf_KV SET value = ? WHERE key = 'session'").run(stored(record));
    database.close();
  }

  /** How many rows the object has, and when its alarm rings. */
  content(file) {
    return { rows: this.#rows(file), alarm: this.alarm(file) };
  }

  /** When the object's alarm is to ring, in milliseconds, by the class's list. */
  alarm(file) {
    const list = path.join(path.dirname(file), "metadata.sqlite");
    const own = this.#read(list, "SELECT actor_id, scheduled_time AS at FROM _cf_ALARM").find((row) => row.actor_id === path.basename(file, ".sqlite"));
    return own === undefined ? undefined : Number(own.at / 1_000_000n);
  }

  /** SQLite's own judgement. */
  integrity(file) {
    return this.#read(file, "PRAGMA integrity_check")[0].integrity_check;
  }

  /** A copy of the object as it is now; gives what puts it back. */
  copy(file) {
    const kept = PARTS.filter((part) => existsSync(file + part));
    for (const part of kept) copyFileSync(file + part, `${file}${part}.kept`);
    return () => {
      for (const part of PARTS) rmSync(file + part, { force: true });
      for (const part of kept) copyFileSync(`${file}${part}.kept`, file + part);
    };
  }

  /** Every file with its digest: equal where nothing was written. */
  fingerprint() {
    const hash = createHash("sha256");
    for (const file of this.#all().sort()) hash.update(file).update(createHash("sha256").update(readFileSync(file)).digest());
    return hash.digest("hex");
  }

  bytes() {
    return this.#all().reduce((sum, file) => sum + readFileSync(file).length, 0);
  }

  // Where all was deleted the runtime has dropped the table too.
  #rows(file) {
    const tables = this.#read(file, "SELECT name FROM sqlite_master WHERE type = 'table'");
    if (!tables.some(({ name }) => name === "_cf_KV")) return 0;
    return Number(this.#read(file, "SELECT count(*) AS n FROM _cf_KV")[0].n);
  }

  #read(file, query) {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      const statement = database.prepare(query);
      statement.setReadBigInts(true);
      return statement.all();
    } finally {
      database.close();
    }
  }

  #all() {
    return readdirSync(this.storage, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
  }
}

// As the runtime writes it: Node's own `serialize` marks byte arrays in a way of its own.
function stored(record) {
  const serializer = new v8.Serializer();
  serializer.writeHeader();
  serializer.writeValue(new Uint8Array(record));
  return serializer.releaseBuffer();
}
