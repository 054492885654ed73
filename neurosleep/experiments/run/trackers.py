"""Runs in the trackers of experiments that people use: Weights & Biases, and MLflow."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurosleep.errors import NeurosleepError, SettingsError, missing_extra
from neurosleep.experiments.report import write_report
from neurosleep.experiments.run.curves import points
from neurosleep.experiments.run.events import EndEvent, Event

__all__ = ["MLflow", "WandB"]

# Folders of a run that are large, or of use to a resumed run only.
_LEFT_OUT = shutil.ignore_patterns("spikes", "resume", "lock", ".*")


class _Tracker(ABC):
    """Opens a run of the tracker for each of ours, logs its points, and ends it as ours ends."""

    def __init__(self) -> None:
        self._runs: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Runs belong to the process that started them.
        return vars(self) | {"_runs": {}}

    def __call__(self, event: Event) -> None:
        """Log one event."""
        name = "/".join((event["experiment"], event["variant"], event["strategy"], f"seed{event['seed']}"))
        with self._named_errors():
            if event["event"] == "start" and name in self._runs:
                # It starts anew on another worker of a cluster.
                self._end(self._runs.pop(name), "stopped")
            if name not in self._runs:
                self._runs[name] = self._start(event)
            if logged := list(points(event)):
                self._log(self._runs[name], event, logged)
            if event["event"] == "end":
                self._sum_up(self._runs[name], event)
                self._end(self._runs.pop(name), event["status"])

    @abstractmethod
    def _named_errors(self) -> Any:
        """A context in which errors of the tracker's become one of ours."""

    @abstractmethod
    def _start(self, event: Event) -> Any: ...

    @abstractmethod
    def _log(self, run: Any, event: Event, logged: list[tuple[str, float, int]]) -> None: ...

    @abstractmethod
    def _sum_up(self, run: Any, event: EndEvent) -> None: ...

    @abstractmethod
    def _end(self, run: Any, status: str) -> None: ...


class WandB(_Tracker):
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
    MLflow : another tracker
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
        super().__init__()
        self._project = project

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

    def _log(self, run: Any, event: Event, logged: list[tuple[str, float, int]]) -> None:
        row: dict[str, float] = {}
        for key, value, step in logged:
            row |= {key: value, f"{key.partition('/')[0]}/step": step}
        run.log(row)

    def _sum_up(self, run: Any, event: EndEvent) -> None:
        run.summary.update({"status": event["status"], "accuracy_all": event["accuracy_all"]})

    def _end(self, run: Any, status: str) -> None:
        run.finish(exit_code=int(status in ("failed", "stopped")))

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        import wandb

        try:
            yield
        except wandb.errors.Error as error:
            raise SettingsError(
                f"Nothing can be logged to the project {self._project!r} of Weights & Biases.",
                found=str(error)[:300],
                hint="wandb login, or WANDB_MODE=offline, which keeps it in files",
            ) from error


class MLflow(_Tracker):
    """Logs the numbers of each event to MLflow (extra ``mlflow``), a run of it for each of ours.

    Where they go says ``MLFLOW_TRACKING_URI``: a server, or files without one (``sqlite:///FILE``, for which MLflow
    wants its whole package ``mlflow``; ``file:FOLDER`` with ``MLFLOW_ALLOW_FILE_STORE=true``). Parameters there are the
    names of the run and its settings, metrics the points of our curves, artifacts the run folder (``metrics.json``,
    ``config.toml``, tables, figures, no spikes or weights) with a report of it. The status is ``FINISHED`` (also where
    the run diverged, which the tag ``status`` says), ``FAILED``, or ``KILLED`` by Ctrl-C or the loss of a worker.
    MLflow's own reports on its use are switched off, unless ``MLFLOW_DISABLE_TELEMETRY`` is set.

    Parameters
    ----------
    experiment:
        MLflow's experiment, which is made if there is none of this name.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    SettingsError
        If a run cannot start there, before anything of ours is computed.

    See Also
    --------
    WandB : another tracker
    TensorBoard : files without a service
    Listeners : several at once

    Examples
    --------
    >>> from neurosleep.experiments import MLflow, run_one
    >>> metrics = run_one(request, listener=MLflow("sleep"))  # doctest: +SKIP
    """

    def __init__(self, experiment: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import mlflow  # noqa: F401
        except ImportError as error:
            raise missing_extra("mlflow", "mlflow", "Logging to MLflow") from error
        super().__init__()
        self._experiment = experiment

    @staticmethod
    def _client() -> Any:
        from mlflow import MlflowClient

        return MlflowClient()

    def _start(self, event: Event) -> Any:
        client = self._client()
        experiment = client.get_experiment_by_name(self._experiment)
        number = client.create_experiment(self._experiment) if experiment is None else experiment.experiment_id
        run = client.create_run(number, run_name=f"{event['strategy']} seed {event['seed']}").info.run_id
        for key in ("experiment", "variant", "strategy", "seed"):
            client.log_param(run, key, event[key])
        return run

    def _log(self, run: Any, event: Event, logged: list[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = round(1000 * event["time"])
        metrics = [Metric(_allowed(key), value, now, step) for key, value, step in logged]
        self._client().log_batch(run, metrics=metrics)

    def _sum_up(self, run: Any, event: EndEvent) -> None:
        from mlflow.entities import Param

        client, folder = self._client(), Path(event["folder"])
        client.set_tag(run, "status", event["status"])
        if event["accuracy_all"] is not None:
            client.log_metric(run, "accuracy_all", event["accuracy_all"])
        if not (folder / "config.toml").exists():
            return
        settings = _flat(tomllib.loads((folder / "config.toml").read_text(encoding="utf-8")))
        params = [Param(_allowed(f"settings.{key}"), str(value)[:500]) for key, value in settings.items()]
        for start in range(0, len(params), 100):  # as many as MLflow takes at a time
            client.log_batch(run, params=params[start : start + 100])
        with tempfile.TemporaryDirectory(prefix="neurosleep-") as place:
            # A copy, in which the report is written: what is logged changes no run folder.
            copy = Path(shutil.copytree(folder, Path(place, folder.name), ignore=_LEFT_OUT))
            if (copy / "metrics.json").exists():
                write_report(copy)
            client.log_artifacts(run, str(copy))

    def _end(self, run: Any, status: str) -> None:
        self._client().set_terminated(run, {"failed": "FAILED", "stopped": "KILLED"}.get(status, "FINISHED"))

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException

        try:
            yield
        except NeurosleepError:
            raise
        # It also says that a package is missing which a kind of store wants, and lets errors of disks through.
        except (MlflowException, ImportError, OSError) as error:
            raise SettingsError(
                f"Nothing can be logged to the experiment {self._experiment!r} of MLflow.",
                found=" ".join(str(error).split())[:300],
                hint="MLFLOW_TRACKING_URI names a server, or a store that this installation of MLflow can write",
            ) from error


def _allowed(name: str) -> str:
    """The name in letters that MLflow takes."""
    return re.sub(r"[^\w\-. /]", "_", name.replace(" -> ", " to "))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a table by their dotted names."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        values |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values
