"""The homeostatic rule in rates: any trained module is driven by noise, and every unit regulates its drive.

The limit of what a spiking network does by itself in slow oscillations, the oracle of that form, and the form for
networks that have no spiking counterpart.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep._checks import check_count, check_device, check_unread, device_of
from neurosleep._progress import ShowProgress, shows_progress
from neurosleep.conversion import copied
from neurosleep.errors import DataError, NeurosleepError, SettingsError, UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, SetPoint, check_seed
from neurosleep.networks import EquilibriumMLP, EquilibriumNetwork
from neurosleep.replay._drives import Trace, trace_drives
from neurosleep.replay._regulation import run_over
from neurosleep.replay.regulated_layers import RegulatedLayer, RegulatedLayers
from neurosleep.replay.settled_homeostasis import check_settled_rule, regulate_settled, regulated_names

__all__ = ["RegulatedLayer", "Regulation", "regulate"]

# Numbers in the largest tensor of a block of frames: more frames than that allows go through the network in blocks.
_LARGEST = 2**25


@dataclass(frozen=True, eq=False, repr=False)
class Regulation(RegulatedLayers):
    """The outcome of :func:`regulate`.

    Attributes
    ----------
    model:
        The regulated network; the given one is untouched.
    layers:
        What each layer of units did, in the order of execution.
    notes:
        Which layers stay as they are, and why.

    See Also
    --------
    regulate : which makes it

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
    >>> done = regulate(model, InputNoise([0.5, 0.5]), draws=200)
    >>> done
    <Regulation: 7 units in 2 layers (0, 2)>
    >>> done.apply_to(model)
    """

    model: nn.Module
    notes: tuple[str, ...]
    _changed: tuple[str, ...]

    def apply_to(self, model: nn.Module) -> None:
        """Give ``model``, of the same structure, the regulated weights in place: its optimiser stays valid."""
        mine, theirs = dict(self.model.named_parameters()), dict(model.named_parameters())
        for name in self._changed:
            if name not in theirs or theirs[name].shape != mine[name].shape:
                found = f"of shape {tuple(theirs[name].shape)}" if name in theirs else "missing"
                raise SettingsError(
                    f"The parameter {name!r} of the model is {found}.",
                    expected=f"the network that was regulated, with {tuple(mine[name].shape)}",
                )
        with torch.no_grad():
            for name in self._changed:
                theirs[name].copy_(mine[name])


@shows_progress
def regulate(
    model: nn.Module,
    noise: InputNoise,
    rule: Homeostasis | None = None,
    *,
    set_points: Mapping[str, SetPoint] | None = None,
    draws: int = 2000,
    seed: int = 0,
    task: int = 0,
    device: str | None = None,
    progress: ShowProgress = False,
) -> Regulation:
    r"""Let every unit of ``model`` set mean and spread of its drive under noise; a new network comes back.

    Parameters
    ----------
    model:
        Any module whose linear and convolutional layers run once in a forward pass, one input to the next in the same
        order, or an :class:`~neurosleep.networks.EquilibriumMLP`, whose drives are those at its fixed point. Frozen
        layers (``requires_grad=False``) stay as they are, as does all that is neither; the notes name it. Layers with
        batch or layer normalisation behind them change in its weight and bias.
    noise:
        What drives it, of the shape of one input.
    rule:
        The homeostatic rule; :class:`~neurosleep.functional.Homeostasis` with its defaults if not given.
    set_points:
        With the target ``"set-points"``, those of the first sleep, by layer (:attr:`Regulation.set_points`); layers
        that are not named take their present averages.
    draws:
        Frames of noise; at least 2.
    seed, task:
        Key of the stream of noise.
    device:
        Where it is computed, ``"cpu"`` or ``"cuda"``; None: where the model is, and there the new network is too.
    progress:
        Whether to show how far it is (:func:`~neurosleep.show_progress`).

    Raises
    ------
    DataError
        If the model cannot be run on the noise.
    UnsupportedError
        If there is nothing to regulate, or a layer that is named cannot be.
    SettingsError
        If an option is impossible, or a drive is not finite. The given model is untouched in any case.

    See Also
    --------
    neurosleep.sleep : noise and a plasticity rule in spikes

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    >>> done = regulate(model, InputNoise([0.2, 0.5, 0.5, 0.8]), Homeostasis(classes=(0, 1)), draws=200)
    >>> [layer.name for layer in done.layers], done.layers[1].changed.tolist()
    (['0', '2'], [True, True, False])

    References
    ----------
    Turrigiano (2008), doi:10.1016/j.cell.2008.10.008; Cannon & Miller (2017), doi:10.1186/s13408-017-0043-7.
    """
    rule = Homeostasis() if rule is None else rule
    _check_kinds(model, noise, rule)
    check_count("The number of draws", draws, 2)
    check_seed(seed)
    if rule.target == "layer":
        check_unread("Homeostasis(target='layer')", {"set_points": (set_points, None)}, "target='set-points' has them")
    if device is not None and (wanted := check_device(device)) != torch.device(device_of(model)):
        moved = regulate(
            copied(model).to(wanted), noise, rule, set_points=set_points, draws=draws, seed=seed, task=task
        )
        return dataclasses.replace(moved, model=moved.model.to(device_of(model)))
    work = copied(model).float() if _half(model) else copied(model)
    work.eval()
    parameter = next(iter(work.parameters()), torch.zeros(0))
    if parameter.is_meta:
        raise UnsupportedError(
            "The model is on the device 'meta': it has no weights.", hint="model.to_empty, then load"
        )

    def frames(count: int, start: int) -> Tensor:
        drawn = noise.frames(count, seed=seed, task=task, start=start)
        return drawn.to(device=parameter.device, dtype=parameter.dtype)

    if isinstance(work, EquilibriumMLP):
        numbers = regulated_names(work, rule)
        _check_settled(work, noise, rule, numbers)
        settled = regulate_settled(work, frames(draws, 0), rule, set_points or {})
        parameters = {id(p) for number in numbers for p in work.layers[number].parameters() if p.requires_grad}
        own = tuple(name for name, p in work.named_parameters() if id(p) in parameters)
        return _finished(model, Regulation(tuple(settled), work, (), own))
    devices = [parameter.device] if parameter.is_cuda else []
    with torch.random.fork_rng(devices=devices), _uncompiled(work):
        torch.manual_seed(seed)
        trace = _traced(work, frames(2, 0), rule)
        block = max(1, min(draws, _LARGEST // trace.largest))

        blocks = [partial(frames, min(block, draws - start), start) for start in range(0, draws, block)]
        layers = run_over(work, trace, blocks, rule, set_points or {})
    changed = {id(p) for drive in trace.drives for part in drive.parts for p in part.parameters}
    names = tuple(name for name, p in work.named_parameters() if id(p) in changed)
    return _finished(model, Regulation(tuple(layers), work, trace.notes, names))


def _uncompiled(model: nn.Module) -> AbstractContextManager[Any]:
    """What ``torch.compile`` made runs as Python in it: there every operation can be seen."""
    compiled = any("_orig_mod" in layer._modules for layer in model.modules())
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager") if compiled else nullcontext()
    return stance


def _check_kinds(model: Any, noise: Any, rule: Any) -> None:
    for name, value, kind in (("model", model, nn.Module), ("noise", noise, InputNoise), ("rule", rule, Homeostasis)):
        if not isinstance(value, kind):
            raise SettingsError(f"The {name} is {value!r:.60}.", expected=f"an object of {kind.__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedError(
            "The model was compiled by torch.jit, and what it computes on the way cannot be seen.",
            expected="a module of Python",
            hint="let the module sleep that it was scripted or traced from: both share their weights",
        )
    if isinstance(model, EquilibriumNetwork) and not isinstance(model, EquilibriumMLP):
        raise UnsupportedError(
            f"The drives of an {type(model).__name__} are those at its fixed point, and are not regulated here.",
            expected="an EquilibriumMLP, or a network whose layers run once in a forward pass",
        )


def _check_settled(model: EquilibriumMLP, noise: InputNoise, rule: Homeostasis, names: Mapping[int, str]) -> None:
    check_settled_rule(rule)
    if noise.shape != (model.sizes[0],):
        raise DataError(
            f"The model cannot be run on noise of shape {noise.shape}.",
            expected=f"a mean of shape ({model.sizes[0]},), without a batch dimension",
        )
    missed = sorted(set(rule.layers or ()) - set(names.values()))
    if missed or not names:
        raise UnsupportedError(
            f"The layers {', '.join(missed)} cannot be regulated."
            if missed
            else "Nothing of the model can be regulated.",
            expected=f"layers.0 to layers.{len(model.layers) - 1}, not frozen",
        )


def _half(model: nn.Module) -> bool:
    return any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters())


def _traced(model: nn.Module, frames: Tensor, rule: Homeostasis) -> Trace:
    try:
        trace = trace_drives(model, frames, rule.layers)
    except NeurosleepError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise DataError(
            f"The model cannot be run on noise of shape {tuple(frames.shape)}.",
            found=f"{type(error).__name__}: {error}"[:200],
            expected="a mean of the shape of one input, without a batch dimension",
        ) from error
    named_too = [note for note in trace.notes if note.split(" stays")[0] in (rule.layers or ())]
    if not trace.drives or named_too:
        raise UnsupportedError(
            "Nothing of the model can be regulated." if not trace.drives else named_too[0] + ".",
            found="; ".join(trace.notes) or "no linear or convolutional layer ran",
            expected="linear or convolutional layers that run once in a forward pass and are not frozen",
        )
    if rule.classes is not None and not trace.whole:
        raise UnsupportedError(
            "The scores of the classes are put together from several layers, and some of them cannot change.",
            found="; ".join(trace.notes),
            expected="heads that are linear layers, used once and not frozen (requires_grad=True)",
        )
    outputs = [drive for drive in trace.drives if drive.output]
    if rule.classes is not None and len(outputs) > 1 and not trace.heads:
        raise UnsupportedError(
            "The model returns the drives of several layers, and classes belong to one.",
            found=", ".join(drive.name for drive in outputs),
            expected="one tensor of scores, a column for each class: torch.cat(heads, 1), or a mapping with 'logits'",
            hint="classes=None regulates each of them among its own units",
        )
    return trace


def _finished(model: nn.Module, done: Regulation) -> Regulation:
    """With modes and types of numbers as ``model`` has them."""
    if _half(model):
        original = copy.deepcopy(model)
        done.apply_to(original)
        return Regulation(done.layers, original, done.notes, done._changed)
    for own, given in zip(done.model.modules(), model.modules(), strict=True):
        own.training = given.training
    return done
