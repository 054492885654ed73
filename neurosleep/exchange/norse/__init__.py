"""Spiking networks from and to Norse's cells."""
