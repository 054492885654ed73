"""``neurosleep run``: an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from neurosleep.cli._board import show_progress
from neurosleep.cli._text import print_table, say
from neurosleep.cli.errors import described, fail, interruptible, user_errors
from neurosleep.cli.options import Json, Listening, Out, RunOptions, Seed, as_percent, completed, emit
from neurosleep.cli.requests import labelled, make_requests, seed_range
from neurosleep.errors import NeurosleepError, RunsFailedError

__all__ = ["run"]

# Exit code where somebody wants to know; 1 and 2 are internal and usage errors.
DIVERGED = 3


def run(
    experiment: Annotated[
        str,
        typer.Argument(help="A packaged experiment, or your own TOML file.", autocompletion=completed("experiments")),
    ],
    *,
    strategy: Annotated[
        str | None,
        typer.Option(help="Strategies, separated by commas; else the experiment's own, or src."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 1,
    seed: Seed = 0,
    variant: Annotated[
        str | None,
        typer.Option(help="Variants in the experiment's file, separated by commas; else its usual ones."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the changed settings are called, folder included; else v1, v2, …")
    ] = None,
    options: RunOptions,
    listening: Listening,
    out: Out = Path("runs"),
    tuned: Annotated[
        bool, typer.Option("--tuned", help="With the settings that tune found, which lie beside the experiment.")
    ] = False,
    fail_on_divergence: Annotated[
        bool, typer.Option("--fail-on-divergence", help=f"Exit with {DIVERGED} if a run diverged.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run an experiment: strategies × seeds, each into a folder of its own."""
    with interruptible(as_json, "the same command with --resume continues where it stopped"), user_errors(as_json):
        from neurosleep.experiments import run_experiment, summarise

        variants = [one.strip() for one in (variant or "").split(",") if one.strip()]
        with labelled(experiment, options, out, name) as (label, changes):
            requests = make_requests(
                experiment,
                strategy,
                seed_range(seed, seeds),
                options,
                out,
                variants=variants,
                tuned=tuned,
                label=label,
            )
            # What a short name stands for is said once; names of earlier versions say it themselves.
            named = {label.short: changes} if label.short and changes and label.short in requests[0].variant else {}
            for short, texts in {} if as_json else named.items():
                say(", ".join(texts), f"{short}: ", verdict="note")
            several = len({r.variant for r in requests}) > 1
            labels = [(f"{r.strategy}, seed {r.seed}", r.variant if several or label.short else "") for r in requests]
            try:
                with (
                    _listeners(listening, options) as listener,
                    show_progress([] if listening.live else labels, silent=as_json) as report,
                ):
                    runs = run_experiment(
                        requests, jobs=options.jobs, scheduler=options.scheduler, report=report, listener=listener
                    )
            except RunsFailedError as error:
                _fail(error, {"out": str(out), "changes": named}, as_json)
        result = {"out": str(out), "runs": runs, "summary": summarise(runs), "changes": named}
        emit(result, as_json, _show_summary)
        if fail_on_divergence and any(one["status"] == "diverged" for one in runs):
            raise typer.Exit(DIVERGED)


def _fail(error: RunsFailedError, result: dict[str, Any], as_json: bool) -> NoReturn:
    """End where some of several runs have failed, with what the others gave."""
    from neurosleep.experiments import summarise

    names = [name for name, _ in error.failures]
    result |= {"runs": error.runs, "summary": summarise(error.runs, names)}
    if not as_json:
        _show_summary(result)
    failed = [{**name, "error": _failure(failure)} for name, failure in error.failures]
    fail(error, as_json, {**result, "failed": failed})


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, NeurosleepError):
        return described(error)
    return {"type": type(error).__name__, "message": str(error), "hint": None}


@contextmanager
def _listeners(asked: Listening, options: RunOptions) -> Iterator[Any]:
    """What is to be told of runs while they go on; None if nothing is."""
    from neurosleep.errors import SettingsError
    from neurosleep.experiments import Follow, Listeners, MLflow, TensorBoard, WandB

    told: list[Any] = [] if asked.follow is None else [Follow(asked.follow)]
    told += [] if asked.tensorboard is None else [TensorBoard(asked.tensorboard)]
    told += [] if asked.wandb is None else [WandB(asked.wandb)]
    told += [] if asked.mlflow is None else [MLflow(asked.mlflow)]
    if not asked.live:
        yield Listeners(*told) if told else None
        return
    if options.jobs != 1 or options.scheduler is not None:
        several = f"--jobs is {options.jobs}" if options.scheduler is None else "--scheduler runs several"
        raise SettingsError(
            f"--live shows one run at a time, and {several}.", expected="--jobs 1, or --follow FILE for several"
        )
    from neurosleep.cli._live import live_view

    with live_view() as view:
        yield Listeners(view, *told)


def _show_summary(result: dict[str, Any]) -> None:
    """One table for all variants, what diverged, and where it lies."""
    from neurosleep.experiments.divergence import told_divergence
    from neurosleep.experiments.silence import told_silence

    summary = result["summary"]
    several = len({row["variant"] for row in summary}) > 1
    # Columns of zeros tell nothing.
    bad = [name for name in ("diverged", "failed") if any(row[name] for row in summary)]
    rows = [
        (
            *([row["variant"]] if several else []),
            row["strategy"],
            as_percent(row["accuracy_all"]),
            *(str(row["accuracy_all"]["n"]), *(str(row[name]) for name in bad)),
        )
        for row in summary
    ]
    first = summary[0]
    of = f"{first['experiment']}, {first['variant']}" if not several and first["variant"] != "default" else ""
    header = (*(["variant"] if several else []), "strategy", "accuracy", "seeds", *bad)
    title = f"{of or first['experiment']}: accuracy over all classes after the last task (mean ± SD)"
    print_table(title, header, rows)
    for row in summary:
        if row["diverged"]:
            _say_diverged(row, f"{row['variant']}, {row['strategy']}" if several else row["strategy"])
    for metrics in result["runs"]:
        name = f"{metrics['variant']}, {metrics['strategy']}, seed {metrics['seed']}: "
        if metrics["status"] == "diverged":
            say(told_divergence(metrics), name, verdict="warning")
        if silent := told_silence([metrics]):
            say(f"{silent} Try: lower sleep.thresholds.", name, verdict="warning")
    say(f"Runs: {result['out']}   Report: neurosleep report {result['out']}")


def _say_diverged(row: dict[str, Any], name: str) -> None:
    counted, diverged = row["accuracy_all"]["n"], row["diverged"]
    if counted:
        told = f"{diverged} of {counted + diverged} runs diverged; the accuracy is that of the others."
    else:
        told = "every run diverged, so that there is no accuracy."
    say(told, f"{name}: ", verdict="warning" if counted else "error")
