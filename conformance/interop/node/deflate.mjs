// What the checks about compression of ../../README.md share, in all programs on Node.js.

import assert from 'node:assert/strict';
import { binary } from './content.mjs';

const PARAMETERS = {
  server_no_context_takeover: 'serverNoContextTakeover',
  client_no_context_takeover: 'clientNoContextTakeover',
  server_max_window_bits: 'serverMaxWindowBits',
  client_max_window_bits: 'clientMaxWindowBits',
};

/** Each choice about what the two compressors may remember. */
export const TAKEOVER = [
  '',
  'server_no_context_takeover',
  'client_no_context_takeover',
  'server_no_context_takeover; client_no_context_takeover',
];

/** Every pair of windows, named or not. */
export function windows() {
  const named = (name) => ['', ...Array.from({ length: 8 }, (_, i) => `${name}=${8 + i}`)];
  return named('server_max_window_bits').flatMap((server) =>
    named('client_max_window_bits').map((client) => join(server, client)),
  );
}

export function join(...terms) {
  return terms.filter((term) => term !== '').join('; ');
}

/** The options of `ws` for settings in the words of an answer. */
export function options(settings) {
  const named = settings.split('; ').filter((term) => term !== '').map((term) => term.split('='));
  return {
    threshold: 0,
    ...Object.fromEntries(named.map(([name, bits]) => [PARAMETERS[name], bits === undefined || Number(bits)])),
  };
}

/** What a connection of `ws` has agreed on, in the same words; what goes without saying is not named. */
export function terms(socket) {
  const { params } = socket._extensions['permessage-deflate'];
  return Object.keys(PARAMETERS)
    .filter((name) => params[name] !== undefined && params[name] !== 15)
    .map((name) => (params[name] === true ? name : `${name}=${params[name]}`))
    .join('; ');
}

/** The messages that are echoed: those of `../../peer/src/deflate/content.rs`. */
export function messages() {
  return ['', people(40), people(41), people(2500), binary(3000)];
}

function people(count) {
  return Array.from({ length: count }, (_, id) => `{"id":${id},"name":"Ännchen","online":true}\n`).join('');
}

/** Checks what our server saw on the wire: what it received, and the terms and the echoes that it sent. */
export function checkWire(report) {
  const wire = JSON.parse(report);
  const content = messages();
  const total = content.reduce((sum, message) => sum + Buffer.byteLength(message), 0);
  for (const [way, more] of [['received', 0], ['sent', 1]]) {
    const { messages: count, compressed, bytes } = wire[way];
    assert.equal(count, content.length + more, `messages ${way}`);
    // An empty message, and one that does not get smaller, may be left as it is.
    assert.ok(compressed + 2 >= content.length, `only ${compressed} of ${count} ${way} were compressed`);
    assert.ok(bytes * 2 < total, `${bytes} bytes ${way} instead of ${total}`);
  }
}
