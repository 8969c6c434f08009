"""zlib as the other end of compressed messages: reads tasks from standard input, writes what comes of them.

A task is a line of numbers, and bytes behind it:

    stream BITS TAKEOVER LEVEL MEM_LEVEL STRATEGY   begins a connection
    inflate LEN                                     a compressed message; the answer is the message
    deflate LEN FLUSH...                            a message; the answer is it compressed, flushed after
                                                    each part in the way of the number, the last always
                                                    as permessage-deflate wants it (RFC 7692 §7.2.1)

An answer is a line with a length, and as many bytes. What zlib refuses is `error` and why, in a line.
"""

import sys
import zlib

TAIL = b"\x00\x00\xff\xff"

source, sink = sys.stdin.buffer, sys.stdout.buffer


class Stream:
    def __init__(self, bits, takeover, level, mem_level, strategy):
        self.bits, self.takeover = bits, takeover
        # zlib cannot compress in a window of 2^8 bytes.
        self.compressing = (level, zlib.DEFLATED, -max(bits, 9), mem_level, strategy)
        self.begin()

    def begin(self):
        self.inflater = zlib.decompressobj(-self.bits)
        self.deflater = zlib.compressobj(*self.compressing)

    def inflate(self, payload):
        if not self.takeover:
            self.inflater = zlib.decompressobj(-self.bits)
        message = self.inflater.decompress(payload + TAIL)
        assert not self.inflater.unconsumed_tail and not self.inflater.unused_data
        return message

    def deflate(self, message, flushes):
        if not self.takeover:
            self.deflater = zlib.compressobj(*self.compressing)
        parts = [part * len(message) // len(flushes) for part in range(len(flushes) + 1)]
        payload = b""
        for (start, end), flush in zip(zip(parts, parts[1:]), flushes):
            payload += self.deflater.compress(message[start:end])
            if flush != zlib.Z_NO_FLUSH:
                payload += self.deflater.flush(flush)
        payload += self.deflater.flush(zlib.Z_SYNC_FLUSH)
        if not payload.endswith(TAIL):
            # It had just flushed so, and an empty block follows by hand.
            payload += b"\x00" + TAIL
        return payload[: -len(TAIL)]


def main():
    stream = None
    while line := source.readline():
        name, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if name == b"stream":
            stream = Stream(*numbers)
            continue
        data = source.read(numbers[0])
        try:
            answer = stream.inflate(data) if name == b"inflate" else stream.deflate(data, numbers[1:])
            sink.write(b"%d\n" % len(answer) + answer)
        except (zlib.error, AssertionError) as error:
            sink.write(b"error %s\n" % repr(error).encode())
    sink.flush()


main()
