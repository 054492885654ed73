"""A chip's numbers: registers, rounding, decay, grids of weights, random numbers by position."""
