"""Homeostatic sleep: after each task the network sleeps, and every unit regulates mean and spread of its drive."""

from __future__ import annotations

import warnings
from dataclasses import replace
from time import perf_counter
from typing import ClassVar

import torch
from torch import Tensor

from neurosleep._checks import check_unread
from neurosleep.continual.naps import Napping, Naps
from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy
from neurosleep.continual.task_free import END, StreamSleep
from neurosleep.conversion import convert, copied
from neurosleep.data import to_float
from neurosleep.errors import NeurosleepWarning, UnsupportedError
from neurosleep.functional import Homeostasis, SlowOscillation
from neurosleep.functional.homeostasis import MeanBy, Target
from neurosleep.hardware import WayName, chosen_way, load_profile, regulate_on_chip
from neurosleep.learning import Batch
from neurosleep.networks import EquilibriumMLP, EquilibriumNetwork
from neurosleep.replay import NREM, Consolidation, Consolidator, PageHinkley, Sleep
from neurosleep.replay.settled_homeostasis import check_settled_rule
from neurosleep.replay.stages import Form, check_whole
from neurosleep.spiking import Record

__all__ = ["HomeostaticSleep"]

# Frames of noise by which a network is scaled for a chip.
_CALIBRATION = 500


class HomeostaticSleep(Strategy):
    """One NREM stage after each task; nothing is kept but statistics of the inputs and the classes seen.

    Those are mean and spread of each input, and up to 32 principal components (:class:`~neurosleep.Consolidator`).

    With SRC beside it (``sleep+src``) a REM stage under the rule of SRC follows.

    Parameters
    ----------
    form, draws, components:
        As of :class:`~neurosleep.replay.NREM`.
    target, damping, limit, mean_by, downscale:
        As of :class:`~neurosleep.functional.Homeostasis`.
    frames, up, down:
        As of :class:`~neurosleep.functional.SlowOscillation`.
    after:
        Numbers, from 1, of the tasks that are followed by sleep; negative ones count from the last. None: each.
    guard:
        Whether each sleep is judged before it is kept (:class:`~neurosleep.replay.Guard`).
    naps:
        Short sleeps in the middle of a task; None: none.
    profile, way:
        A chip on which it sleeps, in spikes and in the chip's arithmetic, and whether its registers or its weights
        change there (:func:`~neurosleep.hardware.regulate_on_chip`). Without guard and naps.
    every_samples, drift:
        Sleep without tasks: after so many samples learnt, or where the stream drifts, as of
        :class:`~neurosleep.Consolidator`, and once where it ends. Where a task ends is not looked at: ``after`` and
        naps, which ask for it, go without.

    See Also
    --------
    neurosleep.Consolidator : the same for a network of one's own
    SRC : sleep under a plasticity rule

    Examples
    --------
    >>> from neurosleep.continual import HomeostaticSleep
    >>> HomeostaticSleep(form="rates").settings.stages[0].form
    'rates'
    """

    name: ClassVar[str] = "sleep"
    sleeps = True
    needs_boundaries = True

    def __init__(
        self,
        form: Form = "auto",
        draws: int = 2000,
        target: Target = "layer",
        damping: float = 1.0,
        limit: float = 10.0,
        mean_by: MeanBy = "weights",
        frames: int = 500,
        up: int = 50,
        down: int = 50,
        after: tuple[int, ...] | None = None,
        guard: bool = False,
        naps: Naps | None = None,
        profile: str | None = None,
        way: WayName | None = None,
        downscale: float = 1.0,
        components: int = 10,
        every_samples: int | None = None,
        drift: PageHinkley | None = None,
    ) -> None:
        check_whole("nrem.after", after)
        if profile is None and form == "rates":
            usual = SlowOscillation()
            in_spikes = {"frames": (frames, usual.frames), "up": (up, usual.up), "down": (down, usual.down)}
            check_unread("In rates the strategy 'sleep'", in_spikes, "draws is the number of frames there")
        if (form == "spikes" or profile is not None) and not guard and naps is None:
            check_unread(
                "In spikes the strategy 'sleep'", {"draws": (draws, NREM().draws)}, "frames is their number there"
            )
        if profile is None:
            check_unread("Without a chip the strategy 'sleep'", {"way": (way, None)}, "profile='loihi1' has it")
        else:
            unread = {
                "form": (form, "auto"),
                "guard": (guard, False),
                "naps": (naps, None),
                "target": (target, "layer"),
            }
            check_unread("On a chip the strategy 'sleep'", unread, "profile=None has them")
            chosen_way(load_profile(profile), way)
        self.profile, self.way = profile, way
        rule = Homeostasis(target=target, damping=damping, limit=limit, mean_by=mean_by, downscale=downscale)
        oscillation = SlowOscillation(frames, up, down, settle=min(10, up - 2))
        self.settings = Sleep(stages=(NREM(rule, form, oscillation, draws, components=components),))
        self.after, self.guard = after, guard
        self.keeper = Consolidator(every_samples=every_samples, drift=drift)
        if self.keeper.task_free:
            asking = {"after": (after, None), "naps": (naps, None), "profile": (profile, None)}
            check_unread("Without tasks the strategy 'sleep'", asking, "they ask where a task ends")
        self.needs_boundaries = not self.keeper.task_free
        #: What is recorded of each sleep, in its spiking form, and what steps it (None: the fastest that can).
        self.record: Record | None = None
        self.engine: str | None = None
        #: Where a copy of the network sleeps.
        self.device = "cpu"
        self.napping = None if naps is None else Napping(self.settings, naps, guard)

    def check_network(self, network: AwakeNetwork) -> None:
        """Of the equilibrium networks those of fully connected layers can sleep, in rates."""
        if not isinstance(network, EquilibriumNetwork):
            return
        if not isinstance(network, EquilibriumMLP):
            raise UnsupportedError(
                f"The strategy 'sleep' cannot regulate a {type(network).__name__}.",
                expected="an EquilibriumMLP (network.kind equilibrium), or a feed-forward network",
            )
        if any(isinstance(stage, NREM) and stage.form == "spikes" for stage in self.settings.stages):
            raise UnsupportedError(
                "nrem.form is 'spikes', and the drives of an equilibrium network are those at its fixed point.",
                expected="nrem.form 'rates' or 'auto'",
            )
        for stage in self.settings.stages:
            if isinstance(stage, NREM):
                check_settled_rule(stage.rule)

    def before_training_exp(self, learner: Learner) -> None:
        """The naps of the task start from what is known of those before."""
        if self.napping is not None:
            self.napping.seed = learner.seed
            self.napping.start(self.keeper, len(learner.tasks[learner.task].train_labels))

    def after_step(self, learner: Learner, batch: Batch) -> None:
        """Take a nap, or sleep without tasks, if it is time."""
        if self.keeper.task_free:
            labels = batch.targets if batch.targets.ndim == 1 else batch.targets.argmax(1)
            trigger = self.keeper.observe(batch.images.detach(), labels)
            if trigger is not None:
                self._sleep_in_stream(learner, trigger)
        elif self.napping is not None:
            self.napping.after_batch(learner.network, batch.images, batch.targets)

    def _sleep_in_stream(self, learner: Learner, trigger: str) -> Consolidation:
        samples, start = self.keeper.count, perf_counter()
        result = self._consolidated(learner)
        seconds = perf_counter() - start
        learner.stream.append(StreamSleep(samples, trigger, result.status, result.reason, seconds, learner.task))
        return result

    def _consolidated(self, learner: Learner) -> Consolidation:
        """One sleep, whose weights the network has then."""
        # What a single sleep would warn of belongs into the record of the run.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeurosleepWarning)
            result = self.keeper.consolidate(
                learner.network if self.device == "cpu" else copied(learner.network).to(self.device),
                sleep=self.settings,
                guard=self.guard,
                engine=self.engine,
                record=self.record,
                seed=learner.seed,
            )
        result.apply_to(learner.network)
        return result

    def after_training_exp(self, learner: Learner) -> None:
        """Observe the task, sleep, and give the network its weights; without tasks, only where the stream ends."""
        if self.keeper.task_free:
            if learner.task + 1 == len(learner.tasks) and self.keeper.since:
                self._noted(learner, self._sleep_in_stream(learner, END))
            return
        task = learner.tasks[learner.task]
        self.keeper.observe(torch.from_numpy(to_float(task.train_images)), torch.from_numpy(task.train_labels))
        number = learner.task + 1
        if self.after is not None and number not in self.after and learner.task - len(learner.tasks) not in self.after:
            self.keeper.close_task()
            return
        if self.profile is not None:
            self._sleep_on_chip(learner, self.profile)
            return
        self._noted(learner, self._consolidated(learner))

    def _noted(self, learner: Learner, result: Consolidation) -> None:
        learner.consolidation = result
        if self.guard or result.status != "done":
            learner.notes.append(f"{result.status}: {result.reason}")

    def _sleep_on_chip(self, learner: Learner, profile: str) -> None:
        """Convert, map, sleep there, and read back what changed."""
        (stage,) = self.settings.stages
        assert isinstance(stage, NREM)
        keeper, modes = self.keeper, load_profile(profile).reset.modes or ()
        frames = keeper.noise.frames(_CALIBRATION, seed=learner.seed)
        soft = "subtract_threshold" in modes
        network = convert(learner.network, frames, reset="subtract" if soft else "to_value", read_out="spikes")
        rule = replace(stage.rule, classes=keeper.classes)
        key = {"seed": learner.seed, "task": learner.task}
        done = regulate_on_chip(
            network, keeper.noise, profile, rule, oscillation=stage.oscillation, way=self.way, **key
        )
        woken = done.woken(learner.network)
        with torch.no_grad():
            for parameter, new in zip(learner.network.parameters(), woken.parameters(), strict=True):
                parameter.copy_(new)
        keeper.close_task()
        learner.consolidation = done
        limited = sum(done.limited.values())
        if limited:
            learner.notes.append(f"{limited} numbers met the end of their register on {profile}")

    def state_dict(self) -> dict[str, Tensor]:
        """What was observed."""
        return self.keeper.state_dict(newest=self.keeper.task_free)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take it back."""
        self.keeper.load_state_dict(state)
