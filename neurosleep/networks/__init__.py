"""Awake networks as torch modules."""
