"""Is this machine fit for a fit?  Every answer says what to do."""

from dgmmis.doctor.examination import examine_machine
from dgmmis.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine_machine"]
