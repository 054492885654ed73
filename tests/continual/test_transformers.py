"""The sleep callback in Hugging Face's Trainer, beside a `Consolidator` in a loop of one's own."""

from __future__ import annotations

import copy
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import MissingExtraError, NeurosleepError, NeurosleepWarning
from tests.continual.fit_tools import RATES, Recurrent, right, task, values

pytestmark = pytest.mark.filterwarnings("ignore:The network did not sleep", "ignore::DeprecationWarning:accelerate.*")


class Model(nn.Module):
    """As those of transformers: named arguments, and an object with the loss and the logits."""

    def __init__(self, net: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 6)) if net is None else net

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.net(x)
        return {"logits": logits} | ({} if labels is None else {"loss": F.cross_entropy(logits, labels)})


class Named(Model):
    def forward(self, x: Tensor, target: Tensor, weights: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        logits = self.net(x)
        return {"loss": F.cross_entropy(logits, target), "logits": logits}


@pytest.fixture(scope="module")
def hugging() -> SimpleNamespace:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="the extra 'transformers' is not installed")
        pytest.importorskip("accelerate", reason="the extra 'transformers' is not installed")
        from neurosleep.continual.transformers import SleepTrainerCallback
    return SimpleNamespace(transformers=transformers, Callback=SleepTrainerCallback)


@pytest.fixture
def fit(hugging: SimpleNamespace, tmp_path: Path) -> Any:
    """Train a model on a task, in file order, with plain SGD."""

    def run(model: nn.Module, callbacks: list[Any], data: Any, epochs: int = 2, rate: float = 0.2, **more: Any) -> Any:
        class InOrder(hugging.transformers.Trainer):  # type: ignore[misc, name-defined]
            def _get_train_sampler(self, *_: Any) -> Any:
                return torch.utils.data.SequentialSampler(self.train_dataset)

        quiet = {"report_to": [], "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
        options = {"num_train_epochs": epochs, "per_device_train_batch_size": 10, "use_cpu": True, **quiet, **more}
        arguments = hugging.transformers.TrainingArguments(
            str(tmp_path / "out"), remove_unused_columns=False, **options
        )
        optimiser = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), rate)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0)
        trainer = InOrder(
            model=model,
            args=arguments,
            train_dataset=data,
            eval_dataset=data,
            callbacks=callbacks,
            optimizers=(optimiser, schedule),
        )
        trainer.remove_callback(hugging.transformers.PrinterCallback)
        trainer.train()
        return trainer

    return run


def dataset(k: int, inputs: str = "x", labels: str = "labels", **more: Any) -> list[dict[str, Any]]:
    return [{inputs: x, labels: y, **more} for x, y in zip(*task(k), strict=True)]


def test_it_is_what_a_consolidator_does_between_trainings(hugging: SimpleNamespace, fit: Any) -> None:
    model, alone = Model(), Model()
    callback, keeper = hugging.Callback(RATES, network="net", guard=False, seed=3), ns.Consolidator()
    for k in range(3):
        fit(model, [callback], dataset(k))
        fit(alone, [], dataset(k))
        x, y = task(k)
        for first in range(0, 80, 10):
            keeper.observe(x[first : first + 10], y[first : first + 10])
        result = keeper.consolidate(alone.net, sleep=RATES, guard=False, seed=3)
        result.apply_to(alone.net)
        assert callback.result.status == result.status == "done" and callback.fits == k + 1
        assert all(torch.equal(a, b) for a, b in zip(values(model), values(alone), strict=True))
    assert callback.keeper.count == keeper.count == 240  # each sample once, whatever the epochs
    assert callback.keeper.classes == (0, 1, 2, 3, 4, 5) and callback.keeper.new_classes == ()
    assert callback.keeper.set_points == keeper.set_points
    assert not model._forward_pre_hooks and not model.net._forward_pre_hooks
    assert repr(callback).startswith("<SleepTrainerCallback: 3 tasks, <Consolidator: 240 inputs")


def test_a_whole_model_sleeps_as_the_part_of_it_that_is_all(hugging: SimpleNamespace, fit: Any) -> None:
    models = [Model(), Model(), Model()]
    callbacks = [hugging.Callback(RATES, guard=False, **named) for named in ({}, {"inputs": "x"}, {"network": "net"})]
    for model, callback in zip(models, callbacks, strict=True):
        fit(model, [callback], dataset(0))
        assert callback.result.status == "done" and callback.keeper.count == 80
    for model in models[1:]:
        assert all(torch.equal(a, b) for a, b in zip(values(models[0]), values(model), strict=True))


def test_old_tasks_come_back_with_the_defaults(hugging: SimpleNamespace, fit: Any) -> None:
    accuracies = []
    for callbacks in ([], [hugging.Callback()]):
        model = Model()
        for k in range(3):
            fit(model, callbacks, dataset(k), epochs=6)
        accuracies.append(sum(right(model.net, k) for k in range(3)) / 3)
    assert accuracies[1] > accuracies[0] + 0.2


def test_labels_and_inputs_of_other_names(hugging: SimpleNamespace, fit: Any) -> None:
    data = dataset(0, labels="target", weights=torch.ones(2))
    model, callback = Named(), hugging.Callback(RATES, network="net", labels="target", guard=False)
    fit(model, [callback], data)
    assert callback.keeper.count == 80 and callback.keeper.classes == (0, 1) and callback.result.status == "done"


def test_the_head_of_a_model_of_the_library_sleeps_on_its_features(hugging: SimpleNamespace, fit: Any) -> None:
    """A vision transformer with its body frozen, and a residual network as a whole."""
    transformers = hugging.transformers
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vit = transformers.ViTForImageClassification(
        transformers.ViTConfig(**small, image_size=16, patch_size=8, num_labels=4)
    )
    vit.vit.requires_grad_(False)
    settings = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic", "num_labels": 4}
    resnet = transformers.ResNetForImageClassification(transformers.ResNetConfig(**settings))
    images = torch.rand(40, 3, 16, 16)
    data = [{"pixel_values": image, "labels": k % 2} for k, image in enumerate(images)]
    for model, named, shape in ((vit, {"network": "classifier"}, (16,)), (resnet, {}, (3, 16, 16))):
        before, body = copy.deepcopy(model.classifier), values(model)[:2]
        callback = hugging.Callback(RATES, guard=False, **named)
        fit(model, [callback], data, rate=0.01)
        assert callback.result.status == "done" and callback.keeper.mean.shape == shape
        assert callback.keeper.count == 40
        assert not all(torch.equal(a, b) for a, b in zip(values(before), values(model.classifier), strict=True))
        if named:
            assert all(torch.equal(a, b) for a, b in zip(body, values(model), strict=False))


def test_evaluation_and_accumulated_gradients_are_not_observed_twice(hugging: SimpleNamespace, fit: Any) -> None:
    model, callback = Model(), hugging.Callback(RATES, guard=False, every=3)
    fit(model, [callback], dataset(0), gradient_accumulation_steps=2, eval_strategy="epoch")
    assert callback.keeper.count == 80
    assert callback._napping.taken + callback._napping.declined == 5  # 16 batches, of which 8 are steps


def test_a_training_that_breaks_off_counts_for_nothing(hugging: SimpleNamespace, fit: Any) -> None:
    model, callback = Model(), hugging.Callback(RATES, network="net", guard=False)
    fit(model, [callback], dataset(0))
    before = callback.result

    class Breaks(hugging.transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 4:
                raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        fit(model, [callback, Breaks()], dataset(1))
    assert callback.fits == 1 and callback.keeper.count == 80 and callback.result is before
    model.train()(task(1)[0])  # the hooks are still there, and let it pass
    fit(model, [callback], dataset(1))
    assert callback.fits == 2 and callback.keeper.count == 160 and callback.keeper.classes == (0, 1, 2, 3)


def test_a_declined_sleep_warns_and_changes_nothing(hugging: SimpleNamespace, fit: Any) -> None:
    model, alone, callback = Model(), Model(), hugging.Callback(RATES)
    everything = [sample for together in zip(*map(dataset, range(3)), strict=True) for sample in together]
    fit(alone, [], everything, epochs=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model, [callback], everything, epochs=4)
    said = [str(one.message) for one in caught if issubclass(one.category, NeurosleepWarning)]
    assert len(said) == 1 and "did not sleep" in said[0] and callback.result.status == "declined"
    assert all(torch.equal(a, b) for a, b in zip(values(model), values(alone), strict=True))


def test_what_it_keeps_goes_into_a_file(hugging: SimpleNamespace, fit: Any, tmp_path: Path) -> None:
    model, callback = Model(), hugging.Callback(RATES, guard=False)
    fit(model, [callback], dataset(0))
    torch.save({"model": model.state_dict(), "callback": callback.state_dict()}, tmp_path / "task.pt")
    saved = torch.load(tmp_path / "task.pt", weights_only=True)
    again, other = Model(), hugging.Callback(RATES, guard=False)
    again.load_state_dict(saved["model"])
    other.load_state_dict(saved["callback"])
    assert other.fits == 1 and other.keeper.set_points == callback.keeper.set_points
    for one, sleeper in ((model, callback), (again, other)):
        fit(one, [sleeper], dataset(1))
    assert all(torch.equal(a, b) for a, b in zip(values(model), values(again), strict=True))


def test_what_cannot_sleep_is_refused_before_a_batch_is_learnt(hugging: SimpleNamespace, fit: Any) -> None:
    two = dataset(0, labels="target", weights=torch.ones(2))
    cases: list[tuple[nn.Module, dict[str, Any], Any, str]] = [
        (Model(), {"network": "head"}, dataset(0), r"no part named 'head'[\s\S]*one of net"),
        (Model(), {}, dataset(0, labels="target"), r"not given 'labels'[\s\S]*label_smoothing_factor"),
        (Named(), {"labels": "target", "inputs": "y"}, two, r"input is not plain[\s\S]*'x', 'weights'"),
        (Named(), {"labels": "target"}, two, r"input is not plain[\s\S]*network=NAME"),
        (Model(Recurrent()), {}, dataset(0), r"Nothing of the model can be regulated"),
        (Model(), {"settings": replace(RATES, after=(1,))}, dataset(0), "after"),
    ]
    for model, options, data, words in cases:
        before = copy.deepcopy(values(model))
        with pytest.raises(NeurosleepError, match=words):
            fit(model, [hugging.Callback(**options)], data)
        assert all(torch.equal(a, b) for a, b in zip(before, values(model), strict=True))
        assert not model._forward_pre_hooks


def test_settings_that_make_no_sense_are_refused_at_once(hugging: SimpleNamespace) -> None:
    for options in (
        {"settings": "sleep"},
        {"guard": "yes"},
        {"nap_damping": 0.5},
        {"every": 0},
        {"engine": "none"},
        {"seed": -1},
    ):
        with pytest.raises(NeurosleepError):
            hugging.Callback(**options)
    plain = {"world_size": 1, "n_gpu": 0, "torch_compile": False}
    for given, words in (
        ({"world_size": 2}, "2 processes"),
        ({"n_gpu": 2}, "2 devices"),
        ({"torch_compile": True}, "comp"),
    ):
        with pytest.raises(NeurosleepError, match=words):
            hugging.Callback().on_train_begin(SimpleNamespace(**plain | given), None, None, model=Model())


# --- the extra --------------------------------------------------------------------------------------------------------


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "neurosleep.continual.transformers", raising=False)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r'pip install "neurosleep\[transformers\]"'):
        from neurosleep.continual.transformers import SleepTrainerCallback  # noqa: F401
