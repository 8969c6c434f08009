// node tls.mjs CHROMIUM PEER CHAT: the checks of the protocol over TLS, in a browser that trusts the certificate of our
// test peer at PEER (https://…), for which HOME has to hold the authority; a page of another origin is at CHAT.

import { Checks } from '../interop/node/checks.mjs';
import { launch } from './chromium.mjs';
import { protocolChecks } from './protocol.mjs';

const [executable, peer, chat] = process.argv.slice(2);
const checks = new Checks();
const browser = await launch(executable);
try {
  await protocolChecks(browser, peer, chat, checks);
} finally {
  await browser.close();
}
checks.finish();
