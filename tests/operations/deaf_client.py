"""An HTTP/2 client that opens a stream and never lets the server send a byte of it."""

import socket
import struct
import threading

from grpc_health.v1 import health_pb2

_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_INITIAL_WINDOW_SIZE = 4


def open_deaf_watch(port: int) -> socket.socket:
    """Start Health/Watch of "" with a flow-control window of zero bytes (RFC 9113, section 6.9)."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    headers = b"".join(
        _literal(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/grpc.health.v1.Health/Watch"),
            (b":authority", b"localhost"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )
    )
    message = health_pb2.HealthCheckRequest().SerializeToString()
    connection.sendall(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(_SETTINGS, 0, 0, struct.pack("!HI", _INITIAL_WINDOW_SIZE, 0))
        + _frame(_SETTINGS, _ACK, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, 1, headers)
        + _frame(_DATA, _END_STREAM, 1, struct.pack("!?I", False, len(message)) + message)
    )
    threading.Thread(target=_discard, args=(connection,), daemon=True).start()
    return connection


def _discard(connection: socket.socket) -> None:
    try:
        while connection.recv(65536):
            pass
    except OSError:
        return


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    # HPACK: literal without indexing, new name (RFC 7541, section 6.2.2).
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
