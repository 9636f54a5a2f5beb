"""What the hardening guides of the NSA and the CIS ask of a namespace and of every pod in it."""

import pytest

from tests.k8s.rendering import containers, of_kind, pod_templates


@pytest.fixture
def pods(overlay):
    return [
        (name, template["spec"], template["metadata"]["labels"]) for name, template in pod_templates(overlay)
    ]


def test_the_namespace_enforces_restricted(overlay):
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_is_in_the_namespace(overlay):
    assert {each["metadata"].get("namespace") for each in overlay if each["kind"] != "Namespace"} == {
        "recommendations"
    }


def test_pods_run_as_a_user_without_rights(pods):
    for name, pod, _ in pods:
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] >= 999, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name


def test_pods_know_nothing_of_the_cluster(pods, overlay):
    for name, pod, _ in pods:
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
    for account in of_kind(overlay, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_every_container_asks_for_and_is_held_to_resources(pods):
    for name, pod, _ in pods:
        for container in containers(pod):
            for kind in ("requests", "limits"):
                assert container["resources"][kind].keys() == {"cpu", "memory", "ephemeral-storage"}, name


def test_a_full_volume_is_refused_before_its_pod_is_evicted(pods):
    # What is in emptyDirs counts against the containers' limit, and going beyond that ends the pod.
    for name, pod, _ in pods:
        volumes = sum(
            mebibytes(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"] if "emptyDir" in volume
        )
        for container in containers(pod):
            assert mebibytes(container["resources"]["limits"]["ephemeral-storage"]) > volumes, name


def mebibytes(text: str) -> int:
    return int(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


def test_images_have_a_version_or_a_digest(pods):
    for name, pod, _ in pods:
        for container in containers(pod):
            image = container["image"]
            assert "@sha256:" in image or (not image.endswith(":latest") and ":" in image), name


def test_production_runs_by_digest(manifests):
    for name, template in pod_templates(manifests.render("prod")):
        for container in containers(template["spec"]):
            assert "@sha256:" in container["image"], name


def test_secrets_are_files_of_the_group_and_come_as_directories(pods):
    for name, pod, _ in pods:
        for volume in pod["volumes"]:
            assert "hostPath" not in volume, name
            if "secret" in volume or "projected" in volume:
                assert (
                    next(iter(volume[key] for key in ("secret", "projected") if key in volume))["defaultMode"]
                    == 0o440
                ), name
                assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"], name
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], name
        for container in containers(pod):
            assert not any("subPath" in mount for mount in container["volumeMounts"]), name
            assert not any(
                "secretKeyRef" in variable.get("valueFrom", {}) for variable in container.get("env", [])
            ), name
            assert not any("secretRef" in source for source in container.get("envFrom", [])), name


def test_recommended_labels_are_on_every_object_and_pod(overlay, pods):
    recommended = {f"app.kubernetes.io/{each}" for each in ("name", "instance", "part-of")}
    for each in overlay:
        assert recommended <= each["metadata"].get("labels", {}).keys(), (
            each["kind"],
            each["metadata"]["name"],
        )
    for name, _, labels in pods:
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance"} <= labels.keys(), name
        if name == "Deployment recommendations":
            assert "app.kubernetes.io/version" in labels


def test_no_selector_holds_what_changes(overlay):
    # A Deployment's and a StatefulSet's can never be changed.
    for each in overlay:
        if each["kind"] in ("Deployment", "StatefulSet"):
            selected = each["spec"]["selector"]["matchLabels"].keys()
            assert selected <= {"app.kubernetes.io/name", "app.kubernetes.io/component"}


def test_nothing_passes_that_no_policy_opens(overlay):
    (deny,) = of_kind(overlay, "NetworkPolicy", "default-deny")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(overlay, "NetworkPolicy"):
        for side, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(side, []):
                assert rule.get(peers), policy["metadata"]["name"]
                assert rule.get("ports"), policy["metadata"]["name"]
