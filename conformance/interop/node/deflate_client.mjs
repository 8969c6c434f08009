// The checks about compression of ../../README.md with `ws` as the client: node deflate_client.mjs http://ADDRESS

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { on, once } from 'node:events';
import { WebSocket } from 'ws';
import { Checks } from './checks.mjs';
import { TAKEOVER, checkWire, join, messages, options, terms, windows } from './deflate.mjs';

const address = process.argv[2].replace(/^http/, 'ws');

async function exchange(ours, theirs) {
  const id = randomUUID();
  const query = new URLSearchParams({ id, settings: theirs });
  const socket = new WebSocket(`${address}/deflate?${query}`, { perMessageDeflate: options(ours) });
  const received = on(socket, 'message');
  const closed = once(socket, 'close');
  closed.catch(() => {}); // an error before the opening is reported by the next line
  await once(socket, 'open');
  const receive = async () => (await received.next()).value;

  const agreed = terms(socket);
  assert.equal((await receive())[0].toString(), agreed, 'the two sides agreed on different terms');
  for (const flag of [ours, theirs].flatMap((asked) => asked.match(/\w+_no_context_takeover/g) ?? [])) {
    assert.ok(agreed.includes(flag), `${flag} was not agreed on`);
  }
  for (const message of messages()) {
    sendInFragments(socket, message);
    const [data, isBinary] = await receive();
    assert.equal(isBinary, typeof message !== 'string', 'the type of the message changed');
    assert.ok(data.equals(Buffer.from(message)), 'the message changed');
  }
  socket.close(1000);
  await closed;
  checkWire(await wire(id));
}

/** Sends a message in two fragments, if it is long enough for that. */
function sendInFragments(socket, message) {
  const bytes = Buffer.from(message);
  const binary = typeof message !== 'string';
  if (bytes.length > 1000) socket.send(bytes.subarray(0, 1000), { binary, fin: false });
  socket.send(bytes.length > 1000 ? bytes.subarray(1000) : bytes, { binary, fin: true });
}

/** What the server saw of a connection. */
async function wire(id) {
  const socket = new WebSocket(`${address}/wire?${new URLSearchParams({ id })}`, { perMessageDeflate: false });
  const [report] = await once(socket, 'message');
  socket.close();
  return report.toString();
}

const checks = new Checks();
for (const takeover of TAKEOVER) {
  await checks.check(`asked by the client: ${takeover || 'windows only'}`, async () => {
    for (const ours of windows().map((windows) => join(takeover, windows))) await named(ours, '');
  });
  await checks.check(`asked by the server: ${takeover || 'windows only'}`, async () => {
    for (const theirs of windows().map((windows) => join(takeover, windows))) await named('', theirs);
  });
}
checks.finish();

async function named(ours, theirs) {
  try {
    await exchange(ours, theirs);
  } catch (error) {
    throw new Error(`with "${ours}" here and "${theirs}" there: ${error.message}`);
  }
}
