// node main.mjs CHROMIUM PEER DEFLATE HOOKS CHAT AUTH BRIEF: the checks in the browser at path CHROMIUM, against our test
// peer, its server for compression, the one whose hooks refuse, and our examples at these addresses (http://…): `chat`,
// `auth`, and `auth` with tokens good for 3 seconds.

import { Checks } from '../interop/node/checks.mjs';
import { authChecks } from './auth.mjs';
import { chatChecks } from './chat.mjs';
import { launch } from './chromium.mjs';
import { deflateChecks } from './deflate.mjs';
import { hookChecks } from './hooks.mjs';
import { protocolChecks } from './protocol.mjs';

const [executable, peer, deflate, hooks, chat, auth, brief] = process.argv.slice(2);
const checks = new Checks();
const browser = await launch(executable);
try {
  console.log(`# Chromium ${browser.version()}`);
  await protocolChecks(browser, peer, chat, checks);
  await deflateChecks(browser, deflate, checks);
  await hookChecks(browser, hooks, chat, checks);
  await chatChecks(browser, chat, checks);
  await authChecks(browser, auth, brief, checks);
} finally {
  await browser.close();
}
checks.finish();
