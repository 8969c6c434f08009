// Compressed messages between the WebSocket of a browser and our server for that, which ../README.md tells of.

import assert from 'node:assert/strict';
import { TAKEOVER, checkWire, join, messages, windows } from '../interop/node/deflate.mjs';

/** The checks with the peer at `address`: the browser always offers the same, and takes any terms. */
export async function deflateChecks(browser, address, checks) {
  const page = await browser.newPage();
  await page.goto(address);
  for (const takeover of TAKEOVER) {
    await checks.check(`compression asked by the server: ${takeover}`, async () => {
      for (const settings of windows().map((windows) => join(takeover, windows))) {
        await exchange(page, settings).catch((error) => {
          throw new Error(`with "${settings}": ${error.message}`);
        });
      }
    });
  }
  await page.close();
}

async function exchange(page, settings) {
  const sent = messages().map((message) => (typeof message === 'string' ? message : [...message]));
  const { agreed, terms, same, report } = await page.evaluate(echoes, { settings, sent });
  assert.equal(agreed, join('permessage-deflate', terms), 'the two sides agreed on different terms');
  assert.equal(terms, settings.replaceAll(/(; )?(server|client)_max_window_bits=15/g, '').replace(/^; /, ''));
  assert.ok(same, 'a message changed');
  checkWire(report);
}

// This runs in the page, with what page.html defines there.
/* global connect, sameContent */

async function echoes({ settings, sent }) {
  const id = crypto.randomUUID();
  const { socket, closed, receive } = await connect(`/deflate?${new URLSearchParams({ id, settings })}`);
  const terms = await receive();
  let same = true;
  for (const message of sent) {
    const content = typeof message === 'string' ? message : Uint8Array.from(message);
    socket.send(content);
    same &&= sameContent(await receive(), content);
  }
  socket.close();
  await closed;
  const wire = await connect(`/wire?id=${id}`);
  const report = await wire.receive();
  wire.socket.close();
  return { agreed: socket.extensions, terms, same, report };
}
