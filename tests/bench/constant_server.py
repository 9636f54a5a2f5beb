"""The ceiling to compare with: the service's own kind of gRPC server, with a handler of constant bytes.

    python -m tests.bench.constant_server REPLY_FILE    # prints its port, serves plaintext until it is ended

The server, its options and its handler threads are those of service.app. There is no interceptor, and no
message is decoded or encoded.
"""

import sys
from pathlib import Path
from threading import Event

import grpc

from service.channel import server_options
from service.handler_threads import HandlerThreads
from service.settings import Settings


def main() -> None:
    """Serve the bytes of a file as the reply to Recommend."""
    reply = Path(sys.argv[1]).read_bytes()
    settings = Settings()
    with HandlerThreads(settings.handler_threads, settings.max_call_seconds) as handlers:
        server = grpc.server(handlers, options=server_options(settings))
        handler = grpc.unary_unary_rpc_method_handler(lambda request, context: reply)
        service = "onlinebooks.recommendations.v1.RecommendationService"
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {"Recommend": handler})]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        print(port, flush=True)
        Event().wait()


if __name__ == "__main__":
    main()
