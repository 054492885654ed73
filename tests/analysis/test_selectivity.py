from __future__ import annotations

import numpy as np
import torch

from neurosleep.analysis import class_patterns, preferred_class, selective_groups
from neurosleep.conversion import convert
from neurosleep.functional import MeanDrive, SRCRule
from neurosleep.replay import sleep
from neurosleep.spiking import Record


def test_the_preferred_class_has_the_largest_mean_activity(pair):
    network, _, images, labels = pair(3)
    found = preferred_class(network, images, labels)
    for layer, patterns in class_patterns(network, images, labels).items():
        for neuron, c in enumerate(found[layer].tolist()):
            largest = max(pattern[neuron] for pattern in patterns.values())
            assert (largest > 0) == (c >= 0) and (c < 0 or patterns[c][neuron] == largest)
    assert list(found) == ["hidden1", "hidden2", "output"]


def test_neurons_that_answer_to_nothing_prefer_none(pair):
    network, _, images, labels = pair(3)
    with torch.no_grad():
        network.weights[0][4] = -1.0
    assert preferred_class(network, images, labels)["hidden1"][4] == -1
    groups = selective_groups(network, images, labels)["hidden1"]
    assert list(groups) == ["class 0", "class 1", "class 2"]
    assert (
        sorted(np.concatenate(list(groups.values())).tolist())
        == np.flatnonzero(preferred_class(network, images, labels)["hidden1"] >= 0).tolist()
    )
    assert 4 not in np.concatenate(list(groups.values()))


def test_groups_can_be_followed_through_a_sleep(pair):
    network, _, images, labels = pair(5)
    groups = selective_groups(network, images, labels)
    record = Record(groups=groups, rates_every=100)
    drive, rule = MeanDrive(np.full(12, 0.5), 300.0), SRCRule(1e-3, 1e-4)
    spiking = convert(network, images, recipe="recursive")
    recording = sleep(spiking, drive=drive, rule=rule, steps=1050, record=record).recording
    whole = recording.rate_monitor("hidden1").spikes
    parts = [recording.rate_monitor("hidden1", group=f"class {c}").spikes for c in range(3)]
    silent = recording.counts["hidden1"][preferred_class(network, images, labels)["hidden1"] < 0].sum()
    assert sum(part.sum() for part in parts) == whole.sum() - silent > 0 and len(whole) == 11
