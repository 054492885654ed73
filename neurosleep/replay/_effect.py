"""What a sleep did to a network, and a warning where that was nothing, or looks like harm."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neurosleep._checks import as_images
from neurosleep.conversion import biased_layers
from neurosleep.errors import DataError, NeurosleepWarning, UnsupportedError
from neurosleep.replay._drives import trace_drives
from neurosleep.replay._quick_forward import QuickForward
from neurosleep.replay._scores import named_scores, tensors

Images = TypeVar("Images", Tensor, NDArray[Any])

__all__ = ["answers", "evenly", "outputs", "warn_of_biases", "warn_of_effect"]

#: Part of the answers to the newest data that may change without a warning.
_CHANGED = 0.05


def evenly(images: Images, most: int = 2000) -> Images:
    """At most ``most`` of the images ``[n, ...]``, evenly from all over them: files are often sorted by class.

    See Also
    --------
    answers : of the images that it takes

    Examples
    --------
    >>> import torch
    >>> from neurosleep.replay import evenly
    >>> evenly(torch.arange(10.0)[:, None], most=4).flatten()
    tensor([0., 3., 6., 9.])
    """
    return images[:: -(-len(images) // most)]


@torch.no_grad()
def answers(model: nn.Module, images: Tensor) -> Tensor:
    """The class that ``model`` answers to each of ``images`` ``[n, ...]``; of one output, whether it is positive.

    The model evaluates, and is in the mode it was in afterwards.

    See Also
    --------
    warn_of_effect : compares two of them

    Examples
    --------
    >>> import torch
    >>> from neurosleep.replay import answers
    >>> answers(torch.nn.Linear(3, 2), torch.rand(5, 3)).shape
    torch.Size([5])
    """
    values = outputs(model, images)
    return values.argmax(1) if values.shape[1] > 1 else (values[:, 0] > 0).long()


@torch.no_grad()
def outputs(model: nn.Module, images: Tensor) -> Tensor:
    """The outputs ``[n, classes]`` of ``model``, on the CPU, to ``images`` ``[n, ...]``.

    The model evaluates, and is in the mode it was in afterwards. Of a model that returns several tensors they are the
    one named ``logits``, or the one that its last layer makes.

    Raises
    ------
    UnsupportedError
        If which of several tensors holds them is not plain.
    DataError
        If there are several scores for a class, as of a batch that is taken for one input.

    See Also
    --------
    answers : the classes that they say

    Examples
    --------
    >>> import torch
    >>> from neurosleep.replay import outputs
    >>> outputs(torch.nn.Linear(3, 2), torch.rand(5, 3)).shape
    torch.Size([5, 2])
    """
    x = as_images("images", images)
    weight = next(model.parameters(), x)
    with _evaluating(model), QuickForward():
        parts = [_scores(model, part.to(weight)).cpu() for part in torch.split(x, 1000)]
    return torch.cat(parts)


def _scores(model: nn.Module, images: Tensor) -> Tensor:
    returned = model(images)
    scores = named_scores(returned)
    if scores is None:
        place, every = trace_drives(model, images[:2]).scores, list(tensors(returned))
        if place is None:
            raise UnsupportedError(
                f"The model returns {len(every)} tensors, and which are the scores of the classes is not plain.",
                found=", ".join(str(tuple(one.shape)) for one in every),
                expected="one tensor [n, classes], or a mapping with 'logits'",
                hint="wrap the model in a module that returns the scores alone, and let that sleep",
            )
        scores = every[place]
    if sum(side > 1 for side in scores.shape[1:]) > 1:
        one, shape = tuple(images.shape[1:]), tuple(scores.shape[1:])
        raise DataError(
            f"The model makes scores of shape {shape} of one input of shape {one}.",
            expected="one score for each class",
            hint="a mean, or an input, has no batch dimension: x.mean(0)",
        )
    return scores.flatten(1) if scores.ndim > 1 else scores[:, None]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def warn_of_effect(
    spikes: int, before: Sequence[Tensor], after: Sequence[Tensor], was: Tensor, now: Tensor, *, stacklevel: int = 2
) -> None:
    """Warn of a sleep that changed nothing, or more of the newest answers than 5 %.

    Parameters
    ----------
    spikes:
        Fired in it by all populations but the input; of none, :func:`~neurosleep.replay.sleep` has warned already.
    before, after:
        The weights that the awake network had and has.
    was, now:
        Its answers ``[n]`` to the newest data.

    See Also
    --------
    neurosleep.consolidate : which calls it
    answers : the answers that it compares

    Examples
    --------
    >>> import warnings
    >>> import torch
    >>> from neurosleep.replay import warn_of_effect
    >>> before, after = [torch.zeros(2, 4)], [torch.ones(2, 4)]
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_effect(90, before, after, was=torch.tensor([0, 1, 1]), now=torch.tensor([0, 0, 0]))
    >>> len(caught)
    1
    """
    changed = float((was != now).double().mean())
    if spikes and all(torch.equal(a, b) for a, b in zip(before, after, strict=True)):
        warnings.warn(
            f"The sleep changed no weight of the network, though {spikes} spikes were fired in it.",
            NeurosleepWarning,
            stacklevel=stacklevel + 1,
        )
    elif changed > _CHANGED:
        warnings.warn(
            f"The sleep changed {100 * changed:.1f} % of the answers to the newest data ({len(was)} images; more than "
            f"{100 * _CHANGED:.0f} % is much): it may have cost more than it brought. Compare accuracies before and "
            "after; a smaller inc and dec, fewer steps or lower rates change less.",
            NeurosleepWarning,
            stacklevel=stacklevel + 1,
        )


def warn_of_biases(model: nn.Module, weights: Sequence[nn.Parameter], *, stacklevel: int = 2) -> None:
    """Warn of the biases that stay as they are, by the names of their layers.

    See Also
    --------
    neurosleep.consolidate : which calls it

    Examples
    --------
    >>> import warnings
    >>> import torch
    >>> from neurosleep.replay import warn_of_biases
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_biases(model, [model[0].weight])
    >>> len(caught)
    1
    """
    biased = biased_layers(model, weights)
    if biased:
        warnings.warn(
            f"Sleep leaves out the biases of {', '.join(biased)}, and such a network may forget more, not less: train "
            "it with Linear(..., bias=False).",
            NeurosleepWarning,
            stacklevel=stacklevel + 1,
        )
