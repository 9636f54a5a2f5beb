"""What goes wrong around a container, and what it says then."""

import copy
import datetime
import json
from urllib.error import HTTPError

import pytest

from service.security.authority import Authority
from tests.tools import wait_until


def test_a_secret_that_is_not_mounted_is_named(pod):
    for name in ("tls.crt", "tls.key"):
        (pod.directory / "tls" / name).unlink()
    container = pod.start(ready=False)
    assert container.wait() != 0
    assert "RECOMMENDATIONS_TLS_CERTIFICATE_FILE" in container.log()
    assert "/etc/recommendations/tls/tls.crt" in container.log()


def test_a_certificate_that_is_not_yet_valid_is_refused_at_start(pod):
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    pair = Authority.create().issue("server", hosts=["localhost"], server=True, not_before=tomorrow)
    (pod.directory / "tls" / "tls.crt").write_bytes(pair.certificate)
    (pod.directory / "tls" / "tls.key").write_bytes(pair.key)
    container = pod.start(ready=False)
    assert container.wait() != 0
    assert "/etc/recommendations/tls/tls.crt" in container.log()
    assert "valid" in container.log()


def test_an_unknown_key_in_the_configmap_is_named(empty_pod, dev):
    objects = copy.deepcopy(dev[0])
    for each in objects:
        if each["metadata"]["name"].startswith("recommendations-settings"):
            each["data"]["RECOMMENDATIONS_COLOUR"] = "blue"
    container = empty_pod(objects).start(ready=False)
    assert container.wait() != 0
    assert "RECOMMENDATIONS_COLOUR: is not a setting of this service" in container.log()


def test_variables_that_kubernetes_makes_for_services_would_be_refused(pod):
    # Why the manifests turn enableServiceLinks off.
    container = pod.start(settings={"RECOMMENDATIONS_SERVICE_HOST": "10.0.0.1"}, ready=False)
    assert container.wait() != 0
    assert "RECOMMENDATIONS_SERVICE_HOST" in container.log()


def test_a_wrong_model_volume_leaves_it_unready_and_says_so(pod):
    # A directory that is there and holds something else.
    container = pod.start(settings={"RECOMMENDATIONS_MODELS_URL": "/etc/recommendations/roles"}, ready=False)
    container.wait_alive()

    def reason() -> str:
        with pytest.raises(HTTPError) as refused:
            container.get("/readyz")
        assert refused.value.code == 503
        return json.load(refused.value)["conditions"]["model"]["reason"]

    wait_until(lambda: "/etc/recommendations/roles: has no current model" in reason(), 300, "the reason")


def test_beyond_its_memory_it_is_ended_and_nothing_else_is(pod):
    neighbour = pod.start()
    before = neighbour.inspect()["State"]
    container = pod.start(options=["--memory=96m", "--memory-swap=96m"], ready=False)
    assert container.wait() == 137
    assert container.inspect()["State"]["OOMKilled"]
    assert neighbour.get("/readyz")
    after = neighbour.inspect()["State"]
    assert (after["Pid"], after["OOMKilled"]) == (before["Pid"], False)


def test_a_directory_that_cannot_be_written_is_named(pod):
    settings = {"RECOMMENDATIONS_MIRROR_DIRECTORY": "/opt/mirror"}
    container = pod.start(settings=settings, ready=False)
    assert container.wait() != 0
    assert "RECOMMENDATIONS_MIRROR_DIRECTORY" in container.log()
    assert "/opt/mirror" in container.log()
