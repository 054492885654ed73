"""Checkpoints that Lightning's Trainer wrote: read into the module, or its network; without one the call is said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import neurosleep as ns
from neurosleep.cli.app import app
from neurosleep.errors import ExchangeError

L = pytest.importorskip("lightning")


def network(hidden: int = 7) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, hidden), nn.ReLU(), nn.Linear(hidden, 3))


class Classifier(L.LightningModule):  # type: ignore[misc, name-defined]
    """As people write it: a network, a loss with weights of its own, and hyperparameters that are saved."""

    def __init__(self, hidden: int = 7, lr: float = 0.05, kind: Any = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = network(hidden)
        self.loss = nn.CrossEntropyLoss(weight=torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        loss: Tensor = self.loss(self(batch[0]), batch[1])
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class Twins(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.teacher = network()


def trained(module: Any, path: Path) -> Path:
    """The checkpoint after one step of training."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    batches = torch.utils.data.TensorDataset(torch.rand(8, 6, 6), torch.randint(0, 3, (8,)))
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
    trainer = L.Trainer(max_steps=1, accelerator="cpu", default_root_dir=path.parent, **quiet)
    trainer.fit(module, torch.utils.data.DataLoader(batches, 4))
    trainer.save_checkpoint(path)
    assert torch.load(path, weights_only=False)["global_step"] == 1
    return path


def test_a_checkpoint_into_the_module_or_its_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Classifier()
    before, path = module.model[1].weight.detach().clone(), trained(module, tmp_path / "last.ckpt")
    assert not torch.equal(module.model[1].weight, before)
    x = torch.rand(20, 6, 6)
    for read in (ns.load(path, Classifier()), ns.load(path, network()), ns.load(path, Classifier().model)):
        assert torch.equal(read.eval()(x), module.eval()(x))
    found = ns.simulate(ns.convert(ns.load(path, network()), x), x, 400).read_out
    assert found is not None
    assert float((torch.as_tensor(found[-1]) / 400 - module(x).detach()).abs().max()) < 0.05


def test_without_the_class_the_call_is_said(tmp_path: Path) -> None:
    path = trained(Classifier(hidden=9), tmp_path / "last.ckpt")
    words = (
        r"a checkpoint of Lightning: weights and hyperparameters, without(?s:.*)neurosleep\.load\('last\.ckpt', "
        r"module=YourLightningModule\(hidden=9, lr=0\.05, kind=None\)\); or module=YourLightningModule\(.*\)\.model"
    )
    with pytest.raises(ExchangeError, match=words):
        ns.load(path)
    for arguments in (["--to", "snn", "--out", str(tmp_path / "x.safetensors")], ["--check"]):
        result = CliRunner().invoke(app, ["convert", str(path), *arguments])
        assert result.exit_code == 2 and "YourLightningModule(hidden=9" in " ".join(result.output.split())
    said = ns.load(path, module=Classifier(hidden=9, lr=0.05, kind=None))  # the very call
    assert ns.load(ns.save(said.model, tmp_path / "model.onnx"))(torch.rand(2, 36)).shape == (2, 3)


def test_hyperparameters_of_other_classes_are_not_made(tmp_path: Path) -> None:
    path = trained(Classifier(kind=nn.ReLU), tmp_path / "last.ckpt")
    with pytest.raises(ExchangeError, match=r"module=YourLightningModule\(\.\.\.\)"):
        ns.load(path)
    with pytest.raises(
        ExchangeError, match=r"hyperparameters or other objects of classes are refused(?s:.*)load_from_checkpoint"
    ):
        ns.load(path, network())


def test_what_does_not_fit_or_fits_twice(tmp_path: Path) -> None:
    path = trained(Twins(), tmp_path / "last.ckpt")
    with pytest.raises(ExchangeError, match=r"several parts that fit the module\.\n.*model\., teacher\."):
        ns.load(path, network())
    with pytest.raises(ExchangeError, match=r"do not fit the module(?s:.*)model\.1\.weight \(7, 36\)"):
        ns.load(path, network(5))
    read = ns.load(path, Twins()).teacher
    assert isinstance(read, nn.Sequential)
