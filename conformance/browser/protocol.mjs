// The WebSocket of a browser against our test peer, whose behaviours ../README.md tells.

import assert from 'node:assert/strict';
import { binary, text } from '../interop/node/content.mjs';

const SIZES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 9 << 20];
const CLOSINGS = [
  ['1000', 1000, ''],
  ['4001', 4001, 'à bientôt 👋'],
  ['3999', 3999, `${'é'.repeat(61)}!`],
];

/** The checks with the peer at `address`; at `elsewhere` is a page of another origin. */
export async function protocolChecks(browser, address, elsewhere, checks) {
  const page = await browser.newPage();
  await page.goto(address);
  await page.addScriptTag({ content: `${text}\n${binary}` });

  for (const kind of ['text', 'binary']) {
    for (const size of SIZES) {
      await checks.check(`${kind} ${size}`, async () => {
        assert.ok(await page.evaluate(echoes, { path: '/echo', kind, size }), 'the echo differs');
      });
    }
    await checks.check(`fragments received: ${kind}`, async () => {
      assert.ok(await page.evaluate(echoes, { path: '/fragments', kind, size: 1000 }), 'the echo differs');
    });
  }

  await checks.check('fragments received: one emoji', async () => {
    assert.equal(await page.evaluate(answer, { path: '/fragments', message: '👋' }), '👋');
  });

  await checks.check('ping received', async () => {
    assert.equal(await page.evaluate(answer, { path: '/ping' }), 'pong');
  });

  for (const [what, code, reason] of CLOSINGS) {
    await checks.check(`close sent: ${what}`, async () => {
      const { seen, closed } = await page.evaluate(closes, { code, reason });
      assert.equal(seen, `${code} ${reason}`);
      assert.equal(closed.code, code);
      assert.ok(closed.wasClean);
    });

    await checks.check(`close received: ${what}`, async () => {
      const path = `/close?${new URLSearchParams({ code, reason })}`;
      assert.deepEqual(await page.evaluate(isClosed, path), { code, reason, wasClean: true });
    });
  }

  await checks.check('close sent: no code', async () => {
    const { seen, closed } = await page.evaluate(closes, {});
    assert.equal(seen, '1005 ');
    assert.deepEqual(closed, { code: 1005, reason: '', wasClean: true });
  });

  await checks.check('close sent: the page goes away', async () => {
    const leaving = await browser.newPage();
    await leaving.goto(address);
    await leaving.evaluate(opens, '/echo?id=leaving');
    await leaving.close();
    assert.equal(await page.evaluate(answer, { path: '/seen?id=leaving' }), '1001 ');
  });

  await checks.check('a page of another origin is refused', async () => {
    const stranger = await browser.newPage();
    await stranger.goto(elsewhere);
    const url = `${address.replace(/^http/, 'ws')}/echo`;
    assert.equal(await stranger.evaluate(opensTo, url), 'error');
    await stranger.close();
  });

  await page.close();
}

// These run in the page, with what page.html and content.mjs define there.
/* global connect, sameContent */

async function echoes({ path, kind, size }) {
  const sent = { text, binary }[kind](size);
  const { socket, receive } = await connect(path);
  socket.send(sent);
  const same = sameContent(await receive(), sent);
  socket.close();
  return same;
}

async function answer({ path, message }) {
  const { socket, receive } = await connect(path);
  if (message !== undefined) socket.send(message);
  const answered = await receive();
  socket.close();
  return answered;
}

async function closes({ code, reason }) {
  const id = crypto.randomUUID();
  const { socket, closed } = await connect(`/echo?id=${id}`);
  const seen = await connect(`/seen?id=${id}`);
  if (code === undefined) socket.close();
  else socket.close(code, reason);
  const result = { seen: await seen.receive(), closed: await closed };
  seen.socket.close();
  return result;
}

async function isClosed(path) {
  return (await connect(path)).closed;
}

async function opens(path) {
  await connect(path);
}

function opensTo(url) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('error');
  });
}
