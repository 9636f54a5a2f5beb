"""Ports that several processes listen on together, and nobody else; knows nothing of what is served."""

import socket

from service.failure import Failure


def reserve(host: str, port: int, setting: str) -> socket.socket:
    """Return a socket that holds a port for workers, which bind it with SO_REUSEPORT; it never listens.

    Port 0 takes a free one. Raises a Failure where anybody else has the port: with SO_REUSEPORT alone a
    second service of the same user would silently take a part of the connections.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    try:
        if port:
            with socket.socket(family, socket.SOCK_STREAM) as alone:
                # As any server: connections of a process before, in their last state, do not count.
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                alone.bind(address)
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError:
        raise Failure(
            f"RECOMMENDATIONS_{setting}: {port}: cannot listen on {host}; is the port in use already?"
        ) from None
    return held
