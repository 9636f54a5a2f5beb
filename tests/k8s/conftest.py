"""What tests of the manifests share."""

import pytest

from tests.k8s.rendering import OPTIONAL, Manifests


@pytest.fixture(scope="session")
def manifests(tmp_path_factory) -> Manifests:
    return Manifests(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="session", params=OPTIONAL)
def overlay(request, manifests):
    """Every overlay with all components that it can be given, rendered."""
    return manifests.render(request.param, OPTIONAL[request.param])
