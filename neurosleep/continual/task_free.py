"""Sleep in a stream without tasks: when it is due by the samples that have passed, not where a task ends."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["END", "StreamSleep"]

#: Why the last sleep is due.
END = "the stream ended"


class StreamSleep(NamedTuple):
    """One sleep of a stream: when, why, and what came of it.

    samples: that had been learnt, each as often as it was; trigger: why it was due; status, reason: of the
    :class:`~neurosleep.replay.Consolidation`; seconds: that it took; task: the part of the stream, from 0, in which it
    was, which the strategy did not know.

    See Also
    --------
    HomeostaticSleep : which sleeps so with ``every_samples`` or ``drift``
    Progress : which collects them

    Examples
    --------
    >>> StreamSleep(5000, "5000 samples since the last sleep", "done", "", 0.2, 0).samples
    5000
    """

    samples: int
    trigger: str
    status: str
    reason: str
    seconds: float
    task: int
