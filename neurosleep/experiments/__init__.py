"""Published experiments as data files, the runner, run folders, the results table."""

from neurosleep.experiments._report import write_report, write_run_figures
from neurosleep.experiments._run import RunRequest, run_experiment, run_one, summarise
from neurosleep.experiments.results import collect_metrics, results_page
from neurosleep.experiments.run_folder import RunFolder, write_whole
from neurosleep.experiments.settings import (
    STRATEGIES,
    apply_changes,
    experiment_names,
    load_settings,
    parse_change,
    variant_name,
)

__all__ = [
    "STRATEGIES",
    "RunFolder",
    "RunRequest",
    "apply_changes",
    "collect_metrics",
    "experiment_names",
    "load_settings",
    "parse_change",
    "results_page",
    "run_experiment",
    "run_one",
    "summarise",
    "variant_name",
    "write_report",
    "write_run_figures",
    "write_whole",
]
