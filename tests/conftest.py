"""Settings of all tests."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("laws")
