"""The report: run folders in, one HTML file out that needs nothing else to be read."""

from neurosleep.experiments.report.page import write_animations, write_comparison, write_report, write_run_figures

__all__ = ["write_animations", "write_comparison", "write_report", "write_run_figures"]
