"""What every engine offers, and the registry they are chosen from."""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurosleep._checks import check_count, check_device
from neurosleep.errors import SettingsError, UnsupportedError, unknown_name
from neurosleep.functional import (
    STREAM_UPDATES,
    EngineRule,
    PlasticityRule,
    SpikeEvents,
    StreamRule,
    StreamUpdates,
)
from neurosleep.spiking.engines.batch import BatchSession
from neurosleep.spiking.network import SpikingNetwork
from neurosleep.spiking.projections import Projection, Transposed

__all__ = [
    "Engine",
    "Session",
    "check_inputs",
    "check_supported",
    "engine_names",
    "fastest_engine",
    "get_engine",
    "register_engine",
]

# Neurons are numbered by int32.
_MOST_NEURONS = 2**31 - 1


class Session(ABC):
    """One network being stepped: its membranes, traces and weights between chunks of input.

    See Also
    --------
    Engine : whose ``start`` makes it

    Examples
    --------
    >>> import torch
    >>> import neurosleep as ns
    >>> from neurosleep.spiking import get_engine
    >>> network = ns.convert(torch.nn.Sequential(torch.nn.Linear(4, 2)), torch.rand(20, 4), read_out="spikes")
    >>> session = get_engine("reference").start(network)
    >>> spikes = session.run({"input": ns.SpikeEvents.from_dense(torch.rand(10, 4) < 0.5)})
    >>> spikes["output"].steps
    10
    """

    @abstractmethod
    def run(self, inputs: Mapping[str, SpikeEvents]) -> dict[str, SpikeEvents]:
        """Advance by the steps of ``inputs`` (by input population); return the spikes of every population.

        Raises
        ------
        SettingsError
            If they are not the events of all input populations, over the same steps (:func:`check_inputs`).
        """

    @abstractmethod
    def weights(self) -> list[Tensor]:
        """The present weights ``[post, pre]``, in the order of the network's own."""

    def weights_at(self, number: int, post: NDArray[np.int64], pre: NDArray[np.int64]) -> Tensor:
        """Some of the present weights, ``[k]``: those from ``pre`` to ``post`` of entry ``number`` of :meth:`weights`.

        An engine may have a way that does not copy them all.
        """
        return self.weights()[number][torch.from_numpy(post), torch.from_numpy(pre)]

    def outliers(self, bound: float) -> list[int]:
        """Numbers, in the order of :meth:`weights`, of those that hold a value beyond ``bound``, or not a finite one.

        What has not changed since it was last asked with the same bound, and was fine, need not be looked at again.
        """
        numbers = []
        for number, weight in enumerate(self.weights()):
            if weight.numel() == 0:
                continue
            # One pass, which passes NaN on.
            low, high = (float(value) for value in torch.aminmax(weight))
            if not (math.isfinite(low) and math.isfinite(high) and max(-low, high) <= bound):
                numbers.append(number)
        return numbers

    @abstractmethod
    def membranes(self) -> dict[str, Tensor]:
        """The present membrane potentials ``[n]``, by population."""


class Engine(ABC):
    """A way to step a :class:`SpikingNetwork` under the step contract; stateless, makes sessions.

    See Also
    --------
    get_engine : one by its name
    register_engine : adds one

    Examples
    --------
    >>> from neurosleep.spiking import Engine, get_engine
    >>> engine: Engine = get_engine("reference")
    >>> engine.name, sorted(engine.devices)
    ('reference', ['cpu', 'cuda'])
    """

    name: ClassVar[str]
    #: Kinds of devices of torch that it computes on.
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    population_kinds: ClassVar[frozenset[str]]
    #: Classes of :class:`~neurosleep.spiking.Projection` that it computes; that one itself stands for all of them.
    projection_types: ClassVar[frozenset[type[Projection]]]
    rules: ClassVar[frozenset[str]]
    #: Rules that may change a shared weight from the side of a transposed projection too.
    symmetric_rules: ClassVar[frozenset[str]] = frozenset()
    #: When a soft reset may happen (:attr:`~neurosleep.spiking.Population.reset_time`).
    reset_times: ClassVar[frozenset[str]] = frozenset({"same"})
    #: Whether an ``li`` population may have a synaptic current.
    synaptic_integrators: ClassVar[bool] = False
    #: Whether it steps batches of independent inputs.
    batches: ClassVar[bool] = False
    #: Whether an input of a batch may send several spikes in a step.
    spike_counts: ClassVar[bool] = False
    #: Whether it steps several streams of noise that share the weights and change them together.
    streams: ClassVar[bool] = False
    #: What may change between two batches in homeostatic sleep: ``"weights"`` (rows of them, with biases), and
    #: ``"registers"`` of neurons for thresholds and biases, in a chip's arithmetic. Nothing: it is not for that sleep.
    homeostasis: ClassVar[frozenset[str]] = frozenset()
    #: Whether it steps networks as they are, and not only those that were made for it; only such an engine is named to
    #: those whose network another one refuses.
    general: ClassVar[bool] = True

    def start(
        self, network: SpikingNetwork, rule: PlasticityRule | EngineRule | None = None, *, device: str = "cpu"
    ) -> Session:
        """A session that starts at rest; ``rule`` None simulates without plasticity.

        Raises
        ------
        UnsupportedError
            If the network or the rule holds anything that this engine does not offer, or it does not compute on the
            device, by name.
        """
        self._check_single(network, rule, device)
        with torch.no_grad():
            if rule is None or isinstance(rule, PlasticityRule):
                return self._start(network, rule, device)
            return self._start_own(network, rule, device)

    def start_batch(self, network: SpikingNetwork, batch: int, *, device: str = "cpu") -> BatchSession:
        """A session without plasticity that steps ``batch`` independent inputs at once.

        Raises
        ------
        SettingsError
            If the batch is empty.
        UnsupportedError
            If the engine steps no batches, or not such a network, by name.
        """
        self._check_batch(network, device)
        if batch < 1:
            raise SettingsError(f"The batch size is {batch!r}.", expected="at least 1")
        with torch.no_grad():
            return self._start_batch(network, batch, device)

    def start_streams(
        self,
        network: SpikingNetwork,
        rule: PlasticityRule | EngineRule | None,
        streams: int,
        updates: StreamUpdates = "sum",
        *,
        device: str = "cpu",
    ) -> Session:
        """A session of ``streams`` copies of the state of ``network``, whose weights they share and change together.

        What goes in, and what comes back, are events of all streams side by side: neuron k of stream s of a population
        of n is number ``s * n + k``. Potentials are ``[streams * n]`` too. ``updates`` is how the changes of streams
        that fire in one step are taken together.

        Raises
        ------
        UnsupportedError
            If the engine steps no streams, or not such a network, or the rule is for one stream only, by name.
        """
        self.check_streams(network, rule, streams, updates, device=device)
        if streams == 1:
            return self.start(network, rule, device=device)
        assert rule is None or isinstance(rule, StreamRule)
        with torch.no_grad():
            return self._start_streams(network, rule, streams, updates, device)

    def check_streams(
        self,
        network: SpikingNetwork,
        rule: PlasticityRule | EngineRule | None,
        streams: int,
        updates: StreamUpdates,
        *,
        device: str = "cpu",
    ) -> None:
        """Refuse by name what :meth:`start_streams` would, before any work."""
        check_count("The number of streams", streams)
        if updates not in STREAM_UPDATES:
            raise unknown_name("way to take updates of streams together", str(updates), STREAM_UPDATES)
        self._check_single(network, rule, device)
        if streams == 1:
            return
        self._check_streams(network, rule)
        widest = max(p.size for p in network.populations)
        if widest * streams > _MOST_NEURONS:
            raise SettingsError(
                f"{streams} streams of a population of {widest} neurons are too many.",
                expected=f"streams times neurons at most {_MOST_NEURONS}",
            )

    def offers(
        self, network: SpikingNetwork, device: str = "cpu", rule: PlasticityRule | EngineRule | None = None
    ) -> bool:
        """Whether :meth:`start` would take ``network`` with ``rule``."""
        try:
            self._check_single(network, rule, device)
        except UnsupportedError:
            return False
        return True

    def offers_batches(self, network: SpikingNetwork, device: str = "cpu") -> bool:
        """Whether :meth:`start_batch` would take ``network``."""
        try:
            self._check_batch(network, device)
        except UnsupportedError:
            return False
        return True

    def check_homeostasis(self) -> None:
        """Refuse by name an engine by which a network, as it is, cannot sleep in homeostasis.

        Raises
        ------
        UnsupportedError
            If the engine declares none, or only that of networks on a chip.
        """
        if not (self.homeostasis and self.general):
            does = "steps homeostatic sleep of networks on a chip only"
            raise UnsupportedError(
                f"The engine {self.name!r} {does if self.homeostasis else 'does not step homeostatic sleep'}.",
                expected="one of: " + ", ".join(_able(lambda other: bool(other.homeostasis) and other.general)),
                hint="neurosleep.hardware.regulate_on_chip has it" if self.homeostasis else "engine=None",
            )

    def _check_single(self, network: SpikingNetwork, rule: PlasticityRule | EngineRule | None, device: str) -> None:
        """Refuse by name what :meth:`start` cannot step."""
        self._check_device(device)
        check_supported(self, network, rule)

    def _check_batch(self, network: SpikingNetwork, device: str) -> None:
        """Refuse by name what :meth:`start_batch` cannot step."""
        if not self.batches:
            raise UnsupportedError(
                f"The engine {self.name!r} steps no batches.",
                expected="one of: " + ", ".join(_able(lambda other: other.batches)),
                hint="engine='reference'",
            )
        self._check_device(device)
        check_supported(self, network, None)

    def _check_streams(self, network: SpikingNetwork, rule: PlasticityRule | EngineRule | None) -> None:
        """Refuse by name what :meth:`start_streams` cannot step."""
        if not self.streams:
            raise UnsupportedError(
                f"The engine {self.name!r} steps one stream of noise.",
                expected="streams=1, or one of the engines: " + ", ".join(_able(lambda other: other.streams)),
            )
        if rule is not None and not isinstance(rule, StreamRule):
            raise UnsupportedError(
                f"The rule {rule.name!r} does not say how several streams of noise change a weight together.",
                expected="streams=1, or the rule 'src'",
                hint="a rule of your own says it in a method step_streams_",
            )

    def _check_device(self, device: str) -> None:
        wanted = check_device(device)
        if wanted.type not in self.devices:
            able = _able(lambda other: wanted.type in other.devices)
            raise UnsupportedError(
                f"The engine {self.name!r} does not compute on the device {str(wanted)!r}.",
                expected="one of: " + ", ".join(sorted(self.devices)),
                hint=f"engines that can: {', '.join(able)}" if able else "device='cpu'",
            )

    @abstractmethod
    def _start(self, network: SpikingNetwork, rule: PlasticityRule | None, device: str) -> Session: ...

    def _start_own(self, network: SpikingNetwork, rule: EngineRule, device: str) -> Session:
        raise UnsupportedError(
            f"The engine {self.name!r} cannot apply the rule {rule.name!r}: it changes weights that are integers.",
            expected=f"engine={rule.engine!r}, with a network that neurosleep.map_to made",
        )

    def _start_batch(self, network: SpikingNetwork, batch: int, device: str) -> BatchSession:
        raise TypeError("an engine that steps batches must say how")

    def _start_streams(
        self,
        network: SpikingNetwork,
        rule: StreamRule | None,
        streams: int,
        updates: StreamUpdates,
        device: str,
    ) -> Session:
        raise TypeError("an engine that steps streams must say how")


def _computes(engine: Engine | type[Engine], projection: Projection) -> bool:
    return isinstance(projection, tuple(engine.projection_types))


def check_supported(engine: Engine, network: SpikingNetwork, rule: PlasticityRule | EngineRule | None) -> None:
    """Refuse by name what ``engine`` does not offer, and rules that are none for the network's weights."""
    if rule is not None:
        network.check_rule(rule)

    def others(kinds: str, kind: str) -> str:
        able = _able(lambda other: kind in getattr(other, kinds))
        return f"engines that can: {', '.join(able)}" if able else "no engine can, so far"

    for population in network.populations:
        if population.kind not in engine.population_kinds:
            raise UnsupportedError(
                f"The engine {engine.name!r} cannot step population {population.name!r} of kind {population.kind!r}.",
                expected="one of: " + ", ".join(sorted(engine.population_kinds)),
                hint=others("population_kinds", population.kind),
            )
        synaptic = population.kind == "li" and bool(torch.as_tensor(population.synaptic_decay).any())
        if synaptic and not engine.synaptic_integrators:
            able = _able(lambda other: other.synaptic_integrators)
            raise UnsupportedError(
                f"The engine {engine.name!r} cannot step population {population.name!r}: it integrates (li) a synaptic "
                "current.",
                expected="synaptic_decay 0 for populations of kind 'li'",
                hint=f"engines that can: {', '.join(able)}",
            )
        if population.reset_time not in engine.reset_times:
            raise UnsupportedError(
                f"The engine {engine.name!r} cannot step population {population.name!r} with reset_time "
                f"{population.reset_time!r}.",
                expected="one of: " + ", ".join(sorted(engine.reset_times)),
                hint=others("reset_times", population.reset_time),
            )
    for projection in network.projections:
        where = f"projection {projection.source!r} -> {projection.target!r}"
        if not _computes(engine, projection):
            able = _able(partial(_computes, projection=projection))
            raise UnsupportedError(
                f"The engine {engine.name!r} cannot compute {where}, of class {type(projection).__name__}.",
                expected="one of: " + ", ".join(sorted(kind.__name__ for kind in engine.projection_types)),
                hint=f"engines that can: {', '.join(able)}" if able else "no engine can, so far",
            )
        symmetric = engine.symmetric_rules
        feeds_back = isinstance(projection, Transposed) and projection.symmetric_rule
        if feeds_back and rule is not None and rule.name not in symmetric and "*" not in symmetric:
            raise UnsupportedError(
                f"The engine {engine.name!r} does not offer the rule {rule.name!r} as symmetric_rule of {where}.",
                expected="one of: " + ", ".join(sorted(symmetric)) if symmetric else "symmetric_rule=False",
                hint="--engine reference applies any rule from both sides",
            )
    if rule is not None and rule.name not in engine.rules and "*" not in engine.rules:
        raise UnsupportedError(
            f"The engine {engine.name!r} does not offer the plasticity rule {rule.name!r}.",
            expected="one of: " + ", ".join(sorted(engine.rules)),
            hint="--engine reference runs any rule that has a step_ method",
        )


def check_inputs(network: SpikingNetwork, inputs: Mapping[str, SpikeEvents], streams: int = 1) -> int:
    """The number of steps of ``inputs``, or an error if these are not what the input populations can send."""
    sizes = {n: e.n if isinstance(e, SpikeEvents) else type(e).__name__ for n, e in inputs.items()}
    expected = {p.name: p.size * streams for p in network.inputs}
    if sizes != expected:
        raise SettingsError(
            "The inputs do not fit the network.", found=f"{sizes!r:.200}", expected=f"inputs {expected} (name: neurons)"
        )
    lengths = {events.steps for events in inputs.values()}
    if len(lengths) != 1:
        raise SettingsError(
            "The inputs are of different lengths, or there are none.",
            found=f"{sorted(lengths)} steps",
            expected="events of one input population or more, over the same steps",
        )
    return lengths.pop()


_ENGINES: dict[str, type[Engine]] = {}
# Engines of other rooms, which register themselves when they are imported: that takes place when one is asked for.
_ELSEWHERE = {"fixed": "neurosleep.hardware.emulation.fixed_engine"}


def _able(offers: Callable[[type[Engine]], bool]) -> list[str]:
    """Names of the engines for any network that offer something."""
    return [name for name, engine in sorted(_ENGINES.items()) if engine.general and offers(engine)]


def register_engine(engine: type[Engine]) -> type[Engine]:
    """Add an engine class to the registry under its ``name`` (usable as a decorator).

    See Also
    --------
    Engine : what an engine is
    engine_names : all that are registered

    Examples
    --------
    >>> from neurosleep.spiking import Engine, register_engine
    >>> @register_engine  # doctest: +SKIP
    ... class Mine(Engine):
    ...     name = "mine"
    """
    _ENGINES[engine.name] = engine
    return engine


def engine_names() -> tuple[str, ...]:
    """All engines there are.

    See Also
    --------
    get_engine : one of them
    register_engine : adds one

    Examples
    --------
    >>> from neurosleep.spiking import engine_names
    >>> "event" in engine_names()
    True
    """
    return tuple(sorted({*_ENGINES, *_ELSEWHERE}))


def fastest_engine(network: SpikingNetwork, device: str = "cpu", *, batch: bool = False) -> Engine:
    """What steps ``network`` where none is named: ``event`` on the CPU, ``torch`` on CUDA, else ``reference``.

    See Also
    --------
    get_engine : one by its name

    Examples
    --------
    >>> import torch
    >>> from neurosleep.spiking import Dense, Population, SpikingNetwork, fastest_engine
    >>> populations = (Population("input", "input", (2,)), Population("output", "lif", (1,)))
    >>> fastest_engine(SpikingNetwork(populations, (Dense("input", "output", torch.ones(1, 2)),))).name
    'event'
    """
    chosen = get_engine("torch" if check_device(device).type == "cuda" else "event")
    able = chosen.offers_batches(network, device) if batch else chosen.offers(network, device)
    return chosen if able else get_engine("reference")


def get_engine(name: str) -> Engine:
    """The engine ``name``; an unknown one raises :class:`~neurosleep.errors.UnknownNameError`.

    See Also
    --------
    engine_names : the names

    Examples
    --------
    >>> from neurosleep.spiking import get_engine
    >>> get_engine("event").name
    'event'
    """
    if name not in _ENGINES and name in _ELSEWHERE:
        importlib.import_module(_ELSEWHERE[name])
    if name not in _ENGINES:
        raise unknown_name("engine", name, engine_names())
    return _ENGINES[name]()
