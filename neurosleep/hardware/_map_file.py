"""A network's file onto a chip: what ``neurosleep map`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from neurosleep.exchange import read_spiking
from neurosleep.functional import Reset
from neurosleep.hardware._load import load_profile
from neurosleep.hardware._map import map_to
from neurosleep.hardware._mapping_report import MappingFinding
from neurosleep.hardware._profile import HardwareProfile
from neurosleep.hardware._rounding import Rounding

__all__ = ["map_file"]


def map_file(
    model: str | Path,
    profile: HardwareProfile | str,
    *,
    rounding: str | None = None,
    seed: int = 0,
    steps: int = 100,
    calibration: str | Path | None = None,
    recipe: str | None = None,
    external_data: str | Path | None = None,
    approximate: bool = False,
) -> dict[str, Any]:
    """Read a network, convert it if it is awake, and say what it becomes on a chip, fits it or not.

    An awake network is given neurons whose reset subtracts the threshold if the chip has such, else resets to 0; the
    findings then say so.

    Parameters
    ----------
    model, calibration, recipe, external_data, approximate:
        As for ``neurosleep convert``.
    profile, rounding, seed, steps:
        As for :func:`~neurosleep.map_to`.

    Returns
    -------
    dict
        ``profile``, ``fits``, ``cores``, ``layers``, ``findings`` and ``energy``.

    Raises
    ------
    NeurosleepError
        If a file cannot be read, or the chip does not have the network's dynamics at all.
    """
    if isinstance(profile, str):
        profile = load_profile(profile)
    # Calibration images are what only an awake network has; every recipe knows a reset to 0.
    awake = calibration is not None
    reset = "to_value" if awake and "subtract_threshold" not in (profile.reset.modes or ()) else None
    network = read_spiking(
        model,
        calibration=calibration,
        recipe=recipe,
        external_data=external_data,
        approximate=approximate,
        reset=cast("Reset | None", reset),
    )
    way = cast("Rounding | None", rounding)
    _, report = map_to(network, profile, rounding=way, seed=seed, steps=steps, strict=False)
    found = report.to_json()
    if reset is not None:
        text = "neurons reset to 0: the chip has no reset that subtracts the threshold"
        found["findings"].insert(0, MappingFinding("note", "", text).to_json())
    return found
