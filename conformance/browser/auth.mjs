// The `auth` example: log in, get tokens, talk; and everybody who should not be able to.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';

/** The example at `address`; at `brief` is one whose tokens are good for 3 seconds. */
export async function authChecks(browser, address, brief, checks) {
  const [ann, bob] = [await browser.newContext(), await browser.newContext()];
  const page = await ann.newPage();
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket));

  await checks.check('auth: who has not logged in sees the form, and gets neither token nor socket', async () => {
    await page.goto(address);
    await page.locator('#login').waitFor();
    assert.equal(await page.evaluate(async () => (await fetch('/token')).status), 401);
    assert.equal(await page.evaluate(opensTo, '/socket'), 'error');
  });

  await checks.check('auth: a wrong password does not log in', async () => {
    await logIn(page, 'ann', 'wrong');
    await page.getByText('wrong name or password').waitFor();
    assert.deepEqual(await ann.cookies(), []);
  });

  await checks.check('auth: nor does the form on a page of another origin', async () => {
    const stranger = await browser.newContext();
    const foreign = await stranger.newPage();
    await foreign.goto(brief);
    const answered = foreign.waitForResponse((response) => response.url() === `${address}/login`);
    await foreign.evaluate(submitTo, { action: `${address}/login`, user: 'ann', password: 'secret' });
    assert.equal((await answered).status(), 403);
    assert.deepEqual(await stranger.cookies(), []);
    await stranger.close();
  });

  sockets.length = 0;
  await checks.check('auth: the right one does, and the socket opens with a token in its URL', async () => {
    await logIn(page, 'ann', 'secret');
    await page.getByText('logged in as ann').waitFor();
    await page.locator('#talk').waitFor();
    assert.match(new URL(sockets.at(-1).url()).searchParams.get('token'), /^\d+\.[\w-]{43}$/);
  });

  await checks.check('auth: scripts cannot read the cookie, nor other sites use it', async () => {
    const [cookie] = await ann.cookies();
    assert.equal(cookie.name, 'session');
    assert.ok(cookie.httpOnly);
    assert.equal(cookie.sameSite, 'Strict');
    assert.equal(await page.evaluate(() => document.cookie), '');
  });

  await checks.check('auth: what is said comes with a token, and is answered with the user of the connection', async () => {
    const sent = sockets.at(-1).waitForEvent('framesent');
    await say(page, 'Grüße');
    assert.match(JSON.parse((await sent).payload).token, /^\d+\.[\w-]{43}$/);
    await sees(page, 'ann: Grüße');
  });

  await checks.check('auth: a new token is fetched every 30 seconds, and used', async () => {
    const waiting = await ann.newPage();
    await waiting.clock.install({ time: 0 });
    let fetched = 0;
    waiting.on('response', (response) => { fetched += Number(response.url() === `${address}/token`); });
    await waiting.goto(address);
    await waiting.locator('#talk').waitFor();
    await waiting.clock.pauseAt(10_000); // the first token was fetched somewhen before
    for (const expected of [1, 2, 3]) {
      await waiting.clock.runFor(19_000);
      assert.equal(fetched, expected, 'before its time');
      const response = waiting.waitForResponse(`${address}/token`);
      await waiting.clock.runFor(11_000);
      const { token } = await (await response).json();
      await waiting.waitForFunction((token) => window.eval('token') === token, token);
      await say(waiting, `number ${expected}`);
      await sees(waiting, `ann: number ${expected}`);
    }
    await waiting.close();
  });

  await checks.check('auth: a forged token ends the connection, with a message first', async () => {
    const forger = await ann.newPage();
    await forger.goto(address);
    await forger.locator('#talk').waitFor();
    await forger.evaluate(() => window.eval('token = token.slice(0, -4) + "AAAA"'));
    await say(forger, 'let me in');
    await sees(forger, "error: the token is not this user's");
    await forger.getByText('closed: 1008 log in again').waitFor();
    await forger.close();
  });

  await checks.check('auth: so does an expired one', async () => {
    const late = await (await browser.newContext()).newPage();
    await late.goto(brief);
    await logIn(late, 'ann', 'secret');
    await late.locator('#talk').waitFor();
    const closed = late.getByText('closed: 1008 log in again');
    for (let i = 0; !(await closed.isVisible()); i += 1) {
      if (await late.locator('#talk').isVisible()) await late.evaluate(`socket.send(JSON.stringify({ token, text: 'message ${i}' }))`);
    }
    await sees(late, 'error: the token has expired');
    await late.context().close();
  });

  await checks.check('auth: two users have each their own', async () => {
    const other = await bob.newPage();
    await other.goto(address);
    await logIn(other, 'bob', 'hunter2');
    await other.locator('#talk').waitFor();
    await say(other, 'hello');
    await sees(other, 'bob: hello');
  });

  await checks.check('auth: at the handshake, each other token is 403 with the reason', async () => {
    const [cookieOf, tokenOf] = [{}, {}];
    for (const [name, context] of [['ann', ann], ['bob', bob]]) {
      const [cookie] = await context.cookies();
      cookieOf[name] = `session=${cookie.value}`;
      tokenOf[name] = (await (await context.request.get(`${address}/token`)).json()).token;
    }
    const [expires, mac] = tokenOf.ann.split('.');
    const forged = `${expires}.${randomBytes(32).toString('base64url')}`;
    const prolonged = `${Number(expires) + 1000}.${mac}`;
    const refusals = [
      [undefined, tokenOf.ann, 'log in first'],
      ['session=', tokenOf.ann, 'log in first'],
      [`session=${randomBytes(32).toString('base64url')}`, tokenOf.ann, 'log in first'],
      [cookieOf.ann, '', 'this is no token'],
      [cookieOf.ann, mac, 'this is no token'],
      [cookieOf.ann, forged, "the token is not this user's"],
      [cookieOf.ann, prolonged, "the token is not this user's"],
      [cookieOf.ann, tokenOf.bob, "the token is not this user's"],
      [cookieOf.bob, tokenOf.ann, "the token is not this user's"],
    ];
    for (const [cookie, token, reason] of refusals) {
      const { status, body } = await handshake(address, { cookie, token });
      assert.deepEqual([status, JSON.parse(body).message], [403, reason]);
    }
    assert.equal((await handshake(address, { cookie: cookieOf.ann, token: tokenOf.ann })).status, 101);
    const foreign = { cookie: cookieOf.ann, token: tokenOf.ann, origin: 'http://evil.example' };
    assert.equal((await handshake(address, foreign)).status, 403);
  });

  await checks.check('auth: the server lives on', async () => {
    await say(page, 'still here');
    await sees(page, 'ann: still here');
  });

  await ann.close();
  await bob.close();
}

async function logIn(page, user, password) {
  await page.fill('[name=user]', user);
  await page.fill('[name=password]', password);
  await page.click('#login button');
}

async function say(page, text) {
  await page.fill('#text', text);
  await page.click('#talk button');
}

async function sees(page, line) {
  await page.locator('#log').getByText(line, { exact: true }).waitFor();
}

/** The status, and the body unless it is 101, of an opening handshake by hand. */
async function handshake(address, { cookie, token, origin }) {
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
  };
  if (cookie !== undefined) headers.Cookie = cookie;
  if (origin !== undefined) headers.Origin = origin;
  const asked = request(`${address}/socket?${new URLSearchParams({ token })}`, { headers });
  asked.end();
  const upgraded = once(asked, 'upgrade').then(([response, socket]) => {
    socket.destroy();
    return { status: response.statusCode };
  });
  const refused = once(asked, 'response').then(async ([response]) => {
    let body = '';
    for await (const piece of response.setEncoding('utf8')) body += piece;
    return { status: response.statusCode, body };
  });
  return Promise.race([upgraded, refused]);
}

// These run in the page.

function opensTo(path) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}${path}`);
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('error');
  });
}

function submitTo({ action, user, password }) {
  const form = Object.assign(document.createElement('form'), { action, method: 'post' });
  for (const [name, value] of Object.entries({ user, password })) {
    form.append(Object.assign(document.createElement('input'), { name, value }));
  }
  document.body.append(form);
  form.submit();
}
