"""How a bucket is reached: by the environment that AWS documents, and nothing that is stored or sent anywhere."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from dgmmis.numeric_settings import seconds_from_environment
from dgmmis.places import require_endpoint

__all__ = ["TIMEOUT", "request_settings"]

TIMEOUT = "DGMMIS_STORE_TIMEOUT"
"""Environment: seconds that one request may take, its body included."""
SECONDS = 30.0
RETRIES = 10
RETRY_SECONDS = 60.0
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
"""Seconds between the attempts that obstore makes of one request."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def request_settings() -> dict[str, Any]:
    """Give obstore's S3Store how long a request may take, how often it is repeated, and whether without TLS.

    Address, region and credentials it reads from the environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
    ...) or has from the instance's role, in every process anew.

    Raises
    ------
    UnsafePlace
        If the environment names an endpoint without TLS that is not this machine, or one where clouds serve secrets.
    InvalidSetting
        If it names no time.
    """
    seconds = seconds_from_environment(TIMEOUT, SECONDS, 0.1, 3600)
    return {
        "client_options": {
            "timeout": timedelta(seconds=seconds),
            "connect_timeout": timedelta(seconds=min(5.0, seconds)),
            "allow_http": _plain_http(),
        },
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_SECONDS),
            "backoff": {
                "init_backoff": timedelta(seconds=FIRST_WAIT),
                "max_backoff": timedelta(seconds=LONGEST_WAIT),
                "base": 2,
            },
        },
    }


def _plain_http() -> bool:
    """Check the endpoints that the environment names, and tell whether the one that is asked is without TLS."""
    endpoints = [require_endpoint(os.environ[name]) for name in ENDPOINTS if os.environ.get(name)]
    return bool(endpoints) and endpoints[0].startswith("http:")
