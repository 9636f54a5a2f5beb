"""What a newcomer does with the README, in a fresh clone on the README's own ports; run by .ci/run alone.

It makes a virtual environment of its own and takes minutes, most of them for downloads.
"""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.tools import require_tool

REPOSITORY = Path(__file__).parents[2]
FIRST_START_SECONDS, START_SECONDS = 900, 60  # bounds for a hung run; the measured times are printed
pytestmark = pytest.mark.timeout(1200)


class Terminal:
    """`make serve` in a terminal of its own."""

    def __init__(self, clone: Path, **environment: str) -> None:
        self._log = (clone / "serve.log").open("w+")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            ["make", "serve"],
            cwd=clone,
            env=clean_environment(**environment),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text()

    def wait_ready(self, most_seconds: float) -> float:
        """Return the seconds from the start until the hints were printed."""
        while "Ctrl-C stops it." not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() - self.started < most_seconds, self.output
            time.sleep(0.02)
        return time.monotonic() - self.started

    def press_ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(60)


def clean_environment(**more: str) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("RECOMMENDATIONS_", "MAKE", "VIRTUAL_ENV", "PYTHON"))
    }
    return kept | more


def run(command: str, clone: Path, **more) -> str:
    done = subprocess.run(
        command,
        shell=True,
        cwd=clone,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        **more,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    require_tool("grpcurl")
    folder = tmp_path_factory.mktemp("newcomer") / "recommendations"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def first_start(clone):
    terminal = Terminal(clone)
    seconds = terminal.wait_ready(FIRST_START_SECONDS)
    print(f"\nfirst `make serve`, with downloads: ready after {seconds:.0f} s")
    yield terminal
    if terminal.process.poll() is None:
        terminal.press_ctrl_c()


def test_the_printed_lines_work_when_pasted(first_start, clone):
    hints = first_start.output.split("In a second terminal:")[1].split("Ctrl-C")[0]
    lines = [line.strip() for line in hints.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == ["make", "grpcurl", "grpcurl"]
    table, services, answer = (run(line, clone) for line in lines)
    assert "because you read" in " ".join(re.sub(r"[│\s]+", " ", table).split())
    assert {"Recommendations", "onlinebooks.recommendations.v1.RecommendationService"} <= set(
        services.split()
    )
    books = json.loads(answer)["books"]
    assert len(books) == 5
    assert all(book["title"] and book["reason"] for book in books)


def test_the_readmes_shell_lines_work(first_start, clone):
    """Every line of the README's blocks that follow 'In a second terminal', as they stand."""
    readme = (clone / "README.md").read_text()
    block = re.search(r"<!-- pasted by tests/newcomer -->\n```sh\n(.*?)```", readme, re.S)
    assert block is not None
    commands = re.sub(r"\\\n\s*", " ", block[1]).splitlines()
    commands = [line for line in commands if line.strip() and not line.startswith("#")]
    assert len(commands) >= 5
    for command in commands:
        assert run(command, clone).strip(), command


def test_the_readmes_python_client_works(first_start, clone):
    readme = (clone / "README.md").read_text()
    (program,) = re.findall(r"```python\n(import grpc\n.*?)```", readme, re.S)
    printed = subprocess.run(
        [".venv/bin/python", "-c", program], cwd=clone, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert len(printed.splitlines()) == 5


def test_ctrl_c_drains_and_the_second_start_goes_straight_to_serving(first_start, clone):
    first_start.press_ctrl_c()
    assert "Traceback" not in first_start.output
    terminal = Terminal(clone)
    seconds = terminal.wait_ready(START_SECONDS)
    print(f"\nsecond `make serve`: ready after {seconds:.2f} s")
    setting_up = ("recommendations train", "recommendations import", "pip install", "recommendations certs")
    assert not any(each in terminal.output for each in setting_up)
    terminal.press_ctrl_c()


def test_the_tutorials_steps_work_verbatim(first_start, clone):
    """In an empty folder beside protobufs/, against the plaintext listener on the tutorial's own port."""
    if first_start.process.poll() is None:
        first_start.press_ctrl_c()
    folder = clone / "marketplace"
    folder.mkdir()
    python = clone / ".venv/bin/python"
    run(
        f"{python} -m grpc_tools.protoc -I ../protobufs/ --python_out=. --grpc_python_out=. "
        "../protobufs/recommendations.proto",
        folder,
    )
    terminal = Terminal(clone, RECOMMENDATIONS_PORT="50052", RECOMMENDATIONS_PLAINTEXT_PORT="50051")
    terminal.wait_ready(START_SECONDS)
    session = """
from recommendations_pb2 import BookCategory, RecommendationRequest
request = RecommendationRequest(user_id=1, category=BookCategory.GHOST_STORY, max_results=3)
import grpc
from recommendations_pb2_grpc import RecommendationsStub
channel = grpc.insecure_channel("localhost:50051")
client = RecommendationsStub(channel)
client.Recommend(request)
"""
    shell = [str(python), "-i", "-q"]
    answer = subprocess.run(shell, input=session, cwd=folder, capture_output=True, text=True, timeout=60)
    assert answer.stdout.count("recommendations {") == 3, answer.stderr
    terminal.press_ctrl_c()
