"""Settings as typed values: the files they are written to are those of before, and a run makes each part once."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

import pytest

from neurosleep.continual import SRC
from neurosleep.experiments import RunRequest, apply_changes, experiment_names, load_settings, run_one, variant_names
from neurosleep.experiments.changes import dump_toml
from neurosleep.experiments.experiment import Experiment
from neurosleep.experiments.networks import FeedForward
from neurosleep.experiments.reading import all_settings
from neurosleep.experiments.run import one
from neurosleep.learning import Backprop
from neurosleep.replay import Sleep
from neurosleep.replay.options import FLAT, REM

STRATEGIES = ("sequential", "joint", "icarl", "src", "ewc+src")
# Of all resolved files of an experiment, as the code wrote them that held settings as nested dictionaries.
DIGESTS = {
    "adaptation2022/cifar10": "8070bd3a8908fdf2",
    "adaptation2022/mnist": "f0a2a2b047c75128",
    "demo/mnist-mini": "edb0a73de29e6706",
    "dendritic2026/fashion": "5600257b120d1d5c",
    "dendritic2026/kmnist": "5920c88ad044791f",
    "dendritic2026/mnist": "1549d747529c8c53",
    "ep2021/cifar10": "4912f23c731ea568",
    "ep2021/mnist": "e9a5b27c0652bef0",
    "ep2025/cifar10": "e4528c7157069634",
    "ep2025/cifar10-bptt": "ee5d7c2c1e4d8218",
    "ep2025/cifar10-ff": "e393a7236553243d",
    "ep2025/fashion": "5d64f642f79bd6bf",
    "ep2025/fashion-bptt": "f86c73694bc5d613",
    "ep2025/fashion-ff": "02349749f20b9612",
    "ep2025/kmnist": "dc4a5452345bda25",
    "ep2025/kmnist-bptt": "4502713ada4b4d4d",
    "ep2025/kmnist-ff": "d4195b745c48061f",
    "ep2025/mnist": "5356a662ff39a03d",
    "ep2025/mnist-bptt": "231b42d1997cb03f",
    "ep2025/mnist-ff": "e1f391da813671b2",
    "ep2025/tinyimagenet": "d49c9806501d3f58",
    "ep2025/tinyimagenet-bptt": "7c61d002d3ca1ba4",
    "ep2025/tinyimagenet-ff": "9fd3b508dd611d55",
    "hts2026/fashion": "25664a74aca6b146",
    "hts2026/mnist": "95697aba3db25927",
    "hts2026/step-sizes": "c75cd1fded894e54",
    "on-chips/fashion": "3b66a7bdba49c164",
    "on-chips/mnist": "191aaff41ce3eeea",
    "src2022/cifar10": "1c6136f7f193af62",
    "src2022/cifar10-efficientnet": "7db4c88cd3b44857",
    "src2022/cifar10-icarl": "c1baa108d22e59de",
    "src2022/cifar10-rehearsal": "2a85b573d944af95",
    "src2022/cifar10-task2-length": "65053bc633c56aba",
    "src2022/crossmodal": "72ab7e32d85e4f55",
    "src2022/crossmodal-rehearsal": "bb7b9f2f07ca03f2",
    "src2022/crossmodal-reverse": "f8603a4f0d51f9ba",
    "src2022/crossmodal-task2-length": "a522ee774948b10c",
    "src2022/cub200": "8c0f6be5076cd4e4",
    "src2022/fashion": "0061c512a991dc10",
    "src2022/fashion-icarl": "1cd5f219b5bed5c7",
    "src2022/fashion-rehearsal": "647a872ee66f2990",
    "src2022/fashion-task2-length": "9e8a278ee5ed6be2",
    "src2022/mnist": "7d20e69f12fb1842",
    "src2022/mnist-icarl": "e0dbb30870095972",
    "src2022/mnist-rehearsal": "f6bcedbc45f013dd",
    "src2022/patches": "5d86392630465a4c",
    "src2022/patches-single": "1fa8f105f6067024",
    "src2022/task2-length": "229b5eaa15abc32d",
    "src2022/tiny-imagenet": "aa4b1e70174fa647",
    "src2022/undertrained": "d2884539863ca05a",
}


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_resolved_files_are_the_same_byte_for_byte(name: str) -> None:
    digest = hashlib.sha256()
    for variant in ("default", *variant_names(name)):
        for strategy in STRATEGIES:
            for faithful in (False, True):
                changes = [("faithful", True)] if faithful else []
                settings = load_settings(name, strategy=strategy, variant=variant, changes=changes)[1]
                digest.update(f"{name} {variant} {strategy} {faithful}\n{dump_toml(settings)}".encode())
    assert digest.hexdigest()[:16] == DIGESTS[name]


def test_every_packaged_experiment_has_its_digest() -> None:
    assert set(DIGESTS) <= set(experiment_names())


def test_the_flat_keys_of_sleep_are_those_of_the_sleep_and_its_stage() -> None:
    keys = {entry.name for part in (Sleep, REM) for entry in fields(part)} - {"stages", "cycles"}
    assert keys == set(FLAT)
    assert Sleep.src2022(**Sleep.src2022().flat()) == Sleep.src2022()


def test_every_setting_stands_in_the_table_of_some_kind() -> None:
    table = Experiment().table()
    plain = {path for path in all_settings("mlp", "backprop") if "." in path}
    assert plain | {"sleep.rule"} == {
        f"{name}.{key}" for name, keys in table.items() if isinstance(keys, dict) for key in keys
    }


def test_a_run_makes_its_learning_its_strategy_its_sleep_and_its_network_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [("data.name", "mnist-mini"), ("data.images_per_task", 20), ("wake.epochs", 1), ("sleep.steps", 20)]
    changes += [("network.sizes", [784, 6, 5, 10]), ("sleep.thresholds", None)]
    settings = apply_changes(load_settings("src2022/mnist", strategy="src")[1], changes)
    made: list[str] = []

    def counted(cls: type, method: str, what: str) -> None:
        before = getattr(cls, method)

        def counting(self: object, *given: object, **more: object) -> object:
            if what != "network" or self.sizes[0] == 784:
                made.append(what)
            return before(self, *given, **more)

        monkeypatch.setattr(cls, method, counting)

    counted(Backprop, "__post_init__", "learning")
    counted(Sleep, "__post_init__", "sleep")
    counted(REM, "__post_init__", "stage")
    counted(SRC, "__init__", "strategy")
    counted(FeedForward, "make", "network")
    monkeypatch.setattr(one, "write_run_figures", lambda folder: None)
    assert run_one(RunRequest("x", "default", "src", 0, settings, None, str(tmp_path)))["status"] == "done"
    assert sorted(made) == ["learning", "network", "sleep", "strategy"]
