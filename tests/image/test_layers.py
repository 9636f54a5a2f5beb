"""What the build's own layers bring: files below /opt, and no key or certificate but public roots."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.containers import engine

_NAMED = (".pem", ".key", ".crt", ".cer", ".p12", ".pfx", ".jks")
# With something in it: programs that read and write keys hold the bare lines.
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-{5}\r?\n[\w+/=:-]{16}")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n[\w+/=]{16}")


def copied_layers(archive: Path) -> Iterator[tarfile.TarFile]:
    """Yield the layers of a saved image that a COPY of its last stage made."""
    with tarfile.open(archive) as saved:

        def document(name: str) -> dict | list:
            return json.loads(saved.extractfile(name).read())

        (manifest,) = document("manifest.json")
        history = [each for each in document(manifest["Config"])["history"] if not each.get("empty_layer")]
        assert len(history) == len(manifest["Layers"])
        for made, name in list(zip(history, manifest["Layers"], strict=True))[-2:]:
            assert "COPY" in made["created_by"], made
            with tarfile.open(fileobj=saved.extractfile(name)) as layer:
                yield layer


def short(name: str) -> str:
    return "/".join(name.rsplit("/", 2)[-2:])


@pytest.fixture(scope="module")
def brought(image, tmp_path_factory) -> dict[str, set[str]]:
    """What is found in the layers, of each kind that is looked for."""
    archive = tmp_path_factory.mktemp("saved") / "image.tar"
    engine("save", f"--output={archive}", image)
    found: dict[str, set[str]] = {"outside": set(), "private keys": set(), "roots": set(), "files": set()}
    for layer in copied_layers(archive):
        for member in layer:
            name = member.name.removeprefix("./").strip("/")
            if name.partition("/")[0] not in ("", ".", "opt"):
                found["outside"].add(name)
            if not member.isfile():
                continue
            found["files"].add(name)
            content = layer.extractfile(member).read()
            if _PRIVATE_KEY.search(content):
                found["private keys"].add(name)
            text = b"\0" not in content  # a library may hold one that it compares with
            if name.endswith(_NAMED) or (text and _CERTIFICATE.search(content)):
                found["roots"].add(short(name))
    archive.unlink()
    return found


def test_nothing_lies_outside_opt(brought):
    assert len(brought["files"]) > 1000
    assert not brought["outside"]


def test_no_private_key_is_in_them(brought):
    assert not brought["private keys"]


def test_no_certificate_is_in_them_but_public_roots(brought):
    assert brought["roots"] == {"certifi/cacert.pem", "_credentials/roots.pem"}
