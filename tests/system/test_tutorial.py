"""The well-known Python gRPC tutorial, its commands and its shell session verbatim, against the real service.

It runs in a network namespace of its own, where port 50051 is free whoever listens outside; where the system
gives none, on the machine's port 50051; where that is taken, on another one, which a warning says.
"""

import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.system.processes import ServiceProcess, environment_with
from tests.system.shop import REPOSITORY

PORT = 50051
GENERATE = (
    "python -m grpc_tools.protoc -I ../protobufs/ --python_out=. "
    "--grpc_python_out=. ../protobufs/recommendations.proto"
)
SESSION = """\
from recommendations_pb2 import BookCategory, RecommendationRequest
request = RecommendationRequest(
    user_id=1, category=BookCategory.SCIENCE_FICTION, max_results=3
)

request.category
request = RecommendationRequest(
    user_id="some string", category=BookCategory.SCIENCE_FICTION, max_results=3
)

import grpc
from recommendations_pb2_grpc import RecommendationsStub
channel = grpc.insecure_channel("localhost:50051")
client = RecommendationsStub(channel)
request = RecommendationRequest(
    user_id=1, category=BookCategory.SCIENCE_FICTION, max_results=3
)

client.Recommend(request)
request = RecommendationRequest(
    user_id=1, category=BookCategory.GHOST_STORY, max_results=2
)

client.Recommend(request)
"""


def has_namespaces() -> bool:
    if not shutil.which("unshare") or not shutil.which("nsenter") or not shutil.which("ip"):
        return False
    probe = ["unshare", "--map-root-user", "--net", "ip", "link", "set", "lo", "up"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory) -> Path:
    """A folder beside protobufs/, empty until the tutorial's own command has generated the client there."""
    base = tmp_path_factory.mktemp("tutorial")
    (base / "protobufs").symlink_to(REPOSITORY / "protobufs")
    folder = base / "recommendations"
    folder.mkdir()
    _, *arguments = GENERATE.split()
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True)
    return folder


def shell(folder: Path, prefix: list[str], session: str = SESSION) -> tuple[str, str]:
    """Type a session into a Python shell; return what it shows and its tracebacks."""
    result = subprocess.run(
        [*prefix, sys.executable, "-i", "-q"],
        cwd=folder,
        env=environment_with({}),
        input=session,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.stdout, result.stderr


def test_the_command_generates_two_modules_that_are_this_contract(tutorial):
    assert sorted(path.name for path in tutorial.iterdir()) == [
        "recommendations_pb2.py",
        "recommendations_pb2_grpc.py",
    ]
    for path in tutorial.iterdir():
        assert path.read_text() == (REPOSITORY / "protobufs" / path.name).read_text()


def test_the_session_gets_real_books(tutorial, shop):
    session, prefix, enter = SESSION, [], []
    settings = shop.settings | {"RECOMMENDATIONS_PLAINTEXT_PORT": str(PORT)}
    if has_namespaces():
        prefix = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    elif not is_free(PORT):
        settings["RECOMMENDATIONS_PLAINTEXT_PORT"] = "0"
    with ServiceProcess(settings, shop.directory, prefix) as service:
        service.wait_listening()
        if prefix:
            enter = [
                "nsenter",
                "--preserve-credentials",
                "--user",
                "--net",
                f"--target={service.process.pid}",
            ]
        if service.plaintext_port != PORT:
            warnings.warn(f"port {PORT} is taken; the session runs on another one", stacklevel=1)
            session = SESSION.replace(str(PORT), str(service.plaintext_port))
        shown, errors = shell(tutorial, enter, session)
        assert service.stop() == 0

    assert shown.startswith("1\n"), (shown, errors)
    assert "TypeError" in errors
    assert errors.count("Error") == 1, errors
    assert shown.count("recommendations {") == 5
    assert shown.count("  id: ") == 5
    assert shown.count('  title: "') == 5


def test_it_is_unavailable_when_nothing_listens(tutorial):
    with socket.socket() as unheard:
        # Bound without listening: nobody else takes the port, and connections are refused.
        unheard.bind(("127.0.0.1", 0))
        free = str(unheard.getsockname()[1])
        session = SESSION.replace("localhost:50051", f"127.0.0.1:{free}")
        shown, errors = shell(tutorial, [], session)
    assert "recommendations {" not in shown
    assert errors.count("status = StatusCode.UNAVAILABLE") == 2, errors
