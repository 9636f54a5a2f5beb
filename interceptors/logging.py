"""Write one JSON line for every RPC.

Must not know what was asked or answered: no payload and no reader id goes into a line.
"""

import time
import traceback
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import grpc

from interceptors.call import Call, Method
from interceptors.chain import Interceptor, Proceed
from interceptors.status import GO_NAMES, SERVER_FAULTS, one_line

# Container runtimes split lines at 16 KiB; the end of a traceback names the error and where it was raised.
MAX_TRACEBACK_CHARACTERS = 8000
MAX_ERROR_BYTES = 1024  # what Errors lets through; a handler's own abort may be longer

_LEVELS = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: "warning",
    grpc.StatusCode.UNAVAILABLE: "warning",
    grpc.StatusCode.DEADLINE_EXCEEDED: "warning",
} | dict.fromkeys(SERVER_FAULTS, "error")
_ORDER = {"debug": 0, "info": 1, "warning": 2, "error": 3}


class AccessLog(Interceptor):
    """Give `write` one line, with its line feed, at the end of every RPC.

    Level info is for successes and the caller's mistakes, warning for what an operator may have to look at,
    error for our own faults; these carry the traceback unless `tracebacks` is false. Lines below
    `least_level` (debug, info, warning or error) are not written.
    """

    def __init__(self, write: Callable[[str], object], *, least_level: str = "info", tracebacks: bool = True):
        self._write = write
        self._least = _ORDER[least_level]
        self._tracebacks = tracebacks
        self._second = (0, "")  # replaced as one, so that no thread pairs a second with another's text

    def wrap(self, method: Method, proceed: Proceed) -> Proceed:
        about = f'"msg":"rpc","method":{quoted(method.full)},"kind":"{method.kind}","code":"'

        def unary(call: Call, request: Any) -> Any:
            started = time.perf_counter()
            try:
                response = proceed(call, request)
            except BaseException:
                self._log(call, about, started, call.outcome(raised=True))
                raise
            self._log(call, about, started, call.outcome(raised=False))
            return response

        def stream(call: Call, request: Any) -> Iterator[Any]:
            started = time.perf_counter()
            raised = True
            try:
                yield from proceed(call, request)
                raised = False
            finally:
                self._log(call, about, started, call.outcome(raised=raised))

        return stream if method.response_streaming else unary

    def _log(self, call: Call, about: str, started: float, code: grpc.StatusCode) -> None:
        duration_ms = (time.perf_counter() - started) * 1000
        failed = code is not grpc.StatusCode.OK
        # Looked up for failures alone: hashing an enum member runs Python code.
        name = GO_NAMES.get(code, "Unknown") if failed else "OK"
        level = _LEVELS.get(code, "info") if failed else "info"
        if _ORDER[level] < self._least:
            return
        peer, trace_id = call.identity, call.trace_id
        identity = quoted(peer.name) if peer is not None and peer.authenticated else "null"
        trace = f'"{trace_id}"' if trace_id else "null"
        failure = self._failure(call) if failed else ""
        line = (
            f'{{"time":"{self._now()}","level":"{level}",{about}{name}",'
            f'"duration_ms":{duration_ms:.3f},"peer":{quoted(call.context.peer())},"identity":{identity},'
            f'"request_id":"{call.request_id}","trace_id":{trace}{failure}}}\n'
        )
        try:
            self._write(line)
        except (OSError, ValueError):
            # A full disk or a closed pipe must not fail the RPC; there is nowhere left to say so.
            return

    def _now(self) -> str:
        """Return the time in RFC 3339, UTC, with milliseconds; the part above them is made once a second."""
        seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        second, text = self._second
        if second != seconds:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            self._second = (seconds, text)
        return f"{text}.{milliseconds:03d}Z"

    def _failure(self, call: Call) -> str:
        fields = f',"error":{quoted(one_line(call.details, MAX_ERROR_BYTES))}'
        if call.error is not None and self._tracebacks:
            trace = "".join(traceback.format_exception(call.error))
            fields += f',"traceback":{quoted(trace[-MAX_TRACEBACK_CHARACTERS:])}'
        return fields
