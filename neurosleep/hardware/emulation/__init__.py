"""The chip's own steps, and its learning, on this machine."""
