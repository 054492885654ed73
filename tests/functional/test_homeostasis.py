import math

import pytest
import torch

from neurosleep.errors import DataError, SettingsError, UnknownNameError
from neurosleep.functional import (
    DriveMoments,
    Homeostasis,
    InputNoise,
    SetPoint,
    driven_units,
    homeostatic_change,
    homeostatic_rows,
    layer_set_point,
    spread_factor,
    torch_generator,
)


def drawn(*shape, stream="values"):
    return torch.randn(shape, generator=torch_generator(0, stream), dtype=torch.float64)


def inputs(draws=4000, n=30):
    return (torch.rand(draws, n, generator=torch_generator(0, "inputs"), dtype=torch.float64) < 0.4).double()


def everyone(n):
    return torch.ones(n, dtype=torch.bool)


def test_moments_of_blocks_are_those_of_all_draws_together():
    u, g, q = drawn(500, 7), drawn(500, 1, stream="g"), drawn(500, 7, stream="q")
    whole = DriveMoments.of(u, g, q)
    parts = [DriveMoments.of(u[s], g[s], q[s]) for s in (slice(0, 3), slice(3, 200), slice(200, 500))]
    merged = parts[0].merged(parts[1]).merged(parts[2])
    assert merged.count == 500
    assert torch.allclose(merged.mean, whole.mean, atol=1e-12)
    assert torch.allclose(merged.products, whole.products, rtol=1e-9, atol=1e-9)
    factor, along = drawn(7, stream="a").abs(), drawn(7, stream="b")
    mean, spread = whole.combined(factor, along)
    drive = factor * u + along * g + q
    assert torch.allclose(mean, drive.mean(0)) and torch.allclose(spread, drive.std(0, correction=0))


def plain(u, g, q):
    """Means and sums of products of the deviations, all draws and units at once, in double precision."""
    parts = [part.double().expand(len(u), u.shape[1]) for part in (u, g, q)]
    mean = torch.stack([part.mean(0) for part in parts])
    apart = [part - middle for part, middle in zip(parts, mean, strict=True)]
    return mean, torch.stack([torch.stack([(one * other).sum(0) for other in apart]) for one in apart])


@pytest.mark.parametrize("n", [1, 63, 300])
def test_units_in_pieces_are_those_of_all_units_together(n):
    draws = 3000
    u, g, q = (drawn(draws, count, stream=name).float() + 2 for count, name in ((n, "u"), (1, "g"), (n, "q")))
    moments, (mean, products) = DriveMoments.of(u, g, q), plain(u, g, q)
    assert torch.allclose(moments.mean, mean, rtol=1e-5) and moments.count == draws
    assert torch.allclose(moments.products, products, rtol=1e-4, atol=1e-3 * draws)
    # Each piece is summed as it would be among all: to the bit.
    deviations = u - (u.sum(0).double() / draws).float()
    assert torch.equal(moments.products[0, 0], (deviations * deviations).sum(0).double())


@pytest.mark.parametrize("channels_along", [1, 5])
def test_positions_of_channels_are_draws_of_their_own(channels_along):
    u, g, q = (drawn(900, n, 8, 9, stream=name) + 1 for n, name in ((5, "u"), (channels_along, "g"), (5, "q")))
    moments = DriveMoments.of(*(part.flatten(2) for part in (u, g, q)))
    mean, products = plain(*(part.movedim(1, -1).flatten(0, 2) for part in (u, g, q)))
    assert moments.count == 900 * 72
    assert torch.allclose(moments.mean, mean) and torch.allclose(moments.products, products, rtol=1e-9, atol=1e-6)


def test_with_a_bias_mean_and_spread_are_met_at_once():
    h, weight, bias = inputs(), drawn(12, 30, stream="w"), drawn(12, stream="b")
    moments = DriveMoments.of(h @ weight.T + bias)
    mean, spread = moments.now
    target = layer_set_point(mean, spread, everyone(12))
    change = homeostatic_change(moments, target, everyone(12), shift="bias")
    # The rule as it is written: W <- r W, b <- T - r (mu - b).
    r = target.spread / spread
    assert torch.allclose(change.factor, r)
    assert torch.allclose(bias * change.factor + change.offset, target.mean - r * (mean - bias))
    new = h @ homeostatic_rows(weight, change).T + bias * change.factor + change.offset
    assert torch.allclose(new.mean(0), torch.full((12,), target.mean, dtype=torch.float64))
    assert torch.allclose(new.std(0, correction=0), torch.full((12,), target.spread, dtype=torch.float64))
    assert torch.allclose(new.mean(0), change.mean) and torch.allclose(new.std(0, correction=0), change.spread)


def test_without_a_bias_the_weights_move_the_mean_along_the_mean_input():
    h, weight = inputs(), drawn(12, 30, stream="w")
    mean_input = h.mean(0, keepdim=True)
    moments = DriveMoments.of(h @ weight.T, h @ mean_input.T)
    target = layer_set_point(*moments.now, everyone(12))
    change = homeostatic_change(moments, target, everyone(12), shift="weights")
    new = h @ homeostatic_rows(weight, change, mean_input).T
    assert torch.allclose(new.mean(0), torch.full((12,), target.mean, dtype=torch.float64))
    assert torch.allclose(new.std(0, correction=0), torch.full((12,), target.spread, dtype=torch.float64), rtol=0.01)
    assert torch.allclose(new.mean(0), change.mean) and torch.allclose(new.std(0, correction=0), change.spread)


def test_beside_a_rest_the_factor_is_the_one_nearest_one():
    u, q = drawn(5000, 4), 0.5 * drawn(5000, 4, stream="q")
    moments = DriveMoments.of(u, None, q)
    change = homeostatic_change(moments, SetPoint(0.3, 2.0), everyone(4), shift="bias")
    new = change.factor * u + q + change.offset
    assert torch.allclose(new.mean(0), torch.full((4,), 0.3, dtype=torch.float64))
    assert torch.allclose(new.std(0, correction=0), torch.full((4,), 2.0, dtype=torch.float64))
    # The rest alone varies more than the target: no factor gives it, and only the mean is moved.
    change = homeostatic_change(moments, SetPoint(0.3, 0.01), everyone(4), shift="bias")
    assert torch.equal(change.factor, torch.ones(4, dtype=torch.float64))
    assert torch.allclose(change.mean, torch.full((4,), 0.3, dtype=torch.float64))


def test_spread_factor_takes_the_nearer_of_two_roots():
    one = torch.ones(1, dtype=torch.float64)
    # Var(a u + q) = a^2 - 2 * 0.9 a + 1: 0.5 at a = 0.3442 and at a = 1.4558.
    factor = spread_factor(one, -0.9 * one, one, math.sqrt(0.5) * one)
    assert float(factor) == pytest.approx(0.9 + math.sqrt(0.31))
    assert float(spread_factor(0 * one, 0 * one, 0 * one, one)) == 1


def test_factors_are_limited_and_damping_goes_part_of_the_way():
    moments = DriveMoments.of(drawn(2000, 3) * torch.tensor([0.01, 1.0, 100.0], dtype=torch.float64))
    mean, spread = moments.now
    change = homeostatic_change(moments, SetPoint(1.0, 1.0), everyone(3), shift="bias")
    assert change.factor[0] == 10 and change.factor[2] == 0.1
    half = homeostatic_change(moments, SetPoint(1.0, 1.0), everyone(3), shift="bias", damping=0.5, limit=1e6)
    assert torch.allclose(half.mean, (mean + 1) / 2) and torch.allclose(half.spread, (spread + 1) / 2)


def test_other_units_stay():
    moments = DriveMoments.of(drawn(500, 3), drawn(500, 1, stream="g") + 1)
    units = torch.tensor([True, False, True])
    for shift in ("bias", "weights", "none"):
        change = homeostatic_change(moments, SetPoint(0.5, 2.0), units, shift=shift)
        assert change.factor[1] == 1 and change.offset[1] == 0
        assert (change.factor[[0, 2]] != 1).all()
        assert shift != "none" or not change.offset.any()


def test_units_are_driven_where_their_drive_varies_by_more_than_rounding():
    mean, spread = torch.tensor([5.0, 0.0, -3.0]), torch.tensor([1.0, 0.0, 1e-8])
    assert driven_units(mean, spread).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"target": "setpoints"}, UnknownNameError),
        ({"classes": ()}, SettingsError),
        ({"classes": (-1,)}, SettingsError),
        ({"classes": 3}, SettingsError),
        ({"damping": 0}, SettingsError),
        ({"damping": 1.5}, SettingsError),
        ({"layers": "fc1"}, SettingsError),
        ({"layers": ()}, SettingsError),
        ({"limit": 1}, SettingsError),
        ({"mean_by": "threshold"}, UnknownNameError),
    ],
)
def test_impossible_options_are_refused(options, error):
    with pytest.raises(error):
        Homeostasis(**options)


def test_noise_has_the_mean_and_the_spread_that_it_was_given():
    mean = torch.rand(50, generator=torch_generator(0, "mean"))
    frames = InputNoise(mean).frames(4000, seed=0)
    assert set(frames.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(frames.mean(0), mean, atol=0.04)
    normal = InputNoise(mean - 1, mean * 2).frames(4000, seed=0)
    assert torch.allclose(normal.mean(0), mean - 1, atol=0.15) and torch.allclose(normal.std(0), mean * 2, atol=0.1)


def test_frames_do_not_depend_on_how_many_are_drawn_at_once():
    noise = InputNoise(torch.full((2, 3), 0.5))
    whole = noise.frames(350, seed=3, task=1)
    parts = [noise.frames(n, seed=3, task=1, start=s) for s, n in ((0, 99), (99, 2), (101, 249))]
    assert whole.shape == (350, 2, 3) and torch.equal(torch.cat(parts), whole)
    assert not torch.equal(noise.frames(350, seed=3, task=2), whole)
    assert not torch.equal(noise.frames(350, seed=4, task=1), whole)


@pytest.mark.parametrize(
    ("mean", "spread", "match"),
    [
        ([0.0, 255.0], None, "from 0 to 255"),
        ([-1.0, 1.0], None, "from -1 to 1"),
        ([], None, "shape"),
        ([math.nan], None, "NaN"),
        ([0.0, 1.0], None, "Not one of 2 inputs varies"),
        ([0.5, 0.5], [0.0, 0.0], "Not one of 2 inputs varies"),
        ([0.5, 0.5], [1.0], "standard deviation"),
        ([0.5, 0.5], [1.0, -1.0], "standard deviation"),
    ],
)
def test_a_mean_that_noise_cannot_be_drawn_around_is_refused(mean, spread, match):
    with pytest.raises(DataError, match=match):
        InputNoise(mean, spread)
