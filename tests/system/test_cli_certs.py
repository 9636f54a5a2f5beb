"""`recommendations certs`, as a developer runs it."""

import stat

from tests.system.processes import assert_fails, run_here


def certs(folder, *arguments):
    return run_here("certs", *arguments, settings={}, cwd=folder)


def test_it_makes_a_set_that_only_its_owner_can_use_and_overwrites_nothing(empty_folder):
    result = certs(empty_folder)
    assert (result.returncode, result.stderr) == (0, "")
    made = sorted((empty_folder / "certs" / "dev").iterdir())
    assert [path.name for path in made] == [
        f"{name}.{ending}" for name in ("ca", "client", "reader", "server") for ending in ("crt", "key")
    ]
    assert sorted(result.stdout.split()) == [str(path.relative_to(empty_folder)) for path in made]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.suffix == ".key"} == {0o600}

    before = {path: path.read_bytes() for path in made}
    assert_fails(certs(empty_folder), 1, "certs/dev/ca.crt", "not overwritten", "rotate")
    assert {path: path.read_bytes() for path in made} == before

    assert certs(empty_folder, "--rotate", "--host", "shop.example", "--days", "2").returncode == 0
    kept = {path.name for path in made if path.read_bytes() == before[path]}
    assert kept == {"ca.crt", "ca.key"}


def test_it_refuses_what_makes_no_certificate(empty_folder):
    assert_fails(certs(empty_folder, "--days", "0"), 1, "0 is not between 1 and")
    assert_fails(certs(empty_folder, "--host", "not a host"), 1, "'not a host'")
    assert_fails(certs(empty_folder, "--rotate"), 1, "ca.crt: missing")
    (empty_folder / "file").write_text("")
    assert_fails(certs(empty_folder, "--directory", "file/below"), 1, "file")
