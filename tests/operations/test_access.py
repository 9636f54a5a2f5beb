"""Who may call what."""

from pathlib import Path

import pytest
import recommendations_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from onlinebooks.recommendations.v1 import catalogue_service_pb2, recommendation_service_pb2

from interceptors.chain import UNKNOWN_METHOD, methods_of
from interceptors.identity import PeerIdentity
from service.security.access import METHOD_ROLES, OPEN_METHODS, ROLES, AccessError, Policy

DEVELOPMENT = Path(__file__).parents[2] / "certs" / "roles.toml"
FILES = (
    recommendations_pb2.DESCRIPTOR,
    recommendation_service_pb2.DESCRIPTOR,
    catalogue_service_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
)
METHODS = {
    method.full
    for file in FILES
    for service in file.services_by_name.values()
    for method in methods_of(service)
}
METHOD_OF_ROLE = {role: next(m for m, r in METHOD_ROLES.items() if r == role) for role in ROLES}
ANONYMOUS = PeerIdentity("anonymous", (), (), authenticated=False)


def peer(*uris: str, dns: tuple[str, ...] = ()) -> PeerIdentity:
    return PeerIdentity((*uris, *dns, "anonymous")[0], uris, dns, authenticated=True)


@pytest.fixture
def load(tmp_path):
    def load(text: str | bytes) -> Policy:
        path = tmp_path / "roles.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Policy.load(path)

    return load


def open_roles(policy: Policy, caller: PeerIdentity) -> set[str]:
    return {role for role, method in METHOD_OF_ROLE.items() if policy.refusal(caller, method) is None}


def test_every_method_of_every_service_is_in_exactly_one_table():
    v1 = {name.replace(".v1alpha.", ".v1.") for name in METHODS if ".v1alpha." in name}
    assert {*METHOD_ROLES, *OPEN_METHODS} == METHODS | v1 | {UNKNOWN_METHOD.full}
    assert not METHOD_ROLES.keys() & OPEN_METHODS
    assert set(METHOD_ROLES.values()) == set(ROLES)


@pytest.mark.parametrize("service", ["recommendation_service", "catalogue_service"])
def test_roles_are_those_that_the_contracts_name(service):
    proto = Path(__file__).parents[2] / f"protobufs/onlinebooks/recommendations/v1/{service}.proto"
    comment, found = "", {}
    for line in proto.read_text().splitlines():
        words = line.split()
        if words[:1] == ["rpc"]:
            found[words[1].partition("(")[0]] = comment.rpartition("Role ")[2].rstrip(".")
            comment = ""
        elif words[:1] == ["//"]:
            comment += " " + " ".join(words[1:])
    assert found == {
        method.rpartition("/")[2]: role
        for method, role in METHOD_ROLES.items()
        if service.replace("_", "") + "/" in method.lower()
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_own_methods_alone(load, role):
    policy = load(f'[identities]\n"spiffe://shop.example/one" = ["{role}"]')
    caller = peer("spiffe://shop.example/one")
    for method, needed in METHOD_ROLES.items():
        assert (policy.refusal(caller, method) is None) == (needed == role)


def test_development_client_may_call_everything_and_reader_only_read():
    policy = Policy.load(DEVELOPMENT)
    assert open_roles(policy, peer("spiffe://onlinebooks.example/client")) == set(ROLES)
    assert open_roles(policy, peer("spiffe://onlinebooks.example/reader")) == {"reader-api"}
    assert open_roles(policy, peer("spiffe://onlinebooks.example/recommendations")) == set()
    assert open_roles(policy, ANONYMOUS) == {"reader-api"}


def test_refusal_names_method_and_role_but_not_what_others_may(load):
    policy = load('[identities]\n"spiffe://shop.example/one" = ["feedback"]')
    refusal = policy.refusal(peer("spiffe://shop.example/two"), "/Recommendations/Recommend")
    assert refusal is not None
    assert refusal.startswith("/Recommendations/Recommend needs the role reader-api, which")
    assert "feedback" not in refusal


def test_method_in_no_table_is_refused_to_everybody(load):
    policy = load(f'anonymous = {list(ROLES)}\n[identities]\n"spiffe://a.b/c" = {list(ROLES)}')
    for caller in (ANONYMOUS, peer("spiffe://a.b/c")):
        assert policy.refusal(caller, "/shop.Tills/Open") == "no role opens /shop.Tills/Open"


def test_health_and_unknown_methods_need_no_role(load):
    policy = load('[identities]\n"spiffe://a.b/c" = []')
    for method in OPEN_METHODS:
        assert policy.refusal(ANONYMOUS, method) is None
        assert policy.refusal(peer("spiffe://d.e/f"), method) is None


def test_callers_without_certificate_have_nothing_unless_the_file_says_so(load):
    policy = load('[identities]\n"spiffe://a.b/c" = ["reader-api"]')
    assert open_roles(policy, ANONYMOUS) == set()
    assert open_roles(load('anonymous = ["feedback"]'), ANONYMOUS) == {"feedback"}


def test_anonymous_roles_are_not_for_certificates_without_roles(load):
    assert open_roles(load('anonymous = ["reader-api"]'), peer("spiffe://a.b/c")) == set()


def test_several_names_have_the_roles_of_all(load):
    policy = load('[identities]\n"spiffe://a.b/c" = ["feedback"]\n"shop.example" = ["catalogue"]')
    assert open_roles(policy, peer("spiffe://a.b/c", dns=("Shop.Example",))) == {"feedback", "catalogue"}


@pytest.mark.parametrize(
    "caller",
    [
        peer("spiffe://a.b/c/d"),
        peer("spiffe://a.b/C"),
        peer("spiffe://a.b/c "),
        peer("spiffe://a.b/c\0"),
        peer(dns=("spiffe://a.b/c",)),  # a name counts as what the certificate says it is
        peer("shop.example"),
        peer(dns=("www.shop.example",)),
        peer(),
    ],
    ids=repr,
)
def test_names_count_exactly(load, caller):
    policy = load('[identities]\n"spiffe://a.b/c" = ["feedback"]\n"shop.example" = ["catalogue"]')
    assert open_roles(policy, caller) == set()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["names nobody"]),
        ("anonymous = [", ["not TOML"]),
        (b"\xff", ["not UTF-8"]),
        ('anonymus = ["reader-api"]', ["anonymus", "unknown key"]),
        ('anonymous = "reader-api"', ["anonymous", "'reader-api'", "not a list"]),
        ('anonymous = ["reader"]', ["anonymous", "'reader'", "reader-api, feedback"]),
        ("anonymous = [1]", ["anonymous", "1", "not a role"]),
        ('anonymous = ["admin", "admin"]', ["anonymous", "'admin'", "twice"]),
        ("identities = 3", ["identities", "3", "not a table"]),
        ('[identities]\n"spiffe://a.b/c" = "admin"', ["spiffe://a.b/c", "'admin'", "not a list"]),
        ('[identities]\n"spiffe://a.b/c" = ["root"]', ["spiffe://a.b/c", "'root'", "not a role"]),
        ('[identities]\n"spiffe://a.b/c" = []\n"spiffe://a.b/c" = []', ["not TOML"]),
        ('[identities]\nshop.example = ["admin"]', ['identities."shop"', "need quotes"]),
        *(
            (f'[identities]\n"{name}" = ["admin"]', ["identities", name, "not a SPIFFE id"])
            for name in (
                "spiffe://a.b",
                "spiffe://a.b/",
                "spiffe://A.b/c",
                "spiffe://a.b/*",
                "spiffe://a.b//c",
            )
        ),
        *(
            (f'[identities]\n"{name}" = ["admin"]', ["identities", name])
            for name in ("spiffe:/a/b", "spiffe://a.b/../c", "spiffe://a.b/c?d", "https://a b", "HTTPS://a.b")
        ),
        *(
            (f'[identities]\n"{name}" = ["admin"]', ["identities", repr(name), "DNS"])
            for name in ("", "*.shop.example", "Shop.example", "shop..example", "shop example", "x" * 64)
        ),
    ],
)
def test_mistake_in_the_file_is_one_line_with_file_key_value_and_rule(load, text, words):
    with pytest.raises(AccessError) as error:
        load(text)
    message = str(error.value)
    assert "roles.toml: " in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_missing_file_is_named(tmp_path):
    with pytest.raises(AccessError, match=r"none\.toml: No such file"):
        Policy.load(tmp_path / "none.toml")
