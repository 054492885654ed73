"""Runs in the trackers of experiments that people use: Weights & Biases, and MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neurosleep.errors import SettingsError, missing_extra
from neurosleep.experiments.run.curves import points
from neurosleep.experiments.run.events import Event

__all__ = ["WandB"]


class WandB:
    """Logs the numbers of each event to Weights & Biases (extra ``wandb``), a run of it for each of ours.

    Where they go says its own environment: after ``wandb login`` to the service; with ``WANDB_MODE=offline`` into files
    in ``WANDB_DIR``, which ``wandb sync`` sends later. Steps are those of our curves, under ``asleep/step`` and
    ``after each phase/step``. A run that is resumed is a new one there.

    Parameters
    ----------
    project:
        The project there; runs are grouped by experiment and variant.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    SettingsError
        If a run cannot start there, before anything of ours is computed: no login, no such entity.

    See Also
    --------
    TensorBoard : files without a service
    Listeners : several at once

    Examples
    --------
    >>> from neurosleep.experiments import WandB, run_one
    >>> metrics = run_one(request, listener=WandB("sleep"))  # doctest: +SKIP
    """

    def __init__(self, project: str) -> None:
        try:
            import wandb  # noqa: F401
        except ImportError as error:
            raise missing_extra("wandb", "wandb", "Logging to Weights & Biases") from error
        self._project = project
        self._runs: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Runs belong to the process that started them.
        return vars(self) | {"_runs": {}}

    def __call__(self, event: Event) -> None:
        """Log one event."""
        name = "/".join((event["experiment"], event["variant"], event["strategy"], f"seed{event['seed']}"))
        with _named_errors(self._project):
            if event["event"] == "start" or name not in self._runs:
                self._runs[name] = self._start(event)
            run = self._runs[name]
            logged: dict[str, float] = {}
            for key, value, step in points(event):
                logged |= {key: value, f"{key.partition('/')[0]}/step": step}
            if logged:
                run.log(logged)
            if event["event"] == "end":
                run.summary.update({"status": event["status"], "accuracy_all": event["accuracy_all"]})
                self._runs.pop(name).finish()

    def _start(self, event: Event) -> Any:
        import wandb

        run = wandb.init(
            project=self._project,
            group=f"{event['experiment']} {event['variant']}",
            job_type=event["strategy"],
            name=f"{event['strategy']} seed {event['seed']}",
            config={key: event[key] for key in ("experiment", "variant", "strategy", "seed")},
            reinit="create_new",
            # Numbers, and what wandb says of Python: no console, no code, no load of the machine.
            settings=wandb.Settings(
                console="off", silent=True, disable_code=True, disable_git=True, x_disable_stats=True
            ),
        )
        for part in ("asleep", "after each phase"):
            run.define_metric(f"{part}/*", step_metric=f"{part}/step")
        return run


@contextmanager
def _named_errors(project: str) -> Iterator[None]:
    import wandb

    try:
        yield
    except wandb.errors.Error as error:
        raise SettingsError(
            f"Nothing can be logged to the project {project!r} of Weights & Biases.",
            found=str(error)[:300],
            hint="wandb login, or WANDB_MODE=offline, which keeps it in files",
        ) from error
