"""What the checks send: the same as in `../node/content.mjs`."""


def text(size):
    """`size` bytes of UTF-8, of characters of one to four bytes."""
    return "aé漢😀" * (size // 10) + "z" * (size % 10)


def binary(size):
    """`size` bytes that repeat only after 64 KiB, so that a piece in the wrong place shows."""
    return bytes((31 * i + (i >> 8)) & 255 for i in range(size))
