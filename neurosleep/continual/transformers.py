"""Sleep in Hugging Face's Trainer: a callback (extra ``transformers``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from neurosleep.continual._fit_sleep import FitSleep, part_of
from neurosleep.errors import DataError, UnsupportedError, missing_extra
from neurosleep.replay import Guard, Sleep
from neurosleep.spiking import Record

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "transformers":
        raise  # it is there, and something that it needs is not
    raise missing_extra("transformers", "transformers", "The sleep callback of Hugging Face's Trainer") from error

__all__ = ["SleepTrainerCallback"]


class SleepTrainerCallback(FitSleep, TrainerCallback):
    """After each ``Trainer.train``, which learns one task, the network sleeps; give it to every Trainer in turn.

    As :class:`neurosleep.Consolidator`: it observes what the network is given in the first epoch of each training, and
    sleeps when the training has ended. The weights after sleep are written into the parameters themselves. A training
    that was broken off counts as not having been: no sleep, nothing observed. A sleep that is declined leaves the
    network as it is, with a warning.

    Parameters
    ----------
    settings:
        How it sleeps; None: ``Sleep()``, one NREM stage.
    network:
        Name of the part of the model that sleeps: it takes one tensor and returns the scores of the classes, such as
        ``"classifier"``, the head on the features of a pretrained model. None: the whole model, whose output is a
        tensor or has ``logits``.
    inputs:
        Of a whole model: which of its arguments its input is; None: ``main_input_name`` of the model, or the only one
        beside the labels.
    labels:
        Which argument of the model the labels ``[n]`` are.
    guard:
        Whether a sleep with an NREM stage is judged before it is kept, and by which :class:`~neurosleep.Guard`.
    every:
        Also a nap after every so many batches (:class:`~neurosleep.continual.Naps`); None: no naps.
    nap_damping:
        Share of the way to the target that a nap goes; above 0, at most 1.
    seed:
        Of the noise; sleep after training k with this callback has the stream (seed, k).
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
        At the first batch of a training, before it is learnt: if nothing of the network can be regulated, it cannot be
        run, inputs or labels are not what they should be, the model is compiled, or several processes or devices train
        it, of which each would see other data.
    SettingsError
        If the settings are impossible, or the model has no part of that name.

    Warns
    -----
    NeurosleepWarning
        If a sleep is declined, diverges or does nothing.

    Notes
    -----
    A callback of Hugging Face's Trainer is not shown the batches: hooks on the model, which are there while it trains,
    read what it is given. Checkpoints that the Trainer writes while it trains hold the network before sleep;
    ``trainer.save_model()`` after the training writes the one after it, and ``state_dict`` of this callback holds what
    it keeps. Features of a part that sleeps should stay what they are, so freeze what lies below it.

    See Also
    --------
    neurosleep.Consolidator : the same in a loop of one's own
    neurosleep.continual.lightning.SleepCallback : the same for Lightning
    """

    def __init__(
        self,
        settings: Sleep | None = None,
        *,
        network: str | None = None,
        inputs: str | None = None,
        labels: str = "labels",
        guard: bool | Guard = True,
        every: int | None = None,
        nap_damping: float = 1.0,
        seed: int = 0,
        engine: str | None = None,
        record: Record | None = None,
    ) -> None:
        super().__init__(settings, guard, every, nap_damping, seed, engine, record)
        self.network, self.inputs, self.labels = network, inputs, labels
        self._observing = self._checked = False
        self._given: Any = None
        self._sleeper: nn.Module | None = None
        self._hooks: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any = None, **_: Any) -> None:
        """What is observed from now on belongs to a new task."""
        self._unhook()
        if args.world_size > 1 or args.n_gpu > 1:
            raise UnsupportedError(
                f"{args.world_size} processes train, on {args.n_gpu} devices each, and each sees a part of the data.",
                expected="one process and one device",
            )
        if args.torch_compile:
            raise UnsupportedError(
                "The model is compiled, and hooks do not see its batches.", hint="torch_compile=False"
            )
        self._observing, self._checked, self._given, self._sleeper = True, False, None, None
        self._start()
        part = model if self.network is None else part_of(model, self.network)
        # Functions of their own: a bound method would be copied, with all that is kept, wherever the model is.
        self._hooks = [
            model.register_forward_pre_hook(lambda module, args, given: self._take(module, given), with_kwargs=True),
            part.register_forward_pre_hook(
                lambda module, args, given: self._see(module, args, given), with_kwargs=True
            ),
        ]

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take a nap if it is time; of gradients that accumulate, each batch counts."""
        if self._sleeper is not None:
            self._nap(self._sleeper)

    on_step_end = on_substep_end

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Later epochs show the same inputs again."""
        self._observing = False

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Sleep, in place."""
        self._unhook()
        if self._sleeper is not None:
            self._sleep(self._sleeper)

    def _take(self, model: nn.Module, given: Mapping[str, Any]) -> None:
        """What the model is given, before it runs; what of it is observed is known where the sleeping part runs."""
        if not (self._observing and model.training):
            return
        if self._checked or self.labels in given:
            self._given = given if self.labels in given else None
            return
        self._unhook()
        raise DataError(
            f"The model is not given {self.labels!r}, and which classes there are is not known.",
            found=", ".join(map(repr, given)) or "no named arguments",
            expected="labels [n] among the arguments of the model: SleepTrainerCallback(labels=NAME)",
            hint="label_smoothing_factor and compute_loss_func of the Trainer keep them from it",
        )

    def _see(self, part: nn.Module, args: tuple[Any, ...], given: Mapping[str, Any]) -> None:
        """Observe the batch, and refuse now what could not sleep later."""
        # It is taken once: a part may run again, as checkpoints of activations do, or while it is judged.
        batch, self._given = self._given, None
        if batch is None:
            return
        try:
            if self.network is None:
                name = self._input_name(part, batch)
                network: nn.Module = _Scores(part, name)
                inputs = batch[name]
            else:
                network, inputs = part, args[0] if args else next(iter(given.values()))
            self._next.observe(inputs.detach(), batch[self.labels].detach())
            if not self._checked:
                self._check(network)
        except BaseException:
            self._unhook()
            raise
        self._sleeper, self._checked = network, True

    def _input_name(self, model: nn.Module, batch: Mapping[str, Any]) -> str:
        """Which argument of the model is its input."""
        names = [name for name, value in batch.items() if isinstance(value, Tensor) and name != self.labels]
        wanted = self.inputs or getattr(model, "main_input_name", None)
        if wanted in names:
            return str(wanted)
        if self.inputs is None and len(names) == 1:
            return names[0]
        raise DataError(
            "Which argument of the model is its input is not plain.",
            found=", ".join(map(repr, names)) or "no tensor beside the labels",
            hint="SleepTrainerCallback(inputs=NAME), or network=NAME of the part that sleeps",
        )

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


class _Scores(nn.Module):
    """A model that takes named arguments and returns an object, as one that takes a tensor and returns one."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, x: Tensor) -> Tensor:
        output = self.model(**{self.name: x})
        if isinstance(output, Mapping):
            output = output.get("logits")
        if not isinstance(output, Tensor):
            raise UnsupportedError(
                f"The {type(self.model).__name__} returns no scores without labels.",
                expected="a tensor, or an output with logits",
                hint="SleepTrainerCallback(network=NAME) of the part that does",
            )
        return output
