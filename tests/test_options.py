"""No option is ever ignored: each changes what comes back, or is refused by its name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neurosleep as ns
from neurosleep.errors import NeurosleepError
from neurosleep.functional import torch_generator

pytestmark = pytest.mark.filterwarnings("ignore::neurosleep.errors.NeurosleepWarning")

IMAGES = torch.rand(12, 6, generator=torch_generator(0, "images"))
BOOLEANS = torch.rand(40, 6, generator=torch_generator(0, "spikes")) < 0.3
SPIKES = ns.SpikeEvents.from_dense(BOOLEANS)
RULE = ns.SRCRule(0.01, 0.001)


def seeded(model: nn.Module, low: float = -0.4) -> Any:
    generator = torch_generator(1, "weights")
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.rand(value.shape, generator=generator) * (1 - low) + low)
    return model


def chain(bias: bool = False) -> Any:
    return seeded(nn.Sequential(nn.Linear(6, 5, bias=bias), nn.ReLU(), nn.Linear(5, 3, bias=bias)))


def pooled() -> Any:
    return seeded(nn.Sequential(nn.Unflatten(1, (1, 6)), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(3, 3)))


def equilibrium() -> Any:
    return seeded(ns.EquilibriumMLP([6, 5, 3], free_steps=20), low=0.0)


def network() -> ns.SpikingNetwork:
    return ns.convert(chain(), IMAGES, recipe="recursive", thresholds=[0.2, 0.05])


def drive() -> ns.MeanDrive:
    return ns.MeanDrive(np.full(6, 0.5), 200.0)


def plain(value: Any) -> Any:
    """``value`` as lists and numbers that can be compared, without what differs from one call to the next."""
    if isinstance(value, Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, nn.Module):
        return plain(dict(value.state_dict()))
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "seconds"}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def assert_matters(verb: Callable[..., Any], given: Mapping[str, Any], option: str, value: Any) -> None:
    """With ``option``, ``verb`` gives something else, or an error that names it."""
    usual = plain(verb(**given))
    try:
        changed = plain(verb(**{**given, option: value}))
    except NeurosleepError as error:
        assert option in str(error) or repr(value) in str(error), f"refused without its name: {error}"
        return
    assert changed != usual, f"{option}={value!r} was ignored"


def options_of(verb: Callable[..., Any]) -> set[str]:
    """The parameters of ``verb`` that have a default."""
    return {name for name, p in inspect.signature(verb).parameters.items() if p.default is not p.empty}


CONVERT: dict[str, Any] = {
    "thresholds": [0.5, 0.7],
    "decay": 0.5,
    "compare": ">",
    "dt": 0.01,
    "feedback": ns.Feedback(),
    "bias_drive": True,
    "reset": "subtract",
    "maxpool": "approximate",
    "read_out": "spikes",
}
MODELS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], dict[str, Any]]] = {
    "recursive": (chain, {"recipe": "recursive"}, {}),
    "ratio": (chain, {"recipe": "ratio"}, {}),
    "settles": (equilibrium, {"recipe": "recursive"}, {}),
    "fed-back": (equilibrium, {"recipe": "recursive", "feedback": ns.Feedback()}, {"feedback": ns.Feedback(0.5)}),
    "percentile": (chain, {"recipe": "percentile"}, {"reset": "to_value"}),
    "max": (chain, {"recipe": "max"}, {"reset": "to_value"}),
    "balance": (chain, {"recipe": "balance"}, {"reset": "to_value"}),
}


@pytest.mark.parametrize("option", CONVERT)
@pytest.mark.parametrize("name", MODELS)
def test_convert(name: str, option: str) -> None:
    make, given, others = MODELS[name]
    if option == "maxpool" and given["recipe"] in ("max", "percentile", "balance"):
        # Of a network with max-pools: the others have nothing that it is about.
        exact, averaged = (ns.convert(pooled(), IMAGES, **given, maxpool=kind) for kind in ("exact", "approximate"))
        assert len(exact.populations) > len(averaged.populations)
        return
    assert_matters(
        ns.convert,
        {"model": make(), "calibration": IMAGES, **given},
        option,
        others.get(option, CONVERT[option]),
    )


def test_every_option_of_convert_is_looked_at() -> None:
    assert options_of(ns.convert) == {*CONVERT, "recipe"}


RECIPES: dict[str, tuple[Any, Any]] = {
    "recursive": (ns.Recursive, {"alpha_scale": 2.0}),
    "ratio": (ns.Ratio, {"alpha_scale": 2.0}),
    "max": (ns.Maximum, {}),
    "percentile": (ns.Percentile, {"percentile": 50.0}),
    "balance": (ns.Balance, {"steps": 1}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_option_of_a_recipe_matters_and_it_has_no_other(name: str) -> None:
    kind, options = RECIPES[name]
    read_out: Any = {"read_out": "spikes"} if name in ("max", "percentile", "balance") else {}
    usual = ns.convert(chain(), IMAGES, recipe=name, **read_out)  # type: ignore[arg-type]
    assert plain(usual) == plain(ns.convert(chain(), IMAGES, recipe=kind(), **read_out))
    assert usual.report.recipe == kind()
    assert options_of(kind) == set(options)
    for option, value in options.items():
        changed = ns.convert(chain(), IMAGES, recipe=kind(**{option: value}), **read_out)
        assert plain(changed.projections) != plain(usual.projections), f"{option}={value!r} was ignored"
    for other in {"alpha_scale", "percentile", "steps"} - set(options):
        with pytest.raises(TypeError, match=other):
            kind(**{other: 2})


def test_every_recipe_is_looked_at() -> None:
    assert set(RECIPES) == set(ns.conversion.RECIPES)
    default = ns.convert(chain(), IMAGES)
    assert default.report.recipe == ns.Percentile(99.9)


@pytest.mark.parametrize("feedback", [ns.Feedback(0.5), ns.Feedback(symmetric_rule=True)])
def test_every_option_of_feedback_matters(feedback: ns.Feedback) -> None:
    given = {"model": equilibrium(), "calibration": IMAGES, "recipe": "recursive"}
    usual, changed = (ns.convert(**given, feedback=one) for one in (ns.Feedback(), feedback))
    assert plain(changed.projections) != plain(usual.projections)
    assert options_of(ns.Feedback) == {"gamma", "symmetric_rule"}


SIMULATE: dict[str, Any] = {
    "steps": 17,
    "coding": "poisson",
    "max_rate": 200.0,
    "engine": "abacus",
    "record": ns.Record(spikes="all"),
    "seed": 3,
    "device": "cuda",
}
SHOWN: dict[str, tuple[Any, dict[str, Any]]] = {
    "images": (IMAGES, {"coding": "bernoulli"}),
    "constant images": (IMAGES, {}),
    "image": (IMAGES[0], {"coding": "bernoulli"}),
    "constant image": (IMAGES[0], {}),
    "spikes": (SPIKES, {}),
    "mapping": ({"input": SPIKES}, {}),
    "booleans": (BOOLEANS, {}),
    "batch of booleans": (BOOLEANS[:, None].expand(40, 2, 6), {}),
}


@pytest.mark.parametrize("option", SIMULATE)
@pytest.mark.parametrize("what", SHOWN)
def test_simulate(what: str, option: str) -> None:
    x, given = SHOWN[what]
    if option == "seed" and not given:
        return  # nothing is drawn, so that every seed gives the same
    if option == "record" and "image" in what.split() and not given:
        # A constant input sends no spikes, and its layers the same: it is kept one by one.
        assert ns.simulate(network(), x, 30, record=SIMULATE[option]).spikes["hidden1"].count > 0
    if (option == "record" and what.split()[-1] == "images") or (option == "record" and what.startswith("batch")):
        with pytest.raises(ns.UnsupportedError, match="Single spikes of a batch"):
            ns.simulate(network(), x, 30, record=SIMULATE[option])
        return
    assert_matters(ns.simulate, {"network": network(), "x": x, "steps": 30, **given}, option, SIMULATE[option])


def test_every_option_of_simulate_is_looked_at() -> None:
    assert options_of(ns.simulate) == {*SIMULATE, "progress"}


SLEEP: dict[str, Any] = {
    "engine": "abacus",
    "record": ns.Record(spikes="all"),
    "seed": 3,
    "task": 2,
    "limits": ns.Limits(0.01),
    "device": "cuda",
}


@pytest.mark.parametrize("mapped", [False, True])
def test_a_limit_of_spikes_is_kept(mapped: bool) -> None:
    test_sleep(mapped, "limits", ns.Limits(spikes=0.01))


@pytest.mark.parametrize("option", SLEEP)
@pytest.mark.parametrize("mapped", [False, True])
def test_sleep(mapped: bool, option: str, value: Any = None) -> None:
    if torch.cuda.is_available() and mapped and option == "device":
        pytest.skip("integers are the same wherever they are computed")
    given = {"network": network(), "drive": drive(), "rule": RULE, "steps": 300}
    if mapped:
        asleep = ns.map_to(network(), "generic_int8", headroom=4.0)
        rule = ns.hardware.chip_rule("generic_int8", ns.SRCRule(0.3, 0.1, "steep"))
        given |= {"network": asleep, "rule": rule, "engine": "fixed"}
    assert_matters(ns.sleep, given, option, SLEEP[option] if value is None else value)


def test_what_watches_a_sleep_is_called() -> None:
    steps: list[int] = []
    moments: list[int] = []
    ns.sleep(
        network(),
        drive=drive(),
        rule=RULE,
        steps=10,
        progress=steps.append,
        watch=lambda moment: moments.append(moment.step),
    )
    assert steps == moments == [10]
    assert options_of(ns.sleep) == {*SLEEP, "progress", "watch"}


CONSOLIDATE: dict[str, Any] = {
    "sleep": ns.Sleep.src2022(steps=900),
    "engine": "abacus",
    "record": ns.Record(spikes="all"),
    "seed": 3,
    "device": "cuda",
}
# The keys of a sleep that is no chip's and comes once, and values that matter.
KEYS: dict[str, Any] = {
    "rates": [1e-2, 1e-2],
    "thresholds": [0.1, 0.1],
    "rule": ns.SRCRule(0.1, 0.0),
    "max_rate": 150.0,
    "window": 1,
    "process": "poisson",
    "steps": 900,
    "spike_limit": 1e-3,
    "recipe": "ratio",
    "alpha_scale": 3.0,
    "decay": 0.5,
    "compare": ">",
    "feedback": "delayed",
    "gamma": 0.5,
    "symmetric_rule": True,
    "bias_drive": True,
    "growth": 0.5,
    "lengths": [900],
    "after": [1],
    "statistics": "first",
    "profile": "loihi1",
    "rounding": "nearest",
    "headroom": 2.0,
    "read_back": "changes",
    "streams": 4,
    "stream_updates": "mean",
}


def consolidated(model: nn.Module | None = None, **options: Any) -> ns.SleepResult:
    usual = {} if "thresholds" in options else {"rates": [2e-2, 2e-2]}
    sleep = ns.Sleep.src2022(**{"steps": 500, **usual, **options})
    return ns.consolidate(model or chain(), mean=IMAGES.mean(0), calibration=IMAGES, sleep=sleep)


@pytest.mark.parametrize("option", KEYS)
def test_every_key_of_sleep_matters_to_consolidate(option: str) -> None:
    if option == "compare":
        return  # potentials that are real numbers are not at a threshold
    if option == "recipe":
        # Thresholds that are found make up for the scale, which is the same for the first two layers.
        deep = seeded(nn.Sequential(*chain(), nn.ReLU(), nn.Linear(3, 4, bias=False)))
        given = {"model": deep, "thresholds": [0.1, 0.1, 0.1]}
        assert_matters(consolidated, given, option, KEYS[option])
        return
    assert_matters(consolidated, {}, option, KEYS[option])


def test_the_keys_are_those_of_sleep() -> None:
    # Whose images scale the layers: consolidate is given them.
    assert set(KEYS) == {*ns.Sleep.src2022().flat()} - {"scale_data"}


@pytest.mark.parametrize("option", CONSOLIDATE)
def test_consolidate(option: str) -> None:
    given = {"model": chain(), "mean": IMAGES.mean(0), "calibration": IMAGES}
    sleep = {} if option == "sleep" else {"sleep": ns.Sleep.src2022(rates=[2e-2, 2e-2], steps=500)}
    assert_matters(ns.consolidate, given | sleep, option, CONSOLIDATE[option])


LABELS = torch.arange(len(IMAGES)) % 3
# Options of a homeostatic sleep; calibration scales REM, and is given to every other sleep here.
REGULATE: dict[str, Any] = {
    "std": torch.full((6,), 0.1),
    "classes": [0, 2],
    "new_classes": [0, 1],
    "holdout": (IMAGES, LABELS),
    "guard": False,
    "seed": 3,
    "engine": "abacus",
}


@pytest.mark.parametrize("option", REGULATE)
def test_consolidate_by_homeostasis(option: str) -> None:
    accepts = ns.Guard(gain=-1e9, recall=0)
    given = {"model": chain(), "mean": IMAGES.mean(0), "classes": [0, 1, 2], "new_classes": [2], "guard": accepts}
    assert_matters(ns.consolidate, given, option, REGULATE[option])


def test_calibration_scales_rem() -> None:
    sleep = ns.Sleep.src2022(thresholds=[0.1, 0.1], steps=500)
    given = {"model": chain(), "mean": IMAGES.mean(0), "sleep": sleep}
    assert_matters(ns.consolidate, given, "calibration", 0.1 * IMAGES)


def test_every_option_of_consolidate_is_looked_at() -> None:
    assert options_of(ns.consolidate) == set(CONSOLIDATE) | set(REGULATE) | {"calibration"}


@pytest.mark.parametrize(("option", "value"), [("steps", 300), ("seed", 3), ("strict", False)])
def test_thresholds_for_rates(option: str, value: Any) -> None:
    given = {"network": network(), "drive": drive(), "rates": [0.01, 0.01]}
    if option == "strict":
        faint = ns.MeanDrive(np.full(6, 1e-3), 1.0)
        with pytest.raises(ns.ConversionError, match="strict=False"):
            ns.thresholds_for_rates(network(), faint, [0.01, 0.01])
        assert ns.thresholds_for_rates(network(), faint, [0.01, 0.01], strict=False).layers
        return
    assert_matters(ns.thresholds_for_rates, given, option, value)


MAP: dict[str, Any] = {
    "rounding": "stochastic",
    "seed": 1,
    "steps": 100_000,
    "headroom": 3.0,
    "strict": False,
    "allow_split": True,
    "mismatch_sd": 0.1,
}


@pytest.mark.parametrize("option", ["rounding", "headroom", "mismatch_sd"])
@pytest.mark.parametrize("profile", ["ideal", "generic_int8", "loihi1", "truenorth", "brainscales2", "spinnaker1"])
def test_map_to(profile: str, option: str) -> None:
    fires = ns.convert(chain(), IMAGES, recipe="max", read_out="spikes", reset="to_value")
    assert_matters(ns.map_to, {"network": fires, "profile": profile, "strict": False}, option, MAP[option])


def test_map_to_of_networks_that_its_other_options_are_about() -> None:
    integrates = ns.convert(chain(), IMAGES, recipe="max", reset="to_value")
    assert_matters(ns.map_to, {"network": integrates, "profile": "loihi1"}, "steps", MAP["steps"])
    drawn = {"network": network(), "profile": "generic_int8", "rounding": "stochastic"}
    assert_matters(ns.map_to, drawn, "seed", MAP["seed"])
    wide = ns.convert(seeded(nn.Sequential(nn.Linear(400, 3, bias=False))), torch.rand(2, 400), recipe="recursive")
    with pytest.raises(ns.MappingError, match="truenorth"):
        ns.map_to(wide, "truenorth")
    held = {"network": wide, "profile": "truenorth", "strict": False}
    assert not ns.map_to(**held).report.fits
    assert_matters(ns.map_to, held, "allow_split", True)
    assert options_of(ns.map_to) == set(MAP)


def test_save_and_load(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    model, spiking = chain(bias=True), network()
    for name in ("a.safetensors", "a.nir"):
        with pytest.raises(ns.ExchangeError, match="has no input_shape"):
            ns.save(spiking, tmp_path / name, input_shape=(6,))
    assert not list(tmp_path.iterdir())
    file = ns.save(spiking, tmp_path / "a.safetensors")
    onnx = ns.save(model, tmp_path / "a.onnx", input_shape=(6,))
    weights = tmp_path / "a.pt"
    torch.save(model.state_dict(), weights)
    unread: dict[str, Any] = {"input_shape": (6,), "external_data": "b", "dt": 0.1}
    for option, value in unread.items():
        with pytest.raises(ns.ExchangeError, match=f"has no {option}"):
            ns.load(file, **{option: value})
        with pytest.raises(ns.ExchangeError, match=f"has no {option}"):
            ns.load(weights, chain(bias=True), **{option: value})
    with pytest.raises(ns.ExchangeError, match="has no dt"):
        ns.load(onnx, dt=0.1)


@pytest.mark.parametrize("engine", ["event", "reference", "snntorch", "norse", "torch"])
@pytest.mark.parametrize("device", ["meta", "cuda:77"])
def test_no_engine_computes_elsewhere_than_it_was_told(engine: str, device: str) -> None:
    if engine == "norse":
        pytest.importorskip("norse")
    with pytest.raises(ns.UnsupportedError, match=device):
        ns.sleep(network(), drive=drive(), rule=RULE, steps=5, engine=engine, device=device)
    with pytest.raises(ns.UnsupportedError, match=device):
        ns.simulate(network(), SPIKES, engine=engine, device=device)


def test_the_event_engine_refuses_a_gpu_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ns.UnsupportedError, match="engine 'event' does not compute on the device 'cuda'") as refused:
        ns.sleep(network(), drive=drive(), rule=RULE, steps=5, engine="event", device="cuda")
    assert refused.value.expected == "one of: cpu"
    assert refused.value.hint is not None and "reference" in refused.value.hint
