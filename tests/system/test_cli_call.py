"""`recommendations call` against a running service."""

import json

import pytest

from tests.system.processes import assert_fails, run, run_here, wait_until


@pytest.fixture
def call(shared_service):
    """Run `call` with the certificates of the shop's folder."""
    service, shop = shared_service

    def call(*arguments: str, address: str = "", stdin: str = ""):
        line = ("call", *arguments, "--address", address or f"localhost:{service.port}")
        if stdin or not arguments:
            return run(*line, settings={}, cwd=shop.directory, stdin=stdin)
        return run_here(*line, settings={}, cwd=shop.directory)

    return call


def test_without_a_method_it_shows_a_table_of_titles_and_reasons(call):
    result = call()
    assert (result.returncode, result.stderr) == (0, "")
    head, *rows = [line for line in result.stdout.splitlines() if line.startswith(("┃", "│"))]
    assert [column.strip() for column in head.strip("┃").split("┃")] == [
        "#",
        "book",
        "title",
        "authors",
        "score",
        "reason",
    ]
    assert len(rows) == 10
    assert all("because you read" in row or "popular" in row for row in rows)
    assert "strategy=STRATEGY_PERSONAL" in result.stdout
    assert "model_version=" in result.stdout


def test_json_is_the_reply_with_the_contracts_names(call):
    result = call("Recommend", "-d", '{"reader_id": 7, "page_size": 3}', "--json")
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert len(answer["books"]) == 3
    assert {"recommendation_id", "model_version", "strategy", "next_page_token"} <= answer.keys()


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["GetModel"], "version"),
        (["CatalogueService/GetBook", "-d", '{"id": 1}'], None),
        (["onlinebooks.recommendations.v1.CatalogueService/ListCategories"], "categories"),
        (["PopularBooks", "-d", '{"window": "31536000s"}', "--json"], "recommendation_id"),
        (["grpc.health.v1.Health/Check"], "status"),
        (["/grpc.health.v1.Health/Check", "--no-client-cert"], None),
        (
            ["Recommendations/Recommend", "-d", '{"userId": 1, "category": "GHOST_STORY", "maxResults": 2}'],
            "recommendations",
        ),
    ],
)
def test_every_service_can_be_called(call, arguments, key):
    result = call(*arguments)
    if key is None:
        assert_fails(result, 2 if "GetBook" in arguments[0] else 4)
    else:
        assert (result.returncode, result.stderr) == (0, "")
        assert key in json.loads(result.stdout)


def test_a_stream_is_one_json_object_a_line(call, tmp_path):
    lines = '{"request": {"reader_id": 1}}\n\n{"request": {"reader_id": -2}}\n'
    path = tmp_path / "requests.jsonl"
    path.write_text(lines)
    for result in (call("RecommendMany", "-d", "@-", stdin=lines), call("RecommendMany", "-d", f"@{path}")):
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.index('"response"') < result.stdout.index('"refusal"')


def test_it_lists_what_can_be_called(call):
    listed = call("--list").stdout.splitlines()
    assert "Recommendations/Recommend" in listed
    assert "onlinebooks.recommendations.v1.RecommendationService/RecommendMany" in listed
    assert len(listed) == len(set(listed)) == 16


def test_metadata_is_sent(call, shared_service):
    service, _ = shared_service
    result = call("GetModel", "-H", "X-Request-Id: one-of-mine-17")
    assert result.returncode == 0, result.stderr
    wait_until(lambda: '"request_id":"one-of-mine-17"' in service.stderr, "the line of the call")


def test_a_refusal_shows_every_violation(call):
    result = call("Recommend", "-d", '{"reader_id": -7, "page_size": 101}')
    assert_fails(result, 4, "INVALID_ARGUMENT", "  reader_id: ", "-7", "  page_size: ", "101", lines=3)
    assert result.stdout == ""


def test_a_role_that_is_missing_is_named(call):
    reader = ("--cert", "certs/dev/reader.crt", "--key", "certs/dev/reader.key")
    assert_fails(
        call("ForgetReader", "-d", '{"reader_id": 1}', *reader), 4, "PERMISSION_DENIED", "role admin"
    )


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["Recomend"], '"Recomend" is not a method of the service; --list names them'),
        (["Recommend", "-d", "{reader_id"], "the data: Failed to load JSON"),
        (["Recommend", "-d", '{"reader": 7}'], 'no field named "reader"'),
        (["Recommend", "-d", '{"reader_id": 99999999999999999999}'], "99999999999999999999"),
        (["RecommendMany", "-d", '{"request": {}}\n{"request": 7}'], "line 2 of the data"),
        (["GetModel", "-H", "novalue"], '"novalue" is not KEY:VALUE'),
        (["GetModel", "-H", "Ünicode: x"], "Ünicode"),
        (["GetModel", "--timeout", "0"], "--timeout"),
    ],
)
def test_a_mistake_in_the_request_is_wrong_usage(call, arguments, part):
    assert_fails(call(*arguments), 2, part)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--cacert", "nowhere/ca.crt"], "nowhere/ca.crt: No such file or directory"),
        (["--cert", "nowhere/client.crt"], "nowhere/client.crt: No such file or directory"),
        (["-d", "@nowhere/request.json"], "nowhere/request.json: No such file or directory"),
    ],
)
def test_a_file_that_is_missing_is_named(call, arguments, part):
    assert_fails(call("Recommend", *arguments), 1, part)


def test_data_that_is_not_utf_8_is_refused(call, tmp_path):
    (tmp_path / "request.json").write_bytes(b'{"reader_id": \xff}')
    assert_fails(call("Recommend", "-d", f"@{tmp_path / 'request.json'}"), 2, "not UTF-8 at byte 14")


def test_nothing_listens(call):
    assert_fails(call("--address", "localhost:1", address="127.0.0.1:1"), 4, "UNAVAILABLE", "refused")


def test_an_address_that_is_no_address_is_told(call):
    assert_fails(call(address="there is no such place"), 4, "UNAVAILABLE")


def test_the_plaintext_listener_needs_no_certificate_files(shared_service, empty_folder):
    service, _ = shared_service
    arguments = ("call", "GetModel", "--plaintext", "--address", f"localhost:{service.plaintext_port}")
    result = run_here(*arguments, settings={}, cwd=empty_folder)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_name_of_the_server_is_checked(call):
    assert call("GetModel", "--server-name", "localhost").returncode == 0
    assert_fails(call("GetModel", "--server-name", "shop.example", "--timeout", "5"), 4, "UNAVAILABLE")
