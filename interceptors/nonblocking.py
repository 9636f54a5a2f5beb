"""Let a non-blocking stream, such as grpc.health.v1.Health/Watch, run through the same layers as any other.

Must not know any interceptor or service.

With `experimental_non_blocking` grpc calls a behaviour with a third argument, to which it pushes messages
from any thread at any time, also after it returned, so that an open stream holds no thread. Here every pushed
message is pulled through the layers' generator, which sees an ordinary stream: counted and logged at its end.
"""

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import grpc


class PushedStream:
    """One open stream; iterating it gives what its behaviour pushed. It ends at the first None."""

    def __init__(self, context: Any, send: Callable[[Any], None]):
        self._context = context
        self._send = send
        self._variables = contextvars.copy_context()  # steps run in several threads, a span in one context
        self._lock = threading.Lock()  # guards what follows; never held while stepping or sending
        self._waiting: deque[Any] = deque()
        self._stepping = True
        self._over = False
        self._responses: Iterator[Any] = iter(())

    def open(self, start: Callable[[], Iterator[Any]]) -> None:
        """Run `start`, which calls the behaviour, and send what it pushed meanwhile."""
        if not self._context.add_callback(self.close):
            self._over = True
        self._responses = self._variables.run(start)
        self._forward()

    def push(self, response: Any) -> None:
        """Send one response, or None for the end; like grpc's own, wait until the client has taken it.

        While another thread is sending, that thread sends this one too.
        """
        with self._lock:
            if self._over:
                return
            self._waiting.append(response)
            if self._stepping:
                return
            self._stepping = True
        self._forward()

    def close(self) -> None:
        """End the stream because its RPC is over."""
        with self._lock:
            self._over = True
            if self._stepping:
                return  # whoever steps will see it
            self._stepping = True
        self._finish()

    def __iter__(self) -> "PushedStream":
        return self

    def __next__(self) -> Any:
        if not self._waiting:
            raise RuntimeError("a non-blocking behaviour must push its first message before it returns")
        response = self._waiting.popleft()
        if response is None:
            raise StopIteration
        return response

    def _forward(self) -> None:
        while True:
            response = self._step()
            self._send(response)
            with self._lock:
                self._over = self._over or response is None
                if self._over:
                    break
                if not self._waiting:
                    self._stepping = False
                    return
        self._finish()

    def _step(self) -> Any:
        """Return the next message, through all layers; None when the RPC ends, for good or ill."""
        try:
            return self._variables.run(next, self._responses, None)
        except Exception:  # noqa: BLE001 - see below
            # Errors has set the status, which grpc sends when it is given None. It must not reach the thread
            # that pushed: that would stop it from telling the other streams.
            if self._context.code() is None:
                self._context.set_code(grpc.StatusCode.UNKNOWN)
            return None

    def _finish(self) -> None:
        # Once over, _stepping stays true: nobody steps or finishes again.
        close = getattr(self._responses, "close", None)
        if close is not None:
            self._variables.run(close)
