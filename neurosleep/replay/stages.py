"""The stages of a sleep: NREM, in which units regulate their drive, and REM, in which synapses change with spikes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from neurosleep._checks import check_count, check_number, check_unread
from neurosleep._shown import brief
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import (
    Homeostasis,
    InputNoise,
    MeanDrive,
    PlasticityRule,
    Process,
    SlowOscillation,
    SRCRule,
    StreamUpdates,
)
from neurosleep.replay._running_components import MOST
from neurosleep.replay.streams import Streams, check_streams

__all__ = ["FORMS", "NREM", "REM", "Form", "check_whole"]

Form = Literal["auto", "spikes", "rates"]
FORMS: tuple[str, ...] = get_args(Form)


def check_whole(key: str, values: tuple[int, ...] | None, least: int | None = None) -> None:
    """Refuse what is no list of integers that count tasks from 1, or from the last by negative ones."""
    for value in values or ():
        if isinstance(value, bool) or not isinstance(value, int) or value == 0 or value < (least or value):
            raise SettingsError(f"{key} holds {value!r}.", expected="integers, tasks counted from 1")
    if values is not None and not values:
        raise SettingsError(f"{key} is empty.", expected="at least one integer")


@dataclass(frozen=True)
class NREM:
    """The stage of slow oscillations: noise around the mean input, and every unit regulates its drive.

    It changes mean and spread of what each unit receives, by its weights and its bias
    (:class:`~neurosleep.functional.Homeostasis`), and needs neither labels nor stored examples.

    Parameters
    ----------
    rule:
        The homeostatic rule.
    form:
        ``"spikes"``: of the spiking network that the model is converted into; ``"rates"``: of the model itself, of any
        linear and convolutional layers and any activations; ``"auto"``: spikes wherever the network converts.
    oscillation:
        Of the form ``"spikes"``: number of up states, their length and that of the down states.
    draws:
        Of the form ``"rates"``: number of frames of noise.
    blobs:
        Size in pixels of the blobs that noise comes in (:class:`~neurosleep.functional.InputNoise`), for networks that
        take images ``[..., height, width]``, in the place of components; 0: no blobs.
    components:
        How many of the inputs' principal components, at most 32, noise goes along, where they are known: inputs then
        go together as the data do. 0: independent inputs.

    Notes
    -----
    Convolutions see edges everywhere in independent pixels. In small convolutional networks (one seed on the validation
    split) noise along components ended at 79.4 % on MNIST and 52.7 % on Fashion-MNIST, blobs of 2 pixels at 76.6 and
    49.4 %, independent pixels at 71.0 and 55.9 %.

    See Also
    --------
    REM : the other stage
    Sleep : what they make up

    Examples
    --------
    >>> from neurosleep.replay import NREM
    >>> NREM(form="rates", draws=500).draws
    500
    """

    rule: Homeostasis = field(default_factory=Homeostasis)
    form: Form = "auto"
    oscillation: SlowOscillation = field(default_factory=SlowOscillation)
    draws: int = 2000
    blobs: float = 0.0
    components: int = 10

    __repr__ = brief

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise unknown_name("form of NREM", str(self.form), FORMS)
        for key, kind in (("rule", Homeostasis), ("oscillation", SlowOscillation)):
            if not isinstance(getattr(self, key), kind):
                raise SettingsError(f"NREM.{key} is {getattr(self, key)!r:.60}.", expected=f"a {kind.__name__}")
        check_count("NREM.draws", self.draws, 2)
        object.__setattr__(self, "blobs", check_number("NREM.blobs", self.blobs, 0))
        check_count("NREM.components", self.components, 0, MOST)

    def of(self, noise: InputNoise) -> InputNoise:
        """``noise`` as this stage draws it."""
        along = None if self.blobs or noise.loadings is None else noise.loadings[: self.components]
        return replace(noise, blobs=self.blobs, loadings=along if along is not None and len(along) else None)


@dataclass(frozen=True)
class REM:
    """The stage in which noise around the mean input drives the network, and a rule changes its weights.

    Parameters
    ----------
    rule:
        Plasticity rule; the published one if not given.
    steps, growth, lengths:
        Steps of the sleep after task k (from 1): ``steps * (1 + growth * (k - 1))``, or ``lengths[k - 1]`` if given.
    max_rate, window, process:
        The drive (:class:`~neurosleep.functional.MeanDrive`).
    streams, stream_updates:
        How many streams of noise go through every step, and how their updates of a weight are taken together
        (:class:`Streams`). A step of b streams costs less than b steps.

    See Also
    --------
    NREM : the other stage
    Sleep : the sleep that it is a stage of

    Examples
    --------
    >>> from neurosleep import SRCRule
    >>> from neurosleep.replay import REM
    >>> stage = REM(rule=SRCRule(inc=0.01, dec=0.001), steps=6000)
    >>> [stage.steps_after(task) for task in range(3)]
    [6000, 8000, 10000]
    """

    rule: PlasticityRule = field(default_factory=lambda: SRCRule(0.032, 0.0033))
    steps: int = 15000
    growth: float = 1 / 3
    lengths: tuple[int, ...] | None = None
    max_rate: float = 239.515363
    window: int | None = None
    process: Process = "bernoulli"
    streams: int = field(default=1, metadata={"later": True})
    stream_updates: StreamUpdates = field(default="sum", metadata={"later": True})

    __repr__ = brief

    def __post_init__(self) -> None:
        check_whole("sleep.lengths", self.lengths, least=1)
        check_count("sleep.steps", self.steps)
        check_number("sleep.growth", self.growth, 0)
        check_number("sleep.max_rate, in Hz,", self.max_rate, 0)
        if self.window is not None:
            check_count("sleep.window, in pixels,", self.window)
        MeanDrive(np.zeros(1), self.max_rate, process=self.process)
        check_streams("sleep.", self.streams, self.stream_updates)
        if self.streams == 1:
            unread = {"stream_updates": (self.stream_updates, "sum")}
            check_unread("A sleep of one stream", unread, "streams=32 reads it")

    def steps_after(self, task: int) -> int:
        """Steps of the stage after task number ``task`` (from 0)."""
        if self.lengths is not None:
            return self.lengths[min(task, len(self.lengths) - 1)]
        return round(self.steps * (1 + self.growth * task))

    def drive(self, mean: NDArray[np.float64], shape: tuple[int, ...]) -> MeanDrive:
        """The drive on images of ``shape``, whose mean is ``mean``; refuses a window that does not fit."""
        image_shape = (int(shape[0]), int(shape[1])) if len(shape) == 2 else None
        return MeanDrive(mean, self.max_rate, self.window, image_shape, self.process)

    def noise(self, drive: MeanDrive) -> Streams:
        """The streams of ``drive``."""
        return Streams(drive, self.streams, self.stream_updates)
