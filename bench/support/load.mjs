// The load: a process of its own that keeps connections open and asks the same on each, one request
// at a time; or says the same on WebSockets and waits for the echo. Bare sockets for the former, since
// whatever it costs is taken from the machine that is measured on.
//
// Orders come as messages, one after the other: `open` connections, `run` (for so long, or so often; gives
// what it saw), `close`.

import { once } from "node:events";
import net from "node:net";

import { WebSocket } from "ws";

const CRLF2 = Buffer.from("\r\n\r\n");

class Connection {
  #head = Buffer.alloc(0);
  #left = -1;
  #chunked = false;
  #tail = "";
  #status = 0;
  #bytes = 0;
  #done;
  #failed;

  constructor({ port, request, bodyBytes }) {
    this.request = Buffer.from(request);
    this.bodyBytes = bodyBytes ?? 0;
    this.socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket.on("data", (chunk) => this.#take(chunk));
    this.socket.on("error", (error) => this.#failed?.(error));
    this.socket.on("close", () => this.#failed?.(new Error("the connection was closed")));
    this.opened = once(this.socket, "connect");
  }

  close() {
    this.socket.removeAllListeners("close").destroy();
  }

  /** One request and its whole answer. */
  ask() {
    return new Promise((done, failed) => {
      this.#done = done;
      this.#failed = failed;
      if (this.socket.destroyed) failed(new Error("the connection had been closed"));
      this.socket.write(this.request);
      if (this.bodyBytes > 0) this.#send(this.bodyBytes);
    });
  }

  #send(left) {
    while (left > 0) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
      left -= piece.length;
      if (!this.socket.write(piece)) return void this.socket.once("drain", () => this.#send(left));
    }
  }

  #take(chunk) {
    if (this.#left >= 0 || this.#chunked) return this.#body(chunk);
    this.#head = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf(CRLF2);
    if (end < 0) return;
    const head = this.#head.latin1Slice(0, end);
    const rest = this.#head.subarray(end + 4);
    this.#head = NOTHING;
    this.#status = Number(head.slice(9, 12));
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    this.#chunked = length === undefined && /\r\ntransfer-encoding: chunked/i.test(head);
    this.#left = this.#chunked ? -1 : Number(length ?? 0);
    this.#bytes = 0;
    this.#body(rest);
  }

  #body(chunk) {
    this.#bytes += chunk.length;
    if (this.#chunked) {
      this.#tail = (this.#tail + chunk.latin1Slice(Math.max(0, chunk.length - 7))).slice(-7);
      if (this.#tail !== "\r\n0\r\n\r\n" && this.#tail !== "0\r\n\r\n") return;
      this.#chunked = false;
      this.#tail = "";
    } else if ((this.#left -= chunk.length) > 0) return;
    this.#left = -1;
    this.#done({ status: this.#status, bytes: this.#bytes });
  }
}

/** A WebSocket; what it says comes back. */
class Socket {
  constructor({ port, socket: { path, headers }, bytes }) {
    this.message = PIECE.subarray(0, bytes);
    this.socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers, perMessageDeflate: false });
    this.socket.on("error", () => {});
    this.opened = once(this.socket, "open");
  }

  /** One message and its echo. */
  async ask() {
    const echo = once(this.socket, "message", { signal: AbortSignal.timeout(30_000) });
    this.socket.send(this.message);
    const [data] = await echo;
    return { status: 101, bytes: data.length };
  }

  close() {
    this.socket.terminate();
  }
}

const NOTHING = Buffer.alloc(0);
const PIECE = Buffer.alloc(256 * 1024, "0123456789abcdef");
let connections = [];

const ORDERS = {
  async open({ count, ...target }) {
    connections = Array.from({ length: count }, () => new (target.socket === undefined ? Connection : Socket)(target));
    await Promise.all(connections.map(({ opened }) => opened));
  },

  /** Asks for so many seconds, or so many times; every answer has to be the expected one. */
  async run({ seconds = Infinity, times = Infinity, status, bytes }) {
    const took = [];
    const began = performance.now();
    const until = began + seconds * 1000;
    let left = times;
    await Promise.all(
      connections.map(async (connection) => {
        let now = performance.now();
        while (now < until && left > 0) {
          left -= 1;
          const answer = await connection.ask();
          if (answer.status !== status || (bytes !== undefined && answer.bytes !== bytes)) throw new Error(`${status} was expected, ${answer.status} came, with ${answer.bytes} bytes`);
          const then = now;
          now = performance.now();
          took.push(now - then);
        }
      }),
    );
    took.sort((a, b) => a - b);
    const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
    return { requests: took.length, seconds: (performance.now() - began) / 1000, p50: at(0.5), p99: at(0.99) };
  },

  close() {
    for (const connection of connections) connection.close();
    connections = [];
  },
};

process.on("message", async ({ order, ...how }) => {
  try {
    process.send({ result: (await ORDERS[order](how)) ?? {} });
  } catch (error) {
    process.send({ failed: error.message });
  }
});
process.once("disconnect", () => process.exit());
