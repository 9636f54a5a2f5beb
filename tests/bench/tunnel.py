"""Takes plaintext HTTP/2 connections and carries each over mutual TLS: h2load knows no client certificates.

    python -m tests.bench.tunnel PORT CERTIFICATE_DIRECTORY    # prints its own port, runs until it is ended

It looks into nothing that passes, so the server sees the very same frames, encrypted. It runs on the load's
core; that the server stays the bottleneck is checked by whoever starts it.
"""

import asyncio
import ssl
import sys
from pathlib import Path

_CHUNK_BYTES = 65_536


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(_CHUNK_BYTES):
            target.write(data)
            await target.drain()
    except OSError:
        pass  # one side hung up at the end of a run; TLS errors are of this kind too
    finally:
        # Not closed politely: nothing is on its way any more, and the other side does not wait for it.
        target.transport.abort()


async def _serve(port: int, certificates: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    context.load_cert_chain(certificates / "client.crt", certificates / "client.key")
    context.set_alpn_protocols(["h2"])

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("localhost", port, ssl=context)
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
