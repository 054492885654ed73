"""What a consolidator keeps of the data: statistics, whatever the batches, and nothing that grows."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosleep.errors import DataError, ExchangeError, NeurosleepError, NeurosleepWarning
from neurosleep.functional import SetPoint
from neurosleep.replay import Consolidator, OutputDrive


def observed(sizes: list[int], seed: int = 0) -> tuple[Consolidator, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    data = torch.randn(sum(sizes), 3, 2, generator=generator, dtype=torch.float64) * 3 + 5
    keeper = Consolidator()
    for part in data.split(sizes):
        keeper.observe(part, torch.zeros(len(part), dtype=torch.long))
    return keeper, data


@pytest.mark.parametrize("sizes", [[200], [1, 199], [7, 50, 3, 140], [1] * 200])
def test_mean_and_spread_do_not_depend_on_the_batches(sizes: list[int]) -> None:
    keeper, data = observed(sizes)
    assert keeper.count == 200
    torch.testing.assert_close(keeper.mean, data.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(keeper.std, data.std(0, correction=0), rtol=1e-12, atol=0)


def test_classes_are_new_until_their_task_is_closed() -> None:
    keeper = Consolidator()
    keeper.observe(np.random.rand(4, 3), [2, 1, 2, 1])
    assert (keeper.classes, keeper.new_classes) == ((1, 2), (1, 2))
    keeper.close_task()
    keeper.observe(np.random.rand(4, 3), np.array([1, 5, 5, 1], dtype=np.int32))
    assert (keeper.classes, keeper.new_classes) == ((1, 2, 5), (5,))
    keeper.close_task()
    assert keeper.new_classes == () and keeper.newest is None


def test_inputs_within_0_and_1_are_drawn_as_spikes_others_as_normal_numbers() -> None:
    images, standardised = Consolidator(), Consolidator()
    images.observe(torch.rand(50, 4), torch.zeros(50, dtype=torch.long))
    standardised.observe(torch.randn(50, 4), torch.zeros(50, dtype=torch.long))
    assert images.noise.spread is None
    assert standardised.noise.spread is not None
    assert set(images.noise.frames(20, seed=0).unique().tolist()) <= {0.0, 1.0}


def test_whole_bytes_are_images_of_0_to_1() -> None:
    bytes_, floats = Consolidator(), Consolidator()
    images = np.random.default_rng(0).integers(0, 256, (30, 5), dtype=np.uint8)
    with pytest.warns(NeurosleepWarning, match="divided by 255"):
        bytes_.observe(images, [0] * 30)
    floats.observe(images / 255.0, [0] * 30)
    torch.testing.assert_close(bytes_.mean, floats.mean, rtol=1e-6, atol=0)


def test_a_bounded_number_of_the_newest_samples_is_held_and_dropped_with_their_task() -> None:
    keeper = Consolidator()
    for start in range(0, 20000, 300):
        numbers = torch.arange(start, start + 300)
        keeper.observe(numbers[:, None] + 0.5, numbers % 10)
    images, labels = keeper.newest or (torch.zeros(0), torch.zeros(0))
    assert 250 < len(images) <= 1000
    assert torch.equal(images[:, 0].long() % 10, labels)
    # From all over the task, not from its start or its end.
    assert images.min() < 1000 and images.max() > 19000
    keeper.close_task()
    assert keeper.newest is None and keeper.count == 20100


def test_the_file_gives_everything_back_but_the_samples(tmp_path: Path) -> None:
    keeper, _ = observed([40])
    keeper.close_task({"fc1": SetPoint(0.5, 1.5)})
    keeper.observe(torch.zeros(3, 3, 2), torch.tensor([4, 4, 4]))
    again = Consolidator.open(keeper.save(tmp_path / "keeper.safetensors"))
    assert torch.equal(again.mean, keeper.mean) and torch.equal(again.std, keeper.std)
    assert (again.count, again.classes, again.new_classes) == (43, (0, 4), (4,))
    assert again.set_points == {"fc1": SetPoint(0.5, 1.5)} and again.newest is None
    again.observe(torch.ones(2, 3, 2), torch.tensor([4, 4]))
    keeper.observe(torch.ones(2, 3, 2), torch.tensor([4, 4]))
    assert torch.equal(again.mean, keeper.mean)


def test_a_file_does_not_grow_with_what_was_observed(tmp_path: Path) -> None:
    few, many = observed([10])[0], observed([10] * 300)[0]
    few, many = few.save(tmp_path / "few"), many.save(tmp_path / "many")
    assert abs(few.stat().st_size - many.stat().st_size) < 40


def test_the_first_set_points_stay() -> None:
    keeper, _ = observed([4])
    keeper.close_task({"fc1": SetPoint(1.0, 1.0)})
    keeper.close_task({"fc1": SetPoint(2.0, 2.0), "fc2": SetPoint(3.0, 3.0)})
    assert keeper.set_points == {"fc1": SetPoint(1.0, 1.0), "fc2": SetPoint(3.0, 3.0)}


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.rand(4, 3), [0, 1, 2], "4 class numbers"),
        (torch.rand(4, 3), [0.0, 1.0, 2.0, 1.0], "float"),
        (torch.rand(4, 3), [0, 1, -2, 1], "-2"),
        (torch.rand(4, 3), [[0, 1, 2, 1]], "shape (1, 4)"),
        (torch.rand(4, 3), "labels", "cannot be read"),
        (torch.rand(4, 3), ["a", "b", "c", "d"], "class numbers"),
        (torch.rand(4, 3), torch.eye(4), "argmax"),
        (torch.rand(4), [0, 1, 2, 1], "samples [n, ...]"),
        (torch.full((4, 3), float("nan")), [0, 1, 2, 1], "NaN"),
        (torch.rand(4, 2), [0, 1, 2, 1], "(3,)"),
        (torch.rand(0, 3), [], "no image"),
        ("images", [0], "cannot be read"),
    ],
)
def test_what_cannot_be_observed_is_refused_and_changes_nothing(x: object, y: object, words: str) -> None:
    keeper = Consolidator()
    keeper.observe(torch.rand(10, 3), torch.arange(10))
    mean, classes = keeper.mean, keeper.classes
    with pytest.raises(NeurosleepError) as caught:
        keeper.observe(x, y)
    assert words in str(caught.value)
    assert torch.equal(keeper.mean, mean) and keeper.classes == classes and keeper.count == 10


def test_without_data_there_is_nothing_to_draw() -> None:
    with pytest.raises(DataError, match="No data has been observed"):
        _ = Consolidator().noise


def test_where_the_last_sleep_left_the_outputs_is_kept(tmp_path: Path) -> None:
    keeper, _ = observed([4])
    keeper.close_task(None, OutputDrive((0.5, float("nan")), 2.0))
    # A sleep that is declined leaves nothing of its own.
    keeper.close_task()
    for again in (keeper.copy(), Consolidator.open(keeper.save(tmp_path / "keeper"))):
        left = again._known().left
        assert left is not None and left.spread == 2.0
        assert left.means[0] == 0.5 and left.means[1] != left.means[1]


def test_files_without_it_are_read(tmp_path: Path) -> None:
    keeper, _ = observed([4])
    state = keeper.state_dict()
    header = json.loads(bytes(state["header"].tolist()))
    del header["left"]
    again = Consolidator()
    again.load_state_dict({**state, "header": torch.tensor(list(json.dumps(header).encode()), dtype=torch.uint8)})
    assert again._known().left is None and again.count == 4


def test_inputs_that_never_differ_drive_nothing() -> None:
    """Though their mean is within 0..1."""
    keeper = Consolidator()
    keeper.observe(torch.full((20, 3), 0.3), torch.arange(20) % 2)
    with pytest.raises(DataError, match="Not one of 3 inputs differs among the 20 samples"):
        keeper.consolidate(torch.nn.Linear(3, 2))
    keeper.observe(torch.rand(20, 3), torch.arange(20) % 2)
    assert keeper.noise.spread is None


def test_whole_numbers_above_1_are_said_to_be_of_the_wrong_scale_once() -> None:
    keeper = Consolidator()
    pixels = torch.randint(0, 256, (20, 3)).float()
    with pytest.warns(NeurosleepWarning, match="divide"):
        keeper.observe(pixels, [0] * 20)
    keeper.observe(pixels, [0] * 20)
    # Features and standardised data are no images.
    for x in (4 * torch.rand(20, 3), torch.randn(20, 3), torch.randint(0, 2, (20, 3)).float()):
        Consolidator().observe(x, [0] * 20)


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no tensors")
    header = json.dumps({"__metadata__": {"neurosleep": json.dumps({"format": "neurosleep consolidator 1"})}}).encode()
    (tmp_path / "hollow").write_bytes(struct.pack("<Q", len(header)) + header)
    for name in ("text", "hollow", "missing"):
        with pytest.raises(ExchangeError, match="cannot be read"):
            Consolidator.open(tmp_path / name)
    with pytest.raises(ExchangeError, match="null"):
        observed([3])[0].save(tmp_path / "no-file\0")
