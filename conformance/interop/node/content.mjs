// What the checks send. The functions need nothing around them: the browser test gives their source to its page.

/** `size` bytes of UTF-8, of characters of one to four bytes. */
export function text(size) {
  return 'aé漢😀'.repeat(size / 10) + 'z'.repeat(size % 10);
}

/** `size` bytes that repeat only after 64 KiB, so that a piece in the wrong place shows. */
export function binary(size) {
  return Uint8Array.from({ length: size }, (_, i) => 31 * i + (i >> 8));
}
