"""Functions that take data and axes and return axes: the only room that draws.

None of them touches pyplot's state. Without ``ax`` each makes a figure of its own, reachable as ``ax.figure``.
"""

from neurosleep.plot._comparison import comparison
from neurosleep.plot._curves import accuracy, rates
from neurosleep.plot._raster import raster
from neurosleep.plot._style import PALETTE, figure, save, task_colours, to_png_bytes

__all__ = ["PALETTE", "accuracy", "comparison", "figure", "raster", "rates", "save", "task_colours", "to_png_bytes"]
