"""Spiking networks from SpikingJelly's modules."""
