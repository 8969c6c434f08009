// Starts the browser that the tests drive.

import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', // root in a container has no user namespace to build the sandbox from
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export function launch(executablePath) {
  return chromium.launch({ executablePath, args: FLAGS, headless: true });
}
