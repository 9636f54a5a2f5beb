"""What must not stand in any file of the repository."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "a package registry's host": r"pypi\.org|pythonhosted|npmjs\.(com|org)|proxy\.golang|anaconda\.org",
    "an index or mirror": r"(?<!no-emit-)index-url|extra-index|artifactory|:80\d\d/simple",
    "a machine's path": r"/work/|/root\b|/home/|/Users/",
    "unfinished work": r"\bTODO\b|\bFIXME\b|\bXXX\b",
    "a private key": r"PRIVATE KEY-----",
}


def files() -> list[Path]:
    """Return the files that git has or would take, binary ones left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    found = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    return [path for path in found if b"\0" not in path.read_bytes()[:8000]]


def test_no_file_holds_a_key_or_names_registries_machines_or_unfinished_work():
    found = []
    for path in files():
        if path != Path(__file__):  # which has to name them
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                wrong = [what for what, rule in FORBIDDEN.items() if re.search(rule, line)]
                found += [f"{path.relative_to(ROOT)}:{number}: {what}" for what in wrong]
    assert found == []


def test_nothing_that_a_run_makes_is_tracked():
    made = (".key", ".crt", ".pem", ".db", ".pyc")
    assert [path for path in files() if path.suffix in made] == []
