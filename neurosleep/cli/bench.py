"""``neurosleep bench``: timings."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from neurosleep.cli._text import print_table
from neurosleep.cli.errors import user_errors
from neurosleep.cli.options import Data, Json, emit, or_dash

__all__ = ["bench"]


def bench(
    name: Annotated[
        str, typer.Argument(help="The benchmark: consolidate, ep, growth, map, record, schedule, simulate, sleep.")
    ],
    network: Annotated[
        str | None,
        typer.Option(help="Of simulate: mlp (the default), cnn (two convolutions) or vgg (VGG-11)."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Of sleep: whole sleeps with so many streams of noise, beside one stream."),
    ] = None,
    population: Annotated[
        int | None,
        typer.Option(help="Of sleep: so many networks in two threads, beside two processes."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Of growth: small sizes, to see that it works.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Time sleep, homeostasis (consolidate), record, simulate (batches of images), growth, ep, map, schedule."""
    with user_errors(as_json):
        from neurosleep._checks import check_unread
        from neurosleep.bench import BENCHMARKS
        from neurosleep.errors import unknown_name

        if name not in BENCHMARKS:
            raise unknown_name("benchmark", name, BENCHMARKS)
        options: dict[str, Any] = {}
        for key, value, reader in (
            ("network", network, "simulate"),
            ("batch", batch, "sleep"),
            ("population", population, "sleep"),
            ("quick", quick or None, "growth"),
        ):
            if value is not None:
                if name != reader:
                    check_unread(f"The benchmark {name!r}", {f"--{key}": (value, None)}, f"{reader} has it")
                options[key] = value

        def show(result: dict[str, Any]) -> None:
            rows = []
            for what, value in result["seconds"].items():
                time = f"{1e6 * value:.2f} µs" if value < 0.01 else f"{1e3 * value:.1f} ms"
                more = [] if "memory" not in result else [or_dash(result[key][what]) for key in ("memory", "cores")]
                rows.append((what, f"{time} a {result['unit']}", *more))
            header = ("what", "time") if "memory" not in result else ("what", "time", "memory in bytes", "cores")
            threads = "one thread" if result["threads"] == 1 else f"{result['threads']} threads"
            print_table(f"{name}, {threads}", header, rows)
            print_table(
                "Ratios", ("ratio", "value"), [(key, f"{value:.2f}") for key, value in result["ratios"].items()]
            )
            for key, (low, high) in result.get("noise", {}).items():
                print(f"{key}: {low:.2f} to {high:.2f} over the turns")
            for key, fit in result.get("fits", {}).items():
                line = f"{1e9 * fit['slope']:.3g} ns more for each of {fit['over']}, R² {fit['r_squared']:.4f}"
                print(f"{key}: {line}, exponent {fit['exponent']:.2f}")
            for key, reasons in result.get("refused", {}).items():
                print("\n  ".join([f"Not on {key}:", *reasons]))

            for what, why in result.get("skipped", {}).items():
                print(f"Skipped: {what} ({why})")

        emit(BENCHMARKS[name](data, **options), as_json, show)
