"""Settings of all tests."""

import os
from collections.abc import Iterator
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


COMPILES = "test_straight_lines_equal_loops_over_features"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let processes that share the tests share the compiling too.

    Tests of one file stay together (`--dist loadgroup`), but for those that compile most: each of them needs other
    kernels, they come first and may go to any process, so that what all others need is compiled once.
    """
    items.sort(key=lambda item: COMPILES not in item.name)
    for item in items:
        if COMPILES not in item.name:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests write, and are trusted with, apart from what the account wrote."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before


@pytest.fixture
def load(monkeypatch):
    """Import a module of the benchmarks, which run as scripts in their folder."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module
