"""A network in the integers of a chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep._shown import brief
from neurosleep.errors import UnsupportedError
from neurosleep.functional import EngineRule, PlasticityRule
from neurosleep.hardware.arithmetic.arithmetic import Arithmetic
from neurosleep.hardware.arithmetic.weight_grid import WeightGrid
from neurosleep.hardware.report import MappingFinding, MappingReport
from neurosleep.spiking import Pool, SpikingNetwork
from neurosleep.spiking.projections import Weighted

__all__ = ["MappedNetwork", "MappedSynapses", "check_whole"]


@dataclass(frozen=True)
class MappedSynapses:
    r"""What the integers of one projection stand for: :math:`W' = u \, m`, and :math:`m u \approx S \alpha W`.

    Parameters
    ----------
    scale:
        S, what a unit of the target's membrane is in the chip's units.
    alpha:
        The projection's own scale in the network that was mapped.
    grid:
        The mantissas m that the chip has for it.
    unit:
        u, what a mantissa of 1 is worth where it reaches a neuron.

    See Also
    --------
    MappedNetwork : whose synapses they are

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> synapses = ns.map_to(network, "generic_int8").synapses[0]
    >>> synapses.grid.low, synapses.grid.high
    (-127, 127)
    """

    scale: float
    alpha: float
    grid: WeightGrid
    unit: int

    __repr__ = brief

    @property
    def lsb(self) -> float:
        """The smallest change of a stored weight, in units of the network's weights."""
        return self.grid.step * self.unit / (self.scale * self.alpha)

    def weights(self, whole: Tensor) -> Tensor:
        """The network's weights that the chip's ``whole`` numbers stand for."""
        return whole / (self.scale * self.alpha)


_BY_HAND = MappingReport(
    "", (), None, (MappingFinding("error", "", "made by hand and not by map_to: whether it fits is not known"),), {}
)


@dataclass(frozen=True, eq=False, repr=False)
class MappedNetwork(SpikingNetwork):
    """A :class:`~neurosleep.spiking.SpikingNetwork` whose numbers are those of a chip; ``map_to`` makes it.

    Weights, thresholds, biases and reset values are integers, kept in float64, which holds them exactly; decays
    are the chip's integers over their denominator, as factors, which float64 holds exactly too. So it is a spiking
    network like any other, that every engine can step in real numbers. What a spiking network does not know of stands
    beside it: the widths of registers and the rounding of decays, which the engine ``fixed`` obeys.

    Parameters
    ----------
    arithmetic:
        None: floating point; there is then nothing to add to the step contract.
    profile:
        Name of the chip's profile.
    synapses:
        What the numbers of each projection stand for, in the order of ``projections``; None for one without weights of
        its own. Empty if the network was not made by ``map_to``, or in floating point.
    leaks:
        By population, what is taken away from potentials in every step, toward 0, on chips whose decay is such a
        constant: an integer, or one for each neuron; left out, nothing. The population's ``decay`` is then the
        factor that it stands for, which engines other than ``fixed`` use.
    report:
        What was changed, how well it fits, and what does not; of a network made by hand, that nothing is known of it.

    See Also
    --------
    neurosleep.map_to : makes it
    from_chip : brings its weights back

    Notes
    -----
    One thing is read otherwise by the engine ``fixed`` than by the step contract: a chip adds the bias to the membrane,
    where the contract adds that of a ``cuba_lif`` population (and of ``li`` with a synaptic current) to the current.
    Without a synaptic current it is the same. ``map_to`` says so in its report where it is not.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> mapped = ns.map_to(network, "generic_int8")
    >>> mapped.report.fits, mapped.weights[0].equal(mapped.weights[0].round())
    (True, True)
    """

    __repr__ = SpikingNetwork.__repr__
    real_valued: ClassVar[bool] = False

    arithmetic: Arithmetic | None = field(default=None, kw_only=True)
    profile: str = field(default="", kw_only=True)
    synapses: tuple[MappedSynapses | None, ...] = field(default=(), kw_only=True)
    leaks: Mapping[str, Tensor] = field(default_factory=dict, kw_only=True)
    report: MappingReport = field(default=_BY_HAND, kw_only=True)

    def plain(self) -> SpikingNetwork:
        """The same populations and projections, without the arithmetic."""
        return SpikingNetwork(self.populations, self.projections, self.dt, self.discretisation)

    def check_rule(self, rule: PlasticityRule | EngineRule) -> None:
        """Refuse a rule whose steps are real numbers, unless those of the network are too."""
        if self.arithmetic is not None and isinstance(rule, PlasticityRule):
            raise UnsupportedError(
                f"The network was mapped to {self.profile!r}: the plasticity rule {rule.name!r} changes weights by "
                "real numbers.",
                expected="a rule in the integer arithmetic of the chip, and engine='fixed'",
                hint=f"rule=neurosleep.hardware.chip_rule({self.profile!r}, rule); "
                "network.plain() sleeps in any engine",
            )

    @property
    def _title(self) -> str:
        return f"MappedNetwork on {self.profile}" if self.profile else "MappedNetwork"


def _whole(value: float | Tensor) -> bool:
    tensor = torch.as_tensor(value, dtype=torch.float64)
    return bool((tensor == torch.round(tensor)).all())


def check_whole(network: MappedNetwork, arithmetic: Arithmetic) -> None:
    """Check that all are integers, and all decays those of the chip.

    Raises
    ------
    UnsupportedError
        For example after a sleep in another engine, which changes weights by real numbers.
    """
    hint = f"map the network again: neurosleep.map_to(network, {network.profile!r})"
    for projection in network.projections:
        where = f"Projection {projection.source!r} -> {projection.target!r}"
        average = isinstance(projection, Pool) and projection.mode != "sum"
        weight = projection.weight if isinstance(projection, Weighted) else 0.0
        if not _whole(projection.scale) or not _whole(weight) or average:
            raise UnsupportedError(
                f"{where}: it does not carry integers only.",
                found="average pooling" if average else None,
                expected="integers, as the chip's arithmetic has them",
                hint=hint,
            )
    for name, leak in network.leaks.items():
        if arithmetic.decay != "subtract" or not _whole(leak) or bool((leak < 0).any()):
            raise UnsupportedError(
                f"Population {name!r}: its leak takes away no integer of at least 0, or the chip has none.",
                expected="integers, on a chip whose decay is 'subtract'",
                hint=hint,
            )
    for population in network.layers:
        parts = {key: getattr(population, key) for key in ("reset_value", "bias", "leak", "amount")}
        if population.kind in ("lif", "cuba_lif"):
            parts["threshold"] = population.threshold
        for key, value in parts.items():
            if value is not None and (not _whole(value) or (key == "leak" and bool(torch.as_tensor(value).any()))):
                raise UnsupportedError(
                    f"Population {population.name!r}: its {key} is {'not an integer' if key != 'leak' else 'not 0'}.",
                    expected="integers, and a leak of 0",
                    hint=hint,
                )
        for key in ("decay", "synaptic_decay"):
            factor = torch.as_tensor(getattr(population, key), dtype=torch.float64)
            missing = ~arithmetic.offers(factor)
            if key == "synaptic_decay" and arithmetic.current is None:
                missing = factor != 0
            if missing.any():
                raise UnsupportedError(
                    f"Population {population.name!r}: {key} {float(factor[missing].reshape(-1)[0])!r} is none of the "
                    "chip's.",
                    expected="no synaptic current"
                    if key == "synaptic_decay" and arithmetic.current is None
                    else f"a multiple of 1/{arithmetic.denominator}"
                    if arithmetic.decay == "integer"
                    else "1 less a power of two"
                    if arithmetic.decay == "shift"
                    else "1",
                    hint=hint,
                )
