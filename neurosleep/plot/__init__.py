"""Functions that take data and axes and return axes."""
