"""Spiking networks from and to snnTorch's neurons."""
