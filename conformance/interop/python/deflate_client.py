"""The checks about compression of ../../README.md with `websockets` as the client: python deflate_client.py http://ADDRESS"""

import asyncio
import json
import re
import sys
import uuid
from urllib.parse import urlencode

from checks import Checks, expect
from deflate import TAKEOVER, join, messages, parameters, terms, windows
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

address = sys.argv[1].replace("http", "ws", 1)


def pieces(message):
    """The message in two fragments, if it is long enough for that."""
    data = message.encode() if isinstance(message, str) else message
    return [data[:1000], data[1000:]] if len(data) > 1000 else [data]


async def exchange(ours, theirs):
    name = uuid.uuid4()
    url = f"{address}/deflate?{urlencode({'id': name, 'settings': theirs})}"
    offer = ClientPerMessageDeflateFactory(**parameters(ours))
    async with connect(url, extensions=[offer], proxy=None) as socket:
        agreed = terms(socket, is_client=True)
        expect("terms", await socket.recv(), agreed)
        for flag in re.findall(r"\w+_no_context_takeover", ours + theirs):
            if flag not in agreed:
                raise AssertionError(f"{flag} was not agreed on")
        for message in messages():
            await socket.send(pieces(message), text=isinstance(message, str))
            expect("echo", await socket.recv(), message)
    async with connect(f"{address}/wire?id={name}", compression=None, proxy=None) as socket:
        check_wire(json.loads(await socket.recv()))


def check_wire(wire):
    """Checks what our server saw: what it received, and the terms and the echoes that it sent."""
    content = messages()
    total = sum(len(message.encode() if isinstance(message, str) else message) for message in content)
    for way, more in [("received", 0), ("sent", 1)]:
        count, compressed, size = (wire[way][name] for name in ("messages", "compressed", "bytes"))
        expect(f"messages {way}", count, len(content) + more)
        # An empty message, and one that does not get smaller, may be left as it is.
        if compressed + 2 < len(content):
            raise AssertionError(f"only {compressed} of {count} {way} were compressed")
        if size * 2 >= total:
            raise AssertionError(f"{size} bytes {way} instead of {total}")


async def exchanges(settings):
    for ours, theirs in settings:
        try:
            await exchange(ours, theirs)
        except Exception as error:
            raise AssertionError(f"with {ours!r} here and {theirs!r} there: {error}") from error


async def main():
    checks = Checks()
    # The zlib of Python cannot compress with the smallest window.
    pairs = windows(smallest_of_client=9)
    for takeover in TAKEOVER:
        named = takeover or "windows only"
        asked = [join(takeover, pair) for pair in pairs]
        await checks.check(f"asked by the client: {named}", exchanges((ours, "") for ours in asked))
        await checks.check(f"asked by the server: {named}", exchanges(("", theirs) for theirs in asked))
    checks.finish()


asyncio.run(main())
