"""What a sleep may keep between tasks: a few statistics of the inputs, and which classes there have been."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from neurosleep._checks import as_images, as_labels, check_count
from neurosleep._files import write_whole
from neurosleep._progress import ShowProgress, shows_progress
from neurosleep.errors import DataError, ExchangeError, NeurosleepWarning, SettingsError
from neurosleep.functional import InputNoise, SetPoint
from neurosleep.functional.principal_components import loadings_of
from neurosleep.replay._consolidate import check_consolidates, consolidated
from neurosleep.replay._judging import Known
from neurosleep.replay._running_components import MOST, RunningComponents
from neurosleep.replay.consolidation import Consolidation
from neurosleep.replay.drift import Drift, PageHinkley
from neurosleep.replay.guard import Guard, OutputDrive
from neurosleep.replay.noise_response import NoiseResponse
from neurosleep.replay.options import Sleep
from neurosleep.spiking import Record

__all__ = ["Consolidator"]

# Samples of the newest task that are held to judge a sleep by, at most twice as many for a moment.
_NEWEST = 500
# The noise of a nap is that of a task so much later.
_NAP = 1_000_000_000
_FORMAT = "neurosleep consolidator 2"


class Consolidator:
    """Statistics of all inputs, the classes seen, and what sleeps left: set points, drives of the outputs.

    The statistics are mean and spread of each input and, of the inputs together, up to 32 principal components.
    No sample is kept, but for up to 1,000 of the newest task, by which its sleep is judged: :meth:`close_task` drops
    them, and they are in no file. Memory does not grow with samples or tasks.

    A stream need not say where a task ends: with ``every_samples`` or ``drift`` it is :attr:`due` when to sleep, and
    what came since the last sleep takes the place of the newest task.

    Parameters
    ----------
    every_samples:
        A sleep is due after so many samples.
    drift:
        A sleep is due where the inputs have drifted, as this test sees it. None of both: sleep is due after tasks, and
        that is for the caller to know.

    Raises
    ------
    SettingsError
        If a setting makes no sense, or both are given.

    See Also
    --------
    neurosleep.consolidate : one sleep, of statistics that are at hand
    PageHinkley : the test

    Examples
    --------
    >>> keeper = Consolidator(every_samples=150)
    >>> keeper.observe(torch.rand(100, 4), torch.arange(100) % 2)
    >>> keeper.count, keeper.classes, tuple(keeper.mean.shape)
    (100, (0, 1), (4,))
    >>> keeper.observe(torch.rand(100, 4), torch.arange(100) % 2)
    '150 samples since the last sleep'
    """

    def __init__(self, *, every_samples: int | None = None, drift: PageHinkley | None = None) -> None:
        if every_samples is not None and drift is not None:
            raise SettingsError(
                f"every_samples is {every_samples!r:.60}, and drift {drift!r:.60}.",
                expected="one of them: a sleep after so many samples, or where the stream drifts",
            )
        if drift is not None and not isinstance(drift, PageHinkley):
            raise SettingsError(f"drift is {drift!r:.60}.", expected="a PageHinkley, or None")
        self.every_samples = None if every_samples is None else check_count("every_samples", every_samples)
        self._drift = None if drift is None else Drift(drift)
        self._since, self._drifted = 0, False
        self.count = 0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._squares = torch.zeros(0, dtype=torch.float64)
        self._components = RunningComponents.none()
        self._components_now: RunningComponents | None = None
        self._low, self._high = 0.0, 0.0
        self._old: set[int] = set()
        self._new: set[int] = set()
        self._tasks = 0
        self.set_points: dict[str, SetPoint] = {}
        self._left: OutputDrive | None = None
        self._response: NoiseResponse | None = None
        self._images: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._every, self._offered = 1, 0

    def __repr__(self) -> str:
        shape = tuple(self._mean.shape)
        return f"<Consolidator: {self.count} inputs of shape {shape}, {len(self.classes)} classes>"

    @property
    def mean(self) -> Tensor:
        """Mean of each input, float64."""
        self._need()
        return self._mean.clone()

    @property
    def std(self) -> Tensor:
        """Standard deviation of each input, float64."""
        self._need()
        return (self._squares / self.count).sqrt()

    @property
    def loadings(self) -> Tensor:
        """Of each input with each principal component, strongest first, ``[k, *shape]``, at most 32; float32.

        In units of the input's standard deviation; those of the newest task are estimated from up to 300 of its
        samples.
        """
        self._need()
        rows = self._grown().rows / self.count**0.5
        return loadings_of(rows, self.std.flatten()).view(len(rows), *self._mean.shape)

    def _grown(self) -> RunningComponents:
        if self._components_now is None:
            newest = torch.cat(self._images) if self._images else None
            self._components_now = self._components.grown(self._mean, self.count, newest)
        return self._components_now

    @property
    def noise(self) -> InputNoise:
        """What drives a sleep: inputs within 0..1 are drawn as 0 or 1 with their mean, others as normal numbers.

        They go together as the data do, by their :attr:`loadings`.
        """
        if not self.std.any():
            raise DataError(
                f"Not one of {self.mean.numel()} inputs differs among the {self.count} samples observed.",
                expected="inputs that differ from one sample to the next",
            )
        within = self._low >= 0 and self._high <= 1
        return InputNoise(self.mean, None if within else self.std, loadings=self.loadings)

    @property
    def classes(self) -> tuple[int, ...]:
        """All classes seen."""
        return tuple(sorted(self._old | self._new))

    @property
    def new_classes(self) -> tuple[int, ...]:
        """Those that came since the last task was closed."""
        return tuple(sorted(self._new))

    @property
    def newest(self) -> tuple[Tensor, Tensor] | None:
        """Samples of the newest task, ``[n, ...]`` and labels ``[n]``; None right after a task was closed."""
        return (torch.cat(self._images), torch.cat(self._labels)) if self._images else None

    @property
    def task_free(self) -> bool:
        """Whether a sleep is due by what passes, and not where a task ends."""
        return self.every_samples is not None or self._drift is not None

    @property
    def due(self) -> str | None:
        """Why it is time to sleep, with ``every_samples`` or ``drift``; None: it is not. A sleep settles it."""
        if self.every_samples is not None and self._since >= self.every_samples:
            return f"{self.every_samples} samples since the last sleep"
        return "the stream drifted" if self._drifted else None

    @property
    def since(self) -> int:
        """Samples observed since the last sleep, or the last task that was closed."""
        return self._since

    def observe(self, x: Any, y: Any) -> str | None:
        """Take in inputs ``[n, ...]`` and their labels ``[n]``, a whole task or batch by batch; says what is due.

        Returns
        -------
        :attr:`due`: why it is time to sleep, or None.

        Raises
        ------
        DataError
            If they cannot be read, or the inputs are of another shape than before; nothing is taken in then.

        Warns
        -----
        NeurosleepWarning
            Once, if the inputs are integers beyond 1, as bytes that were not divided by 255.
        """
        images = as_images("x", x).cpu()
        labels = as_labels("y", y, len(images))
        if images.ndim < 2:
            raise DataError(f"x has shape {tuple(images.shape)}.", expected="samples [n, ...]")
        if not torch.isfinite(images).all():
            raise DataError("x holds NaN or infinite values.", expected="finite numbers")
        if self.count and images.shape[1:] != self._mean.shape:
            raise DataError(
                f"x holds inputs of shape {tuple(images.shape[1:])}.",
                expected=f"{tuple(self._mean.shape)}, as those observed before",
            )
        values = images.double()
        n, mean = len(values), values.mean(0)
        squares = (values - mean).square().sum(0)
        low, high = float(values.min()), float(values.max())
        if low >= 0 and high > 1 and self._high <= 1 and bool((values == values.round()).all()):
            warnings.warn(
                f"x holds integers from {low:g} to {high:g}. Not within 0..1, they are taken for features of any "
                "scale, and noise of their mean and spread drives sleep. Images are to be divided by the largest "
                "value possible, 255 of bytes, and the network trained on that.",
                NeurosleepWarning,
                stacklevel=2,
            )
        if self.count:
            apart, count = mean - self._mean, self.count + n
            self._mean = self._mean + apart * (n / count)
            self._squares = self._squares + squares + apart.square() * (self.count * n / count)
            self._low, self._high = min(self._low, low), max(self._high, high)
        else:
            self._mean, self._squares, self._low, self._high = mean, squares, low, high
        self.count += n
        self._components_now = None
        self._new |= set(labels.tolist()) - self._old
        self._hold(images, labels)
        self._since += n
        self._drifted = (self._drift is not None and self._drift.seen(images)) or self._drifted
        return self.due

    @shows_progress
    def consolidate(
        self,
        model: nn.Module,
        *,
        sleep: Sleep | None = None,
        guard: bool | Guard = True,
        engine: str | None = None,
        record: Record | None = None,
        seed: int = 0,
        progress: ShowProgress = False,
    ) -> Consolidation:
        """One sleep of ``model`` after the newest task, which is closed with it; see :func:`consolidate`.

        ``progress``: whether to show how far it is (:func:`~neurosleep.show_progress`).

        ``model`` stays as it is: ``apply_to`` gives it the weights after sleep. With ``every_samples`` or ``drift`` a
        sleep that is declined closes nothing: classes of which too little has come to tell are new at the next one too.

        Raises
        ------
        NeurosleepError
            As :func:`consolidate`; the task is still open then.
        """
        result = consolidated(
            model, self._known(), sleep=sleep, guard=guard, engine=engine, record=record, seed=seed, task=self._tasks
        )
        if self.task_free and result.status != "done":
            self._tasks += 1
            self._since, self._drifted = 0, False
        else:
            self.close_task(result.set_points, result.left, result.response)
        return result

    def nap(
        self,
        model: nn.Module,
        number: int = 0,
        *,
        sleep: Sleep | None = None,
        guard: bool | Guard = True,
        engine: str | None = None,
        seed: int = 0,
    ) -> Consolidation:
        """A sleep of ``model`` in the middle of a task, which stays open; ``number`` counts those of the task, from 0.

        The new classes are those observed of the task so far, and stay new; set points are not taken from it.

        Raises
        ------
        NeurosleepError
            As :func:`consolidate`.
        """
        task = self._tasks + _NAP * (1 + check_count("The number of a nap", number, 0))
        return consolidated(model, self._known(), sleep=sleep, guard=guard, engine=engine, seed=seed, task=task)

    def check(
        self,
        model: nn.Module,
        *,
        sleep: Sleep | None = None,
        guard: bool | Guard = True,
        engine: str | None = None,
    ) -> None:
        """Refuse now what could not sleep later, by what was observed so far; nothing changes.

        Raises
        ------
        NeurosleepError
            As :func:`consolidate`.
        """
        check_consolidates(model, self._known(), sleep, guard, engine)

    def _known(self) -> Known:
        images, labels = self.newest or (None, None)
        return Known(
            self.noise, self.classes, self.new_classes, images, labels, self.set_points, self._left, self._response
        )

    def close_task(
        self,
        set_points: dict[str, SetPoint] | None = None,
        left: OutputDrive | None = None,
        response: NoiseResponse | None = None,
    ) -> None:
        """What was new is old from now on; the newest samples are dropped.

        Kept are the first set points, and where the last sleep ``left`` the outputs, and their ``response`` to noise.
        """
        self._components = self._grown()
        self._old |= self._new
        self._new = set()
        self._tasks += 1
        self._images, self._labels, self._every, self._offered = [], [], 1, 0
        self._since, self._drifted = 0, False
        if set_points:
            self.set_points = {**set_points, **self.set_points}
        self._left = self._left if left is None else left
        self._response = self._response if response is None else response

    def _hold(self, images: Tensor, labels: Tensor) -> None:
        """Every k-th sample offered, k doubled whenever too many are held."""
        first = -self._offered % self._every
        self._offered += len(images)
        # Copies: a view would keep the whole batch in memory.
        self._images.append(images[first :: self._every].clone())
        self._labels.append(labels[first :: self._every].clone())
        while sum(map(len, self._labels)) > 2 * _NEWEST:
            self._every *= 2
            self._images, self._labels = [torch.cat(self._images)[::2].clone()], [torch.cat(self._labels)[::2].clone()]

    def _need(self) -> None:
        if not self.count:
            raise DataError(
                "No data has been observed yet.", expected="the inputs and labels of each task", hint="observe(x, y)"
            )

    def save(self, path: str | Path) -> Path:
        """Write all but the newest samples into a safetensors file; the path comes back.

        Notes
        -----
        A mean of few samples looks like them: what such a file reveals is the average input of everything observed,
        its spread, and the 32 directions in which inputs vary most.
        """
        header = {"neurosleep": json.dumps(self._header())}
        return write_whole(path, to_bytes(self._tensors(), header), error=ExchangeError)

    def state_dict(self, *, newest: bool = False) -> dict[str, Tensor]:
        """The same as tensors; the newest samples are left out here too, unless ``newest`` wants them.

        With them a stream goes on in the middle just as if it had never stopped.
        """
        tensors, header = self._tensors(), self._header()
        if newest:
            images, labels = self.newest or (torch.zeros(0), torch.zeros(0, dtype=torch.long))
            tensors |= {"newest.images": images, "newest.labels": labels}
            # A copy of its own: the mean of the components is a view of the mean.
            tensors |= {"components": self._components.rows, "components.mean": self._components.mean.clone()}
            header["newest"] = [self._every, self._offered, self._components.count]
        if newest and self._drift is not None:
            tensors |= {f"drift.{key}": value for key, value in self._drift.state_dict(samples=True).items()}
        return {"header": torch.tensor(list(json.dumps(header).encode()), dtype=torch.uint8), **tensors}

    def copy(self) -> Consolidator:
        """Another that knows the same, without the newest samples."""
        other = type(self)()
        other.load_state_dict(self.state_dict())
        return other

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self._take(json.loads(bytes(state["header"].tolist())), state)

    def _header(self) -> dict[str, Any]:
        drift = None if self._drift is None else asdict(self._drift.settings)
        stream = {"every_samples": self.every_samples, "drift": drift, "since": self._since, "drifted": self._drifted}
        return {
            "format": _FORMAT,
            "count": self.count,
            "range": [self._low, self._high],
            "old": sorted(self._old),
            "new": sorted(self._new),
            "tasks": self._tasks,
            "set_points": {name: list(point) for name, point in self.set_points.items()},
            "left": self._left,
            **({"stream": stream} if self.task_free else {}),
        }

    def _tensors(self) -> dict[str, Tensor]:
        rows = self._grown().rows
        response = {} if self._response is None else self._response.tensors()
        drift = {} if self._drift is None else self._drift.state_dict()
        return {
            "mean": self._mean.contiguous(),
            "squares": self._squares.contiguous(),
            "components": rows.contiguous(),
            **response,
            **{f"drift.{key}": value.contiguous() for key, value in drift.items()},
        }

    def _take(self, header: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
        self.count, self._tasks = int(header["count"]), int(header["tasks"])
        self._mean, self._squares = state["mean"].double(), state["squares"].double()
        self._components = RunningComponents(state["components"].double(), self._mean.flatten(), self.count)
        self._components_now = self._components
        self._response = NoiseResponse.from_tensors(state)
        self._low, self._high = map(float, header["range"])
        self._old, self._new = set(map(int, header["old"])), set(map(int, header["new"]))
        points = header["set_points"].items()
        self.set_points = {str(name): SetPoint(float(m), float(s)) for name, (m, s) in points}
        left = header.get("left")
        self._left = None if left is None else OutputDrive(tuple(map(float, left[0])), float(left[1]))
        stream = header.get("stream")
        if stream is not None:
            drift = stream["drift"]
            again = Consolidator(
                every_samples=stream["every_samples"], drift=None if drift is None else PageHinkley(**drift)
            )
            self.every_samples, self._drift = again.every_samples, again._drift
            self._since, self._drifted = int(stream["since"]), bool(stream["drifted"])
        if stream is not None and self._drift is not None:
            self._drift.load_state_dict({k.removeprefix("drift."): state[k] for k in state if k.startswith("drift.")})
        if "newest" in header:
            self._every, self._offered, count = map(int, header["newest"])
            self._components = RunningComponents(self._components.rows, state["components.mean"].double(), count)
            self._components_now = None
            images, labels = state["newest.images"], state["newest.labels"]
            self._images, self._labels = ([images.clone()], [labels.clone()]) if len(labels) else ([], [])

    @classmethod
    def open(cls, path: str | Path) -> Consolidator:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ExchangeError
            If the file cannot be read, or is none of these.
        """
        expected = "a file that Consolidator.save wrote"
        try:
            with safe_open(str(path), framework="pt") as file:
                header = json.loads((file.metadata() or {}).get("neurosleep", "{}"))
                if not isinstance(header, dict) or header.get("format") != _FORMAT:
                    raise ExchangeError(f"{str(path)!r} holds no keeper.", expected=expected)
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
            keeper = cls()
            keeper._take(header, state)
            mean, squares, rows = (state[name] for name in ("mean", "squares", "components"))
        except (OSError, SafetensorError, SettingsError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExchangeError(f"{str(path)!r} cannot be read.", found=str(error)[:200], expected=expected) from error
        finite = bool(torch.isfinite(mean).all()) and bool(torch.isfinite(rows).all())
        fits = rows.ndim == 2 and len(rows) <= MOST and (not keeper.count or rows.shape[1] == mean.numel())
        sound = keeper.count >= 0 and mean.shape == squares.shape and finite and fits
        if not (sound and bool((squares >= 0).all()) and (keeper.count > 0) == (mean.numel() > 0)):
            raise ExchangeError(f"{str(path)!r} holds impossible statistics.", expected=expected)
        return keeper
