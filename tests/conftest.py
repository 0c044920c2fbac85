"""Settings of all tests."""

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
