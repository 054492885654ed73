"""Write docs/profiles/: chips compared, a page for each with source and grade of each figure, and the schema's keys."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurosleep.hardware import Activity, HardwareProfile, estimate_energy, load_profile, profile_names, sleep_parts
from neurosleep.hardware.profiles.key import Key
from neurosleep.hardware.profiles.load import REFUSED
from neurosleep.hardware.profiles.schema import CODES, KEYS, TABLES

ROOT = Path(__file__).parents[1]

_MEANINGS = {
    "synaptic": "synaptic events: most papers",
    "all_updates": "synaptic events, on Loihi with a hop each, and every update as an active neuron's: keras-spiking",
    "active_and_inactive": "synaptic events, updates of neurons with input, and of those without",
    "fitted_simulator": "events, looks at neurons, updates, spikes and messages to cores, by a simulator: SANA-FE",
    "operating_point": "synaptic events at the whole chip's power over its events a second, right at one rate only",
    "with_static": "synaptic events, and the static power over the time on the chip",
    "core_activity": "static power of chips, power of cores in use, and a packet for each spike: SpiNNaker's tools",
}


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return f"`{value}`" if isinstance(value, str) else json.dumps(value)


def grade(name: str) -> str:
    return "**recalled, not verified**" if name == "recalled" else name


# What chips are compared by: words of the column, key of the figure.
_COMPARED = {
    "weights (bits)": "weights.bits",
    "neurons per core": "capacity.neurons_per_core",
    "cores per chip": "capacity.cores_per_chip",
    "inputs of a neuron": "capacity.fan_in_max",
    "reset": "reset.modes",
    "longest delay (steps)": "delay.max_steps",
    "learning": "learning.class",
    "energy of a synaptic event (pJ)": "energy.synop_pj",
}


def comparison(profiles: list[HardwareProfile]) -> str:
    """A row for each chip: what decides whether a network fits, and what runs there."""
    rows = []
    for profile in profiles:
        values = {figure.key: figure.value for figure in profile.figures()}
        cells = [f"[{profile.name}]({profile.id}.md)", profile.kind]
        for key in _COMPARED.values():
            absent = "not public" if key in profile.unpublished else "-"
            cells.append(shown(values[key]).replace("`", "").replace("_", " ") if key in values else absent)
        rows.append(tuple(cells))
    return table(("chip", "kind", *_COMPARED), rows)


def counts(profiles: list[HardwareProfile]) -> str:
    rows = []
    for profile in profiles:
        figures = profile.figures()
        recalled = sum(figure.source is not None and figure.source.grade == "recalled" for figure in figures)
        name = f"[`{profile.id}`]({profile.id}.md)"
        numbers = (str(len(figures)), str(recalled), str(len(profile.unpublished)))
        rows.append((name, profile.name, profile.profile.vendor, *numbers))
    return table(("profile", "chip", "vendor", "figures", "recalled", "not public"), rows)


def chip(profile: HardwareProfile) -> str:
    rows = []
    for figure in profile.figures():
        assert figure.source is not None  # a test holds every shipped figure to it
        rows.append((f"`{figure.key}`", shown(figure.value), figure.source.name, grade(figure.source.grade)))
    sources = [(s.name, s.citation, str(s.year), grade(s.grade)) for s in profile.sources.values()]
    notes = "\n".join(f"- `{name}`: {note}" for name, note in profile.notes().items())
    unpublished = ", ".join(f"`{key}`" for key in profile.unpublished)
    parts = [
        f"# {profile.name}",
        f"Profile `{profile.id}`, {profile.profile.vendor}; [all chips compared](index.md). No chip was at hand: "
        "every figure is from the source beside it.",
        f"```{{.sh .long}}\nneurosleep profiles {profile.id}\n"
        f"neurosleep map network.safetensors --profile {profile.id} --inputs images.npy\n```",
        "## Where a sleep phase runs",
        table(("part", "where", "how"), ((p.part, p.where, p.how) for p in sleep_parts(profile))),
        "## Figures",
        table(("figure", "value", "source", "grade"), rows),
        notes,
        f"Not public: {unpublished}." if unpublished else "",
        "## Sources",
        table(("source", "citation", "year", "grade"), sources),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def requirement(key: Key) -> str:
    """When a key has to be there."""
    if not key.required and not key.when:
        return "optional"
    text = "required" + (f" when {' and '.join(map(str, key.when))}" if key.when else "")
    return text + "".join(f", unless {condition}" for condition in key.unless)


def legal(key: Key) -> str:
    text = ", ".join(f"`{choice}`" for choice in key.choices) or key.range or (key.pattern or "")
    text = f"`{text}`" if key.pattern else text
    return f'{text or "any"}, or `"unlimited"`' if key.unlimited else text


def schema() -> str:
    parts = []
    for name in ("", *TABLES):
        keys = [key for key in KEYS.values() if key.table == name and key.leaf not in ("source", "note")]
        rows = [(f"`{key.leaf}`", key.type, legal(key), requirement(key), key.meaning) for key in keys]
        title = f"### `[{name}]`" if name else "### The file itself"
        parts.append(f"{title}\n\n{table(('key', 'type', 'legal', 'needed', 'meaning'), rows)}")
    return "\n\n".join(parts)


def conventions() -> str:
    """What each convention adds up, and the profiles that have its coefficients."""
    one = Activity(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, core_seconds=1.0, messages=1.0)
    estimates = [estimate_energy(load_profile(name), one) for name in profile_names()]
    rows = []
    for convention in estimates[0].conventions:
        known = ", ".join(f"`{e.profile}`" for e in estimates if e.joules(convention.name) is not None)
        rows.append((f"`{convention.name}`", _MEANINGS[convention.name], known or "none"))
    return table(("convention", "adds up", "profiles"), rows)


def first() -> str:
    """All chips, compared."""
    profiles = [load_profile(name) for name in profile_names()]
    refused = "\n".join(f"- `{name}`: {reason}." for name, reason in REFUSED.items())
    return f"""# Hardware profiles

<div class="ns-table" markdown="1">

{comparison(profiles)}

</div>

"-": does not apply, or is not limited by that. [Map to a chip](../how-to/chip.md) says how a network gets there,
[results on chips](../results/chips.md) what it does there.

No chip was at hand: nothing here was measured by this project. Grades say where a figure was read: `code` (public code
of the chip's makers or of an emulator), `primary` (the chip's own paper or its maker's page), `secondary` (a
compilation that names the paper), `recalled` (from general knowledge, not verified) and `project` (defined here). What
is not public is listed as such, and nothing is filled in for it.

{counts(profiles)}

Not supported, with the reason:

{refused}

## Energy

`neurosleep map MODEL --profile NAME --inputs x.npy` simulates the mapped network on images, and
`neurosleep.hardware.energy_of` takes any recording, a sleep phase's too. What is counted is priced by each
convention of the literature; one whose coefficients a profile lacks is not estimated, which is never 0. Every
result is an estimate from a profile, not a chip, and an interval over conventions, whose joules lie orders of
magnitude apart: a ratio (before and after, say) means more.

{conventions()}

Learning stands beside these. Two further ways of the literature are left out: clock cycles (Xylo), since no chip
publishes the energy of one, though `throughput.cycles_*` tell whether the clock suffices; and additions and products in
45 nm arithmetic, which are those of no chip. `neurosleep.hardware.neurobench_metrics` has NeuroBench's measures by its
own package.

Generated by `python tools/make_profiles.py` from `hardware_profiles/*.toml` and the schema; a test compares these pages
with them. `neurosleep profiles` lists them, `neurosleep profiles NAME` shows one.
"""


def file_format() -> str:
    """The keys of a profile's file, and what may be wrong with one."""
    codes = table(("code", "what it is about"), [(code, text) for code, text in CODES.items()])
    return f"""# The file of a profile

`neurosleep profiles my.toml` validates a file of your own, and `neurosleep profiles --schema` writes a JSON schema for
your editor. [How to write one](../extend/profile.md).

## Findings

`file:key: code message (got X, expected Y)`, all at once; a file that has warnings alone is loaded.

{codes}

## Keys

Every table may have a `source`, a name in `[sources]`, and a `note`; a table within another has the other's source
unless it names its own. `[sources.NAME]` has `citation`, `year` and `grade`; `sources.<key> = "NAME"` names the source
of one figure and stands over its table's. A required key that is not public is left out and listed in `unpublished`
(those of `[profile]` cannot be).

{schema()}
"""


def pages() -> dict[str, str]:
    """Text of each page by its name."""
    chips = {f"{name}.md": chip(load_profile(name)) for name in profile_names()}
    return {"index.md": first(), "file-format.md": file_format(), **chips}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "profiles")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (out / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
