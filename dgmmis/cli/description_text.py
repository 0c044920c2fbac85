"""A catalogue's description as text."""

from __future__ import annotations
