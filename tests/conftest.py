"""Settings of all tests."""

from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("agreement")

settings.register_profile(
    "laws",
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("laws")

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a module of the benchmarks, which run as scripts in their folder."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module
