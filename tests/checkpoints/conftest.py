"""The frameworks, for tests that hold in each."""

import pytest

from regtui import backends


@pytest.fixture(params=backends.names())
def framework(request) -> str:
    """Each framework that is installed."""
    if not backends.is_installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param
