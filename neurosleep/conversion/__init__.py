"""Awake to spiking and back."""
