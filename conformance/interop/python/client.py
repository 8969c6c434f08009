"""The checks of ../../README.md with `websockets` as the client: python client.py http://ADDRESS"""

import asyncio
import sys
import uuid
from urllib.parse import urlencode

from checks import Checks, expect
from content import binary, text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20]
CLOSINGS = [
    ("1000", 1000, ""),
    ("4001", 4001, "à bientôt 👋"),
    ("3999", 3999, "é" * 61 + "!"),  # 123 bytes: the longest reason a close frame can carry
]

address = sys.argv[1].replace("http", "ws", 1)


def pieces(content):
    data = content.encode() if isinstance(content, str) else content
    return [data[start : start + 3] for start in range(0, len(data), 3)]


def open_socket(path):
    return connect(address + path, max_size=16 << 20, proxy=None)


async def echo(content):
    async with open_socket("/echo") as socket:
        await socket.send(content)
        expect("echo", await socket.recv(), content)


async def send_fragments(content):
    async with open_socket("/echo") as socket:
        await socket.send(pieces(content), text=isinstance(content, str))
        expect("echo", await socket.recv(), content)


async def receive_fragments(content):
    async with open_socket("/fragments") as socket:
        await socket.send(content)
        expect("message", await socket.recv(), content)
        await socket.send(content)
        fragments = [fragment async for fragment in socket.recv_streaming(decode=False)]
        if fragments and fragments[-1] == b"":
            fragments.pop()  # an empty last fragment is a way to end a message
        expect("fragments", fragments, pieces(content))


async def send_ping():
    async with open_socket("/echo") as socket:
        await (await socket.ping("are you there?"))


async def receive_ping():
    async with open_socket("/ping") as socket:
        expect("message", await socket.recv(), "pong")


async def send_close(code, reason):
    name = uuid.uuid4()
    async with open_socket(f"/echo?id={name}") as socket, open_socket(f"/seen?id={name}") as seen:
        await socket.close(code, reason)
        expect("echoed code", socket.protocol.close_rcvd.code, code)
        expect("what the server saw", await seen.recv(), f"{code} {reason}")


async def receive_close(code, reason):
    async with open_socket(f"/close?{urlencode({'code': code, 'reason': reason})}") as socket:
        try:
            message = await socket.recv()
        except ConnectionClosed as closed:
            expect("code", int(closed.rcvd.code), code)
            expect("reason", closed.rcvd.reason, reason)
        else:
            raise AssertionError(f"{message!r:.80} instead of a close")


async def main():
    checks = Checks()
    for kind, content in [("text", text), ("binary", binary)]:
        for size in SIZES:
            await checks.check(f"{kind} {size}", echo(content(size)))
        await checks.check(f"fragments sent: {kind}", send_fragments(content(1000)))
        await checks.check(f"fragments received: {kind}", receive_fragments(content(1000)))
    await checks.check("ping sent", send_ping())
    await checks.check("ping received", receive_ping())
    for what, code, reason in CLOSINGS:
        await checks.check(f"close sent: {what}", send_close(code, reason))
        await checks.check(f"close received: {what}", receive_close(code, reason))
    checks.finish()


asyncio.run(main())
