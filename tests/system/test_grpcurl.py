"""The real grpcurl, as the service's own hints tell to use it."""

import json
import subprocess

import pytest

from tests.system.shop import REPOSITORY
from tests.tools import require_tool

V1 = "onlinebooks.recommendations.v1"
RECOMMENDATIONS = f"{V1}.RecommendationService"


@pytest.fixture
def grpcurl(shared_service):
    """Run grpcurl with the certificates of a client; returns its exit code, output and errors."""
    service, shop = shared_service
    program = require_tool("grpcurl")

    def run(*arguments: str, client: str = "client", options: tuple[str, ...] = (), stdin: str = ""):
        certificates = ("-cacert", "ca.crt", "-cert", f"{client}.crt", "-key", f"{client}.key")
        command = [
            program,
            "-max-time",
            "30",
            *certificates,
            *options,
            f"localhost:{service.port}",
            *arguments,
        ]
        result = subprocess.run(
            command,
            cwd=shop.certificates,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return result.returncode, result.stdout, result.stderr

    return run


def test_it_lists_every_service(grpcurl):
    code, shown, _ = grpcurl("list")
    assert code == 0
    assert shown.split() == [
        "Recommendations",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        f"{V1}.CatalogueService",
        RECOMMENDATIONS,
    ]


@pytest.mark.parametrize(
    ("symbol", "part"),
    [
        (RECOMMENDATIONS, f"rpc RecommendMany ( stream .{V1}.RecommendManyRequest ) returns"),
        (f"{RECOMMENDATIONS}.Recommend", f"rpc Recommend ( .{V1}.RecommendRequest )"),
        (f"{V1}.Book", "repeated string authors = 3;"),
        (f"{V1}.Strategy", "STRATEGY_PERSONAL = 1;"),
        ("Recommendations", "rpc Recommend ( .RecommendationRequest )"),
        ("BookCategory", "GHOST_STORY = 2;"),
    ],
)
def test_it_describes_services_methods_messages_and_enums(grpcurl, symbol, part):
    code, shown, errors = grpcurl("describe", symbol)
    assert code == 0, errors
    assert part in shown


def test_a_reader_gets_personal_books(grpcurl):
    code, shown, errors = grpcurl(
        f"{RECOMMENDATIONS}/Recommend", options=("-d", '{"reader_id": 7, "page_size": 5}')
    )
    assert code == 0, errors
    answer = json.loads(shown)
    assert len(answer["books"]) == 5
    assert answer["strategy"] == "STRATEGY_PERSONAL"
    assert all(book["title"] for book in answer["books"])


def test_a_stream_from_standard_input_is_answered_in_order(grpcurl):
    requests = "".join(json.dumps({"request": {"reader_id": reader}}) for reader in (1, -1, 2))
    code, shown, errors = grpcurl(f"{RECOMMENDATIONS}/RecommendMany", options=("-d", "@"), stdin=requests)
    assert code == 0, errors
    decoder, answers = json.JSONDecoder(), []
    while shown := shown.strip():
        answer, end = decoder.raw_decode(shown)
        answers.append(answer)
        shown = shown[end:]
    assert [list(answer) for answer in answers] == [["response"], ["refusal"], ["response"]]
    assert answers[1]["refusal"]["code"] == 3
    assert "reader_id" in answers[1]["refusal"]["message"]


def test_a_refused_call_shows_the_field_the_value_and_the_rule(grpcurl):
    code, _, errors = grpcurl(
        f"{RECOMMENDATIONS}/Recommend", options=("-d", '{"reader_id": 7, "page_size": -5}')
    )
    assert code != 0
    assert "Code: InvalidArgument" in errors
    assert "google.rpc.BadRequest" in errors
    assert '"field": "page_size"' in errors
    assert "-5" in errors


def test_who_may_not_explore_may_not_reflect(grpcurl):
    code, _, errors = grpcurl("list", client="reader")
    assert code != 0
    assert "needs the role explorer" in errors


def test_contract_files_do_instead_of_reflection(grpcurl):
    folder = REPOSITORY / "protobufs"
    contract = "onlinebooks/recommendations/v1/recommendation_service.proto"
    options = ("-import-path", str(folder), "-proto", contract, "-d", '{"reader_id": 7}')
    code, shown, errors = grpcurl(f"{RECOMMENDATIONS}/Recommend", client="reader", options=options)
    assert code == 0, errors
    assert len(json.loads(shown)["books"]) == 10


def test_a_role_that_is_missing_is_named(grpcurl):
    folder = REPOSITORY / "protobufs"
    contract = "onlinebooks/recommendations/v1/recommendation_service.proto"
    options = ("-import-path", str(folder), "-proto", contract, "-d", '{"reader_id": 7}')
    code, _, errors = grpcurl(f"{RECOMMENDATIONS}/ForgetReader", client="reader", options=options)
    assert code != 0
    assert "Code: PermissionDenied" in errors
    assert "needs the role admin" in errors


def test_the_plaintext_hint_works(shared_service):
    service, _ = shared_service
    hint = next(line for line in service.stdout.splitlines() if "grpcurl -plaintext" in line).strip()
    command = hint.replace("grpcurl", require_tool("grpcurl"), 1)
    result = subprocess.run(
        command, shell=True, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["recommendations"]) == 3


def test_the_hints_work(shared_service):
    service, shop = shared_service
    hints = [line.strip() for line in service.stdout.splitlines() if "grpcurl -cacert" in line]
    assert len(hints) == 2
    for hint in hints:
        command = hint.replace("grpcurl", require_tool("grpcurl"), 1)
        result = subprocess.run(
            command, shell=True, cwd=shop.directory, capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, result.stderr
        assert "Recommend" in result.stdout or "books" in result.stdout
