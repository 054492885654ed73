"""The rows of all tables of results: what each strategy reaches, beside what is published of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neurosleep.errors import SettingsError
from neurosleep.experiments.files import experiment_names
from neurosleep.experiments.metrics import Metrics, Spread, at_chance, spread_of
from neurosleep.experiments.published_figures import REPORTED, published_figures
from neurosleep.experiments.reading import load_notes
from neurosleep.experiments.results.collect import metrics_by_folder
from neurosleep.experiments.results.commands import Command, commands_of
from neurosleep.experiments.results.compared import ComparedRow
from neurosleep.experiments.tuning.tuned import tuned_record
from neurosleep.experiments.variant_parts import VariantName, variant_order

__all__ = ["ResultRow", "Settings", "result_rows", "rows_of"]

# Strategies that are no baseline: bounds, and the sleeps that the baselines are compared with.
_NO_BASELINE = {"sequential", "joint", "joint-matched", "src", "sleep"}


@dataclass(frozen=True)
class Settings:
    """Where settings come from.

    ``changed``: by ``--set``. A search has a number of trials and an accuracy in percent on the validation split.
    """

    origin: Literal["default", "variant", "tuned", "changed"]
    trials: int | None = None
    validation: float | None = None

    def __str__(self) -> str:
        return self.origin if self.trials is None else f"{self.origin}, {self.trials} trials"


@dataclass(frozen=True, kw_only=True)
class ResultRow(ComparedRow):
    """What one strategy reaches in one variant of an experiment, read out in one way; accuracies are in percent.

    ``values`` are those of the reported ``seeds``, ``further`` is over all other seeds; ``bounds`` are the means of
    sequential and joint training of the same data (None: not run), ``seconds`` is the mean of a run.
    """

    experiment: str
    read_out: str
    data: str
    split: str
    further: Spread
    bounds: tuple[float | None, float | None]
    settings: Settings
    stored_examples: bool
    seconds: float
    commands: tuple[Command, ...]

    @property
    def label(self) -> str:
        """The strategy, with the read-out where it is another than the network's output."""
        return self.strategy + (f", {self.read_out}" if self.read_out else "")

    @property
    def variant_name(self) -> VariantName:
        """What the name of its variant says."""
        return VariantName.of(self.experiment, self.variant)

    @property
    def parts(self) -> tuple[str, ...]:
        """The strategies that this one is combined of."""
        return tuple(self.strategy.split("+"))

    @property
    def baseline(self) -> bool:
        """Whether it is, or holds, a method that sleep is compared with; ``joint`` and ``sequential`` are bounds."""
        return not set(self.parts) <= _NO_BASELINE


def _accuracies(runs: Iterable[Metrics], result: str) -> tuple[float | None, ...]:
    """One result of each run in percent; None where it has none."""
    accuracies = (run["results"].get(result) for run in runs)
    return tuple(None if value is None else 100 * value for value in accuracies)


def _bound(runs: Iterable[Metrics], experiment: str, variant: str, strategy: str) -> float | None:
    """Mean of a bounding strategy: of the same variant, or else of the experiment as it is."""
    bounding = [run for run in runs if (run["experiment"], run["strategy"]) == (experiment, strategy)]
    for name in (variant, "default"):
        members = [run for run in bounding if run["variant"] == name and run["seed"] in REPORTED]
        mean = spread_of(_accuracies(members, "accuracy_all"))["mean"]
        if mean is not None:
            return mean
    return None


def _settings_of(name: VariantName, strategy: str) -> Settings:
    if name.changes:
        return Settings("changed")
    if not name.tuned:
        return Settings("default" if name.named == "default" else "variant")
    try:
        record = tuned_record(name.experiment, strategy, name.named)
    except SettingsError:
        return Settings("tuned")
    validation = record.get("validation", {}).get("mean")
    return Settings("tuned", record.get("trials"), 100 * validation if isinstance(validation, float) else None)


def _notes(name: VariantName) -> dict[str, str]:
    """What the experiment's file says of the figures of a variant, or of the same with settings from a search."""
    if name.experiment not in experiment_names():
        return {}
    parts = ("tuned" if name.tuned else "", "" if name.named == "default" else name.named, name.changes)
    return load_notes(name.experiment).get(",".join(part for part in parts if part) or "default", {})


def _strategy_rows(members: Mapping[Path, Metrics], every: Sequence[Metrics]) -> list[ResultRow]:
    """The row of a strategy in one variant, and one for each further read-out of its networks."""
    runs = list(members.values())
    experiment, variant, strategy = (runs[0][key] for key in ("experiment", "variant", "strategy"))
    reported = sorted((run for run in runs if run["seed"] in REPORTED), key=lambda run: run["seed"])
    further = [run for run in runs if run["seed"] not in REPORTED]
    names = sorted({key for run in runs for key in run["results"] if key.startswith("accuracy_all")})
    of_variant = VariantName.of(experiment, variant)
    published = published_figures(experiment, variant)
    rows = []
    for name in names:
        if name == "accuracy_all_before_last_sleep":
            continue
        read_out = name.removeprefix("accuracy_all").strip("_").replace("_", " ")
        rows.append(
            ResultRow(
                experiment=experiment,
                variant=variant,
                strategy=strategy,
                read_out=read_out,
                data="; ".join(sorted({run["data"] for run in runs})),
                split="/".join(sorted({run["split"] for run in runs})),
                published=published.get(strategy + (f", {read_out}" if read_out else "")),
                values=_accuracies(reported, name),
                further=spread_of(_accuracies(further, name)),
                seeds=tuple(run["seed"] for run in reported),
                diverged=sum(run["status"] == "diverged" for run in reported),
                at_chance=sum(run["status"] != "diverged" and at_chance(run) for run in reported),
                bounds=(
                    _bound(every, experiment, variant, "sequential"),
                    _bound(every, experiment, variant, "joint"),
                ),
                settings=_settings_of(of_variant, strategy),
                stored_examples=any(run["reads_old_data"] for run in runs),
                seconds=sum(run["seconds"]["total"] for run in runs) / len(runs),
                commands=commands_of(members),
                note=_notes(of_variant).get(strategy, ""),
            )
        )
    return rows


def rows_of(runs: Mapping[Path, Metrics]) -> tuple[ResultRow, ...]:
    """The rows of these runs, given by run folder: by experiment, then variant in its file's order, then strategy."""
    groups: dict[tuple[str, str, str], dict[Path, Metrics]] = {}
    for path, run in runs.items():
        groups.setdefault((run["experiment"], run["variant"], run["strategy"]), {})[path] = run
    order = {(experiment, variant): variant_order(experiment, variant) for experiment, variant, _ in groups}
    every = list(runs.values())
    rows: list[ResultRow] = []
    for key in sorted(groups, key=lambda key: (key[0], order[key[:2]], key[2])):
        rows += _strategy_rows(groups[key], every)
    return tuple(rows)


def result_rows(folder: Path) -> tuple[ResultRow, ...]:
    """The rows of all finished runs below ``folder``.

    Raises
    ------
    RunFolderError
        If there are none, or some cannot be read.

    See Also
    --------
    collect_metrics : the metrics themselves
    results_pages : the rows as pages

    Examples
    --------
    >>> from pathlib import Path
    >>> from neurosleep.experiments.results import result_rows
    >>> rows = result_rows(Path("results"))  # doctest: +SKIP
    >>> rows[0].label, rows[0].ours, rows[0].difference, rows[0].verdict  # doctest: +SKIP
    """
    return rows_of(metrics_by_folder(folder))
