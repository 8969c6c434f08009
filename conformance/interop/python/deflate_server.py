"""The server of the checks about compression of ../../README.md with `websockets`: python deflate_server.py"""

import asyncio
from urllib.parse import parse_qs, urlsplit

from deflate import parameters, terms
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


def choose_settings(socket, request):
    settings = parse_qs(urlsplit(request.path).query).get("settings", [""])[0]
    socket.protocol.available_extensions = [ServerPerMessageDeflateFactory(**parameters(settings))]


async def handle(socket):
    try:
        await socket.send(terms(socket, is_client=False))
        async for message in socket:
            await socket.send(message)
    except ConnectionClosed:
        pass


async def main():
    async with serve(handle, "127.0.0.1", 0, process_request=choose_settings) as server:
        host, port = server.sockets[0].getsockname()
        print(f"listening on http://{host}:{port}", flush=True)
        await server.serve_forever()


asyncio.run(main())
