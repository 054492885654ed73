"""Colours of strategies can be told apart, also by colour-blind readers: measured in CIE Lab after simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from neurosleep import plot
from neurosleep.continual import STRATEGIES

# Full protanopia, deuteranopia and tritanopia (Machado et al. 2009, doi:10.1109/TVCG.2009.113), in linear RGB.
SEEN = {
    "all colours": np.eye(3),
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "without blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(colour: str, seen: str) -> np.ndarray:
    """Lightness and the two hues of a colour as it is seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = (XYZ @ np.clip(np.asarray(SEEN[seen]) @ linear, 0, 1)) / WHITE
    fx, fy, fz = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("seen", SEEN)
def test_single_strategies_can_be_told_apart(seen: str) -> None:
    colours = plot.strategy_colours(STRATEGIES)
    assert len(colours) == len(STRATEGIES) >= 11
    apart = {
        (one, other): float(np.linalg.norm(lab(colours[one], seen) - lab(colours[other], seen)))
        for one, other in itertools.combinations(colours, 2)
    }
    # Just noticeable are 2.3; side by side in one figure it takes more.
    closest = min(apart, key=apart.__getitem__)
    assert apart[closest] > 10, closest
    # All stand out from the page.
    assert all(lab(colour, seen)[0] < 82 for colour in colours.values())


def test_the_measure_knows_what_looks_alike() -> None:
    assert np.linalg.norm(lab("#a6761d", "without red") - lab("#D55E00", "without red")) < 5
    assert np.linalg.norm(lab("#a6761d", "all colours") - lab("#D55E00", "all colours")) > 30


def test_strategies_of_a_user_keep_their_colours_from_figure_to_figure() -> None:
    names = ["mine", "yours", "src"]
    assert plot.strategy_colours(names) == plot.strategy_colours(reversed(names)) == plot.strategy_colours(names * 2)
