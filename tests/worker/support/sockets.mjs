// WebSockets: an API that speaks them, and a client that says what a test wants it to say.

import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import net from "node:net";

import { WebSocket, WebSocketServer } from "ws";

/**
 * An API whose sockets say back what they hear, but for three words: `close` closes (with a code and a
 * reason, if they come after it), `die` breaks the connection, `many` sends that many messages.
 *
 * @param {object} [options]
 * @param {(req, socket) => boolean} [options.refuse] answers a handshake itself and says so
 */
export async function startSocketApi({ refuse = () => false } = {}) {
  /** Handshakes, oldest first; with `headers` and, once it is closed, `closed`: [code, reason]. */
  const seen = [];
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true, handleProtocols: (offered) => [...offered].at(-1) });
  const server = http.createServer((_req, res) => res.end("no socket"));
  server.on("upgrade", (req, connection, head) => {
    connection.on("error", () => {});
    if (refuse(req, connection)) return;
    const record = { url: req.url, method: req.method, headers: req.headers, raw: req.rawHeaders, heard: [] };
    seen.push(record);
    sockets.handleUpgrade(req, connection, head, (socket) => {
      record.socket = socket;
      socket.on("error", () => {});
      socket.on("close", (code, reason) => (record.closed = [code, String(reason)]));
      socket.on("message", (data, isBinary) => {
        record.heard.push(isBinary ? data : String(data));
        const [word, code, ...reason] = isBinary ? [] : String(data).split(" ");
        if (word === "close") socket.close(code === undefined ? undefined : Number(code), reason.join(" "));
        else if (word === "die") connection.destroy();
        else if (word === "many") for (let i = 0; i < Number(code); i += 1) socket.send(String(i));
        else socket.send(data, { binary: isBinary });
      });
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    seen,
    sockets,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of sockets.clients) socket.terminate();
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/** What a browser's `new WebSocket` says about itself. */
export function handshakeOf(world, browser, more = {}) {
  const headers = { Origin: world.origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "websocket", "Sec-Fetch-Dest": "websocket", ...more };
  const cookie = browser?.sessionCookie(world.origin);
  if (cookie) headers.Cookie = `${cookie.name}=${cookie.value}`;
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
}

/**
 * Opens a socket through the Worker. Resolves with it: `answer` is the handshake's, `closed` a promise
 * of [code, reason], `next()` one of the next message. Rejects with `{ status, code, headers }` where
 * the handshake is answered otherwise.
 */
export function openSocket(world, browser, path, { protocols = [], headers = {}, ...options } = {}) {
  const socket = new WebSocket(`ws://localhost:${world.worker.port}${path}`, protocols, { headers: handshakeOf(world, browser, headers), ...options });
  const queue = [];
  const waiting = [];
  socket.on("message", (data, isBinary) => {
    const message = isBinary ? data : String(data);
    if (waiting.length > 0) waiting.shift()(message);
    else queue.push(message);
  });
  socket.next = () => (queue.length > 0 ? Promise.resolve(queue.shift()) : new Promise((resolve) => waiting.push(resolve)));
  socket.closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve([code, String(reason)])));
  return new Promise((resolve, reject) => {
    socket.on("upgrade", (response) => (socket.answer = response));
    socket.on("open", () => resolve(socket));
    socket.on("error", reject);
    socket.on("unexpected-response", (_request, response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => reject(Object.assign(new Error(`${response.statusCode}`), { status: response.statusCode, code: response.headers["tokenkeep-error"], headers: response.headers, body: Buffer.concat(chunks).toString() })));
    });
  });
}

/**
 * Opens a socket through the Worker and speaks frames by hand, to say what no library says. Resolves with
 * the connection: `say(opcode, payload)`, `heard` (all bytes after the handshake), `gone`. It answers
 * nothing by itself, a Close included.
 */
export function openRaw(world, browser, path) {
  const key = randomBytes(16).toString("base64");
  const headers = { ...handshakeOf(world, browser), Host: `localhost:${world.worker.port}`, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key };
  return new Promise((resolve, reject) => {
    const connection = net.connect(world.worker.port, "127.0.0.1");
    connection.write(`GET ${path} HTTP/1.1\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
    connection.on("error", reject);
    speak(connection, true);
    let head = Buffer.alloc(0);
    connection.on("data", function read(chunk) {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end === -1) return;
      connection.off("data", read);
      const status = Number(String(head).split(" ")[1]);
      if (status !== 101) return reject(Object.assign(new Error(`${status}`), { status }));
      connection.heard = head.subarray(end + 4);
      connection.on("data", (more) => (connection.heard = Buffer.concat([connection.heard, more])));
      resolve(connection);
    });
  });
}

/** An API that takes every handshake and says and answers nothing by itself: `seen` are its connections. */
export async function startRawApi() {
  const seen = [];
  const server = http.createServer((_req, res) => res.end("no socket"));
  server.on("upgrade", (req, connection) => {
    const accept = createHash("sha1").update(`${req.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    connection.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    connection.on("error", () => {});
    connection.heard = Buffer.alloc(0);
    connection.on("data", (chunk) => (connection.heard = Buffer.concat([connection.heard, chunk])));
    seen.push(speak(connection, false));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    seen,
    stop: () =>
      new Promise((resolve) => {
        for (const connection of seen) connection.destroy();
        server.close(resolve);
      }),
  };
}

function speak(connection, isClient) {
  connection.on("end", () => connection.end());
  connection.on("close", () => (connection.gone = true));
  connection.say = (opcode, payload) => {
    const body = Buffer.from(payload);
    // A mask of zeros leaves the bytes as they are.
    const head = [0x80 | opcode, (isClient ? 0x80 : 0) | body.length, ...(isClient ? [0, 0, 0, 0] : [])];
    connection.write(Buffer.concat([Buffer.from(head), body]));
  };
  return connection;
}

export const TEXT = 1;
export const CLOSE = 8;

/** What stands in a Close frame. */
export function closeOf(code, reason = "") {
  return Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
}
