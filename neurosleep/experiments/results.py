"""docs/results.md, generated from the metrics of full runs; nothing in it is typed by hand."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from neurosleep.errors import RunFolderError, SettingsError
from neurosleep.experiments.changes import Change, change_text, changes_between, parse_change, variant_name
from neurosleep.experiments.chip_lines import chip_lines
from neurosleep.experiments.files import experiment_names
from neurosleep.experiments.guard_lines import guard_lines
from neurosleep.experiments.markdown import plain_text, shown, table_row
from neurosleep.experiments.metrics import Metrics
from neurosleep.experiments.metrics_file import read_metrics
from neurosleep.experiments.reading import Published, load_notes, load_published, load_settings, variant_names
from neurosleep.experiments.tuning.tuned import load_tuned, tuned_record, tuned_variant

__all__ = ["collect_metrics", "results_page"]

COLUMNS = (
    "strategy",
    "data",
    "published",
    "source",
    "ours",
    "n",
    "further seeds",
    "diverged",
    "verdict",
    "bounds",
    "settings",
    "stored examples",
    "seconds a run",
)
# Seeds of the reported figures, fixed before they were run; any others are shown beside them.
REPORTED = range(10)


def _read(folder: Path) -> dict[Path, Metrics]:
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
    results_page : a page of them

    Examples
    --------
    >>> from neurosleep.experiments import collect_metrics, summarise
    >>> summarise(collect_metrics("out"))  # doctest: +SKIP
    """
    return list(_read(folder).values())


def _figure(mean: float | None, sd: float | None = None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.2f}" + ("" if sd is None else f" ± {sd:.2f}")


def _verdict(ours: float | None, published: Published | None) -> str:
    if ours is None or published is None:
        return "-"
    short = published.mean - ours
    if published.sd is not None and abs(short) <= published.sd:
        return "within one published sd"
    return f"short by {short:.2f}" if short > 0 else f"above by {-short:.2f}"


def _published(experiment: str, variant: str) -> dict[str, Published]:
    # On other data, or fewer images or tasks of it, a published figure says nothing about ours.
    if "data." in variant or experiment not in experiment_names():
        return {}
    name = variant.partition(",")[0]
    base = name if name in variant_names(experiment) else "default"
    return {strategy: found for strategy, found in load_published(experiment).items() if found.variant == base}


def _changes(run: Path, experiment: str, variant: str, strategy: str) -> str:
    """The options that a run was made with: from its settings where they lie beside its metrics, else its variant."""
    name, _, rest = variant.partition(",")
    in_file: str | None = None
    tuned = False
    try:
        in_file = name if name in variant_names(experiment) else None
        tuned = name == "tuned" and not in_file
        if tuned and tuned_variant(experiment, rest) != "default":
            in_file, _, rest = rest.partition(",")
    except SettingsError:
        pass
    option = (" --tuned" if tuned else "") + (f" --variant {in_file}" if in_file else "")
    if not (run / "config.toml").is_file():
        text = rest if option else variant
        named = [] if text in ("", "default") else _from_name(text)
        if named is None:
            return option + "  # and --set as the name of the variant says"
        changes = named
    else:
        try:
            before = load_tuned(experiment, strategy, in_file or "default") if tuned else None
            if before is None:
                _, before = load_settings(experiment, strategy=strategy, variant=in_file)
            changes = changes_between(before, load_settings(str(run / "config.toml"))[1])
        except SettingsError:
            return option + "  # and --set as the name of the variant says"
    return option + "".join(f" --set {shlex.quote(change_text(key, value))}" for key, value in changes)


def _from_name(text: str) -> list[Change] | None:
    """The changes that a variant was named after, if the name says them all: odd characters are replaced in names."""
    try:
        changes = [parse_change(part) for part in text.split(",")]
    except SettingsError:
        return None
    whole = variant_name(changes) == text and not any("_" in str(value) for _, value in changes)
    return changes if whole else None


def _seeds(numbers: Iterable[int]) -> tuple[str, ...]:
    """The options that name these seeds, one for each row of successive ones."""
    blocks: list[list[int]] = []
    for number in sorted(set(numbers)):
        if blocks and number == blocks[-1][-1] + 1:
            blocks[-1].append(number)
        else:
            blocks.append([number])
    return tuple((f"--seed {block[0]} " if block[0] else "") + f"--seeds {len(block)}" for block in blocks)


def _commands(experiment: str, variant: str, runs: dict[Path, Metrics]) -> list[str]:
    """The commands that make these runs, with strategies that had the same seeds and settings together."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for path, run in runs.items():
        seeds.setdefault((run["strategy"], _changes(path, experiment, variant, run["strategy"])), []).append(
            run["seed"]
        )
    together: dict[tuple[str, str], list[str]] = {}
    for (strategy, changes), numbers in seeds.items():
        for option in _seeds(numbers):
            together.setdefault((option, changes), []).append(strategy)
    file = experiment if experiment in experiment_names() else f"{experiment}.toml"
    return [
        f"neurosleep run {file} --strategy {','.join(names)} {option} --data DIR --out OUT{changes}"
        for (option, changes), names in together.items()
    ]


def _accuracies(runs: Iterable[Metrics], result: str) -> list[float]:
    accuracies = (run["results"].get(result) for run in runs)
    return [100 * value for value in accuracies if value is not None]


def _failures(runs: Iterable[Metrics]) -> str:
    """How many diverged, and how many of the others ended no better than a guess, where that is known."""
    diverged, guessing = 0, 0
    for run in runs:
        accuracy = run["results"].get("accuracy_all")
        diverged += run["status"] == "diverged"
        guessing += accuracy is not None and accuracy <= run.get("accuracy_of_a_guess", -1.0)
    return f"{diverged}, {guessing} at chance" if guessing else str(diverged)


def _mean_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    return statistics.fmean(values) if values else None, statistics.stdev(values) if len(values) > 1 else None


def _bounds(runs: Iterable[Metrics], experiment: str, variant: str) -> str:
    """Sequential and joint accuracy: of the same variant, or else of the experiment as it is."""
    bounds = []
    for strategy in ("sequential", "joint"):
        bounding = [run for run in runs if (run["experiment"], run["strategy"]) == (experiment, strategy)]
        for name in (variant, "default"):
            members = [run for run in bounding if run["variant"] == name and run["seed"] in REPORTED]
            mean, _ = _mean_sd(_accuracies(members, "accuracy_all"))
            if mean is not None:
                break
        bounds.append("?" if not bounding or mean is None else f"{mean:.1f}")
    return "-" if bounds == ["?", "?"] else " to ".join(bounds)


def _settings_of(experiment: str, variant: str, strategy: str) -> str:
    """Where the settings come from: the experiment's file, one of its variants, changes of it, or a search."""
    name, _, rest = variant.partition(",")
    if name != "tuned":
        return "of the experiment" if variant == "default" else "of the variant"
    try:
        record = tuned_record(experiment, strategy, tuned_variant(experiment, rest))
    except SettingsError:
        return "tuned"
    validation = record.get("validation", {}).get("mean")
    return f"tuned, {record.get('trials', '?')} trials" + (
        f", validation {100 * validation:.2f}" if isinstance(validation, float) else ""
    )


def _rows(
    strategy: str, runs: Sequence[Metrics], published: dict[str, Published], bounds: str, settings: str
) -> list[list[str]]:
    """The row of a strategy, and one for each further read-out of its networks."""
    reported = [run for run in runs if run["seed"] in REPORTED]
    further = [run for run in runs if run["seed"] not in REPORTED]
    names = sorted({key for run in runs for key in run["results"] if key.startswith("accuracy_all")})
    rows = []
    for name in names:
        if name == "accuracy_all_before_last_sleep":
            continue
        read_out = name.removeprefix("accuracy_all").strip("_").replace("_", " ")
        label = strategy + (f", {read_out}" if read_out else "")
        claimed = published.get(label)
        mean, sd = _mean_sd(_accuracies(reported, name))
        others = _accuracies(further, name)
        theirs = source = "-"
        if claimed is not None:
            theirs = _figure(claimed.mean, claimed.sd) + (f" (n = {claimed.n})" if claimed.n else "")
            source = claimed.source
        rows.append(
            [
                label,
                "; ".join(sorted({run["data"] for run in runs})),
                theirs,
                source,
                _figure(mean, sd),
                str(len(_accuracies(reported, name))),
                f"{_figure(*_mean_sd(others))} (n = {len(others)})" if others else "-",
                _failures(reported),
                _verdict(mean, claimed),
                bounds,
                settings,
                "yes" if any(run["reads_old_data"] for run in runs) else "no",
                f"{sum(run['seconds']['total'] for run in runs) / len(runs):.0f}",
            ]
        )
    return rows


def _notes(experiment: str, variant: str) -> dict[str, str]:
    """What the experiment's file says of the figures of a variant, or of the same with settings from a search."""
    if experiment not in experiment_names():
        return {}
    name, _, rest = variant.partition(",")
    if name == "tuned" and tuned_variant(experiment, rest) != "default":
        name = f"tuned,{tuned_variant(experiment, rest)}"
    return load_notes(experiment).get(name, {})


def _sections(experiment: str, variants: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Title and variants of each table: the variants that the experiment's file names stand in one, in its order."""
    try:
        named = variant_names(experiment)
    except SettingsError:
        named = ()
    found: dict[str, list[str]] = {}
    for variant in sorted(variants):
        tuned = variant.startswith("tuned,")
        if variant.removeprefix("tuned,") in named:
            found.setdefault("tuned variants" if tuned else "variants", []).append(variant)
        else:
            found[variant] = [variant]
    order = {name: place for place, name in enumerate(named)}
    for members in found.values():
        members.sort(key=lambda name: order.get(name.removeprefix("tuned,"), 0))
    return [(title if len(members) > 1 else members[0], members) for title, members in found.items()]


def _variant_rows(
    experiment: str, variant: str, runs: Sequence[Metrics], all_runs: Iterable[Metrics]
) -> list[list[str]]:
    """The rows of one variant, strategy by strategy."""
    published, bounds = _published(experiment, variant), _bounds(all_runs, experiment, variant)
    lines = []
    for strategy in dict.fromkeys(run["strategy"] for run in runs):
        of_strategy = [run for run in runs if run["strategy"] == strategy]
        lines += _rows(strategy, of_strategy, published, bounds, _settings_of(experiment, variant, strategy))
    return lines


def _together(commands: Iterable[str]) -> list[str]:
    """The commands, with those that differ only in the variant, their last option, as one."""
    together: dict[str, list[str]] = {}
    for command in commands:
        start, _, variant = command.partition(" --variant ")
        plain = bool(variant) and " " not in variant
        together.setdefault(start if plain else command, []).extend([variant] if plain else [])
    return [f"{start} --variant {','.join(names)}" if names else start for start, names in together.items()]


def results_page(folder: Path) -> tuple[str, int]:
    """The page as Markdown, and its number of rows, from the metrics below ``folder``.

    Raises
    ------
    RunFolderError
        If there are none, or some cannot be read.

    See Also
    --------
    collect_metrics : the metrics themselves

    Examples
    --------
    >>> from pathlib import Path
    >>> from neurosleep.experiments import results_page
    >>> page, rows = results_page(Path("results"))  # doctest: +SKIP
    """
    runs = _read(folder)
    lines = [
        "# Results",
        "",
        "Generated by `neurosleep results` from the metrics under `results/`. Accuracy over all classes after the last",
        "task, percent, mean ± sd over the reported seeds 0 to 9, as far as they were run (n); any further seeds stand",
        "beside them. *Bounds*: sequential and joint training of the same data. *Stored examples*: whether the method",
        "uses stored images of earlier tasks (no: exemplar-free). *Diverged*: runs left out of the mean; *at chance*:",
        "runs in it that end no better than to name the most frequent class every time. Below each table stand the",
        "commands that make its rows, with their seeds, and what was tried where a published figure was not reached.",
    ]
    rows = 0
    for experiment in sorted({run["experiment"] for run in runs.values()}):
        of_experiment = {path: run for path, run in runs.items() if run["experiment"] == experiment}
        for title, variants in _sections(experiment, {run["variant"] for run in of_experiment.values()}):
            members = {path: run for path, run in of_experiment.items() if run["variant"] in variants}
            split = "/".join(sorted({run["split"] for run in members.values()}))
            several = len(variants) > 1
            columns = ("variant", *COLUMNS) if several else COLUMNS
            lines += ["", f"## {plain_text(f'{experiment} ({title}), {split} split')}", ""]
            lines += [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
            commands: list[str] = []
            notes: list[str] = []
            for variant in variants:
                part = {path: run for path, run in members.items() if run["variant"] == variant}
                for row in _variant_rows(experiment, variant, list(part.values()), runs.values()):
                    lines.append(table_row([variant, *row] if several else row))
                    rows += 1
                commands += _commands(experiment, variant, part)
                said = _notes(experiment, variant)
                for strategy in dict.fromkeys(run["strategy"] for run in part.values()):
                    if strategy in said:
                        name = f"{variant}, {strategy}" if several else strategy
                        notes += ["", f"*{plain_text(name)}*: {said[strategy]}"]
            lines += ["", *(f"    {shown(command)}" for command in _together(commands)), *notes]
        lines += guard_lines(run for run in of_experiment.values() if run["seed"] in REPORTED)
        lines += chip_lines(experiment, (run for run in of_experiment.values() if run["seed"] in REPORTED))
    return "\n".join(lines) + "\n", rows
