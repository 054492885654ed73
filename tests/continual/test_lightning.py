"""The sleep callback in Lightning's Trainer, beside a `Consolidator` in a loop of one's own."""

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
from torch.utils.data import DataLoader, TensorDataset

import neurosleep as ns
from neurosleep.continual.naps import Napping, Naps
from neurosleep.errors import MissingExtraError, NeurosleepError, NeurosleepWarning
from tests.continual.fit_tools import RATES, Recurrent, right, task, values

pytestmark = pytest.mark.filterwarnings("ignore:The network did not sleep")


@pytest.fixture(scope="module")
def lit() -> SimpleNamespace:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning = pytest.importorskip("lightning.pytorch", reason="the extra 'lightning' is not installed")
        from neurosleep.continual.lightning import SleepCallback

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, optimiser: str = "sgd") -> None:
            super().__init__()
            torch.manual_seed(0)
            self.model, self.optimiser = nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 6)), optimiser

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x, y = (batch["image"], batch["label"]) if isinstance(batch, dict) else batch
            return F.cross_entropy(self.model(x), y)

        def configure_optimizers(self) -> Any:
            if self.optimiser == "adam":
                return torch.optim.Adam(self.parameters(), 0.01)
            return torch.optim.SGD(self.parameters(), 0.2, momentum=0.5)

    class Forward(Module):
        def forward(self, x: Tensor) -> Tensor:
            return self.model(x)

    def fit(module: Any, callbacks: list[Any], loader: Any, epochs: int = 2, **more: Any) -> Any:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        options = {"max_epochs": epochs, "accelerator": "cpu", "enable_checkpointing": False, **quiet, **more}
        trainer = lightning.Trainer(callbacks=callbacks, **options)
        trainer.fit(module, loader)
        return trainer

    return SimpleNamespace(
        lightning=lightning,
        SleepCallback=SleepCallback,
        Module=Module,
        Forward=Forward,
        fit=fit,
        Trainer=lightning.Trainer,
    )


def loader(k: int) -> Any:
    return DataLoader(TensorDataset(*task(k)), batch_size=10)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_it_is_what_a_consolidator_does_between_fits(lit: SimpleNamespace, optimiser: str) -> None:
    module, alone = lit.Forward(optimiser), lit.Forward(optimiser)
    callback, keeper = lit.SleepCallback(RATES, guard=False, seed=3), ns.Consolidator()
    for k in range(3):
        lit.fit(module, [callback], loader(k))
        lit.fit(alone, [], loader(k))
        for x, y in loader(k):
            keeper.observe(x, y)
        result = keeper.consolidate(alone, sleep=RATES, guard=False, seed=3)
        result.apply_to(alone)
        assert callback.result.status == result.status == "done" and callback.fits == k + 1
        assert all(torch.equal(a, b) for a, b in zip(values(module), values(alone), strict=True))
        assert module.training
    assert callback.keeper.count == keeper.count == 240  # each sample once, whatever the epochs
    assert callback.keeper.classes == (0, 1, 2, 3, 4, 5) and callback.keeper.new_classes == ()
    assert callback.keeper.set_points == keeper.set_points
    assert repr(callback).startswith("<SleepCallback: 3 tasks, <Consolidator: 240 inputs")


def test_old_tasks_come_back_with_the_defaults(lit: SimpleNamespace) -> None:
    accuracies = []
    for callbacks in ([], [lit.SleepCallback()]):
        module = lit.Forward()
        for k in range(3):
            lit.fit(module, callbacks, loader(k), epochs=6)
        accuracies.append(sum(right(module, k) for k in range(3)) / 3)
    assert accuracies[1] > accuracies[0] + 0.2


def test_a_part_of_the_module_and_batches_of_any_kind(lit: SimpleNamespace) -> None:
    module, like = lit.Module(), lit.Forward()
    x, y = task(0)
    batches = [{"image": x[k : k + 10], "label": y[k : k + 10]} for k in range(0, 80, 10)]
    named = lit.SleepCallback(RATES, network="model", guard=False, batch=lambda batch: (batch["image"], batch["label"]))
    lit.fit(module, [named], DataLoader(batches, batch_size=None))
    lit.fit(like, [lit.SleepCallback(RATES, guard=False)], loader(0))
    assert named.keeper.count == 80
    assert all(torch.equal(a, b) for a, b in zip(values(module), values(like), strict=True))


def test_naps_are_those_of_a_loop_of_ones_own(lit: SimpleNamespace) -> None:
    module, alone = lit.Forward(), lit.Forward()
    callback = lit.SleepCallback(RATES, guard=False, every=5, nap_damping=0.5)
    napping, keeper = Napping(RATES, Naps(5, 0.5), guard=False), ns.Consolidator()
    for k in range(2):
        lit.fit(module, [callback], loader(k))
        napping.start(keeper, 80)
        optimiser = alone.configure_optimizers()
        for _ in range(2):
            for x, y in loader(k):
                optimiser.zero_grad()
                alone.training_step((x, y), 0).backward()
                optimiser.step()
                napping.after_batch(alone, x, y)
        keeper.observe(*task(k))
        keeper.consolidate(alone, sleep=RATES, guard=False).apply_to(alone)
        assert callback._napping.taken == napping.taken == 3
        for a, b in zip(values(module), values(alone), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_fit_that_breaks_off_counts_for_nothing(lit: SimpleNamespace) -> None:
    module, callback = lit.Forward(), lit.SleepCallback(RATES, guard=False)
    lit.fit(module, [callback], loader(0))
    before = callback.result

    class Breaks(lit.lightning.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 4:
                raise RuntimeError("broken off")

    with pytest.raises(RuntimeError, match="broken off"):
        lit.fit(module, [callback, Breaks()], loader(1))
    assert callback.fits == 1 and callback.keeper.count == 80 and callback.result is before
    lit.fit(module, [callback], loader(1))
    assert callback.fits == 2 and callback.keeper.count == 160 and callback.keeper.classes == (0, 1, 2, 3)


def test_a_declined_sleep_warns_and_changes_nothing(lit: SimpleNamespace) -> None:
    module, alone, callback = lit.Forward(), lit.Forward(), lit.SleepCallback(RATES)
    everything = DataLoader(TensorDataset(*(torch.cat(part) for part in zip(*map(task, range(3)), strict=True))), 10)
    lit.fit(alone, [], everything)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lit.fit(module, [callback], everything)
    said = [str(one.message) for one in caught if issubclass(one.category, NeurosleepWarning)]
    assert len(said) == 1 and "did not sleep" in said[0]
    assert callback.result.status == "declined"
    assert all(torch.equal(a, b) for a, b in zip(values(module), values(alone), strict=True))


def test_a_checkpoint_holds_what_is_kept(lit: SimpleNamespace, tmp_path: Path) -> None:
    module, callback = lit.Forward(), lit.SleepCallback(RATES, guard=False)
    trainer = lit.fit(module, [callback], loader(0), default_root_dir=tmp_path)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    other, again = lit.SleepCallback(RATES, guard=False), lit.Forward()
    saved = torch.load(tmp_path / "task.ckpt", weights_only=True)
    other.load_state_dict(saved["callbacks"][callback.state_key])
    again.load_state_dict(saved["state_dict"])
    assert other.fits == 1 and other.keeper.count == 80 and other.keeper.set_points == callback.keeper.set_points
    assert saved["callbacks"][callback.state_key]["keeper"]["mean"].shape == (12,)
    for one, sleeper in ((module, callback), (again, other)):
        lit.fit(one, [sleeper], loader(1))
    assert all(torch.equal(a, b) for a, b in zip(values(module), values(again), strict=True))


def test_what_cannot_sleep_is_refused_before_a_batch_is_learnt(lit: SimpleNamespace) -> None:
    cases = [
        (lit.Module(), {}, loader(0), r"no forward of its own[\s\S]*network='model'"),
        (lit.Forward(), {"network": "net"}, loader(0), r"no part named 'net'[\s\S]*one of model"),
        (lit.Forward(), {}, DataLoader(TensorDataset(task(0)[0])), r"inputs and labels is not plain"),
        (lit.Forward(), {"settings": replace(RATES, after=(1,))}, loader(0), "after"),
    ]
    recurrent = lit.Forward()
    recurrent.model = Recurrent()
    cases.append((recurrent, {}, loader(0), r"Nothing of the model can be regulated"))
    for module, options, data, words in cases:
        before = copy.deepcopy(values(module))
        with pytest.raises(NeurosleepError, match=words):
            lit.fit(module, [lit.SleepCallback(**options)], data)
        assert all(torch.equal(a, b) for a, b in zip(before, values(module), strict=True))


def test_settings_that_make_no_sense_are_refused_at_once(lit: SimpleNamespace) -> None:
    for options in (
        {"settings": "sleep"},
        {"guard": "yes"},
        {"nap_damping": 0.5},
        {"every": 0},
        {"engine": "none"},
        {"seed": -1},
    ):
        with pytest.raises(NeurosleepError):
            lit.SleepCallback(**options)
    several = SimpleNamespace(world_size=2, current_epoch=0)
    with pytest.raises(NeurosleepError, match="2 processes"):
        lit.SleepCallback().on_train_start(several, lit.Forward())


def test_pytorch_lightning_by_its_old_name_takes_it_too(lit: SimpleNamespace) -> None:
    old = pytest.importorskip("pytorch_lightning", reason="the package 'pytorch-lightning' is not installed")

    class Old(old.LightningModule):  # type: ignore[misc]
        forward, training_step = lit.Forward.forward, lit.Module.training_step
        configure_optimizers = lit.Module.configure_optimizers

        def __init__(self) -> None:
            super().__init__()
            like = lit.Forward()
            self.model, self.optimiser = like.model, like.optimiser

    module, like, callbacks = Old(), lit.Forward(), [lit.SleepCallback(RATES, guard=False) for _ in range(2)]
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.Trainer(max_epochs=2, accelerator="cpu", enable_checkpointing=False, callbacks=callbacks[:1], **quiet).fit(
            module, loader(0)
        )
        lit.fit(like, callbacks[1:], loader(0))
    assert callbacks[0].fits == 1
    assert all(torch.equal(a, b) for a, b in zip(values(module), values(like), strict=True))


# --- the extra --------------------------------------------------------------------------------------------------------


def test_without_lightning_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "neurosleep.continual.lightning", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("lightning", "pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("lightning", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r'pip install "neurosleep\[lightning\]"'):
        from neurosleep.continual.lightning import SleepCallback  # noqa: F401
