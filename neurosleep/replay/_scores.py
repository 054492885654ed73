"""Which tensor of what a model returns holds the scores of the classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

__all__ = ["named_scores", "scores_among", "tensors"]


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples, mappings and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from tensors([getattr(value, field.name) for field in dataclasses.fields(value)])


def named_scores(returned: Any) -> Tensor | None:
    """The scores where it is plain which they are: the only tensor, or that named ``logits``, as in transformers."""
    named = returned.get("logits") if isinstance(returned, Mapping) else getattr(returned, "logits", None)
    if isinstance(named, Tensor):
        return named
    only = list(tensors(returned))
    return only[0] if len(only) == 1 else None


def scores_among(returned: Any, drives: Callable[[Tensor], bool], units: int) -> int | None:
    """The place of the scores among the :func:`tensors` that a model returned; None where several may be.

    ``drives`` says whether a layer makes a tensor itself, ``units`` is the size of the last layer. The scores are the
    only one that a layer makes, or else the only one with a column for each unit of the last layer.
    """
    named, every = named_scores(returned), list(tensors(returned))
    if named is not None:
        return next(place for place, one in enumerate(every) if one is named)
    made = [place for place, one in enumerate(every) if drives(one)]
    made = made or [place for place, one in enumerate(every) if one.ndim == 2 and one.shape[1] == units]
    return made[0] if len(made) == 1 else None
