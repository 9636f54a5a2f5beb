"""Find the programs outside Python that some tests run."""

import os
import shutil
from pathlib import Path

import pytest

HOW_TO_GET = {
    "grpcurl": "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3",
    "openssl": "apt-get install openssl",
    "prometheus": "apt-get install prometheus",
    "promtool": "apt-get install prometheus",
    "h2load": "apt-get install nghttp2-client",
}


def require_tool(name: str) -> str:
    """Return the path of a program: on PATH, or where `go install` puts it.

    Without it the test is skipped with how to get it, but fails under CI=true, where it must be there.
    """
    go_path = os.environ.get("GOPATH", "").partition(os.pathsep)[0] or Path.home() / "go"
    found = shutil.which(name) or shutil.which(name, path=Path(go_path, "bin"))
    if found:
        return found
    missing = f"{name} is not installed; get it with: {HOW_TO_GET[name]}"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
