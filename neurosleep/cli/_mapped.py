"""What ``neurosleep map`` found, the verdict first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neurosleep.cli._text import Verdict, print_table, say

__all__ = ["show_mapped"]

# Weights that lose more than this share of their norm are another network's.
_LOSS = 0.05
# A population that holds partial sums of another.
_HELPER = re.compile(r"(?P<of>.+)_(?:plus|minus)\d+")
_LATER = re.compile(r"spikes of '.+' arrive (?P<steps>\d+ steps?) later on the chip")
_VERDICTS: Mapping[str, Verdict] = {"error": "error", "warning": "warning", "note": "note"}


def show_mapped(result: Mapping[str, Any], *, verbose: bool) -> None:
    """Verdict, accuracy and energy, warnings, a row for each layer, notes."""
    from neurosleep.hardware import energy_text

    profile, cores = result["profile"], result["cores"]
    on = "" if cores is None else f", on {cores} cores"
    exceeded = sum(finding["level"] == "error" for finding in result["findings"])
    limits = "1 limit is" if exceeded == 1 else f"{exceeded} limits are"
    if result["fits"]:
        say(f"Fits {profile}{on}.", verdict="ok")
    else:
        say(f"Does not fit {profile}: {limits} exceeded.", verdict="error")
    accuracy = result.get("accuracy")
    if accuracy is not None:
        chip, network = (f"{100 * accuracy[key]:.1f} %" for key in ("chip", "network"))
        say(f"Accuracy on the chip: {chip} of {accuracy['images']} images; of the network before: {network}.")
    energy, *details = energy_text(profile, result["energy"]).splitlines()
    say(energy if verbose else f"{energy}. --verbose says how it was counted.")
    for line in details if verbose else []:
        say(line.strip(), indent=2)
    layers = _folded(result["layers"])
    lossy = [layer for layer in layers if (layer["error"] or 0) > _LOSS]
    if lossy:
        worst = max(layer["error"] for layer in lossy)
        names = ", ".join(layer["layer"] for layer in lossy)
        text = f"quantisation changes the weights of {names} by up to {100 * worst:.1f} % of their norm: measure the"
        say(f"{text} accuracy on the chip (--inputs, --labels) before you rely on it.", "warning: ", verdict="warning")
    findings = sorted(_together(result), key=lambda finding: list(_VERDICTS).index(finding[0]))
    for level, text in findings:
        if level != "note":
            say(text, f"{level}: ", verdict=_VERDICTS[level])
    header = ("layer", "bits", "scale", "quantisation error", "saturated", "underflow to zero", "cores")
    print_table(f"On {profile}", header, [_row(layer) for layer in layers])
    for level, text in findings:
        if level == "note":
            say(text, "note: ", verdict="note")


def _row(layer: Mapping[str, Any]) -> tuple[str, ...]:
    helpers = f" ({layer['helpers']} helpers)" if layer.get("helpers") else ""
    return (
        f"{layer['source']} → {layer['layer']}{helpers}",
        str(layer["bits"] or "float"),
        f"{layer['scale']:.4g}",
        "-" if layer["error"] is None else f"{100 * layer['error']:.2f} %",
        f"{layer['saturated']:,}",
        f"{layer['zeroed']:,}",
        str(layer["cores"] or "-"),
    )


def _folded(layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The layers, with populations of partial sums counted with that whose sums they are: worst error, all cores."""
    names = {layer["layer"] for layer in layers}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    counted: set[str] = set()
    for layer in layers:
        helper, base = _helped(layer["layer"], names), layer["layer"]
        if _helped(layer["source"], names) == base:
            # Passes on what its helpers have summed; its cores are counted with theirs.
            rows.setdefault(("", base), {"cores": layer["cores"]})
            continue
        key = (layer["source"], helper or base)
        row = rows.setdefault(key, {**layer, "layer": key[1], "helpers": 0, "saturated": 0, "zeroed": 0, "cores": None})
        errors = [one for one in (row["error"], layer["error"]) if one is not None]
        row |= {"error": max(errors) if errors else None, "helpers": row["helpers"] + bool(helper)}
        row |= {name: row[name] + layer[name] for name in ("saturated", "zeroed")}
        if base not in counted and layer["cores"] is not None:
            counted.add(base)
            row["cores"] = (row["cores"] or 0) + layer["cores"]
    passing = {key[1]: row["cores"] for key, row in rows.items() if not key[0]}
    shown = [row for key, row in rows.items() if key[0]]
    for row in shown:
        if row["helpers"] and (more := passing.pop(row["layer"], None)) is not None:
            row["cores"] = (row["cores"] or 0) + more
    return shown


def _helped(name: str, names: Iterable[str]) -> str | None:
    """The population whose partial sums ``name`` holds, if it is such a helper."""
    match = _HELPER.fullmatch(name)
    return match["of"] if match and match["of"] in names else None


def _together(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Level and text of the findings, each text once, of helpers as of the population that they help."""
    findings, populations = result["findings"], {layer["layer"] for layer in result["layers"]}
    delays = [match["steps"] for finding in findings if (match := _LATER.fullmatch(finding["text"]))]
    layers: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if len(delays) > 1 and _LATER.fullmatch(finding["text"]):
            text = f"spikes arrive {' or '.join(dict.fromkeys(delays))} later on the chip, in {len(delays)} projections"
            layers.setdefault((finding["level"], text), [])
        else:
            layers.setdefault((finding["level"], finding["text"]), []).append(finding["layer"])
    texts = []
    for (level, text), names in layers.items():
        where = ", ".join(dict.fromkeys(_helped(name, populations) or name for name in names if name))
        texts.append((level, f"{where}: {text}" if where else text))
    return texts
