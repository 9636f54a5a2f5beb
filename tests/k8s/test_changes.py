"""What is changed reaches the pods, and nothing stands in the way of applying it."""

from collections.abc import Sequence

import pytest

from tests.k8s.rendering import OPTIONAL, Manifests, Object, containers, of_kind, pod_templates


def settings_named(objects: Sequence[Object]) -> dict[str, set[str]]:
    """Return the ConfigMaps that give each pod its environment."""
    named = {
        name: {
            source["configMapRef"]["name"]
            for each in containers(template["spec"])
            for source in each.get("envFrom", [])
        }
        for name, template in pod_templates(objects)
    }
    return {name: found for name, found in named.items() if found}


@pytest.mark.parametrize("overlay", OPTIONAL)
def test_a_changed_setting_makes_new_pods_of_every_kind(tmp_path, overlay):
    manifests = Manifests(tmp_path)
    before = settings_named(manifests.render(overlay))
    manifests.add_setting(overlay, "RECOMMENDATIONS_LOG_LEVEL=debug")
    objects = manifests.render(overlay)
    after = settings_named(objects)
    kinds = {"dev": {"Deployment"}, "prod": {"Deployment", "CronJob", "Job"}}
    assert {name.partition(" ")[0] for name in after} == kinds[overlay]
    (there,) = [
        each["metadata"]["name"]
        for each in of_kind(objects, "ConfigMap")
        if each.get("data", {}).get("RECOMMENDATIONS_LOG_LEVEL") == "debug"
    ]
    for name, named in after.items():
        assert named == {there}, name
        assert before[name].isdisjoint(named), name


def test_the_migration_leaves_room_for_the_next_apply(manifests):
    # It names image and settings, and a Job's pods cannot be changed.
    (job,) = of_kind(manifests.render("prod"), "Job", "recommendations-migrate")
    assert job["spec"]["ttlSecondsAfterFinished"] <= 600
    annotations = job["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/hook"] == "Sync"  # what it needs is applied then, not before
    assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
