"""Who trusts whom: the service its database, a gateway the service, the service its clients."""

from pathlib import PurePosixPath
from urllib.parse import parse_qsl, urlsplit

from service.security.access import Policy
from tests.k8s.rendering import OPTIONAL, of_kind, settings_of


def test_production_trusts_roots_that_it_names(manifests):
    # The driver's own TLS library looks for the system's roots where there are none.
    url = urlsplit(settings_of(manifests.render("prod"))["RECOMMENDATIONS_DATABASE_URL"])
    options = dict(parse_qsl(url.query))
    assert options["sslmode"] == "verify-full"
    assert PurePosixPath(options["sslrootcert"]).is_absolute()


def test_a_gateway_speaks_tls_for_a_name_of_the_certificate_and_gets_in(manifests):
    objects = manifests.render("prod", OPTIONAL["prod"])
    (route,) = of_kind(objects, "GRPCRoute")
    (tls,) = of_kind(objects, "BackendTLSPolicy")
    (certificate,) = of_kind(objects, "Certificate", "recommendations-server")
    (policy,) = of_kind(objects, "NetworkPolicy", "recommendations-gateway")
    (backend,) = [each for rule in route["spec"]["rules"] for each in rule["backendRefs"]]
    (target,) = tls["spec"]["targetRefs"]
    (service,) = of_kind(objects, target["kind"], target["name"])
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert backend == {"name": target["name"], "port": ports[target["sectionName"]]}
    assert tls["spec"]["validation"]["hostname"] in certificate["spec"]["dnsNames"]
    (rule,) = policy["spec"]["ingress"]
    let_in = [
        each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in rule["from"]
    ]
    assert let_in == [each["namespace"] for each in route["spec"]["parentRefs"]]


def test_roles_name_the_clients_that_certificates_are_made_for(manifests, tmp_path):
    objects = manifests.render("prod")
    (roles,) = [
        each["data"]["roles.toml"]
        for each in of_kind(objects, "ConfigMap")
        if "roles.toml" in each.get("data", {})
    ]
    (tmp_path / "roles.toml").write_text(roles)
    policy = Policy.load(tmp_path / "roles.toml")
    (client,) = of_kind(objects, "Certificate", "web-client")

    class Peer:
        uris, dns, authenticated = client["spec"]["uris"], (), True

    method = "/onlinebooks.recommendations.v1.RecommendationService/Recommend"
    assert policy.refusal(Peer, method) is None
