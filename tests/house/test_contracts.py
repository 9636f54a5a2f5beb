"""The contracts: linted, formatted, compatible with what was released, and commented throughout."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "tests" / "contracts" / "released.binpb"
V1 = "onlinebooks/recommendations/v1"
BOOK = f"{V1}/book.proto"


def buf(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("buf")
    return subprocess.run(
        [program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "check",
    [("lint",), ("format", "--diff", "--exit-code"), ("breaking", "--against", RELEASED)],
    ids=lambda check: check[0],
)
def test_buf_has_no_complaint(check):
    verb, *options = check
    result = buf(verb, "protobufs", *options)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("contract", "before", "after", "complaint"),
    [
        (BOOK, "  string title = 2;\n", "", "deleted"),
        (BOOK, "string title = 2;", "string name = 2;", "name"),
        (BOOK, "int64 id = 1;", "string id = 1;", "type"),
        (
            f"{V1}/recommendation_service.proto",
            "  rpc GetModel(GetModelRequest) returns (GetModelResponse);\n",
            "",
            "deleted",
        ),
        ("recommendations.proto", "int32 max_results = 3;", "int32 max_results = 4;", "deleted"),
    ],
)
def test_a_change_that_breaks_clients_is_found(tmp_path, contract, before, after, complaint):
    copy = shutil.copytree(ROOT / "protobufs", tmp_path / "protobufs")
    text = (copy / contract).read_text()
    assert before in text
    (copy / contract).write_text(text.replace(before, after, 1))
    result = buf("breaking", copy, "--against", RELEASED)
    assert result.returncode != 0
    assert complaint in result.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[FileDescriptorProto]:
    """The v1 contracts as protoc describes them, comments included."""
    output = tmp_path_factory.mktemp("described") / "contracts.binpb"
    contracts = [path.relative_to(ROOT / "protobufs") for path in (ROOT / "protobufs" / V1).glob("*.proto")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", "--include_source_info", f"-o{output}"]
    subprocess.run([*command, *map(str, contracts)], cwd=ROOT / "protobufs", check=True)
    return list(descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file)


def described_members(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the path (as SourceCodeInfo has it) and the name of whatever needs a comment."""
    for s, service in enumerate(file.service):
        yield (6, s), service.name
        for m, method in enumerate(service.method):
            yield (6, s, 2, m), f"{service.name}.{method.name}"
    yield from _enums((5,), file.enum_type)
    yield from _messages((4,), file.message_type)


def _messages(
    path: tuple[int, ...], messages: Iterable[DescriptorProto]
) -> Iterator[tuple[tuple[int, ...], str]]:
    for m, message in enumerate(messages):
        for f, field in enumerate(message.field):
            # A map's entry is made by protoc.
            if not message.options.map_entry:
                yield (*path, m, 2, f), f"{message.name}.{field.name}"
        yield from _enums((*path, m, 4), message.enum_type)
        yield from _messages((*path, m, 3), message.nested_type)


def _enums(
    path: tuple[int, ...], enums: Iterable[EnumDescriptorProto]
) -> Iterator[tuple[tuple[int, ...], str]]:
    for e, enum in enumerate(enums):
        yield (*path, e), enum.name
        for v, value in enumerate(enum.value):
            yield (*path, e, 2, v), f"{enum.name}.{value.name}"


def uncommented(file: FileDescriptorProto) -> list[str]:
    comments = {tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location}
    return [name for path, name in described_members(file) if not comments[path]]


def test_every_rpc_field_enum_and_value_says_what_it_means(files):
    assert len(files) == 3
    assert [name for file in files for name in uncommented(file)] == []


def test_an_uncommented_field_would_be_found(files):
    stripped = FileDescriptorProto()
    stripped.CopyFrom(next(file for file in files if file.name == BOOK))
    for location in stripped.source_code_info.location:
        location.ClearField("leading_comments")
    assert "Book.title" in uncommented(stripped)
