"""A run as one HTML page to show to a colleague: no script, no request, nothing but the file."""

from dgmmis.html_report.page import write_report

__all__ = ["write_report"]
