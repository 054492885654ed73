"""``neurosleep tune``: a search for settings."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli._board import show_progress
from neurosleep.cli._text import print_table, say
from neurosleep.cli.errors import interruptible, user_errors
from neurosleep.cli.options import FILES, Json, Out, RunOptions, as_percent, completed, emit
from neurosleep.cli.requests import make_requests

__all__ = ["tune"]

# Rows of trials, at most.
_SHOWN = 10


def tune(
    experiment: Annotated[
        str,
        typer.Argument(
            help="A packaged experiment, your own TOML file, or a function of yours: FILE.py:NAME.",
            autocompletion=completed("experiments"),
        ),
    ],
    *,
    strategy: Annotated[str | None, typer.Option(help="The strategy whose settings are searched; else src.")] = None,
    space: Annotated[
        Path | None,
        typer.Option(help="Of a function: TOML file with an entry for each argument.", rich_help_panel=FILES),
    ] = None,
    trials: Annotated[int, typer.Option(help="Number of finished trials, those resumed included.")] = 20,
    sampler: Annotated[str, typer.Option(help="tpe, cma-es or nsga2.")] = "tpe",
    seeds: Annotated[int, typer.Option(help="Tuning seeds that a trial is averaged over: 100, 101, …")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    variant: Annotated[
        str | None,
        typer.Option(help="Variant in the experiment's file; else its usual one."),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Stop a trial that falls below the median of the others."),
    ] = False,
    options: RunOptions,
    out: Out = Path("tuned"),
    as_json: Json = False,
) -> None:
    """Search for the settings of a strategy on the validation split, and write them as a settings file.

    What --set gives is not varied. A function of yours takes the arguments in --space and seed, and returns a number.
    """
    if ".py:" in experiment:
        unread = {"strategy": strategy, "variant": variant, "prune": prune or None}
        _tune_function(experiment, space, unread, options, out, as_json, trials, sampler, seeds, seed)
        return
    strategy = strategy or "src"
    with interruptible(as_json, "the same command with --resume continues where it stopped"), user_errors(as_json):
        from neurosleep._checks import check_unread
        from neurosleep.errors import SettingsError
        from neurosleep.experiments import TuneRequest, parse_change, search_space
        from neurosleep.experiments import tune as search
        from neurosleep.experiments.reading import default_variants, variant_names
        from neurosleep.experiments.strategy_names import check_strategies

        if space is not None:
            check_unread("An experiment", {"--space": (str(space), None)}, "a function has it: FILE.py:NAME")
        check_strategies([strategy])
        names = [variant] if variant else list(default_variants(experiment))
        if len(names) > 1:
            raise SettingsError(
                f"The experiment {experiment!r} has {len(names)} usual variants.",
                expected="--variant with one of: " + ", ".join(["default", *variant_names(experiment)]),
            )
        runs = make_requests(experiment, strategy, range(1), options, out, variants=names)
        fixed = [parse_change(text)[0] for text in options.changes or []]
        if "data.split" in fixed:
            raise SettingsError("--set data.split has no place here.", expected="the validation split, always")
        searched = search_space(experiment, strategy, runs[0].settings, fixed)
        request = TuneRequest(runs[0], searched, trials, sampler, seed, seeds, prune, names[0])
        with show_progress([(f"trial {number}", "") for number in range(trials)], silent=as_json) as progress:
            outcome = search(request, jobs=options.jobs, scheduler=options.scheduler, report=progress)

        emit({"out": str(out), **outcome}, as_json, partial(_show, strategy=strategy))


def _tune_function(
    text: str,
    space: Path | None,
    unread: dict[str, Any],
    options: RunOptions,
    out: Path,
    as_json: bool,
    /,
    *search: Any,
) -> None:
    """Search for the arguments of a function of the user's."""
    with interruptible(as_json, "the same command with --resume continues where it stopped"), user_errors(as_json):
        from neurosleep._checks import check_unread
        from neurosleep.errors import SettingsError
        from neurosleep.experiments import tune_function
        from neurosleep.experiments.tuning.function import FileFunction, read_space

        unread |= {"set": options.changes, "engine": options.engine, "device": options.device, "data": options.data}
        unread |= {"scheduler": options.scheduler}
        given = {f"--{key}": (value, None) for key, value in unread.items() if value is not None}
        check_unread("A function", given, "an experiment has it")
        if space is None:
            raise SettingsError("A function needs a search space.", expected="--space FILE.toml")
        entries, function = read_space(space), FileFunction.of(text)
        trials, sampler, seeds, seed = search
        with show_progress([(f"trial {number}", "") for number in range(trials)], silent=as_json) as progress:
            outcome = tune_function(
                function,
                entries,
                out=out,
                trials=trials,
                sampler=sampler,
                seed=seed,
                seeds=seeds,
                jobs=options.jobs,
                resume=options.resume,
                force=options.force,
                report=progress,
            )
        emit({"out": str(out), **outcome}, as_json, partial(_show, strategy=None))


def _show(result: dict[str, Any], *, strategy: str | None) -> None:
    """The best trials, which settings matter, what was found, and where it lies; ``strategy`` is None of a function."""
    spread, one = (as_percent, "{:.2%}") if strategy else (_as_number, "{:.4g}")
    ranked = sorted(
        result["table"], key=lambda row: -math.inf if row["accuracy"] is None else row["accuracy"], reverse=True
    )
    trials = [
        (
            str(row["number"]),
            "given up" if row["accuracy"] is None else one.format(row["accuracy"]).replace("%", " %"),
            ", ".join(f"{name} {_short(value)}" for name, value in row["values"].items()),
        )
        for row in ranked[:_SHOWN]
    ]
    title = "Trials" if len(ranked) <= _SHOWN else f"The best {_SHOWN} of {len(ranked)} trials"
    print_table(title, ("trial", "validation" if strategy else "value", "settings"), trials)
    if result["importances"]:
        explained = [(name, f"{100 * share:.0f} %") for name, share in result["importances"].items()]
        print_table("How much of the trials' differences each explains (PED-ANOVA)", ("setting", "share"), explained)
    rows = [(key, json.dumps(value)) for key, value in result["best"].items()]
    of = f" for {strategy}" if strategy else ""
    print_table(f"Found{of} in {result['trials']} trials", ("setting", "value"), rows)
    validation = result["validation"]
    seeds = "1 seed" if validation["n"] == 1 else f"{validation['n']} seeds"
    what = "Validation" if strategy else "Value"
    say(f"{what}: {spread(validation)} ({seeds}), the best of all trials, which is biased upwards.")
    run = f"   Run: neurosleep run {result['file']} --strategy {strategy}" if strategy else ""
    say(f"Settings: {result['file']}{run}")


def _as_number(entry: dict[str, Any]) -> str:
    return f"{entry['mean']:.4g}" + ("" if entry["sd"] is None else f" ± {entry['sd']:.2g}")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value).strip('"')
