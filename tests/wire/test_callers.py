"""Who gets a connection, and what each caller may do."""

import datetime
import shutil
import socket

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha import reflection_pb2
from onlinebooks.recommendations.v1 import catalogue_service_pb2 as catalogue
from onlinebooks.recommendations.v1 import recommendation_service_pb2 as pb
from recommendations_pb2 import RecommendationRequest

from service.security.authority import Authority, utc_now
from service.security.certificates import IDENTITY_PREFIX
from tests.wire.batches import NEWCOMER, a_batch, an_interaction
from tests.world import Certificates, Client, refused, wait_until

DAY = datetime.timedelta(days=1)
RECOMMEND = pb.RecommendRequest(reader_id=1)


def list_services(client: Client) -> list[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = client.reflection.ServerReflectionInfo(iter([request]))
    return [each.name for each in answer.list_services_response.service]


@pytest.mark.parametrize("fault", ["expired", "not valid yet", "self-signed", "of another CA", "missing"])
def test_certificate_that_does_not_hold_gets_no_connection(service, certificates, fault):
    name = "client"  # the most powerful identity there is
    pair = {
        "expired": lambda: certificates.issue(
            name, not_before=utc_now() - 2 * DAY, not_after=utc_now() - DAY
        ),
        "not valid yet": lambda: certificates.issue(name, not_before=utc_now() + DAY),
        "self-signed": lambda: Authority.create(name).pair,
        "of another CA": lambda: Authority.create().issue(name, uris=[IDENTITY_PREFIX + name]),
        "missing": lambda: None,
    }[fault]()
    refusal = refused(service.connect(pair).recommendations.Recommend, RECOMMEND, timeout=10)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE


def test_server_certificate_is_checked_by_its_client(service):
    stranger = grpc.ssl_channel_credentials(Authority.create().pair.certificate)
    with grpc.secure_channel(f"127.0.0.1:{service.app.port}", stranger) as channel:
        refusal = refused(Client(channel).recommendations.Recommend, RECOMMEND, timeout=10)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE


def test_client_may_call_everything(service):
    client = service.client
    assert client.recommendations.Recommend(RECOMMEND).books
    assert client.recommendations.ForgetReader(pb.ForgetReaderRequest(reader_id=NEWCOMER)) is not None
    assert client.catalogue.DeleteBooks(catalogue.DeleteBooksRequest(book_ids=[10**12])).unknown_count == 1
    assert "onlinebooks.recommendations.v1.RecommendationService" in list_services(client)


def test_reader_may_ask(service):
    reader = service.reader
    assert reader.tutorial.Recommend(RecommendationRequest(user_id=1, max_results=1)).recommendations
    assert reader.recommendations.Recommend(RECOMMEND).books
    many = reader.recommendations.RecommendMany(iter([pb.RecommendManyRequest(request=RECOMMEND)]))
    assert len(list(many)) == 1
    assert reader.recommendations.SimilarBooks(pb.SimilarBooksRequest(book_id=1)).books
    assert reader.recommendations.PopularBooks(pb.PopularBooksRequest()).books
    assert reader.recommendations.GetModel(pb.GetModelRequest()).version
    assert reader.catalogue.GetBook(catalogue.GetBookRequest(book_id=1)).book.title
    assert reader.catalogue.ListBooks(catalogue.ListBooksRequest()).books
    assert reader.catalogue.ListCategories(catalogue.ListCategoriesRequest()).categories


@pytest.mark.parametrize(
    ("call", "role"),
    [
        (lambda c: c.recommendations.RecordInteractions(a_batch(an_interaction())), "feedback"),
        (lambda c: c.recommendations.ForgetReader(pb.ForgetReaderRequest(reader_id=1)), "admin"),
        (lambda c: c.catalogue.UpsertBooks(catalogue.UpsertBooksRequest()), "catalogue"),
        (lambda c: c.catalogue.DeleteBooks(catalogue.DeleteBooksRequest(book_ids=[1])), "catalogue"),
        (list_services, "explorer"),
    ],
)
def test_reader_may_not_change_or_explore(service, call, role):
    before = service.shop.counts()
    refusal = refused(call, service.reader)
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
    assert refusal.reason == "PERMISSION_DENIED"
    assert f"needs the role {role}" in refusal.message
    assert service.shop.counts() == before


def test_certificate_that_the_roles_file_does_not_name_may_do_nothing_but_ask_for_health(service):
    stranger = service.connect(service.certificates.issue("stranger"))
    assert refused(stranger.recommendations.Recommend, RECOMMEND).code is grpc.StatusCode.PERMISSION_DENIED
    assert refused(list_services, stranger).code is grpc.StatusCode.PERMISSION_DENIED
    assert stranger.health.Check(HealthCheckRequest()).status == HealthCheckResponse.SERVING


def test_common_name_of_a_powerful_identity_gives_no_role(service, certificates):
    impostor = service.connect(
        certificates.authority.issue(IDENTITY_PREFIX + "client", hosts=["client.example"])
    )
    assert refused(impostor.recommendations.Recommend, RECOMMEND).code is grpc.StatusCode.PERMISSION_DENIED


def test_refused_caller_learns_nothing_of_the_request(service):
    """Roles come before the message is looked at."""
    refusal = refused(
        service.reader.send, "/onlinebooks.recommendations.v1.CatalogueService/UpsertBooks", b"\xff"
    )
    assert refusal.code is grpc.StatusCode.PERMISSION_DENIED


def test_anonymous_caller_of_the_plaintext_port_has_the_roles_that_the_file_grants(start):
    service = start(plaintext_port=0)
    anonymous = service.connect_plaintext()
    assert anonymous.tutorial.Recommend(RecommendationRequest(user_id=1, max_results=1)).recommendations
    assert anonymous.recommendations.Recommend(RECOMMEND).books
    refusal = refused(anonymous.recommendations.RecordInteractions, a_batch(an_interaction()))
    assert refusal.code is grpc.StatusCode.UNAUTHENTICATED
    assert "needs the role feedback" in refusal.message
    assert refused(list_services, anonymous).code is grpc.StatusCode.UNAUTHENTICATED
    assert service.log(4)[0]["identity"] is None


def test_anonymous_caller_may_do_nothing_where_the_file_grants_nothing(start, tmp_path):
    roles = tmp_path / "roles.toml"
    roles.write_text('[identities]\n"till.example" = ["reader-api"]\n')
    service = start(plaintext_port=0, roles_file=roles)
    refusal = refused(service.connect_plaintext().recommendations.Recommend, RECOMMEND)
    assert refusal.code is grpc.StatusCode.UNAUTHENTICATED
    till = service.connect(service.certificates.authority.issue("till", hosts=["till.example"]))
    assert till.recommendations.Recommend(RECOMMEND).books


def test_plaintext_port_is_there_only_where_it_was_asked_for(service):
    assert service.app.plaintext_port is None


def test_plaintext_port_listens_on_the_loopback_address_alone(start):
    port = start(plaintext_port=0, host="0.0.0.0").app.plaintext_port
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    # 127.0.0.2 is this machine too: what listens on every address answers there.
    for address in {"127.0.0.2", *_own_addresses()}:
        with socket.socket() as caller:
            caller.settimeout(5)
            assert caller.connect_ex((address, port)) != 0, address


def _own_addresses() -> set[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only chooses the address to send from
        except OSError:
            return set()
        return {probe.getsockname()[0]} - {"127.0.0.1"}


def test_plaintext_is_refused_on_the_port_for_tls(service):
    with grpc.insecure_channel(f"127.0.0.1:{service.app.port}") as channel:
        refusal = refused(Client(channel).recommendations.Recommend, RECOMMEND, timeout=10)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE


def test_transport_tls_needs_no_client_certificate_and_makes_everybody_anonymous(start):
    service = start(transport="tls")
    anonymous = service.connect(None)
    assert anonymous.recommendations.Recommend(RECOMMEND).books
    for client in (anonymous, service.client):
        refusal = refused(client.recommendations.RecordInteractions, a_batch(an_interaction()))
        assert refusal.code is grpc.StatusCode.UNAUTHENTICATED
    with grpc.insecure_channel(f"127.0.0.1:{service.app.port}") as channel:
        refusal = refused(Client(channel).recommendations.Recommend, RECOMMEND, timeout=10)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE


def test_new_server_pair_applies_to_new_connections_and_a_bad_one_does_not(start, tmp_path, certificates):
    files = tmp_path / "certs"
    shutil.copytree(certificates.directory, files)
    own = {name: files / path for name, path in _TLS_FILES.items()}
    service = start(tls_reload_seconds=0.1, **own)
    assert service.client.recommendations.Recommend(RECOMMEND).books

    (files / "server.key").write_bytes(certificates.pair("client").key)
    reloads = 'recommendations_tls_reloads_total{{result="{}"}}'
    wait_until(lambda: service.metrics()[reloads.format("failure")] >= 1)
    unharmed = service.connect(certificates.pair("client"))
    assert unharmed.recommendations.Recommend(RECOMMEND).books

    other = Certificates(tmp_path / "other")
    for name in _TLS_FILES.values():
        shutil.copy(other.file(name), files / name)
    wait_until(lambda: service.metrics()[reloads.format("success")] >= 1)
    assert service.client.recommendations.Recommend(RECOMMEND).books  # the open connection
    outdated = service.connect(certificates.pair("client"))
    assert (
        refused(outdated.recommendations.Recommend, RECOMMEND, timeout=10).code is grpc.StatusCode.UNAVAILABLE
    )
    service.certificates = other
    assert service.connect(other.pair("client")).recommendations.Recommend(RECOMMEND).books


_TLS_FILES = {
    "tls_certificate_file": "server.crt",
    "tls_key_file": "server.key",
    "tls_client_ca_file": "ca.crt",
}
