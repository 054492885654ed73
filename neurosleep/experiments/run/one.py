"""One run in one thread: from a request to its metrics, resumable after every phase."""

from __future__ import annotations

from neurosleep._files import remove_leftovers
from neurosleep._progress import ShowProgress, shows_progress
from neurosleep._surroundings import surroundings_kept
from neurosleep.continual import learn_tasks
from neurosleep.data import Task
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.report import write_run_figures
from neurosleep.experiments.run.check import Plan, check_fit, check_request
from neurosleep.experiments.run.deployment import deploy, deployment_table
from neurosleep.experiments.run.events import Listener
from neurosleep.experiments.run.metrics import add_chips, metrics_of
from neurosleep.experiments.run.phases import Phases, Report
from neurosleep.experiments.run.request import RunRequest
from neurosleep.experiments.run.scenario import tasks_of
from neurosleep.experiments.run.state import DT
from neurosleep.experiments.run_folder import write_whole

__all__ = ["run_one", "run_plan"]


@shows_progress
@surroundings_kept(threads=1)
def run_one(
    request: RunRequest,
    report: Report = lambda text: None,
    *,
    listener: Listener | None = None,
    progress: ShowProgress = False,
) -> Metrics:
    """Run one request in the present process and return its metrics; a finished one is not run again.

    ``listener`` is told what happens while it goes on (:mod:`~neurosleep.experiments.run.events`); ``progress`` shows
    how far it is (:func:`~neurosleep.show_progress`).

    Raises
    ------
    NeurosleepError
        If the request cannot be run; nothing is left half-written then.

    See Also
    --------
    run_experiment : several

    Examples
    --------
    >>> import tempfile
    >>> from neurosleep.experiments import RunRequest, load_settings, run_one
    >>> name, settings = load_settings("src2022/patches", strategy="sequential")
    >>> with tempfile.TemporaryDirectory() as out:
    ...     metrics = run_one(RunRequest(name, "default", "sequential", 0, settings, data=None, out=out))
    >>> metrics["status"]
    'done'
    """
    plan = check_request(request)
    folder = request.folder
    if request.resume and folder.finished:
        folder.check_config(dump_toml(request.settings))
        return folder.metrics()
    tests = tasks_of(request.settings, request.data, request.seed)
    check_fit(plan, tests)
    return run_plan(plan, tests, report, listener)


@surroundings_kept(threads=1)
def run_plan(plan: Plan, tests: list[Task], report: Report, listener: Listener | None) -> Metrics:
    """Run what was found to be right, on tasks that are read and fit."""
    folder = plan.request.folder
    phases = Phases(plan, tests, folder, report, listener)
    try:
        metrics = _run(phases, plan)
    except BaseException as error:
        if phases.watcher is not None:
            phases.watcher.end(folder.path, error)
        raise
    if phases.watcher is not None:
        phases.watcher.end(folder.path, metrics)
    return metrics


def _run(phases: Phases, plan: Plan) -> Metrics:
    """All of it, until the folder is complete."""
    request, folder, tests = plan.request, phases.folder, phases.tests
    with folder.locked(), phases.reporting():
        if request.resume and folder.finished:
            # By another process, since this one looked.
            folder.check_config(dump_toml(request.settings))
            return folder.metrics()
        remove_leftovers(folder.path)
        phases.start()
        learn_tasks(
            phases.learner,
            plan.strategy,
            plan.trainings_for(len(tests)),
            tests,
            phases.progress,
            after_phase=phases.after_phase,
            after_epoch=phases.after_epoch,
            test_each_epoch=request.settings.data.test_each_epoch,
        )
        progress = phases.progress
        folder.write_accuracy(progress)
        folder.write_training(progress)
        folder.write_confusion(progress)
        if progress.sleeps:
            folder.write_firing(progress)
            folder.write_weights(progress, dt=DT)
        metrics = metrics_of(request, plan.strategy, progress, tests)
        if folder.origin["changed"]:
            metrics["resumed_with"] = folder.origin["changed"]
        if plan.deployment is not None and progress.status == "done":
            learner = phases.learner
            rows = deploy(learner.network, learner.tasks, plan.deployment, seed=request.seed, report=phases.report)
            add_chips(request, rows, metrics)
            write_whole(folder.path / "hardware.csv", deployment_table(metrics["hardware"]))
        if request.figures:
            write_run_figures(folder.path)
        # Last, since it is what says that the folder is complete.
        folder.write_metrics(metrics)
    return metrics
