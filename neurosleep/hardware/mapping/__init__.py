"""From a network to the same network in a chip's numbers."""
