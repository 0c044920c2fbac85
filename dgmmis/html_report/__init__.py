"""A run as one HTML page to show to a colleague, and as pages of PDF: no script, no request, nothing but the file."""

from dgmmis.html_report.page import write_report
from dgmmis.html_report.wanted import Wanted

__all__ = ["Wanted", "write_report"]
