"""Awake networks as torch modules."""

from neurosleep.networks.mlp import MLP

__all__ = ["MLP"]
