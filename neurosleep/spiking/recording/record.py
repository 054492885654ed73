"""What to record of a simulation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurosleep._checks import check_count
from neurosleep._shown import brief
from neurosleep.errors import SettingsError, UnknownNameError, unknown_name

__all__ = ["Neurons", "Record", "Synapses"]

Neurons = Sequence[int] | npt.NDArray[np.integer[Any]]
Synapses = Sequence[tuple[int, int]] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Record:
    """What to record.

    Neurons are numbered from 0 in their population. Which populations and neurons there are is checked when a
    simulation or a sleep starts.

    Parameters
    ----------
    spikes:
        ``"all"`` keeps every spike, ``"counts"`` only the number per neuron, a tuple of population names keeps the
        spikes of those; a mapping says for each population ``"all"`` or the neurons whose spikes are kept.
    rates_every:
        Length in steps of the windows in which the spikes of each population are counted.
    groups:
        By population, named groups of neurons whose spikes are counted in these windows too, such as those that prefer
        one class: ``{"hidden1": {"class 0": [3, 17], "class 1": [5]}}``.
    potentials, potentials_every:
        By population ``"all"`` or the neurons whose membrane potentials are kept, after every so many steps.
    weights, weights_every:
        ``"statistics"`` keeps mean, standard deviation, range and change of every weight matrix after every so many
        steps; a mapping from projection (``"hidden1 -> output"``) to pairs (post, pre) keeps the weights of these
        synapses.
    folder:
        Where recorded spikes, potentials and weights are written while the simulation runs, as ``.npy`` files which
        are then read as needed, so that memory stays small however many there are; the folder must hold no other
        recording. :meth:`Recording.open` reads it again. Not given: they are kept in memory.

    See Also
    --------
    Recording : what comes of it
    neurosleep.analysis.selective_groups : groups of neurons

    Notes
    -----
    Potentials and weights can be seen only between stretches that an engine runs in one go, which are then as short as
    the steps between two looks: the numbers stay the same, to the bit, but the ``event`` engine loses speed when it is
    stopped every few steps, and each look at the statistics of the weights reads all of them.

    Examples
    --------
    >>> import neurosleep as ns
    >>> ns.Record(spikes="all", potentials={"hidden1": [0, 1]}, weights="statistics").weights_every
    1000
    """

    spikes: Literal["all", "counts"] | tuple[str, ...] | Mapping[str, Literal["all"] | Neurons] = "counts"
    rates_every: int = 500
    groups: Mapping[str, Mapping[str, Neurons]] = field(default_factory=dict)
    potentials: Mapping[str, Literal["all"] | Neurons] = field(default_factory=dict)
    potentials_every: int = 1
    weights: Literal["none", "statistics"] | Mapping[str, Synapses] = "none"
    weights_every: int = 1000
    folder: str | os.PathLike[str] | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        if isinstance(self.spikes, str) and self.spikes not in ("all", "counts"):
            raise UnknownNameError(
                f"There is no recording named {self.spikes!r}.",
                expected="one of: all, counts",
                hint=f"did you mean 'counts', or the spikes of a population of this name, spikes=({self.spikes!r},)?",
            )
        if isinstance(self.weights, str) and self.weights not in ("none", "statistics"):
            raise unknown_name("recording of weights", self.weights, ("none", "statistics"))
        if not isinstance(self.spikes, str | Mapping) and not (
            isinstance(self.spikes, Sequence) and all(isinstance(name, str) for name in self.spikes)
        ):
            raise SettingsError(
                f"spikes is {self.spikes!r}.",
                expected="'all', 'counts', names of populations, or neurons by population",
            )
        for key, inner in (("groups", "neurons by group, by population"), ("potentials", "neurons by population")):
            if not isinstance(getattr(self, key), Mapping):
                raise SettingsError(f"{key} is {getattr(self, key)!r}.", expected=f"a mapping: {inner}")
        if not all(isinstance(groups, Mapping) for groups in self.groups.values()):
            raise SettingsError(f"groups is {self.groups!r}.", expected="a mapping: neurons by group, by population")
        if not isinstance(self.weights, str | Mapping):
            raise SettingsError(
                f"weights is {self.weights!r}.", expected="'none', 'statistics', or pairs (post, pre) by projection"
            )
        for key in ("rates_every", "potentials_every", "weights_every"):
            check_count(key, getattr(self, key))

    @property
    def counts_only(self) -> bool:
        """Whether nothing but counts is kept, in memory."""
        return self.spikes == "counts" and not self.groups and not self.samples and self.folder is None

    @property
    def samples(self) -> bool:
        """Whether anything is to be looked at between steps: potentials or weights."""
        return bool(self.potentials) or self.weights != "none"
