"""NeuroBench's measures of a network, by its own package, beside what is counted here."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from neurosleep.errors import SettingsError, UnsupportedError, missing_extra
from neurosleep.exchange import to_snntorch
from neurosleep.spiking import SpikingNetwork

__all__ = ["neurobench_metrics"]


class _Stepped(nn.Module):
    """The snnTorch module of a network, from ``[batch, time, ...]`` to what its last population sent, in that order."""

    def __init__(self, module: nn.Module, last: str) -> None:
        super().__init__()
        self.module, self._last = module, last

    def forward(self, x: Tensor) -> Tensor:
        sent: Tensor = self.module.run(x.transpose(0, 1))[self._last]  # type: ignore[operator]
        return sent.transpose(0, 1)


@torch.no_grad()
def neurobench_metrics(network: SpikingNetwork, inputs: Tensor) -> dict[str, Any]:
    """Measures of the NeuroBench harness, of the network as snnTorch module (:func:`~neurosleep.to_snntorch`).

    Parameters
    ----------
    network:
        One that snnTorch's neurons express.
    inputs:
        Spikes or graded values, ``[time, batch, n]`` or ``[time, batch, *shape]``.

    Returns
    -------
    dict
        ``footprint`` in bytes (parameters and buffers of the module, thresholds and decays included),
        ``connection_sparsity``, ``activation_sparsity``, ``synaptic_operations`` of a sample (``Effective_ACs`` of
        spikes, ``Effective_MACs`` of graded values, ``Dense`` as if nothing were 0), and the ``version`` of the
        package.

    Raises
    ------
    MissingExtraError
        Without the extra ``neurobench``.
    SettingsError
        If the inputs do not fit the network.
    UnsupportedError
        If the network has no dense layer and no convolution, or snnTorch's neurons do not express it.

    See Also
    --------
    count_activity : the package's own count

    Notes
    -----
    ``Effective_ACs`` and the synaptic events of :func:`~neurosleep.hardware.count_activity` are the same number in a
    network of dense layers and convolutions without delays. NeuroBench counts no pools and no neurons joined one to
    one, of a relay each value that is not 0, and of a delayed projection only what arrives. It adds up in the network's
    own type: float32 is exact up to 16.7 million operations in one layer and step of the batch.

    References
    ----------
    Yik et al. (2025), The NeuroBench framework for benchmarking neuromorphic computing algorithms and systems, Nature
    Communications 16:1545, doi:10.1038/s41467-025-56739-4.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> from neurosleep.hardware import neurobench_metrics
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, read_out="spikes")
    >>> spikes = (torch.rand(20, 5, 16) < 0.5).float()  # [time, batch, n]
    >>> neurobench_metrics(network, spikes)["connection_sparsity"]
    0.0
    """
    try:
        import neurobench
        from neurobench.metrics.static import ConnectionSparsity, Footprint
        from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
        from neurobench.models import TorchModel
    except ImportError as error:
        raise missing_extra("neurobench", "neurobench", "Measuring with NeuroBench") from error
    import snntorch

    (source,) = network.inputs if len(network.inputs) == 1 else (None,)
    if source is None or inputs.ndim < 3 or 0 in inputs.shape[:2] or inputs.shape[2:].numel() != source.size:
        size = "one input population" if source is None else f"[time, batch, {source.size}]"
        raise SettingsError(f"Inputs of shape {tuple(inputs.shape)} do not fit the network.", expected=size)
    if not network.weighted:
        raise UnsupportedError("The network has no weights to measure.", expected="a dense layer or a convolution")
    model = TorchModel(_Stepped(to_snntorch(network), network.last.name))
    model.add_activation_module(snntorch.SpikingNeuron)
    data = inputs.reshape(*inputs.shape[:2], *source.shape).to(network.dtype).transpose(0, 1)
    operations, activation = SynapticOperations(), ActivationSparsity()
    footprint, connection = Footprint()(model), ConnectionSparsity()(model)
    model.register_hooks()
    try:
        said = model(data)
        sparsity = activation(model, said, (data, None))
        counted = operations(model, said, (data, None))
    finally:
        model.cleanup_hooks()
    return {
        "footprint": int(footprint),
        "connection_sparsity": float(connection),
        "activation_sparsity": float(sparsity),
        "synaptic_operations": {name: float(value) for name, value in counted.items()},
        "version": neurobench.__version__,
    }
