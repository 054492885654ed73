"""Published experiments as data files, the runner, run folders, the results table."""

from typing import TYPE_CHECKING

from neurosleep._lazy import lazily

if TYPE_CHECKING:
    from neurosleep.continual import STRATEGIES
    from neurosleep.experiments._cite import cite
    from neurosleep.experiments.changes import parse_change, variant_name
    from neurosleep.experiments.files import experiment_names
    from neurosleep.experiments.reading import apply_changes, load_settings, variant_names
    from neurosleep.experiments.report import write_animations, write_comparison, write_report, write_run_figures
    from neurosleep.experiments.result_pages import results_pages
    from neurosleep.experiments.results import collect_metrics
    from neurosleep.experiments.run.events import Listener
    from neurosleep.experiments.run.live import Follow, Listeners, TensorBoard
    from neurosleep.experiments.run.many import run_experiment, summarise
    from neurosleep.experiments.run.one import run_one
    from neurosleep.experiments.run.request import RunRequest
    from neurosleep.experiments.run.trackers import MLflow, WandB
    from neurosleep.experiments.run_folder import RunFolder, write_whole
    from neurosleep.experiments.tuning.function import tune_function
    from neurosleep.experiments.tuning.search import TuneRequest, tune
    from neurosleep.experiments.tuning.space import search_space
    from neurosleep.experiments.tuning.tuned import load_tuned, with_tuned
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "continual": "STRATEGIES",
            "experiments._cite": "cite",
            "experiments.changes": "parse_change variant_name",
            "experiments.files": "experiment_names",
            "experiments.reading": "apply_changes load_settings variant_names",
            "experiments.report": "write_animations write_comparison write_report write_run_figures",
            "experiments.result_pages": "results_pages",
            "experiments.results": "collect_metrics",
            "experiments.run.events": "Listener",
            "experiments.run.live": "Follow Listeners TensorBoard",
            "experiments.run.many": "run_experiment summarise",
            "experiments.run.one": "run_one",
            "experiments.run.request": "RunRequest",
            "experiments.run.trackers": "MLflow WandB",
            "experiments.run_folder": "RunFolder write_whole",
            "experiments.tuning.function": "tune_function",
            "experiments.tuning.search": "TuneRequest tune",
            "experiments.tuning.space": "search_space",
            "experiments.tuning.tuned": "load_tuned with_tuned",
        },
    )

__all__ = [
    "STRATEGIES",
    "Follow",
    "Listener",
    "Listeners",
    "MLflow",
    "RunFolder",
    "RunRequest",
    "TensorBoard",
    "TuneRequest",
    "WandB",
    "apply_changes",
    "cite",
    "collect_metrics",
    "experiment_names",
    "load_settings",
    "load_tuned",
    "parse_change",
    "results_pages",
    "run_experiment",
    "run_one",
    "search_space",
    "summarise",
    "tune",
    "tune_function",
    "variant_name",
    "variant_names",
    "with_tuned",
    "write_animations",
    "write_comparison",
    "write_report",
    "write_run_figures",
    "write_whole",
]
