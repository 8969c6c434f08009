"""The behaviours of ../../README.md with `websockets` as the server, over TLS with a certificate and its key:
python server.py [CHAIN KEY]"""

import asyncio
import ssl
import sys
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# For each id of a connection, what it was closed with.
closings = defaultdict(lambda: asyncio.get_running_loop().create_future())


async def echo(socket, query):
    async for message in socket:
        await socket.send(message)


async def fragments(socket, query):
    async for message in socket:
        data = message.encode() if isinstance(message, str) else message
        pieces = [data[start : start + 3] for start in range(0, len(data), 3)]
        await socket.send(pieces, text=isinstance(message, str))


async def ping(socket, query):
    await (await socket.ping("are you there?"))  # resolves on the pong with this payload only
    await socket.send("pong")
    await socket.wait_closed()


async def close(socket, query):
    await socket.close(int(query["code"]), query["reason"])


async def seen(socket, query):
    await socket.send(await closings[query["id"]])
    await socket.wait_closed()


BEHAVIOURS = {"/echo": echo, "/fragments": fragments, "/ping": ping, "/close": close, "/seen": seen}


async def handle(socket):
    url = urlsplit(socket.request.path)
    query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
    try:
        await BEHAVIOURS[url.path](socket, query)
    except ConnectionClosed:
        pass
    if "id" in query and url.path != "/seen":
        await socket.wait_closed()
        received = socket.protocol.close_rcvd
        closings[query["id"]].set_result(f"{received.code} {received.reason}" if received else "1006 ")


async def main():
    tls = None
    if sys.argv[1:]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*sys.argv[1:])
    async with serve(handle, "127.0.0.1", 0, max_size=16 << 20, ssl=tls) as server:
        host, port = server.sockets[0].getsockname()
        print(f"listening on https://localhost:{port}" if tls else f"listening on http://{host}:{port}", flush=True)
        await server.serve_forever()


asyncio.run(main())
