// node main.mjs CHROMIUM PEER DEFLATE CHAT: the checks in the browser at path CHROMIUM, against our test peer, its
// server for compression and our chat example at the addresses PEER, DEFLATE and CHAT (http://…).

import { Checks } from '../interop/node/checks.mjs';
import { chatChecks } from './chat.mjs';
import { launch } from './chromium.mjs';
import { deflateChecks } from './deflate.mjs';
import { protocolChecks } from './protocol.mjs';

const [executable, peer, deflate, chat] = process.argv.slice(2);
const checks = new Checks();
const browser = await launch(executable);
try {
  console.log(`# Chromium ${browser.version()}`);
  await protocolChecks(browser, peer, chat, checks);
  await deflateChecks(browser, deflate, checks);
  await chatChecks(browser, chat, checks);
} finally {
  await browser.close();
}
checks.finish();
