from __future__ import annotations

import math

import numpy as np
import pytest

from neurosleep.errors import NeurosleepWarning, SettingsError, UnknownNameError
from neurosleep.functional import MeanDrive, numpy_generator

# Seconds in a step.
DT = 0.001


def generator(*key):
    return numpy_generator(0, "drive", *key)


@pytest.mark.filterwarnings("ignore:The drive is louder")
def test_bernoulli_probability_is_twice_the_rate_and_at_most_1():
    # P = min(1, 2 dt max_rate x).
    drive = MeanDrive(np.array([0.0, 0.1, 0.5, 1.0, 3.0]), max_rate=500)
    np.testing.assert_allclose(drive.probability(DT), [0.0, 0.1, 0.5, 1.0, 1.0])


def test_poisson_probability_is_that_of_at_least_one_event():
    drive = MeanDrive(np.array([0.0, 0.1, 1.0]), max_rate=500, process="poisson")
    np.testing.assert_allclose(drive.probability(DT), [0.0, 1 - math.exp(-0.1), 1 - math.exp(-1)])


@pytest.mark.parametrize("process", ["bernoulli", "poisson"])
def test_inputs_fire_as_often_as_their_probability_says(process):
    mean, steps = np.array([0.0, 0.05, 0.3, 0.9]), 20_000
    drive = MeanDrive(mean, max_rate=400, process=process)
    counts = drive.draw(generator(1), steps, DT).counts()
    p = drive.probability(DT)
    assert counts[0] == 0
    assert (np.abs(counts - steps * p) <= 4 * np.sqrt(steps * p * (1 - p))).all()


def test_inputs_of_probability_1_fire_in_every_step():
    assert MeanDrive(np.ones(3), max_rate=1e6).draw(generator(), 50, DT).counts().tolist() == [50, 50, 50]


def test_inputs_are_independent():
    dense = MeanDrive(np.full(2, 0.5), max_rate=1000 / 2).draw(generator(2), 20_000, DT).to_dense().numpy()
    assert abs(np.corrcoef(dense.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(dense[1:, 0], dense[:-1, 0])[0, 1]) < 0.03


def test_window_shows_a_square_of_its_side():
    drive = MeanDrive(np.ones(36), max_rate=1e6, window=3, image_shape=(6, 6))
    spikes = drive.draw(generator(3), 200, DT)
    places = set()
    for t in range(200):
        rows, columns = np.divmod(spikes.at(t), 6)
        assert len(rows) == 9
        r, c = rows.min(), columns.min()
        assert set(zip(rows, columns, strict=True)) == {(r + i, c + j) for i in range(3) for j in range(3)}
        assert (np.diff(spikes.at(t)) > 0).all()
        places.add((r, c))
    assert places == {(r, c) for r in range(4) for c in range(4)}


def test_window_of_an_image_that_is_not_square():
    drive = MeanDrive(np.ones(2 * 5), max_rate=1e6, window=2, image_shape=(2, 5))
    spikes = drive.draw(generator(4), 100, DT)
    seen = {tuple(spikes.at(t)) for t in range(100)}
    assert seen == {(c, c + 1, c + 5, c + 6) for c in range(4)}


def test_pixel_at_row_i_is_visible_in_c_of_18_positions():
    # C(i) = min(i, 17) - max(0, i - 10) + 1 of 18 positions for rows as for columns.
    steps = 20_000
    drive = MeanDrive(np.ones(784), max_rate=1e6, window=11, image_shape=(28, 28))
    spikes = drive.draw(generator(5), steps, DT)
    assert spikes.count == steps * 121
    i = np.arange(28)
    c = np.minimum(i, 17) - np.maximum(0, i - 10) + 1
    assert (c[0], c[10], c[17], c[27]) == (1, 11, 11, 1)
    p = np.outer(c, c) / 324
    visible = spikes.counts().reshape(28, 28)
    assert (np.abs(visible - steps * p) <= 5 * np.sqrt(steps * p * (1 - p))).all()


def test_mean_number_of_input_spikes_per_step():
    # The sum over all pixels of p_max m c(i) c(j) / 324.
    mean = np.random.default_rng(0).random((28, 28)) * 0.4
    drive = MeanDrive(mean, max_rate=240, window=11, image_shape=(28, 28))
    c = np.minimum(np.arange(28), 17) - np.maximum(0, np.arange(28) - 10) + 1
    expected = (2 * 0.001 * 240 * mean * np.outer(c, c) / 324).sum()
    assert drive.draw(generator(6), 5000, DT).count / 5000 == pytest.approx(expected, rel=0.01)


def test_window_of_the_whole_image_hides_nothing():
    drive = MeanDrive(np.ones(16), max_rate=1e6, window=4, image_shape=(4, 4))
    assert drive.draw(generator(), 10, DT).count == 160


@pytest.mark.parametrize("window", [None, 3])
def test_same_key_gives_the_same_spikes(window):
    drive = MeanDrive(np.full(36, 0.3), max_rate=500, window=window, image_shape=(6, 6))
    assert drive.draw(generator(1, 2), 40, DT).equals(drive.draw(generator(1, 2), 40, DT))
    assert not drive.draw(generator(1, 2), 40, DT).equals(drive.draw(generator(1, 3), 40, DT))


@pytest.mark.parametrize("window", [None, 2])
def test_zero_steps_and_silence(window):
    drive = MeanDrive(np.zeros((3, 3)), max_rate=100, window=window, image_shape=(3, 3))
    assert drive.n == 9
    assert drive.draw(generator(), 0, DT).steps == 0
    silent = drive.draw(generator(), 5, DT)
    assert (silent.steps, silent.count) == (5, 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": np.array([0.1, -0.1])}, "negative, infinite or NaN"),
        ({"mean": np.array([0.1, np.nan])}, "negative, infinite or NaN"),
        ({"mean": np.array([np.inf, 0.1])}, "negative, infinite or NaN"),
        ({"mean": np.array([])}, "none at all"),
        ({"max_rate": -1}, "max_rate, in Hz, cannot be -1"),
        ({"max_rate": math.nan}, "max_rate, in Hz, cannot be nan"),
        ({"max_rate": math.inf}, "max_rate, in Hz, cannot be inf"),
        ({"window": 5, "image_shape": (4, 4)}, "window, in pixels, cannot be 5"),
        ({"window": 0, "image_shape": (4, 4)}, "window, in pixels, cannot be 0"),
        ({"window": 3, "image_shape": (2, 8)}, "window, in pixels, cannot be 3"),
        ({"window": 2}, "needs the image's shape; it is None"),
        ({"window": 2, "image_shape": (3, 4)}, r"\(3, 4\) for 16 inputs"),
    ],
)
def test_impossible_values_are_refused(fields, message):
    with pytest.raises(SettingsError, match=message):
        MeanDrive(**{"mean": np.full(16, 0.2), "max_rate": 100, **fields})


def test_unknown_process_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'poisson'"):
        MeanDrive(np.ones(1), max_rate=1, process="poison")


@pytest.mark.parametrize("fields", [{"mean": "white"}, {"max_rate": "fast"}, {"window": "all"}])
def test_values_of_another_kind_are_refused(fields):
    with pytest.raises(SettingsError, match=next(iter(fields))):
        MeanDrive(**{"mean": np.full(16, 0.2), "max_rate": 100, "image_shape": (4, 4), **fields})


def test_intensities_above_1_are_told_with_numbers():
    mean = np.array([0.2, 12.5, 3.0, 2.0])
    with pytest.warns(
        NeurosleepWarning, match=r"full intensity: of 4 inputs 3 are above 1, .*, 12.5, stands for 6000 Hz"
    ):
        MeanDrive(mean, max_rate=240)
    with pytest.warns(NeurosleepWarning, match="largest, 12.5, stands for 250 Hz"):
        MeanDrive(mean, max_rate=10)


@pytest.mark.parametrize("process", ["bernoulli", "poisson"])
def test_rates_are_hertz_whatever_the_step(process):
    drive = MeanDrive(np.array([0.0, 0.25, 1.0]), max_rate=20, process=process)
    for dt in (0.01, 0.001, 0.0001):
        seconds = drive.draw(generator(7), 40_000, dt).counts() / (40_000 * dt)
        expected = drive.probability(dt) / dt
        np.testing.assert_allclose(seconds, expected, rtol=0.2)
        np.testing.assert_allclose(expected, [0, 10, 40], rtol=0.25 if process == "poisson" else 1e-12)
