// The checks of ../../README.md with `ws` as the client: node client.mjs http[s]://ADDRESS

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { on, once } from 'node:events';
import { WebSocket } from 'ws';
import { Checks } from './checks.mjs';
import { binary, text } from './content.mjs';

const SIZES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20];
const CLOSINGS = [
  ['1000', 1000, ''],
  ['4001', 4001, 'à bientôt 👋'],
  ['3999', 3999, `${'é'.repeat(61)}!`], // 123 bytes: the longest reason a close frame can carry
];

const address = process.argv[2].replace(/^http/, 'ws');

/** Opens a connection; its messages are kept from the first one on. */
async function connect(path) {
  const socket = new WebSocket(address + path);
  const messages = on(socket, 'message');
  const closed = once(socket, 'close');
  closed.catch(() => {}); // an error before the opening is reported by the next line
  await once(socket, 'open');
  return {
    socket,
    async receive() {
      const { value: [data, isBinary] } = await messages.next();
      return { data, isBinary };
    },
    async closed() {
      const [code, reason] = await closed;
      return { code, reason: reason.toString() };
    },
  };
}

async function expectMessage(peer, content) {
  const { data, isBinary } = await peer.receive();
  assert.equal(isBinary, typeof content !== 'string', 'the type of the message changed');
  const expected = Buffer.from(content);
  assert.equal(data.length, expected.length, 'the length of the message changed');
  assert.ok(data.equals(expected), 'the bytes of the message changed');
}

async function close(peer) {
  peer.socket.close(1000);
  assert.equal((await peer.closed()).code, 1000);
}

const checks = new Checks();

for (const [kind, content] of [['text', text], ['binary', binary]]) {
  for (const size of SIZES) {
    await checks.check(`${kind} ${size}`, async () => {
      const peer = await connect('/echo');
      peer.socket.send(content(size));
      await expectMessage(peer, content(size));
      await close(peer);
    });
  }

  await checks.check(`fragments sent: ${kind}`, async () => {
    const peer = await connect('/echo');
    const bytes = Buffer.from(content(1000));
    for (let start = 0; start < bytes.length; start += 3) {
      const fin = start + 3 >= bytes.length;
      peer.socket.send(bytes.subarray(start, start + 3), { binary: kind === 'binary', fin });
    }
    await expectMessage(peer, content(1000));
    await close(peer);
  });

  await checks.check(`fragments received: ${kind}`, async () => {
    const peer = await connect('/fragments');
    peer.socket.send(content(1000));
    await expectMessage(peer, content(1000));
    await close(peer);
  });
}

await checks.check('ping sent', async () => {
  const peer = await connect('/echo');
  const pong = once(peer.socket, 'pong');
  peer.socket.ping('are you there?');
  assert.equal((await pong)[0].toString(), 'are you there?');
  await close(peer);
});

await checks.check('ping received', async () => {
  const peer = await connect('/ping');
  await expectMessage(peer, 'pong');
  await close(peer);
});

for (const [what, code, reason] of CLOSINGS) {
  await checks.check(`close sent: ${what}`, async () => {
    const id = randomUUID();
    const peer = await connect(`/echo?id=${id}`);
    const seen = await connect(`/seen?id=${id}`);
    peer.socket.close(code, reason);
    await expectMessage(seen, `${code} ${reason}`);
    assert.equal((await peer.closed()).code, code);
    await close(seen);
  });

  await checks.check(`close received: ${what}`, async () => {
    const peer = await connect(`/close?${new URLSearchParams({ code, reason })}`);
    assert.deepEqual(await peer.closed(), { code, reason });
  });
}

checks.finish();
