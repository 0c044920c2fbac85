"""Runs under a root: submitted by anybody, driven by a server, watched and cancelled from anywhere that sees them."""

from dgmmis.service.collecting import collect_garbage
from dgmmis.service.handle import Run, cancel
from dgmmis.service.serving import Means, serve
from dgmmis.service.submission import submit

__all__ = ["Means", "Run", "cancel", "collect_garbage", "serve", "submit"]
