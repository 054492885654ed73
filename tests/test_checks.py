"""The checks at every door: what they take, and that what they refuse is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neurosleep._checks import as_images, check_count, check_device, check_number
from neurosleep.errors import NeurosleepError, SettingsError


@pytest.mark.parametrize("value", [1, np.int64(1), np.uint8(1), torch.tensor(1)])
def test_whole_numbers_of_any_library_are_counts(value: object) -> None:
    count = check_count("steps", value)
    assert count == 1 and type(count) is int


@pytest.mark.parametrize("value", [True, np.True_, 1.0, "1", None, math.nan, 0, -1, [1], 10**30])
def test_what_is_no_count_is_refused_by_name(value: object) -> None:
    with pytest.raises(SettingsError, match="steps cannot be"):
        check_count("steps", value, most=2**31)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", True, None, [1.0, 2.0], 10**400, 0.0, 3.0])
def test_what_is_no_finite_number_within_its_limits_is_refused(value: object) -> None:
    with pytest.raises(SettingsError, match="dt cannot be"):
        check_number("dt", value, most=2.0, above=0)


def test_numbers_within_their_limits_become_floats() -> None:
    assert check_number("dt", np.float32(0.5), least=0.5, most=0.5) == 0.5
    assert check_number("dt", torch.tensor(2)) == 2.0


@pytest.mark.parametrize("device", ["abacus", "", 3.5, "cuda:4096"])
def test_devices_that_are_not_here_are_refused(device: object) -> None:
    with pytest.raises(NeurosleepError):
        check_device(device)
    assert check_device("cpu") == torch.device("cpu")


@pytest.mark.filterwarnings("ignore:x. bytes")
def test_images_of_every_kind_become_floats() -> None:
    bytes_ = np.array([[0, 255]], dtype=np.uint8)
    assert as_images("x", bytes_).tolist() == as_images("x", torch.from_numpy(bytes_)).tolist() == [[0.0, 1.0]]
    assert as_images("x", np.ones((2, 3))).dtype == torch.float64
    assert as_images("x", torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32
    assert as_images("x", np.array([[True, False]])).tolist() == [[1.0, 0.0]]
    assert as_images("x", [torch.ones(3), torch.zeros(3)]).shape == (2, 3)
    assert not as_images("x", torch.ones(2, 3, requires_grad=True)).requires_grad


@pytest.mark.parametrize("images", ["text", None, [], [[1], [1, 2]], 3, {"x": 1}, np.ones((0, 3)), np.array(["a"]), 1j])
def test_what_is_no_image_is_refused_by_name(images: object) -> None:
    with pytest.raises(NeurosleepError, match="pictures"):
        as_images("pictures", images)
