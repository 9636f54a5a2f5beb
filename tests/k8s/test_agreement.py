"""The manifests agree with the code: settings, ports, probes, times."""

from pathlib import PurePosixPath
from urllib.request import urlopen

import pytest

from service.operations.tracer import FLUSH_SECONDS
from service.settings import Settings, variable
from tests.k8s.rendering import containers, of_kind, pod_templates, settings_of

# CoreDNS tells clients and its own cache to keep an answer for so long.
DNS_KEEPS_SECONDS = 5


@pytest.fixture
def deployment(overlay):
    (found,) = of_kind(overlay, "Deployment", "recommendations")
    return found["spec"]


@pytest.fixture
def pod(deployment):
    return deployment["template"]["spec"]


@pytest.fixture
def server(pod):
    (found,) = pod["containers"]
    return found


@pytest.fixture
def settings(overlay):
    return Settings.from_environment(settings_of(overlay))  # refuses what it does not know


def test_no_setting_that_needs_a_place_in_the_container_is_left_out(overlay):
    given = settings_of(overlay)
    for name, field in Settings.model_fields.items():
        default = str(field.default).removeprefix("sqlite:///")
        if default.startswith(("var/", "certs/")):
            assert variable(name) in given, name


def test_every_path_is_below_something_mounted(pod, server, settings):
    mounted = [PurePosixPath(mount["mountPath"]) for mount in server["volumeMounts"]]
    written = [
        PurePosixPath(mount["mountPath"]) for mount in server["volumeMounts"] if not mount.get("readOnly")
    ]
    for name, value in settings.model_dump().items():
        if name.endswith(("_file", "_directory")) and value is not None:
            places = written if name.endswith("_directory") else mounted
            assert any(place in PurePosixPath(value).parents for place in places), name
    database, models = settings.database_url.removeprefix("sqlite:///"), settings.models_url
    for place in (database, models):
        if "://" not in place:
            assert any(each in PurePosixPath(place).parents for each in written), place


def test_jobs_have_what_their_settings_name(overlay):
    settings = Settings.from_environment(settings_of(overlay))
    for name, template in pod_templates(overlay):
        needed = {"Job": [settings.database_password_file]}  # it makes tables and no model
        needed["CronJob"] = [*needed["Job"], settings.models_credentials_file]
        for container in containers(template["spec"]):
            mounted = [PurePosixPath(mount["mountPath"]) for mount in container["volumeMounts"]]
            for path in needed.get(name.partition(" ")[0], []):
                assert path is None or any(place in PurePosixPath(path).parents for place in mounted), name


def test_every_mount_has_a_volume_and_every_volume_a_mount(overlay):
    for name, template in pod_templates(overlay):
        pod = template["spec"]
        claims = [
            claim["metadata"]["name"]
            for each in overlay
            if f"{each['kind']} {each['metadata']['name']}" == name
            for claim in each["spec"].get("volumeClaimTemplates", [])
        ]
        volumes = {volume["name"] for volume in pod["volumes"]} | set(claims)
        mounts = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert mounts == volumes, name


def test_ports_are_those_that_the_service_listens_on(overlay, server, settings):
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert ports == {"grpc": settings.port, "admin": settings.admin_port}
    for service in of_kind(overlay, "Service"):
        if service["metadata"]["name"].startswith("recommendations"):
            for port in service["spec"]["ports"]:
                assert port["port"] == ports[port["targetPort"]]
                assert port["name"] == port["targetPort"]
                assert port["appProtocol"] == {"grpc": "grpc", "admin": "http"}[port["name"]]


def test_selectors_find_the_server_and_nothing_else(overlay):
    selecting = [
        *((each, each["spec"]["selector"]) for each in of_kind(overlay, "Service")),
        *(
            (each, each["spec"]["selector"]["matchLabels"])
            for each in of_kind(overlay, "PodDisruptionBudget")
        ),
    ]
    for each, selector in selecting:
        found = [
            name
            for name, template in pod_templates(overlay)
            if selector.items() <= template["metadata"]["labels"].items()
        ]
        own = each["metadata"]["name"].startswith("recommendations")
        assert found == (["Deployment recommendations"] if own else ["StatefulSet postgres"])


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_the_admin_port_for_what_the_service_answers(server, service, probe):
    asked = server[probe]["httpGet"]
    assert asked["port"] == "admin"
    with urlopen(f"http://127.0.0.1:{service.app.admin_port}{asked['path']}", timeout=10) as answer:
        assert answer.status == 200


def test_only_readiness_asks_whether_it_is_ready(server):
    # A database that is away for an hour must not restart every pod.
    assert server["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert server["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert server["startupProbe"]["httpGet"]["path"] == "/livez"


@pytest.fixture
def leaving_seconds(server):
    return server["lifecycle"]["preStop"]["sleep"]["seconds"]


def test_a_pod_is_killed_only_after_it_had_time_to_drain(pod, leaving_seconds, settings):
    needed = leaving_seconds + settings.drain_seconds + settings.grace_seconds + FLUSH_SECONDS
    assert pod["terminationGracePeriodSeconds"] > needed


def test_every_client_has_asked_the_dns_again_before_a_pod_stops_serving(leaving_seconds, settings):
    # gRPC spreads the ends of connections over a tenth of their age to either side.
    assert leaving_seconds > 1.1 * settings.max_connection_age_seconds + DNS_KEEPS_SECONDS


def test_unreadiness_is_seen_before_the_drain_ends(server, settings):
    probe = server["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= settings.drain_seconds


def test_a_rollout_takes_no_pod_away_before_another_is_ready(deployment):
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_the_autoscaler_stays_within_what_one_process_can_use(overlay):
    for scaler in of_kind(overlay, "HorizontalPodAutoscaler"):
        (metric,) = scaler["spec"]["metrics"]
        assert 250 < int(metric["resource"]["target"]["averageValue"].removesuffix("m")) < 1000
        assert scaler["spec"]["minReplicas"] >= 3
