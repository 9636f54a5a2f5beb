"""Lines of every kind that a real process logs are as the schema says, which refuses what is not."""

import copy
import json
import sqlite3
import threading
import warnings
from contextlib import closing
from io import StringIO
from pathlib import Path

import grpc
import jsonschema
import pytest
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb

from service.operations import logs
from tests.system.processes import ServiceProcess, wait_until
from tests.wire.batches import reads
from tests.world import Certificates, Client, settings_for

SCHEMA = json.loads((Path(logs.__file__).parent / "log-line.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CALL, EVENT = SCHEMA["$defs"]["call"], SCHEMA["$defs"]["event"]
pytestmark = pytest.mark.timeout(300)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = [("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"), ("x-request-id", "order-66")]


@pytest.fixture(scope="module")
def lines(prepared_shop, tmp_path_factory) -> list[dict]:
    """What a process logs that refuses calls, is given a broken certificate and model, and loses a table."""
    folder = tmp_path_factory.mktemp("logs")
    shop, certificates = prepared_shop.copy_to(folder / "shop"), Certificates(folder / "certs")
    settings = settings_for(
        shop, certificates, model_check_seconds=0.1, tls_reload_seconds=0.1, rate_per_second=1, rate_burst=20
    ).describe()
    settings = {key: value for key, value in settings.items() if value}
    with ServiceProcess(settings, folder) as service:
        service.wait_ready()
        with service.channel(certificates.directory) as channel:
            _call_in_every_way(Client(channel))
            _break_what_is_watched(service, shop, certificates)
            with closing(sqlite3.connect(shop.file)) as database:
                database.execute("ALTER TABLE interactions RENAME TO elsewhere")
            stub = Client(channel).recommendations
            wait_until(
                lambda: _code(stub.RecordInteractions, reads(1, "lost")) == "INTERNAL", "a fault of ours"
            )
        assert service.stop() == 0
        written = service.stderr
    return [json.loads(line) for line in written.splitlines()]  # each line by itself is JSON


def _code(call, *arguments, **options) -> str:
    try:
        call(*arguments, timeout=30, **options)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def _call_in_every_way(client: Client) -> None:
    stub = client.recommendations
    stub.Recommend(pb.RecommendRequest(reader_id=1), metadata=TRACED, timeout=30)
    _code(stub.Recommend, pb.RecommendRequest(page_size=-1))
    list(stub.RecommendMany(iter([pb.RecommendManyRequest(request=pb.RecommendRequest(reader_id=1))])))
    stub.RecordInteractions(reads(1), timeout=30)
    _code(client.send, "/no/such", b"")
    while _code(stub.Recommend, pb.RecommendRequest(reader_id=1)) != "RESOURCE_EXHAUSTED":
        pass


def _break_what_is_watched(service: ServiceProcess, shop, certificates: Certificates) -> None:
    file = certificates.file("server.crt")
    before = file.read_bytes()
    file.write_text("no certificate")
    wait_until(lambda: "changed TLS files refused" in service.stderr, "the refusal of the certificate")
    assert "recommendations_tls_refused 1.0" in service.get("/metrics")[1]
    file.write_bytes(before)
    wait_until(lambda: "recommendations_tls_refused 0.0" in service.get("/metrics")[1], "that it is in order")
    sound, damaged = shop.models.current_version(), shop.train(promote=False)
    next((shop.model_files / damaged).glob("*.npy")).write_bytes(b"no array")
    pointer = shop.model_files / ".pointer"
    for promoted, refused in ((damaged, 1), (sound, 0)):
        pointer.write_text(f"{promoted}\n{sound}\n")
        pointer.replace(shop.model_files / "current")  # in one step: the service may be looking
        told = f"recommendations_model_refused {refused}.0"
        wait_until(lambda told=told: told in service.get("/metrics")[1], told)


def kinds(lines: list[dict], **wanted: str) -> list[dict]:
    return [line for line in lines if all(line.get(key) == value for key, value in wanted.items())]


def test_every_line_is_as_the_schema_says(lines):
    for line in lines:
        VALIDATOR.validate(line)


def test_lines_of_every_kind_were_seen(lines):
    for code in ("OK", "InvalidArgument", "Unimplemented", "ResourceExhausted", "Internal"):
        assert kinds(lines, msg="rpc", code=code), code
    assert kinds(lines, msg="rpc", kind="bidi_stream")
    (traced,) = kinds(lines, trace_id=TRACE_ID)
    assert traced["request_id"] == "order-66"
    assert all("traceback" in line for line in kinds(lines, msg="rpc", code="Internal"))
    for level in ("info", "warning", "error"):
        assert kinds(lines, msg="rpc", level=level), level
    for level in ("info", "error"):
        assert kinds(lines, logger="recommendations.upkeep", level=level), level
    assert kinds(lines, logger="recommendations.tls", level="error")


def test_every_field_of_the_schema_was_seen(lines):
    calls = [line for line in lines if line["msg"] == "rpc"]
    events = [line for line in lines if line["msg"] != "rpc"]
    assert set().union(*calls) == set(CALL["properties"])
    assert set().union(*events) >= set(EVENT["required"])


def test_a_thread_that_ends_and_a_warning_of_python_are_lines_too():
    stream = StringIO()
    before = threading.excepthook
    try:
        logs.configure("info", stream)
        thread = threading.Thread(target=lambda: 1 / 0, name="doomed")
        thread.start()
        thread.join()
        warnings.warn("so it is", stacklevel=1)
    finally:
        threading.excepthook = before
        logs.logging.captureWarnings(False)
    ended, warning = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in (ended, warning):
        VALIDATOR.validate(line)
    assert "doomed" in ended["msg"]
    assert "ZeroDivisionError" in ended["traceback"]
    assert "so it is" in warning["msg"]


CHANGES = {
    "a field that nobody documented": lambda line: line.update(reader_id=7),
    "no time": lambda line: line.pop("time"),
    "another spelling of a code": lambda line: line.update(code="INVALID_ARGUMENT"),
    "a duration in words": lambda line: line.update(duration_ms="3 ms"),
    "a failure that says not why": lambda line: line.pop("error"),
    "a level of another system": lambda line: line.update(level="WARN"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_schema_refuses(lines, change):
    line = copy.deepcopy(kinds(lines, code="InvalidArgument")[0])
    change(line)
    assert not VALIDATOR.is_valid(line)
