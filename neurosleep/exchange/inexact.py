"""The warning for what another tool's file or network leaves open, or is known to say wrongly."""

from __future__ import annotations

from neurosleep.errors import NeurosleepWarning

__all__ = ["ExchangeWarning"]


class ExchangeWarning(NeurosleepWarning):
    """Something was read or written, but not quite as the other tool would say it: the text says what and why.

    See Also
    --------
    to_norse, to_snntorch : which give it with ``inexact="warn"``

    Examples
    --------
    >>> import warnings
    >>> from neurosleep.exchange import ExchangeWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ExchangeWarning)  # stop where a conversion would be inexact
    """
