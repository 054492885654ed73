"""From an awake network to a spiking network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neurosleep._checks import as_images, check_unread
from neurosleep.conversion._build import READ_OUTS, Neurons, ReadOut
from neurosleep.conversion._layerwise import convert_layerwise
from neurosleep.conversion._model import check_model, warn_of_bytes
from neurosleep.conversion._normalised import convert_normalised
from neurosleep.conversion.converted import ConvertedNetwork
from neurosleep.conversion.feedback import Feedback
from neurosleep.conversion.plan import MaxPool
from neurosleep.conversion.recipes import LayerRecipe, Percentile, Recipe, RecipeName, as_recipe
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.functional import Compare, Reset

__all__ = ["convert"]


@torch.no_grad()
def convert(
    model: nn.Module,
    calibration: Tensor,
    *,
    recipe: Recipe | RecipeName = Percentile(99.9),
    decay: float | None = None,
    compare: Compare = ">=",
    reset: Reset | None = None,
    thresholds: Sequence[float] | None = None,
    dt: float = 0.001,
    feedback: Feedback | None = None,
    bias_drive: bool = False,
    maxpool: MaxPool = "exact",
    read_out: ReadOut = "membrane",
) -> ConvertedNetwork:
    r"""Turn a network into LIF populations with the same weights, one unit for each of its own; ``model`` stays as is.

    With the recipes :class:`Percentile`, :class:`Maximum` and :class:`Balance` the model is any module that torch.fx
    traces: Linear, Conv1d and Conv2d, ReLU, average and adaptive average pooling, BatchNorm after a layer, reshaping,
    Dropout, sums of branches; as modules, functions or methods. Its biases are carried, and spike rates stand for its
    activities (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682). With :class:`Recursive` and :class:`Ratio`, made
    for sleep, it is a chain of bias-free layers or an equilibrium network, and the input of layer l is
    :math:`\alpha_l W_l s_{l-1}(t)`.

    Parameters
    ----------
    model:
        Any traceable module. For ``Recursive`` and ``Ratio`` an :class:`~neurosleep.networks.MLP`, a ``Sequential`` of
        bias-free ``Linear`` and ``ReLU``, or an :class:`~neurosleep.networks.EquilibriumMLP`, whose biases stay with
        it: sleep neither changes nor, if not asked to, uses them.
    calibration:
        Images ``[n, ...]`` over which activities are taken; of an equilibrium network those after its free phase.
        Bytes are scaled from 0..255 to 0..1, and the report says so.
    recipe:
        How layers are scaled, as an object with its own options, or its name for the defaults: ``percentile``,
        ``max``, ``balance``, ``recursive`` or ``ratio``.
    decay, compare, reset:
        Of spiking units: factor of the potential per step (None: 0.999 with ``Recursive`` and ``Ratio``, else 1),
        comparison at the threshold, and ``to_value`` (None with ``Recursive`` and ``Ratio``, which know no other) or
        ``subtract`` (None with the other recipes), which keeps what exceeds the threshold.
    thresholds:
        With ``Recursive`` and ``Ratio``: one per layer after the input, not negative; 1 where not given. The other
        recipes keep 1: there a threshold and the scale of the layer's input are one and the same freedom.
    dt:
        Length of a step in seconds.
    feedback, bias_drive:
        Of equilibrium networks: whether layers feed back (None: not), and whether :math:`\alpha_l b_l` is added to a
        layer's input in every step.
    maxpool:
        ``exact``: populations of differences make the maximum, :math:`\max(a, b) = b + \mathrm{relu}(a - b)`, each a
        step later; or ``approximate``: average pooling takes its place, with fewer neurons, and the report says so.
        With ``Percentile``, ``Maximum`` and ``Balance``, as is ``read_out``.
    read_out:
        Of a last layer without ReLU: ``membrane`` makes it sum its input without firing (kind ``li``, decay 1: its
        potential over the steps is the model's output), ``spikes`` makes it fire, which leaves out negative outputs.

    Returns
    -------
    ConvertedNetwork
        A SpikingNetwork; its ``report`` says what became of each layer.

    Raises
    ------
    ConversionError
        If a layer has no spiking counterpart or cannot be scaled.
    SettingsError
        If an option is wrong, or nothing would read it.

    Warns
    -----
    NeurosleepWarning
        If the calibration images look like bytes (integers up to 255) and are not of that type.

    Notes
    -----
    The published account of how equilibrium networks sleep (arXiv:2508.14081) leaves feedback, biases and scale open:
    these options and their defaults are ours.

    See Also
    --------
    wake : the way back
    neurosleep.conversion.compare : how well a conversion does

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> network = convert(model, torch.rand(20, 4))
    >>> [population.name for population in network.populations]
    ['input', 'hidden1', 'output']
    >>> network.report
    <ConversionReport: recipe Percentile(percentile=99.9), 20 images; hidden1>
    """
    scaling = as_recipe(recipe)
    model = check_model(model)
    bytes_given = str(getattr(calibration, "dtype", "")).removeprefix("torch.") == "uint8"
    images = as_images("calibration", calibration, say_scaled=False)
    if not bytes_given:
        warn_of_bytes(images)
    unread: dict[str, tuple[Any, Any]]
    if isinstance(scaling, LayerRecipe):
        unread = {"maxpool": (maxpool, "exact"), "read_out": (read_out, "membrane")}
        check_unread(f"The recipe {scaling!r}", unread, "the recipes Percentile, Maximum and Balance")
        if reset not in (None, "to_value"):
            raise SettingsError(
                f"The recipe {scaling!r} resets to a value, and reset is {reset!r}.",
                expected="reset='to_value', or a recipe Percentile, Maximum or Balance",
            )
        network = convert_layerwise(
            model,
            images,
            scaling,
            thresholds=thresholds,
            decay=0.999 if decay is None else decay,
            compare=compare,
            dt=dt,
            feedback=feedback,
            bias_drive=bias_drive,
        )
    else:
        unread = {"thresholds": (thresholds, None), "feedback": (feedback, None), "bias_drive": (bias_drive, False)}
        check_unread(f"The recipe {scaling!r}", unread, "recipe=neurosleep.Recursive() has them")
        if read_out not in READ_OUTS:
            raise unknown_name("read_out", str(read_out), READ_OUTS)
        neurons = Neurons(1.0, 1.0 if decay is None else decay, compare, reset or "subtract", read_out)
        network = convert_normalised(model, images, scaling, neurons, dt, maxpool)
    if not bytes_given:
        return network
    notes = ("calibration: bytes were scaled from 0..255 to 0..1", *network.report.notes)
    return dataclasses.replace(network, report=dataclasses.replace(network.report, notes=notes))
