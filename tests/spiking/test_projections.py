"""The classes of projections: what their constructors take, whatever it is, and what they refuse."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import neurosleep as ns
from neurosleep.errors import NeurosleepError
from neurosleep.spiking import Conv, Dense, Identity, Pool, Projection, Reshape, Transposed
from neurosleep.spiking.geometry import output_shape, propagate

EVERY: list[Projection] = [
    Dense("a", "b", torch.ones(2, 3), scale=0.5, delay=1, plastic=False),
    Transposed("b", "a", of=("a", "b"), scale=0.5, delay=2, symmetric_rule=True),
    Conv("a", "b", torch.ones(4, 1, 3, 2), (2, 1), (1, 0), (1, 2), 2, scale=-1.0),
    Pool("a", "b", (2, 3), (1, 2), (1, 0), "sum", delay=3),
    Reshape("a", "b", scale=2.0),
    Identity("a", "b", delay=4),
]
#: What is not an integer of at least 1, nor some of them.
WRONG = st.one_of(
    st.integers(max_value=0),
    st.floats(),
    st.text(max_size=3),
    st.booleans(),
    st.none(),
    st.lists(st.integers(max_value=0), min_size=1, max_size=3),
    st.lists(st.integers(1, 5), min_size=3, max_size=4),
)


def fields(projection: Projection) -> dict[str, Any]:
    return {field.name: getattr(projection, field.name) for field in dataclasses.fields(projection)}


@pytest.mark.parametrize("projection", EVERY, ids=lambda q: type(q).__name__)
def test_every_class_is_public_frozen_and_made_of_its_own_fields(projection: Projection) -> None:
    kind = type(projection)
    assert getattr(ns, kind.__name__) is kind and isinstance(projection, ns.Projection)
    with pytest.raises(dataclasses.FrozenInstanceError):
        projection.scale = 1.0  # type: ignore[misc]
    for again in (
        kind(**fields(projection)),
        dataclasses.replace(projection),
        pickle.loads(pickle.dumps(projection)),
    ):
        assert type(again) is kind and repr(again) == repr(projection)
        same = [
            a is b or (torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b)
            for a, b in zip(fields(again).values(), fields(projection).values(), strict=True)
        ]
        assert all(same)
    assert dataclasses.replace(projection, scale=3.0).scale == 3.0


def test_what_may_change_and_what_a_table_calls_it() -> None:
    assert [q.plastic for q in EVERY] == [False, True, False, False, False, False]
    assert [q.kind for q in EVERY] == ["dense", "dense", "conv", "pool", "flatten", "identity"]
    assert Dense("a", "a", torch.ones(2, 2), delay=1).kind == "recurrent"


@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.data())
@settings(max_examples=60, deadline=None)
def test_one_number_stands_for_every_axis(
    axes: int, stride: int, padding: int, dilation: int, data: st.DataObject
) -> None:
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(axes))
    weight = torch.ones(2, 1, *kernel)
    short = Conv("a", "b", weight, stride, padding, dilation)
    long = Conv("a", "b", weight, [stride] * axes, torch.Size([padding] * axes), (dilation,) * axes, groups=1)
    for conv in (short, long):
        assert (conv.kernel, conv.stride, conv.padding) == (kernel, (stride,) * axes, (padding,) * axes)
        assert all(type(n) is int for n in (*conv.stride, *conv.padding, *conv.dilation, conv.groups))
    pool = Pool("a", "b", kernel)
    assert (pool.kernel, pool.stride, pool.padding, pool.mode) == (kernel, kernel, (0,) * axes, "average")
    shape = (1, *(9 for _ in range(axes)))
    x = torch.rand(2, math.prod(shape))
    for projection in (short, pool):
        made = output_shape(projection, shape)
        assert propagate(projection, x, shape).shape == (2, math.prod(made))


@given(WRONG, st.sampled_from(["stride", "dilation", "groups", "kernel", "pool stride"]))
@settings(max_examples=200, deadline=None)
def test_what_is_no_number_of_steps_over_a_grid_is_refused(value: Any, key: str) -> None:
    if key == "pool stride" and value is None:
        return
    with pytest.raises(NeurosleepError) as refused:
        if key == "kernel":
            Pool("a", "b", value)
        elif key == "pool stride":
            Pool("a", "b", (2, 2), stride=value)
        else:
            Conv("a", "b", torch.ones(1, 1, 2, 2), **{key: value})
    assert f"Projection 'a' -> 'b': {key.split()[-1]} " in refused.value.message
    assert refused.value.expected is not None and "integer" in refused.value.expected


@given(
    st.one_of(st.floats(), st.text(), st.none(), st.booleans(), st.integers(-(2**53), 2**53)),
    st.sampled_from(["scale", "delay"]),
)
@settings(max_examples=200, deadline=None)
def test_a_scale_is_finite_and_a_delay_counts_steps(value: Any, key: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fine = number and (math.isfinite(value) if key == "scale" else isinstance(value, int) and 0 <= value <= 100_000)
    for make in (Identity, Reshape):
        if fine:
            assert getattr(make("a", "b", **{key: value}), key) == value
        else:
            with pytest.raises(NeurosleepError, match=f"{key} cannot be"):
                make("a", "b", **{key: value})
