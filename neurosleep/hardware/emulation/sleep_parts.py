"""Where each part of a sleep phase takes place: on the chip, or on the host beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from neurosleep._shown import brief
from neurosleep.hardware.profiles.profile import HardwareProfile

__all__ = ["SleepPart", "sleep_parts"]


@dataclass(frozen=True)
class SleepPart:
    """One part of a sleep phase, where it takes place, and how.

    See Also
    --------
    sleep_parts : makes them

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> from neurosleep.hardware import sleep_parts
    >>> part = sleep_parts(load_profile("loihi1"))[0]
    >>> part.part, part.where
    ('spikes of the inputs', 'chip')
    """

    part: str
    where: Literal["chip", "host", "not known"]
    how: str

    __repr__ = brief

    def to_json(self) -> dict[str, Any]:
        """Of plain names."""
        return asdict(self)


def sleep_parts(profile: HardwareProfile) -> list[SleepPart]:
    """What of a sleep (drive, neurons, rule, what follows) the chip does, by what its profile states.

    A chip whose learning engine cannot express the rule takes no part in a sleep: the network sleeps on the host, and
    is mapped afterwards.

    See Also
    --------
    chip_rule : the rule as the chip expresses it

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> from neurosleep.hardware import sleep_parts
    >>> [part.where for part in sleep_parts(load_profile("odin"))]  # a chip without a rule that could do it
    ['host', 'host', 'host', 'host', 'host']
    """
    parts = [_drive(profile), SleepPart("rates of the inputs, from the mean image", "host", "set before the sleep")]
    able, how = _rule(profile)
    if able:
        parts.append(SleepPart("neurons: integrate, fire, reset", "chip", _neurons(profile)))
        parts.append(SleepPart("change of weights after a postsynaptic spike", "chip", how))
        parts.append(SleepPart("weight factor", *_factor(profile)))
        parts.append(SleepPart("rounding of changed weights", "chip", _rounding(profile)))
    else:
        parts.append(SleepPart("neurons and change of weights", "host", how))
    parts.append(SleepPart("scales of layers and thresholds before the sleep", "host", "largest activities are needed"))
    parts.append(SleepPart("reading the weights back, waking and evaluation", "host", "after the sleep"))
    return parts


def _drive(profile: HardwareProfile) -> SleepPart:
    part = "spikes of the inputs"
    noise = profile.noise
    on_chip = None if noise is None else noise.on_chip
    if on_chip is None:
        return SleepPart(part, "not known", "whether there is a generator is not stated; from outside otherwise")
    if on_chip:
        return SleepPart(part, "chip", "by its generators of noise; the emulation here sends drawn spikes in")
    return SleepPart(part, "host", "sent in as events")


def _rule(profile: HardwareProfile) -> tuple[bool, str]:
    if profile.floating:
        return True, "any rule"
    unseen = (
        "; not emulated here, since potentials are analogue or of unpublished width" if profile.real_potentials else ""
    )
    return {
        "sum_of_products": (True, "two products with the postsynaptic spike: of the input's trace, and of a constant"),
        "programmable": (True, f"any function of the weight and the spikes of both sides{unseen}"),
        "fixed_rule": (False, "the chip's one rule is another; its weights are written after the sleep"),
        "last_layer": (False, "only the last layer learns on the chip"),
        "none": (False, "the chip changes no weights; they are written after the sleep"),
    }.get(str(profile.learning.class_), (False, "the profile states no learning engine"))


def _neurons(profile: HardwareProfile) -> str:
    latency = profile.delay.latency_steps or 0
    return "in its own arithmetic" + (f", spikes between layers {latency} step later" if latency else "")


def _factor(profile: HardwareProfile) -> tuple[Literal["chip", "host", "not known"], str]:
    if profile.floating or profile.learning.class_ == "programmable":
        return "chip", "steep, logistic or constant"
    if profile.learning.weight_sign_factor:
        return "chip", "the steep one as its limit 1 - sgn(w), or constant; no logistic one"
    return "chip", "constant only"


def _rounding(profile: HardwareProfile) -> str:
    if profile.floating:
        return "none"
    rounding = profile.learning.update_rounding
    if rounding is None:
        return "not stated: chosen by the user"
    return "stochastically: small steps are kept on average" if rounding == "stochastic" else rounding.replace("_", " ")
