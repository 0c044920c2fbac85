"""Watching runs from their folders alone: a record of what is known, figures made of it, a page and a widget.

Whoever watches reads, and nothing else: a run does not notice that somebody attaches late, leaves, or dies.
"""

from dgmmis.monitor.reading import RunWatch
from dgmmis.monitor.record import Alarm, Components, PassRecord, PulseRecord, RunRecord

__all__ = ["Alarm", "Components", "PassRecord", "PulseRecord", "RunRecord", "RunWatch"]
