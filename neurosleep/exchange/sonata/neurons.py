"""A population as neurons of NEST's model ``iaf_psc_delta``, by which SONATA files name point neurons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurosleep.errors import UnsupportedError
from neurosleep.spiking import Population

__all__ = ["check_neurons", "dynamics", "start"]

# Time constant, in steps, of a neuron that does not leak: the model needs one, and with this the decay of a step is
# 1 - 2^-50, no further from 1 than sums of weights are from exact, and what a current adds is exact.
_NO_LEAK = 2.0**50

Values = float | NDArray[np.float64]


def check_neurons(population: Population, lag: int) -> None:
    """Refuse what the model does not do, by the name of the population."""
    where, hint = f"Population {population.name!r}", "write_nir(network, path) writes more of it"
    if population.kind not in ("input", "lif"):
        raise UnsupportedError(
            f"{where} is of kind {population.kind!r}.", expected="populations of kind 'input' and 'lif'", hint=hint
        )
    if population.kind == "input":
        return
    threshold, reset, decay, leak = (_array(population, key) for key in ("threshold", "reset_value", "decay", "leak"))
    for wrong, found, expected in (
        (population.reset != "to_value", f"reset {population.reset!r}", "reset 'to_value'"),
        (population.compare != ">=", f"compare {population.compare!r}", "compare '>='"),
        (
            population.refractory > 0 and population.while_refractory != "hold",
            f"while_refractory {population.while_refractory!r}",
            "while_refractory 'hold'",
        ),
        (bool((reset >= threshold).any()), "a reset at or above its threshold", "reset_value below the threshold"),
        (bool((decay <= 0).any()), "a decay of 0", "decay above 0"),
        (bool((leak >= threshold).any()) and lag > 0, "a leak at or above its threshold", "a leak below the threshold"),
    ):
        if wrong:
            raise UnsupportedError(f"{where} has {found}.", found="NEST's iaf_psc_delta", expected=expected, hint=hint)


def dynamics(population: Population, dt: float, lag: int) -> dict[str, Values]:
    """Parameters in mV, ms, pF and pA: a unit of potential is a mV; a number, or one for each neuron.

    The model integrates exactly: in a step of h ms the potential decays by exp(-h / tau_m), a current adds
    (1 - exp(-h / tau_m)) tau_m / C_m times itself, and a spike its weight. The population starts ``lag`` steps before
    its first step here (:func:`start`).
    """
    step, decay = 1000 * dt, _array(population, "decay")
    leaky = decay < 1
    tau = np.where(leaky, -step / np.log(np.where(leaky, decay, 0.5)), _NO_LEAK * step)
    gain = (1 - np.exp(-step / tau)) * tau
    return {
        "C_m": 1.0,
        "E_L": _values(population, "leak"),
        "I_e": _plain(_array(population, "bias") / gain),
        "V_m": _plain(_array(population, "leak") + start(population, lag)[0]),
        "V_reset": _values(population, "reset_value"),
        "V_th": _values(population, "threshold"),
        "t_ref": population.refractory * step,
        "tau_m": _plain(tau),
    }


def start(population: Population, lag: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What brings potentials to rest after ``lag`` steps of bias alone, without a spike; one each, or for all.

    Returns
    -------
    How far from their leak they start, and, where a bias far below 0 would have them start so high that they fire, what
    is added in the last of these steps instead.
    """
    decay, bias = _array(population, "decay"), _array(population, "bias")
    room = _array(population, "threshold") - _array(population, "leak")
    with np.errstate(over="ignore", invalid="ignore"):
        before = np.cumsum([-bias * decay**-k for k in range(1, lag + 1)], axis=0)
    if not lag:
        return np.zeros_like(bias), np.zeros_like(bias)
    fine = np.isfinite(before[-1]) & (before[:-1] < room).all(0)
    drift = bias * np.sum([decay**k for k in range(lag)], axis=0)
    return np.where(fine, before[-1], 0.0), np.where(fine, 0.0, -drift)


def _array(population: Population, key: str) -> NDArray[np.float64]:
    return np.asarray(getattr(population, key), dtype=np.float64)


def _values(population: Population, key: str) -> Values:
    return _plain(_array(population, key))


def _plain(values: NDArray[np.float64]) -> Values:
    return values if values.ndim else float(values)
