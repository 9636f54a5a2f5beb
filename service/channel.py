"""The options of the gRPC server, each with its reason; knows nothing of what is served."""

from service.settings import Settings


def server_options(settings: Settings, *, shares_port: bool = False) -> list[tuple[str, int]]:
    """Return the channel arguments for grpc.server; workers of one service share its port."""
    age_ms = round(settings.max_connection_age_seconds * 1000)
    return [
        # Else one process owns the port: with the default a second one would silently take half the
        # connections.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        # More than one connection multiplexes usefully here, and no client can open streams without end.
        ("grpc.max_concurrent_streams", 1000),
        # Renewed connections find new pods and are checked against today's client CA; streams get to end.
        ("grpc.max_connection_age_ms", age_ms),
        ("grpc.max_connection_age_grace_ms", round(settings.max_stream_seconds * 1000) + 10_000),
        ("grpc.max_connection_idle_ms", 600_000),  # frees what clients forgot to close
        (
            "grpc.keepalive_time_ms",
            60_000,
        ),  # finds dead peers behind middleboxes that drop silent connections
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients may ping as often, no more
        (
            "grpc.server_handshake_timeout_ms",
            10_000,
        ),  # the default, two minutes, feeds slow-handshake attacks
    ]
