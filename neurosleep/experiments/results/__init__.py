"""Tables of results: rows made from the metrics of full runs, and how they are written down."""

from neurosleep.experiments.results.collect import collect_metrics
from neurosleep.experiments.results.rows import ResultRow, result_rows

__all__ = ["ResultRow", "collect_metrics", "result_rows"]
