// What our server's hooks refuse, as a page sees it, and the browser that the page is in.

import assert from 'node:assert/strict';

/** What the tools for developers say of a handshake that is refused; with 401 they have words of their own. */
const UNEXPECTED = 'Error during WebSocket handshake: Unexpected response code: ';
const FROM_HOOKS = [
  ['not authorized', '/refused', 'v1', 'HTTP Authentication failed; no valid credentials available'], // 401,
  ['a hook that takes too long', '/slow', 'v1', `${UNEXPECTED}408`],
  ['a hook that panics', '/panic', 'v1', `${UNEXPECTED}500`],
  ['no subprotocol in common', '/', 'v2', `${UNEXPECTED}400`],
];
const FETCHED = [
  ['/refused', 401, 'log in first', 'Unauthorized'],
  ['/panic', 500, 'internal error', 'Internal Server Error'],
];

/** The checks with the server whose hooks refuse at `address`; at `elsewhere` is a page of another origin. */
export async function hookChecks(browser, address, elsewhere, checks) {
  const page = await browser.newPage();
  await page.goto(address);

  for (const [name, path, subprotocol, told] of FROM_HOOKS) {
    await checks.check(`refused: ${name}`, async () => {
      const url = address.replace(/^http/, 'ws') + path;
      const seen = refusal(page, url);
      assert.deepEqual(await page.evaluate(opens, { url, subprotocol }), { errors: 1, code: 1006, wasClean: false });
      assert.equal(await seen, told);
    });
    await checks.check(`refused: ${name}: the next is let in`, () => isLetIn(page, address));
  }

  for (const [path, code, message, status] of FETCHED) {
    await checks.check(`refused: ${path} by fetch`, async () => {
      const [got, type, body] = await page.evaluate(fetches, path);
      assert.deepEqual([got, type], [code, 'application/json']);
      assert.equal(body, JSON.stringify({ code, message, status }));
      await isLetIn(page, address);
    });
  }

  await checks.check('refused: a page of another origin, and the next is let in', async () => {
    const foreign = await browser.newPage();
    await foreign.goto(elsewhere);
    const url = `${address.replace(/^http/, 'ws')}/`;
    const seen = refusal(foreign, url);
    const closed = await foreign.evaluate(opens, { url, subprotocol: 'v1' });
    assert.deepEqual(closed, { errors: 1, code: 1006, wasClean: false });
    assert.equal(await seen, `${UNEXPECTED}403`);
    await foreign.close();
    await isLetIn(page, address);
  });

  await page.close();
}

/** What the tools for developers say of the page's handshake with `url`, which fails: the page itself learns no status. */
function refusal(page, url) {
  return new Promise((resolve) => {
    page.on('websocket', (socket) => {
      if (socket.url() === url) socket.once('socketerror', resolve);
    });
  });
}

async function isLetIn(page, address) {
  const url = `${address.replace(/^http/, 'ws')}/`;
  assert.deepEqual(await page.evaluate(firstMessage, url), ['v1', 'let in']);
}

// These run in the page.

function opens({ url, subprotocol }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, subprotocol);
    let errors = 0;
    socket.onerror = () => { errors += 1; };
    socket.onclose = ({ code, wasClean }) => resolve({ errors, code, wasClean });
  });
}

function firstMessage(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, 'v1');
    socket.onerror = () => reject(new Error('not let in'));
    socket.onmessage = ({ data }) => resolve([socket.protocol, data]);
  });
}

async function fetches(path) {
  const response = await fetch(path);
  return [response.status, response.headers.get('content-type'), await response.text()];
}
