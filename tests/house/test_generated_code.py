"""The committed code of the contracts is what protoc makes of them today."""

import subprocess
import sys
from pathlib import Path

import pytest

PROTOBUFS = Path(__file__).parents[2] / "protobufs"
CONTRACTS = sorted(str(path.relative_to(PROTOBUFS)) for path in PROTOBUFS.rglob("*.proto"))


def generated_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*_pb2*.py*")
        if path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def made_now(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("generated")
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, *CONTRACTS]
    subprocess.run(command, cwd=PROTOBUFS, check=True)
    return generated_in(folder)


def test_no_generated_file_is_missing_or_left_over(made_now):
    assert generated_in(PROTOBUFS).keys() == made_now.keys()


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("ending", ["_pb2.py", "_pb2.pyi", "_pb2_grpc.py"])
def test_generated_code_is_up_to_date(made_now, contract, ending):
    name = contract.removesuffix(".proto") + ending
    assert generated_in(PROTOBUFS)[name] == made_now[name], "run `make proto`"
