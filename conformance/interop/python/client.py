"""The checks of ../../README.md with `websockets` as the client: python client.py http[s]://ADDRESS"""

import asyncio
import sys
import uuid
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20]
CLOSINGS = [
    ("1000", 1000, ""),
    ("4001", 4001, "à bientôt 👋"),
    ("3999", 3999, "é" * 61 + "!"),  # 123 bytes: the longest reason a close frame can carry
]
LIMIT_SECONDS = 60

address = sys.argv[1].replace("http", "ws", 1)
ok = failed = 0


def text(size):
    return "aé漢😀" * (size // 10) + "z" * (size % 10)


def binary(size):
    return bytes((31 * i + (i >> 8)) & 255 for i in range(size))


def pieces(content):
    data = content.encode() if isinstance(content, str) else content
    return [data[start : start + 3] for start in range(0, len(data), 3)]


def open_socket(path):
    return connect(address + path, max_size=16 << 20, proxy=None)


async def check(name, body):
    global ok, failed
    try:
        await asyncio.wait_for(body, LIMIT_SECONDS)
        ok += 1
        print(f"ok {name}", flush=True)
    except Exception as error:
        failed += 1
        print(f"not ok {name}: {type(error).__name__}: {error}", flush=True)


def expect(what, seen, expected):
    if type(seen) is not type(expected) or seen != expected:
        raise AssertionError(f"{what}: {seen!r:.80} instead of {expected!r:.80}")


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
    for kind, content in [("text", text), ("binary", binary)]:
        for size in SIZES:
            await check(f"{kind} {size}", echo(content(size)))
        await check(f"fragments sent: {kind}", send_fragments(content(1000)))
        await check(f"fragments received: {kind}", receive_fragments(content(1000)))
    await check("ping sent", send_ping())
    await check("ping received", receive_ping())
    for what, code, reason in CLOSINGS:
        await check(f"close sent: {what}", send_close(code, reason))
        await check(f"close received: {what}", receive_close(code, reason))
    print(f"checks: {ok} ok, {failed} failed")


asyncio.run(main())
sys.exit(0 if ok and not failed else 1)
