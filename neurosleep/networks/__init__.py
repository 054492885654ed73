"""Awake networks as torch modules."""

from neurosleep.networks.conv_net import ConvNet
from neurosleep.networks.dendritic import DendriticMLP
from neurosleep.networks.equilibrium import EquilibriumMLP
from neurosleep.networks.equilibrium_base import Drive, EquilibriumNetwork, Settled
from neurosleep.networks.equilibrium_conv import EquilibriumConv
from neurosleep.networks.feed_forward import FeedForwardNetwork, Init, Output
from neurosleep.networks.mlp import MLP
from neurosleep.networks.pooling import Pooling

__all__ = [
    "MLP",
    "ConvNet",
    "DendriticMLP",
    "Drive",
    "EquilibriumConv",
    "EquilibriumMLP",
    "EquilibriumNetwork",
    "FeedForwardNetwork",
    "Init",
    "Output",
    "Pooling",
    "Settled",
]
