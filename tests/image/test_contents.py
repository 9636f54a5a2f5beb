"""What is in the image and what is not."""

import json
import os
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.image.containers import engine
from tests.k8s.rendering import settings_of
from tests.tools import missing


def inside(image: str, *command: str) -> str:
    """Run a program of the base in the image, as the image's user."""
    return engine("run", "--rm", f"--entrypoint={command[0]}", image, *command[1:])


@pytest.fixture(scope="module")
def files(image) -> list[str]:
    return inside(image, "find", "/opt", "-type", "f").split()


@pytest.fixture(scope="module")
def bill(image):
    return json.loads(inside(image, "cat", "/opt/service/sbom.cdx.json"))


def test_it_says_what_it_is_and_runs_as_nobody(image):
    config = json.loads(engine("image", "inspect", image))[0]["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["recommendations"]
    assert config["Cmd"] == ["serve"]
    assert config["ExposedPorts"].keys() == {"50051/tcp", "8080/tcp"}
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels.keys() >= {"title", "description", "licenses", "version", "revision", "created", "source"}
    assert len(labels["revision"]) == 40
    assert not [each for each in config["Env"] if each.startswith("RECOMMENDATIONS_")]


def test_a_second_build_from_nothing_gives_the_same_layers(image):
    again = os.environ.get("IMAGE_AGAIN") or missing(
        "IMAGE_AGAIN names no second image; make it with: make image IMAGE=again BUILD_ARGS=--no-cache"
    )
    first, second = (
        json.loads(engine("image", "inspect", name))[0]["RootFS"]["Layers"] for name in (image, again)
    )
    assert first == second


def test_no_user_of_that_number_is_known(image):
    assert ":65532:" not in inside(image, "cat", "/etc/passwd")
    assert "65532" in inside(image, "id")


def test_nothing_is_in_it_that_only_a_build_or_a_test_needs(files):
    assert not [
        name for name in files if "/tests/" in name or name.endswith((".pyx", ".pxd", ".h", ".c", ".a"))
    ]
    assert not [name for name in files if "/pip/" in name or "/setuptools/" in name]
    assert not [name for name in files if "/_pytest/" in name or "/mypy/" in name or "/ruff" in name]


def test_no_compiler_is_in_it(image):
    found = inside(
        image,
        "find",
        "/opt",
        "/usr/bin",
        "/usr/local/bin",
        "-name",
        "gcc*",
        "-o",
        "-name",
        "cc",
        "-o",
        "-name",
        "g++*",
    )
    assert found.strip() == ""


def test_the_roots_that_production_trusts_are_there(image, manifests):
    # By the image alone: no variable says where they are.
    config = json.loads(engine("image", "inspect", image))[0]["Config"]
    assert not [each for each in config["Env"] if each.startswith("SSL_CERT")]
    url = urlsplit(settings_of(manifests.render("prod"))["RECOMMENDATIONS_DATABASE_URL"])
    file = dict(parse_qsl(url.query))["sslrootcert"]
    count = "import ssl, sys; print(len(ssl.create_default_context(cafile=sys.argv[1]).get_ca_certs()))"
    assert int(inside(image, "python", "-c", count, file)) > 0


def test_the_program_cannot_change_itself(image):
    assert inside(image, "find", "/opt", "-writable").strip() == ""


def test_byte_code_and_kernels_are_compiled(image, files):
    sources = {name for name in files if name.startswith("/opt/service/service/") and name.endswith(".py")}
    compiled = {name for name in files if name.startswith("/opt/service/service/") and name.endswith(".pyc")}
    assert len(compiled) == len(sources)
    assert len([name for name in files if name.endswith(".nbi")]) >= 5


def test_kernels_are_loaded_and_none_is_compiled_at_a_start(image):
    options = ("--rm", "--read-only", "--env=NUMBA_DEBUG_CACHE=1", "--entrypoint=python")
    log = engine("run", *options, image, "-c", "import service.app")
    assert "data saved" not in log
    assert log.count("data loaded") >= 5


def test_the_bill_of_materials_names_every_distribution_with_a_licence(image, bill):
    assert bill["bomFormat"] == "CycloneDX"
    listing = (
        "from importlib.metadata import distributions as d; print(*{f'{x.name}=={x.version}' for x in d()})"
    )
    installed = set(inside(image, "python", "-c", listing).split())
    root = bill["metadata"]["component"]
    named = {f"{each['name']}=={each['version']}" for each in [*bill["components"], root]}
    assert installed <= named
    # protobuf's wheel declares none; its file LICENSE is the 3-clause BSD licence.
    assert [each["name"] for each in bill["components"] if not each.get("licenses")] == ["protobuf"]


def test_its_layers_are_ordered_by_how_often_they_change(image):
    sizes = [
        line.split("\t")
        for line in engine("history", "--format={{.Size}}\t{{.CreatedBy}}", "--no-trunc", image).splitlines()
    ]
    copied = [size for size, made in sizes if "COPY" in made]
    assert len(copied) == 2  # newest first: the service, then what it needs
    assert float(copied[0].removesuffix("MB")) < 20
