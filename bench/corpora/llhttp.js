// SPDX-License-Identifier: EUPL-1.2
//
// The second judge: llhttp as Node's http server uses it, strict as it comes. Reads records (4 bytes length, big endian,
// then the bytes one connection carried) from standard input and writes one line for each: the number of complete
// requests and the error code, "-" if there was none.
'use strict';
const http = require('node:http');
const { Duplex } = require('node:stream');

class Connection extends Duplex {
  constructor(bytes) {
    super({ autoDestroy: true });
    this.left = bytes;
  }
  _read() {
    // In pieces, as a network would.
    const piece = this.left.subarray(0, 16384);
    this.left = this.left.subarray(piece.length);
    if (piece.length > 0) this.push(piece);
    if (this.left.length === 0) this.push(null);
  }
  _write(_chunk, _encoding, done) { done(); }
  setTimeout() { return this; }
  setKeepAlive() { return this; }
  setNoDelay() { return this; }
  ref() { return this; }
  unref() { return this; }
}

function judge(bytes) {
  return new Promise((resolve) => {
    let count = 0;
    let error = '-';
    const server = http.createServer({ insecureHTTPParser: false, maxHeaderSize: 1 << 20, requireHostHeader: true, keepAliveTimeout: 0 });
    server.headersTimeout = 0;
    server.requestTimeout = 0;
    server.maxHeadersCount = 0;
    const request = (req, res) => {
      req.on('error', () => {});
      req.on('end', () => {
        count++;
        res.end();
      });
      req.resume();
    };
    server.on('request', request);
    server.on('checkContinue', request);
    server.on('checkExpectation', request);
    server.on('connect', () => { error = 'CONNECT'; socket.destroy(); });
    // An offer is the last thing on a connection that HTTP can be read on.
    server.on('upgrade', (_req, _socket, head) => {
      if (head.length > 0) error = 'UPGRADE';
      else count++;
      socket.destroy();
    });
    server.on('clientError', (err) => {
      error = err.code || err.message;
      // Requests that were complete before the error end in their own turn first.
      setImmediate(() => setImmediate(() => socket.destroy()));
    });
    const socket = new Connection(bytes);
    socket.on('error', () => {});
    socket.on('close', () => resolve(`${count} ${error}`));
    server.emit('connection', socket);
  });
}

async function main() {
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  const all = Buffer.concat(parts);
  const lines = [];
  for (let at = 0; at < all.length;) {
    const length = all.readUInt32BE(at);
    lines.push(await judge(all.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  process.stdout.write(lines.join('\n') + '\n');
}
main();
