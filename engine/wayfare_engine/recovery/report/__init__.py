"""Reports of runs, made for an auditor from the records in the object store alone."""

from wayfare_engine.recovery.report.making import make_report
from wayfare_engine.recovery.report.model import Report
from wayfare_engine.recovery.report.page import page

__all__ = ["Report", "make_report", "page"]
