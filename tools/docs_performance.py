"""The page of how fast things are, from the dated records in ``benchmarks``, whatever their kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurosleep.plot import PALETTE, figure, to_png_bytes

FOLDER = Path(__file__).parents[1] / "benchmarks"

Record = Mapping[str, Any]

#: What a record compares, by its name and, where there is one, its network.
KINDS = {
    "sleep streams": "Whole sleeps with several streams of noise a step, which share the weights, beside those of one: "
    "with as many steps of streams in all (same steps), and with a quarter of them (quarter).",
    "sleep population": "Sleep of many networks at once in two threads of one process, beside two processes.",
    "sleep": "A step of Sleep Replay Consolidation in 784-1200-1200-10 on MNIST: the engines `event` and `reference`, "
    "a loop of snnTorch neurons with dense updates as a user would write it, and a roofline that moves the same memory "
    "and computes nothing.",
    "brian2-sleep": "A step of the same rule in 784-1200-1200-10 in Brian 2 (C++ standalone), once both have fired the "
    "same spikes and ended with the same weights on dyadic numbers.",
    "simulate": "Batches of images through a converted 784-1200-1200-10, against a loop of snnTorch neurons.",
    "simulate cnn": "Batches of images through a converted network of two convolutions, against loops of snnTorch and "
    "SpikingJelly.",
    "simulate vgg": "Batches of images through a converted VGG-11 on 32 x 32 pixels, against loops of snnTorch and "
    "SpikingJelly.",
    "record": "What recording adds to a step of sleep.",
    "map": "Mapping 784-1200-1200-10 to each chip that can hold it.",
    "consolidate": "A homeostatic sleep, beside an epoch of the task before it.",
    "ep": "A batch of Equilibrium Propagation in closed form, against automatic differentiation at every step.",
    "schedule": "Runs on a Dask cluster of two workers, beside two independent processes.",
    "gpu": "Sleep of many networks at once, and a convolutional network, on one GPU against one CPU core.",
    "growth": "How the cost of a step grows with one thing at a time.",
}
#: Kinds that a reader looks for, and what the page says while there is no record of one.
_EXPECTED = {
    "gpu": "**GPU**: not measured, on no machine so far. `python benchmarks/gpu.py` measures it and writes a record.",
    "brian2-sleep": "**Brian 2**: no record here; `benchmarks/peers/brian2_sleep.py` writes one.",
    "growth": "**Growth**: no record here; `neurosleep bench growth --json` measures it.",
}

_PAGE = """# Performance

Made from the dated records in `benchmarks/`. Only quotients of times that were taken in one run are comparable; seconds
are those of one machine on one day. `A / B` is the time of A over that of B: above 1, B is faster. The range of a
quotient is its lowest and highest value over the turns of the benchmark, where a record has it.

## Not measured

{missing}

{growth}{sections}"""


def records() -> list[tuple[str, Record]]:
    """Name of the file and content of the newest record of each kind."""
    newest: dict[str, tuple[str, Record]] = {}
    for path in sorted(FOLDER.glob("*.json")):
        # Names are YYYY-MM-DD-KIND: later ones come later.
        newest[path.stem[11:]] = path.name, json.loads(path.read_text(encoding="utf-8"))
    return list(newest.values())


def kind(record: Record) -> str:
    """The key of :data:`KINDS`, or the name alone."""
    variants = [record.get("network", ""), *(key for key in ("streams", "population") if key in record)]
    named = [f"{record['name']} {variant}" for variant in variants]
    return next((name for name in named if name in KINDS), str(record["name"]))


def _time(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _quotients(record: Record) -> Iterator[str]:
    if not record.get("ratios"):
        return
    noise = record.get("noise", {})
    yield _row("quotient", "value", "range")
    yield _row("---", "---", "---")
    for key, value in record["ratios"].items():
        between = noise.get(key)
        a, _, b = key.partition("_over_")
        yield _row(
            f"{a.replace('_', ' ')} / {b.replace('_', ' ')}" if b else a.replace("_", " "),
            f"{value:,.0f}" if value >= 1000 else f"{value:.3g}",
            f"{between[0]:.3g} to {between[1]:.3g}" if between else "not recorded",
        )
    yield ""


def _differences(record: Record) -> Iterator[str]:
    """What a record says of spikes that differ."""
    if "spikes_apart" not in record:
        return
    said = f"Spikes of `event` and `reference` that differ: {record['spikes_apart']:.2g} of all"
    distance = record.get("largest_distance_to_threshold")
    if distance is not None:
        first = record["first_spikes_apart"]
        said += f"; {first} of them come first in their image, at most {distance:.2g} from the threshold"
    yield f"{said}.\n"


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    """Numbers and texts of nested tables, each with its path."""
    for key, value in values.items():
        path = f"{before}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}: ")
        elif isinstance(value, bool | int | float | str):
            yield path, f"{value:.4g}" if isinstance(value, float) else value


def _section(file: str, record: Record) -> Iterator[str]:
    yield f"## {kind(record)}\n"
    yield f"{KINDS.get(kind(record), 'What its command compares.')}\n"
    yield from _quotients(record)
    yield from _differences(record)
    if record["name"] == "gpu":
        # It has tables of its own in the place of seconds and quotients.
        head = ("date", "command", "name", "versions", "sizes", "quick", "threads")
        yield from (f"- {key}: {value}" for key, value in _flat({k: v for k, v in record.items() if k not in head}))
        yield ""
    elif record["name"] != "growth" and record.get("seconds"):
        times = ", ".join(f"{what.replace('_', ' ')} {_time(seconds)}" for what, seconds in record["seconds"].items())
        yield f"Seconds a {record.get('unit', 'step')}: {times}.\n"
    for what, why in record.get("skipped", {}).items():
        yield f"Left out: {what} ({why}).\n"
    versions = ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items())
    machine = record.get("processor") or record.get("device") or "not recorded"
    threads = f"; {record['threads']} thread" if record.get("threads") == 1 else ""
    day, command = record.get("date", "an unknown day"), record.get("command", "no command recorded")
    yield f"Measured on {day} with `{command}`; {machine}{threads}; {versions}."
    if record.get("note"):
        note = record["note"]
        yield f"The machine: {note}."
    yield f"\n[{file}](benchmarks/{file}){{ download }}\n"


_FIT = {
    "units": ("a step of two convolutions", "units"),
    "rows": ("a step in which no unit fires", "input spikes a step (rows of 1000 weights read)"),
    "changes": ("a step of 1000 units under SRC", "spikes of units a step (1000 weights changed by each)"),
    "batch": ("a step of 784-400-10", "images shown at once"),
}


def picture(record: Record) -> bytes:
    """Cost of a step against each of what grows, with the fitted lines, as PNG."""
    fig = figure(9.0, 3.6)
    panels = fig.subplots(1, 3)
    for ax, what, colour in zip(panels, ("units", "rows", "changes"), PALETTE, strict=False):
        points, fit = record["growth"][what], record["fits"][what]
        x = np.array([point[fit["over"]] for point in points])
        y = np.array([point["seconds"] for point in points])
        ax.plot(x, 1e6 * y, "o", color=colour, markersize=5)
        line = np.geomspace(x.min(), x.max(), 60)
        fitted = fit["slope"] * line + fit["intercept"]
        ax.plot(line[fitted > 0], 1e6 * fitted[fitted > 0], color="#6b6b6b", linewidth=0.9, zorder=0)
        ax.set(xscale="log", yscale="log", title=f"line with R² {fit['r_squared']:.4f}")
        ax.title.set_fontsize(9)
        ax.set_xlabel({"units": "units", "rows": "rows read a step", "changes": "spikes of units a step"}[what])
    panels[0].set_ylabel("time of a step, µs")
    return to_png_bytes(fig, dpi=110)


def growth(record: Record | None) -> str:
    """The figure of growth and what it says."""
    if record is None:
        return ""
    lines = ["## Growth of cost\n", "![Time of a step of sleep against units, rows read and spikes](performance.png)\n"]
    lines += [_row("what", "for each of", "more time", "R²", "farthest point"), _row("---", "---", "---", "---", "---")]
    for what, fit in record["fits"].items():
        of, over = _FIT.get(what, (what, fit["over"]))
        lines.append(
            _row(of, over, _time(fit["slope"]), f"{fit['r_squared']:.4f}", f"{100 * fit['largest_distance']:.0f} % off")
        )
    steps: Sequence[Record] = record["growth"].get("steps", [])
    if steps and steps[0].get("most_resident"):
        each = "; ".join(
            f"{point['steps']:,} steps {point['most_resident'] / 1e6:.1f} MB (on disk {point['on_disk'] / 1e6:.3g} MB)"
            for point in steps
        )
        lines.append(f"\nMost memory of a process that sleeps with every spike recorded to disk: {each}.")
    tasks: Sequence[Record] = record["growth"].get("tasks", [])
    if tasks:
        first, last = tasks[0], tasks[-1]
        lines.append(
            f"\nA homeostatic sleep after {last['tasks']} tasks takes {_time(last['seconds'])}, after one task "
            f"{_time(first['seconds'])}; what is kept between them is {last['bytes']:,} and {first['bytes']:,} bytes."
        )
    return "\n".join(lines) + "\n\n"


def files() -> Iterator[tuple[str, str | bytes]]:
    """The page, its figure and the records."""
    found = records()
    kinds = {kind(record) for _, record in found}
    missing = "\n\n".join(sentence for name, sentence in _EXPECTED.items() if name not in kinds)
    grown = next((record for _, record in found if record["name"] == "growth"), None)
    order = list(KINDS)
    found.sort(key=lambda pair: order.index(kind(pair[1])) if kind(pair[1]) in order else len(order))
    sections = "\n".join("\n".join(_section(file, record)) for file, record in found)
    yield (
        "performance.md",
        _PAGE.format(missing=missing or "All of it is.", growth=growth(grown), sections=sections),
    )
    if grown is not None:
        yield "performance.png", picture(grown)
    for file, _ in found:
        yield f"benchmarks/{file}", (FOLDER / file).read_text(encoding="utf-8")
