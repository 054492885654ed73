"""Spiking networks from and to NIR graphs and files."""
