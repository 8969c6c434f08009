// Compressed messages between the WebSocket of a browser and our server for that, which ../README.md tells of.

import assert from 'node:assert/strict';
import { TAKEOVER, checkWire, join, messages, windows } from '../interop/node/deflate.mjs';

/** The checks with the peer at `address`: the browser always offers the same, and takes any terms. */
export async function deflateChecks(browser, address, checks) {
  const page = await browser.newPage();
  await page.goto(address);
  for (const takeover of TAKEOVER) {
    await checks.check(`compression asked by the server: ${takeover || 'windows only'}`, async () => {
      const all = windows().map((windows) => join(takeover, windows));
      const sent = messages().map((message) => (typeof message === 'string' ? message : [...message]));
      for (const exchange of await page.evaluate(exchanges, { all, sent })) check(exchange);
    });
  }
  await page.close();
}

function check({ settings, agreed, terms, same, report }) {
  // What goes without saying is not named.
  const expected = settings.split('; ').filter((term) => !term.endsWith('=15')).join('; ');
  assert.equal(terms, expected, `what was agreed on with "${settings}"`);
  assert.equal(agreed, join('permessage-deflate', terms), 'the two sides agreed on different terms');
  assert.ok(same, `with "${settings}" a message changed`);
  checkWire(report);
}

// This runs in the page, with what page.html defines there.
/* global connect, sameContent */

async function exchanges({ all, sent }) {
  const contents = sent.map((message) => (typeof message === 'string' ? message : Uint8Array.from(message)));
  const results = [];
  for (const settings of all) {
    const id = crypto.randomUUID();
    const { socket, closed, receive } = await connect(`/deflate?${new URLSearchParams({ id, settings })}`);
    const terms = await receive();
    let same = true;
    for (const content of contents) {
      socket.send(content);
      same &&= sameContent(await receive(), content);
    }
    socket.close();
    await closed;
    const wire = await connect(`/wire?id=${id}`);
    const report = await wire.receive();
    wire.socket.close();
    results.push({ settings, agreed: socket.extensions, terms, same, report });
  }
  return results;
}
