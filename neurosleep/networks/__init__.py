"""Awake networks as torch modules."""

from neurosleep.networks.dendritic import DendriticMLP
from neurosleep.networks.equilibrium import EquilibriumMLP
from neurosleep.networks.equilibrium_base import Drive, EquilibriumNetwork, Settled
from neurosleep.networks.equilibrium_conv import EquilibriumConv, Pooling
from neurosleep.networks.mlp import MLP, Output

__all__ = [
    "MLP",
    "DendriticMLP",
    "Drive",
    "EquilibriumConv",
    "EquilibriumMLP",
    "EquilibriumNetwork",
    "Output",
    "Pooling",
    "Settled",
]
