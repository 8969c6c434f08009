// The behaviours of ../../README.md with `ws` as the server, over TLS with a certificate and its key:
// node server.mjs [CHAIN KEY]

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { WebSocketServer } from 'ws';

/** For each id of a connection, what it was closed with. */
const closings = new Map();

function closing(id) {
  if (!closings.has(id)) {
    const entry = {};
    entry.closed = new Promise((resolve) => {
      entry.resolve = resolve;
    });
    closings.set(id, entry);
  }
  return closings.get(id);
}

function sendFragments(socket, data, binary) {
  for (let start = 0; start < data.length; start += 3) {
    socket.send(data.subarray(start, start + 3), { binary, fin: start + 3 >= data.length });
  }
}

const behaviours = {
  '/echo'(socket) {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
  },
  '/fragments'(socket) {
    socket.on('message', (data, binary) => sendFragments(socket, data, binary));
  },
  '/ping'(socket) {
    socket.on('pong', (payload) => {
      if (payload.equals(Buffer.from('are you there?'))) socket.send('pong');
    });
    socket.ping('are you there?');
  },
  '/close'(socket, query) {
    socket.close(Number(query.get('code')), query.get('reason'));
  },
  async '/seen'(socket, query) {
    socket.send(await closing(query.get('id')).closed);
  },
};

const [cert, key] = process.argv.slice(2).map((path) => readFileSync(path));
const refuse = (_, response) => response.writeHead(426).end();
const http = cert ? createTlsServer({ cert, key }, refuse) : createServer(refuse);
const server = new WebSocketServer({ server: http });
server.on('connection', (socket, request) => {
  const { pathname, searchParams: query } = new URL(request.url, 'http://localhost');
  const id = query.get('id');
  if (id !== null && pathname !== '/seen') {
    socket.on('close', (code, reason) => closing(id).resolve(`${code} ${reason}`));
  }
  socket.on('error', (error) => console.log(`${request.url}: ${error.message}`));
  const behaviour = behaviours[pathname];
  if (behaviour) behaviour(socket, query);
  else socket.close(1008, `no behaviour ${pathname}`);
});

http.listen(0, '127.0.0.1');
await once(http, 'listening');
console.log(`listening on ${cert ? 'https://localhost' : 'http://127.0.0.1'}:${http.address().port}`);
