"""What ``neurosleep convert`` made, in sentences and one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neurosleep.cli._text import print_table, say

__all__ = ["show_converted"]


def show_converted(result: dict[str, Any]) -> None:
    """What was written, the layers that it holds, how they were scaled, and what there is to say of it."""
    report = result["report"]
    say(_written(Path(result["out"])))
    if "accuracy" in result:
        say(_accuracy(result["accuracy"]))
    kinds = any("from" in layer for layer in result["layers"])
    head = ("population", "kind", "neurons", "input", "scale") if kinds else ("layer", "kind", "size")
    print_table("Layers", head, [row for layer in result["layers"] for row in _rows(layer)])
    if "recipe" in report:
        images = report.get("images")
        largest = [
            f"{layer['population']} {layer['largest']:.3g}" for layer in report.get("layers", ()) if layer["largest"]
        ]
        of = f" of {images} images" if images else ""
        what = f"; largest activations{of}: {', '.join(largest)}" if largest else of
        say(f"Scaled by the recipe {report['recipe']!r}{what}.")
    became = [f"{layer['layer']}: {layer['became']}" for layer in report.get("became", ())]
    if became:
        say("; ".join(became) + ".", "Layers of the model: ")
    inexact = report.get("inexact", ())
    for note in report.get("notes", ()):
        say(note, "Note: ")
    for difference in [inexact] if isinstance(inexact, str) else inexact:
        say(str(difference), "Not exact: ")


def _accuracy(found: dict[str, Any]) -> str:
    how = f"{found['images']} images ({found['coding']}, {found['steps']} steps)"
    before = "" if found["model"] is None else f"; of the trained network before: {100 * found['model']:.1f} %"
    return f"Accuracy of the spiking network: {100 * found['network']:.1f} % of {how}{before}."


def _written(out: Path) -> str:
    if not out.is_dir():
        return f"Written: {out} ({_size(out.stat().st_size)})."
    files = sorted(path for path in out.iterdir() if path.is_file())
    each = ", ".join(f"{path.name} ({_size(path.stat().st_size)})" for path in files)
    return f"Written: the folder {out}: {each}."


def _size(count: int) -> str:
    for unit, one in (("MB", 1e6), ("kB", 1e3)):
        if count >= one:
            return f"{count / one:.3g} {unit}"
    return f"{count} bytes"


def _times(shape: Any) -> str:
    return " x ".join(map(str, shape or ())) or "-"


def _rows(layer: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row a layer; of a population one for each projection into it."""
    if "from" not in layer:
        return [(layer["name"], layer["kind"], _times(layer.get("shape") or layer.get("weight")))]
    own = (layer["name"], layer["kind"], _times(layer["shape"]))
    incoming = [
        (
            f"{one['kind']} from {one['source']}" + (f", {_times(one['weight'])}" if one.get("weight") else ""),
            f"{one['scale']:.4g}" if one.get("scale") is not None else "-",
        )
        for one in layer["from"]
    ]
    return [(*(own if not k else ("", "", "")), *row) for k, row in enumerate(incoming)] or [(*own, "-", "-")]
