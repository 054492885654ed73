"""Which answers sleep changed, against counts made one image at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from neurosleep import analysis, plot
from neurosleep.errors import DataError, UnknownNameError


@pytest.fixture
def networks() -> tuple[nn.Module, nn.Module, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    images = torch.rand(200, 1, 3, 3, generator=generator)
    labels = torch.randint(4, (200,), generator=generator)
    before, after = (nn.Sequential(nn.Flatten(), nn.Linear(9, 4)) for _ in range(2))
    return before, after, images, labels


def test_rows_count_every_image_once_by_class_and_both_answers(networks: tuple) -> None:
    before, after, images, labels = networks
    expected: Counter[tuple[int, int, int]] = Counter()
    for image, label in zip(images, labels.tolist(), strict=True):
        expected[label, int(before(image[None]).argmax()), int(after(image[None]).argmax())] += 1
    rows = analysis.confusion_change(before, after, images.numpy(), labels.numpy()).rows()
    assert {(row["class"], row["answer_before"], row["answer_after"]): row["images"] for row in rows} == expected
    assert len({triple[1:] for triple in expected}) > 2  # the two networks differ


def test_the_four_pictures_show_both_matrices_their_difference_and_what_moved(networks: tuple) -> None:
    before, after, images, labels = networks
    table = analysis.confusion_change(before, after, images, labels)
    shown = {
        value: plot.confusion_change(table, value=value).images[0].get_array()
        for value in ("before", "after", "change", "moved")
    }
    was, now = before(images).argmax(1), after(images).argmax(1)
    for value, answer in (("before", was), ("after", now)):
        matrix = np.zeros((4, 4))
        np.add.at(matrix, (labels.numpy(), answer.numpy()), 1)
        assert np.array_equal(shown[value], matrix)
    assert np.array_equal(shown["change"], shown["after"] - shown["before"])
    assert shown["moved"].sum() == int((was != now).sum()) > 0 and not np.diag(shown["moved"]).any()
    assert shown["moved"][1, 2] == int(((was == 1) & (now == 2)).sum())
    rows = [{key: str(value) for key, value in row.items()} for row in table.rows()]
    assert np.array_equal(plot.confusion_change(rows).images[0].get_array(), shown["change"])


def test_what_makes_no_sense_is_refused(networks: tuple) -> None:
    before, after, images, labels = networks
    for wrong in (labels[:3], labels.double(), labels - 9):
        with pytest.raises(DataError, match="labels"):
            analysis.confusion_change(before, after, images, wrong)
    table = analysis.confusion_change(before, after, images, labels)
    with pytest.raises(UnknownNameError, match="sideways"):
        plot.confusion_change(table, value="sideways")  # type: ignore[arg-type]
