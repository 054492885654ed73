"""The metrics of all finished runs below a folder."""

from __future__ import annotations

from pathlib import Path

from neurosleep.errors import RunFolderError
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.metrics_file import read_metrics

__all__ = ["collect_metrics", "metrics_by_folder"]


def metrics_by_folder(folder: Path) -> dict[Path, Metrics]:
    """The metrics of every finished run below ``folder`` by its run folder; raises as :func:`collect_metrics`."""
    metrics = {path.parent: read_metrics(path, folder) for path in sorted(folder.rglob("metrics.json"))}
    if not metrics:
        raise RunFolderError(f"There are no finished runs in {str(folder)!r}.", expected="metrics.json in run folders")
    return metrics


def collect_metrics(folder: Path) -> list[Metrics]:
    """The metrics of every finished run below ``folder``, sorted by path.

    Raises
    ------
    RunFolderError
        If there is none, or one of them cannot be read.

    See Also
    --------
    summarise : means over seeds
    results_pages : pages of them

    Examples
    --------
    >>> from neurosleep.experiments import collect_metrics, summarise
    >>> summarise(collect_metrics("out"))  # doctest: +SKIP
    """
    return list(metrics_by_folder(folder).values())
