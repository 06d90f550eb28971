// The API behind every side: a process of its own on bare sockets, since it must cost less than what
// is measured. It knows just enough of HTTP/1.1 for workerd: heads, bodies with a length or in chunks.
//
//   GET  /bytes/N   N bytes of JSON-like text, with the headers of an ordinary API
//   POST /sink      reads the body, answers with its length
//   GET  /seen      the head of the request before this one, as it came
//   GET  /status/N  that status, with a Location if it is a redirect
//   GET  /echo      a WebSocket that says back what it hears

import net from "node:net";

import { WebSocketServer } from "ws";

const CRLF2 = Buffer.from("\r\n\r\n");
/** Ordinary, and some that mustn't reach a browser that believes them to be ours. */
const HEADERS = [
  "Server: nginx",
  "Date: Wed, 25 Nov 2026 00:00:00 GMT",
  "Content-Type: application/json; charset=utf-8",
  'ETag: W/"3e8-bench"',
  "Cache-Control: public, max-age=60",
  "Vary: Accept-Encoding",
  "X-Request-Id: 4fb0c1a2-93d4-4b8e-9a43-3a4f0c8f2c11",
  "Set-Cookie: api=1; Path=/; HttpOnly",
  "Strict-Transport-Security: max-age=31536000",
  "Access-Control-Allow-Origin: *",
].join("\r\n");

/** Larger than this is written in pieces, as fast as it is taken. */
const PIECE = Buffer.alloc(256 * 1024, "0123456789abcdef");
const whole = new Map();
let seen = "";
const echoes = new WebSocketServer({ noServer: true, perMessageDeflate: false });
echoes.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => socket.send(data, { binary }));
});

const server = net.createServer({ noDelay: true }, (socket) => {
  let held = Buffer.alloc(0);
  let body = null;
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    if (body !== null) {
      body.take(chunk);
      if (!body.ended) return;
      answer(socket, `{"bytes":${body.bytes}}`);
      body = null;
      return;
    }
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const end = held.indexOf(CRLF2);
    if (end < 0) return;
    const head = held.latin1Slice(0, end);
    const rest = held.subarray(end + 4);
    held = Buffer.alloc(0);
    const [method, target] = head.slice(0, head.indexOf("\r\n")).split(" ");
    if (target === "/echo") upgrade(socket, method, target, head, rest);
    else if (method === "GET") respond(socket, target, head);
    else {
      seen = head;
      body = new Body(head);
      body.take(rest);
      if (body.ended) {
        answer(socket, `{"bytes":${body.bytes}}`);
        body = null;
      }
    }
  });
});

function respond(socket, target, head) {
  const [, what, argument] = target.split("?")[0].split("/");
  if (what === "seen") return answer(socket, seen);
  seen = head;
  if (what === "status") return answer(socket, "{}", Number(argument), Number(argument) >= 300 && Number(argument) < 400 ? "\r\nLocation: /bytes/1" : "");
  const size = Number(argument);
  if (size > PIECE.length) return stream(socket, size);
  let response = whole.get(size);
  if (response === undefined) whole.set(size, (response = Buffer.concat([Buffer.from(headOf(200, size)), PIECE.subarray(0, size)])));
  socket.write(response);
}

/** From here on the connection is the library's. */
function upgrade(socket, method, url, head, rest) {
  seen = head;
  socket.removeAllListeners("data");
  const headers = Object.fromEntries(head.split("\r\n").slice(1).map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  echoes.handleUpgrade({ method, url, headers }, socket, rest, (opened) => echoes.emit("connection", opened));
}

const headOf = (status, length, more = "") => `HTTP/1.1 ${status} Said\r\n${HEADERS}\r\nContent-Length: ${length}${more}\r\n\r\n`;

function answer(socket, text, status = 200, more = "") {
  socket.write(`${headOf(status, Buffer.byteLength(text), more)}${text}`);
}

function stream(socket, size) {
  let left = size;
  socket.write(headOf(200, size));
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
      left -= piece.length;
      if (!socket.write(piece)) return void socket.once("drain", more);
    }
  };
  more();
}

/** Counts a request's body until it ends. */
class Body {
  bytes = 0;
  ended = false;
  #length;
  #tail = "";

  constructor(head) {
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    this.#length = length === undefined ? undefined : Number(length);
    if (this.#length === 0 || (this.#length === undefined && !/\r\ntransfer-encoding: chunked/i.test(head))) this.ended = true;
  }

  take(chunk) {
    this.bytes += chunk.length;
    if (this.#length !== undefined) this.ended = this.bytes >= this.#length;
    else {
      // The last chunk: nothing comes after it on a connection that waits for its answer.
      this.#tail = (this.#tail + chunk.latin1Slice(Math.max(0, chunk.length - 7))).slice(-7);
      this.ended = this.#tail === "\r\n0\r\n\r\n";
    }
  }
}

server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.once("disconnect", () => process.exit());
