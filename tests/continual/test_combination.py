"""Strategies combined: order, what is refused, and that every hook reaches every part."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neurosleep.continual import (
    EWC,
    OWM,
    SI,
    SRC,
    STRATEGIES,
    AwakeNetwork,
    Combination,
    ICaRL,
    Joint,
    Learner,
    LwF,
    Progress,
    Rehearsal,
    Strategy,
    check_combination,
)
from neurosleep.data import Task
from neurosleep.errors import SettingsError, UnknownNameError
from neurosleep.experiments.strategy_names import check_strategies
from neurosleep.functional import SRCRule
from neurosleep.learning import Backprop, Batch
from neurosleep.replay import Sleep

Make, Learn = Callable[..., Learner], Callable[..., Progress]


def src(inc: float = 0.05) -> SRC:
    return SRC(Sleep.src2022(rule=SRCRule(inc, 0.01), thresholds=[0.2, 0.2, 0.2], max_rate=200.0, steps=60, growth=0.0))


class Probe(Strategy):
    """Notes each call; may stand for a part that sleeps."""

    def __init__(self, name: str, calls: list[str], sleeps: bool = False) -> None:
        self.label, self.calls, self.sleeps = name, calls, sleeps

    def note(self, what: str) -> None:
        self.calls.append(f"{self.label} {what}")

    def check_network(self, network: AwakeNetwork) -> None:
        self.note("check_network")

    def tasks(self, tasks: list[Task]) -> list[Task]:
        self.note("tasks")
        return tasks

    def before_training_exp(self, learner: Learner) -> None:
        self.note("before_training_exp")

    def training_data(self, learner: Learner, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.note("training_data")
        return images, targets

    def after_training_exp(self, learner: Learner) -> None:
        self.note("after_training_exp")

    def before_eval(self, learner: Learner) -> None:
        self.note("before_eval")

    def after_eval(self, learner: Learner) -> None:
        self.note("after_eval")

    def read_outs(self, learner: Learner) -> dict[str, Callable[[Tensor], Tensor]]:
        self.note("read_outs")
        return {self.label: lambda images: torch.zeros(len(images), dtype=torch.int64)}

    def loss_term(self, learner: Learner, batch: Batch) -> Tensor | None:
        self.note("loss_term")
        return None

    def after_backward(self, learner: Learner, batch: Batch) -> None:
        self.note("after_backward")

    def after_step(self, learner: Learner, batch: Batch) -> None:
        self.note("after_step")

    def state_dict(self) -> dict[str, Tensor]:
        self.note("state_dict")
        return {"x": torch.zeros(1)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.note(f"load_state_dict {sorted(state)}")


class First(Probe):
    name = "first"


class Second(Probe):
    name = "second"


HOOKS = [name for name in vars(Strategy) if not name.startswith("_") and callable(getattr(Strategy, name))]


def test_every_hook_reaches_every_part(make_learner: Make, learn: Learn) -> None:
    calls: list[str] = []
    both = Combination([First("a", calls), Second("b", calls)])
    learner = make_learner(make_learner().tasks[:1])
    both.tasks(learner.tasks)
    progress = learn(learner, both, Backprop(batch=30, epochs=1))
    both.load_state_dict(both.state_dict())
    assert sorted(progress.read_outs) == ["a", "b"]
    # Always both, the one after the other, in the order they were given.
    assert [call.split()[0] for call in calls] == ["a", "b"] * (len(calls) // 2)
    assert [call[2:] for call in calls[::2]] == [call[2:] for call in calls[1::2]]
    # A hook that is added to the base is missing here until it is tested too.
    assert {call.split()[1] for call in calls} == set(HOOKS)
    assert [hook for hook in HOOKS if hook not in vars(Combination)] == []


@pytest.mark.parametrize("turned", [False, True])
def test_who_sleeps_comes_first_or_last_whatever_the_order_of_the_names(turned: bool) -> None:
    for order, expected in (("sleep-first", "sleeper"), ("sleep-last", "other")):
        calls: list[str] = []
        parts: list[Strategy] = [First("other", calls), Second("sleeper", calls, sleeps=True)]
        both = Combination(parts[::-1] if turned else parts, order)  # type: ignore[arg-type]
        both.after_training_exp(None)  # type: ignore[arg-type]
        assert calls[0] == f"{expected} after_training_exp"
        assert both.sleeps
    assert not Combination([First("a", []), Second("b", [])]).sleeps


@pytest.mark.parametrize("order", ["sleep-first", "sleep-last"])
def test_the_partner_of_sleep_sees_the_weights_that_the_order_says(
    make_learner: Make, learn: Learn, order: str
) -> None:
    seen: list[list[Tensor]] = []
    awake: list[list[Tensor]] = []

    def copies(learner: Learner) -> list[Tensor]:
        return [weight.detach().clone() for weight in learner.network.weights]

    class Watch(Strategy):
        name = "watch"

        def after_training_exp(self, learner: Learner) -> None:
            seen.append(copies(learner))

    learner = make_learner(output="softmax")
    asleep: list[list[Tensor]] = []

    def phase(name: str, task: int) -> None:
        (awake if name == "wake" else asleep).append(copies(learner))

    progress = learn(learner, Combination([Watch(), src()], order), after_phase=phase)  # type: ignore[arg-type]
    assert progress.status == "done"
    for before, found, after in zip(awake, seen, asleep, strict=True):
        expected = after if order == "sleep-first" else before
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("order", ["sleep-first", "sleep-last"])
def test_ewc_is_anchored_at_the_weights_it_saw(make_learner: Make, learn: Learn, order: str) -> None:
    learner, ewc, kept = make_learner(make_learner().tasks[:1]), EWC(), []
    learn(
        learner,
        Combination([ewc, src()], order),  # type: ignore[arg-type]
        after_phase=lambda name, task: kept.append([weight.detach().clone() for weight in learner.network.weights]),
    )
    state = ewc.state_dict()
    for layer in range(3):
        wanted = kept[1 if order == "sleep-first" else 0][layer]
        torch.testing.assert_close(state[f"anchored{layer}"], state[f"importance{layer}"] * wanted)


def test_the_loss_terms_are_added() -> None:
    class Term(Probe):
        value: float | None = None

        def loss_term(self, learner: Learner, batch: Batch) -> Tensor | None:
            return None if self.value is None else torch.tensor(self.value)

    class One(Term):
        name, value = "one", 1.5

    class Two(Term):
        name, value = "two", 2.0

    class No(Term):
        name = "no"

    def total(*kinds: type[Term]) -> Tensor | None:
        return Combination([kind("", []) for kind in kinds]).loss_term(None, None)  # type: ignore[arg-type]

    assert total(One, No, Two) == torch.tensor(3.5)
    assert total(No, Two) == torch.tensor(2.0)
    assert total(No) is None


def test_the_state_has_the_names_of_the_parts(make_learner: Make, learn: Learn) -> None:
    parts: list[Strategy] = [EWC(), ICaRL(12), src()]
    both = Combination(parts)
    learn(make_learner(), both)
    state = both.state_dict()
    assert {key.split(".")[0] for key in state} == {"ewc", "icarl"}
    fresh: list[Strategy] = [EWC(), ICaRL(12), src()]
    Combination(fresh).load_state_dict(state)
    for part, again in zip(parts, fresh, strict=True):
        assert part.state_dict().keys() == again.state_dict().keys()
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in part.state_dict().items())


def test_one_with_a_name_that_begins_another_gets_its_own_state_only() -> None:
    class Short(Probe):
        name = "si"

    class Long(Probe):
        name = "sight"

    calls: list[str] = []
    both = Combination([Short("si", calls), Long("sight", calls)])
    both.load_state_dict({"si.a": torch.zeros(1), "sight.b": torch.zeros(1)})
    assert calls == ["si load_state_dict ['a']", "sight load_state_dict ['b']"]


def test_what_is_said_of_the_parts_holds_for_all() -> None:
    assert Combination([EWC(), Rehearsal()]).reads_old_data
    assert not Combination([EWC(), LwF()]).reads_old_data
    assert Combination([EWC(), src()]).reads_old_data
    settings = Sleep.src2022(rule=SRCRule(0.1, 0.1), thresholds=[1.0], max_rate=1.0, scale_data="current")
    assert not Combination([EWC(), SRC(settings)]).reads_old_data
    assert Combination([EWC(), SRC(settings)]).sleeps


def test_joint_sleeps_after_its_one_task(make_learner: Make, learn: Learn) -> None:
    learner = make_learner()
    both = Combination([Joint(), src()])
    learner.tasks = both.tasks(learner.tasks)
    progress = learn(learner, both)
    assert [phase["task"] for phase in progress.sleeps] == [0]


# --- refused ----------------------------------------------------------------------------------------------------------

REFUSED = {
    "src+src": "names one part twice",
    "ewc+src+ewc": "names one part twice",
    "sequential+src": "src is the same",
    "ewc+sequential": "ewc is the same",
    "rehearsal+icarl": "rehearsal and icarl each decide what is trained on",
    "rehearsal+src+icarl": "rehearsal and icarl each decide what is trained on",
    "joint+rehearsal": "joint and rehearsal each decide what is trained on",
    "joint+joint-matched": "joint and joint-matched each decide what is trained on",
    "joint+ewc": "nothing to protect",
    "lwf+joint-matched": "nothing to protect",
    "ewc+si": "ewc and si each change the gradients",
    "si+lwf+owm": "si and owm each change the gradients",
    "owm+src+ewc": "owm and ewc each change the gradients",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_together_is_refused_by_name(name: str) -> None:
    for check in (
        lambda: check_combination([STRATEGIES[part] for part in name.split("+")]),
        lambda: check_strategies([name]),
    ):
        with pytest.raises(SettingsError) as caught:
            check()
        assert repr(name) in caught.value.message
        assert REFUSED[name] in str(caught.value)


def test_a_refused_pair_is_refused_as_objects_too() -> None:
    with pytest.raises(SettingsError, match="'rehearsal\\+icarl'"):
        Combination([Rehearsal(), ICaRL()])


def test_the_order_has_two_names() -> None:
    with pytest.raises(UnknownNameError, match="sleep-frist"):
        Combination([EWC(), src()], "sleep-frist")  # type: ignore[arg-type]


def test_every_other_pair_learns(make_learner: Make, learn: Learn) -> None:
    makers: dict[str, Callable[[], Strategy]] = {
        "ewc": lambda: EWC(1.0),
        "si": lambda: SI(1.0),
        "owm": OWM,
        "lwf": LwF,
        "rehearsal": lambda: Rehearsal(0.1, 1),
        "icarl": lambda: ICaRL(12),
        "src": src,
    }
    count = 0
    for one, other in itertools.combinations(makers, 2):
        try:
            check_combination([STRATEGIES[one], STRATEGIES[other]])
        except SettingsError:
            continue
        progress = learn(make_learner(), Combination([makers[one](), makers[other]()]))
        assert progress.status == "done"
        assert len(progress.after) == 3
        assert len(progress.sleeps) == (3 if other == "src" else 0)
        count += 1
    # 21 pairs, less three that change the gradients and one that chooses the data.
    assert count == 17
