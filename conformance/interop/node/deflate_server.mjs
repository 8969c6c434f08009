// The server of the checks about compression of ../../README.md with `ws`: node deflate_server.mjs

import { once } from 'node:events';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { options, terms } from './deflate.mjs';

const http = createServer((_, response) => response.writeHead(426).end());
http.on('upgrade', (request, stream, head) => {
  const { searchParams: query } = new URL(request.url, 'http://localhost');
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: options(query.get('settings')) });
  server.handleUpgrade(request, stream, head, (socket) => {
    socket.on('error', (error) => console.log(`${request.url}: ${error.message}`));
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.send(terms(socket));
  });
});

http.listen(0, '127.0.0.1');
await once(http, 'listening');
console.log(`listening on http://127.0.0.1:${http.address().port}`);
