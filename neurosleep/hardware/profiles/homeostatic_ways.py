"""How a chip can hold what homeostatic sleep changes: in registers of each neuron, or in rows of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from neurosleep._shown import brief
from neurosleep.errors import UnsupportedError, unknown_name
from neurosleep.hardware.profiles.profile import HardwareProfile

__all__ = ["WAYS", "HomeostaticWay", "WayName", "chosen_way", "homeostatic_ways"]

WayName: TypeAlias = Literal["registers", "weights"]
WAYS: tuple[str, ...] = get_args(WayName)


@dataclass(frozen=True)
class HomeostaticWay:
    """One way, and what of the chip is missing for it (nothing: it can), each by the key of the profile.

    ``registers``: threshold and bias of each neuron, weights stay. ``weights``: the row of weights of each neuron is
    written anew.

    See Also
    --------
    homeostatic_ways : makes both

    Examples
    --------
    >>> HomeostaticWay("registers", ()).able
    True
    """

    name: WayName
    missing: tuple[str, ...]

    __repr__ = brief

    @property
    def able(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing

    @property
    def text(self) -> str:
        """For tables."""
        return "yes" if self.able else "no: " + "; ".join(self.missing)


def homeostatic_ways(profile: HardwareProfile) -> tuple[HomeostaticWay, HomeostaticWay]:
    """Both ways on a chip, from what its profile states; the better one first.

    With a threshold of ``threshold / r`` and a bias of its own, a neuron does what it would do with its weights times r
    and its mean moved, to the precision of those registers, which is finer than that of weights.

    See Also
    --------
    regulate_on_chip : sleeps in one of them

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> [way.text for way in homeostatic_ways(load_profile("odin"))][0]
    'no: bias.supported: no register for the bias of a neuron'
    """
    return HomeostaticWay("registers", _without_registers(profile)), HomeostaticWay("weights", _without_rows(profile))


def chosen_way(profile: HardwareProfile, way: str | None) -> WayName:
    """``way`` if the chip has it, or the first that it has.

    Raises
    ------
    UnsupportedError
        If it has not, by the name of the missing register.

    See Also
    --------
    homeostatic_ways : what the choice is among

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> chosen_way(load_profile("loihi1"), None)
    'registers'
    """
    if way is not None and way not in WAYS:
        raise unknown_name("way of homeostasis on a chip", str(way), WAYS)
    ways = [one for one in homeostatic_ways(profile) if way in (None, one.name)]
    able = [one for one in ways if one.able]
    if not able:
        raise UnsupportedError(
            f"The chip {profile.id!r} cannot hold what homeostatic sleep changes"
            + (f" in {way}." if way is not None else "."),
            found="; ".join(f"{one.name}: {', '.join(one.missing)}" for one in ways),
            expected="a register for threshold and bias of each neuron, or a weight of its own for each synapse",
            hint="sleep off chip, and map the network then",
        )
    return able[0].name


def _without_registers(profile: HardwareProfile) -> tuple[str, ...]:
    if profile.floating:
        return ()
    missing = []
    if profile.threshold.mantissa_bits is None:
        missing.append("threshold.mantissa_bits: no register of a stated width for the threshold of a neuron")
    if profile.bias.supported is None:
        missing.append("bias.supported: whether a neuron has a bias is not stated")
    elif not profile.bias.supported:
        missing.append("bias.supported: no register for the bias of a neuron")
    elif profile.bias.mantissa_bits is None:
        missing.append("bias.mantissa_bits: no register of a stated width for the bias of a neuron")
    return tuple(missing)


def _without_rows(profile: HardwareProfile) -> tuple[str, ...]:
    weights = profile.weights
    if profile.floating:
        return ()
    if weights.sign_of_source:
        return ("weights.sign_scheme pre_neuron: a weight cannot change its sign, which is that of its source",)
    if weights.values_of_target or weights.clustered:
        return (f"weights.sign_scheme {weights.sign_scheme}: synapses of a neuron share their values",)
    if weights.bits is None:
        return ("weights.bits: no stored weight of a stated width",)
    return ()
