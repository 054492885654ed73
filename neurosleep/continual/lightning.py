"""Sleep in Lightning: a callback for its Trainer (extra ``lightning``)."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from neurosleep.continual._fit_sleep import FitSleep, part_of
from neurosleep.errors import DataError, UnsupportedError, missing_extra
from neurosleep.replay import Guard, Sleep
from neurosleep.spiking import Record

__all__ = ["SleepCallback"]


def _callback() -> Any:
    """Lightning's class of callbacks, under its new name or its old one."""
    for name in ("lightning.pytorch", "pytorch_lightning"):
        try:
            return import_module(name).Callback
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != name.partition(".")[0]:
                raise  # it is there, and something that it needs is not
    raise missing_extra("lightning", "lightning", "The sleep callback")


_Callback: Any = _callback()


class SleepCallback(FitSleep, _Callback):
    """After each ``Trainer.fit``, which learns one task, the network sleeps; give the same callback to every Trainer.

    As :class:`neurosleep.Consolidator`: it observes the batches of the first epoch of each fit, and sleeps when the fit
    has ended. The weights after sleep are written into the parameters themselves. A fit that was broken off counts as
    not having been: no sleep, nothing observed. A sleep that is declined leaves the network as it is, with a warning.

    Parameters
    ----------
    settings:
        How it sleeps; None: ``Sleep()``, one NREM stage.
    network:
        Name of the part of the LightningModule that takes inputs and returns the scores of the classes, such as
        ``"model"``; None: its own ``forward`` does.
    batch:
        Takes a batch, returns its inputs ``[n, ...]`` and labels ``[n]``; None: the first two entries of it.
    guard:
        Whether a sleep with an NREM stage is judged before it is kept, and by which :class:`~neurosleep.Guard`.
    every:
        Also a nap after every so many batches of a fit (:class:`~neurosleep.continual.Naps`); None: no naps.
    nap_damping:
        Share of the way to the target that a nap goes; above 0, at most 1.
    seed:
        Of the noise; sleep after fit k with this callback has the stream (seed, k).
    engine, record:
        As in :func:`~neurosleep.consolidate`.

    Attributes
    ----------
    keeper:
        What is kept of all tasks learnt: the :class:`~neurosleep.Consolidator`.
    fits:
        How many tasks were learnt.
    result:
        What came of the newest sleep, if any.

    Raises
    ------
    UnsupportedError, DataError
        At the first batch of a fit, before it is learnt: if nothing of the network can be regulated, it cannot be run,
        its batches cannot be read, or the Trainer has several processes, of which each would see other data.
    SettingsError
        If the settings are impossible, or the module has no part of that name.

    Warns
    -----
    NeurosleepWarning
        If a sleep is declined, diverges or does nothing.

    Notes
    -----
    Checkpoints that Lightning writes while it trains hold the network before sleep, and what was kept of the tasks
    before; ``trainer.save_checkpoint`` after the fit has both after it.

    See Also
    --------
    neurosleep.Consolidator : the same in a loop of one's own
    neurosleep.continual.transformers.SleepTrainerCallback : the same for the Trainer of Hugging Face
    neurosleep.continual.avalanche.SleepPlugin : the same for Avalanche
    """

    def __init__(
        self,
        settings: Sleep | None = None,
        *,
        network: str | None = None,
        batch: Callable[[Any], tuple[Any, Any]] | None = None,
        guard: bool | Guard = True,
        every: int | None = None,
        nap_damping: float = 1.0,
        seed: int = 0,
        engine: str | None = None,
        record: Record | None = None,
    ) -> None:
        super().__init__(settings, guard, every, nap_damping, seed, engine, record)
        self.network, self.batch = network, batch
        self._first_epoch = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """What is observed from now on belongs to a new task."""
        if trainer.world_size > 1:
            raise UnsupportedError(
                f"The Trainer has {trainer.world_size} processes, and each sees a part of the data alone.",
                expected="Trainer(devices=1)",
            )
        self._sleeper(pl_module)
        self._first_epoch = trainer.current_epoch
        self._start()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Observe the batch, and refuse now what could not sleep later."""
        if trainer.current_epoch != self._first_epoch:
            return
        inputs, labels = self._read(batch)
        self._next.observe(inputs, labels)
        if batch_idx == 0:
            self._check(self._sleeper(pl_module))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Take a nap if it is time."""
        self._nap(self._sleeper(pl_module))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Sleep, in place."""
        self._sleep(self._sleeper(pl_module))

    def _read(self, batch: Any) -> tuple[Tensor, Tensor]:
        if self.batch is not None:
            inputs, labels = self.batch(batch)
        elif isinstance(batch, tuple | list) and len(batch) >= 2:
            inputs, labels = batch[:2]
        else:
            raise DataError(
                f"A batch is a {type(batch).__name__}, and which are its inputs and labels is not plain.",
                expected="(inputs [n, ...], labels [n])",
                hint="SleepCallback(batch=lambda batch: (batch['image'], batch['label']))",
            )
        return inputs, labels

    def _sleeper(self, module: Any) -> nn.Module:
        """The network that sleeps, in the LightningModule."""
        if self.network is not None:
            return part_of(module, self.network)
        if type(module).forward.__module__.partition(".")[0] in ("lightning", "pytorch_lightning"):
            raise UnsupportedError(
                f"The {type(module).__name__} has no forward of its own, and what of it is to sleep is not plain.",
                expected="forward(x) that returns the scores of the classes, or the name of the part that does",
                hint=f"SleepCallback(network={next((name for name, _ in module.named_children()), 'model')!r})",
            )
        network: nn.Module = module
        return network
