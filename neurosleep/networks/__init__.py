"""Awake networks as torch modules."""

from neurosleep.networks.mlp import MLP, Output

__all__ = ["MLP", "Output"]
