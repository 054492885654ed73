"""``neurosleep tune``: a search for settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosleep.cli._board import show_progress
from neurosleep.cli._text import print_table
from neurosleep.cli.errors import interruptible, user_errors
from neurosleep.cli.options import Json, Out, RunOptions, as_percent, completed, emit
from neurosleep.cli.requests import make_requests

__all__ = ["tune"]


def tune(
    experiment: Annotated[
        str,
        typer.Argument(help="A packaged experiment, or your own TOML file.", autocompletion=completed("experiments")),
    ],
    *,
    strategy: Annotated[str, typer.Option(help="The strategy whose settings are searched.")] = "src",
    trials: Annotated[int, typer.Option(help="Number of finished trials, those resumed included.")] = 20,
    sampler: Annotated[str, typer.Option(help="tpe, cma-es or nsga2.")] = "tpe",
    seeds: Annotated[int, typer.Option(help="Tuning seeds that a trial is averaged over: 100, 101, …")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    variant: Annotated[
        str | None,
        typer.Option(help="Variant in the experiment's file; else what it starts with."),
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

    What --set gives is not varied.
    """
    with interruptible(as_json, "the same command with --resume continues where it stopped"), user_errors(as_json):
        from neurosleep.errors import SettingsError
        from neurosleep.experiments import TuneRequest, parse_change, search_space
        from neurosleep.experiments import tune as search
        from neurosleep.experiments.reading import default_variants, variant_names
        from neurosleep.experiments.strategy_names import check_strategies

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
        space = search_space(experiment, strategy, runs[0].settings, fixed)
        request = TuneRequest(runs[0], space, trials, sampler, seed, seeds, prune, names[0])
        with show_progress([(f"trial {number}", "") for number in range(trials)], silent=as_json) as progress:
            outcome = search(request, jobs=options.jobs, scheduler=options.scheduler, report=progress)

        def show(result: dict[str, Any]) -> None:
            rows = [(key, json.dumps(value)) for key, value in result["best"].items()]
            print_table(f"Found for {strategy} in {result['trials']} trials", ("setting", "value"), rows)
            print(
                f"Validation: {as_percent(result['validation'])} (n = {result['validation']['n']}), best of all trials"
            )
            print(f"Settings: {result['file']}   Run: neurosleep run {result['file']} --strategy {strategy}")

        emit({"out": str(out), **outcome}, as_json, show)
