"""Imports point inward: which part of the project may import which; the longest name that fits counts."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = [*ROOT.glob("service/**/*.py"), *ROOT.glob("interceptors/**/*.py")]
FILES = " ".join(f"service.{path.stem}" for path in ROOT.glob("service/[!_]*.py") if path.stem != "app")
GENERATED = "recommendations_pb2 recommendations_pb2_grpc onlinebooks"
ALLOWED = {
    "interceptors": "interceptors",
    # The single files but app.
    "service": f"{FILES} service.domain service.mirror service.models service.operations service.storage",
    "service.acquiring": "service.domain service.failure service.following service.operations "
    "service.security service.settings service.storage",
    "service.app": f"service interceptors {GENERATED}",
    "service.guards": "interceptors service.security service.servicers.errors service.settings",
    "service.cli": f"service interceptors {GENERATED}",
    "service.__main__": "service.cli",
    "service.compiled_kernels": "service",  # imports every module there is, for what that compiles
    "service.domain": "service.domain numpy numba llvmlite",
    "service.operations": "service.operations service.domain service.failure service.handler_threads",
    "service.security": "service.security service.failure",
    "service.mirror": "service.mirror service.domain service.failure service.models.durable_files",
    "service.workers": "service.workers service.operations.admin service.security.page_token_key "
    "service.settings service.failure",
    "service.servicers": "service.servicers service.domain service.exposures service.ledger "
    f"service.operations.metrics service.handler_threads interceptors.status {GENERATED}",
} | {
    f"service.{room}": f"service.{room} service.domain service.failure"
    for room in ("exporting", "importing", "models", "sample", "storage", "training")
}  # fmt: skip
IMPURE = "os io time datetime pathlib socket subprocess random secrets logging sqlite3"


def within(name: str, packages: str) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages.split())


def guarded(module: str, name: str) -> bool:
    if within(name, f"service interceptors {GENERATED}"):
        return True
    foreign = name.partition(".")[0] not in sys.stdlib_module_names
    return within(module, "service.domain") and (foreign or within(name, IMPURE))


def test_imports_point_inward():
    for path in MODULES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        allowed = ALLOWED[max((name for name in ALLOWED if within(module, name)), key=len)]
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [each.name for each in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            if isinstance(node, ast.ImportFrom):
                names = [f"service.{name}" for name in names] if node.module == "service" else [node.module]
            wrong = [name for name in names if guarded(module, name) and not within(name, allowed)]
            assert not wrong, f"{module} must not import {wrong}"


def test_only_commands_see_the_environment():
    seeing = [path for path in MODULES if "os.environ" in path.read_text() or "getenv" in path.read_text()]
    assert {path.parent.name for path in seeing} == {"cli"}
