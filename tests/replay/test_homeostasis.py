"""The homeostatic rule in rates, on modules of all kinds; what is measured here is measured anew, by plain forwards."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neurosleep.conversion import copied
from neurosleep.errors import DataError, NeurosleepError, SettingsError, UnknownNameError, UnsupportedError
from neurosleep.functional import Homeostasis, InputNoise, torch_generator
from neurosleep.networks import MLP, DendriticMLP
from neurosleep.replay import _drives, homeostasis, regulate

DRAWS = 2000


def by_bias(target="layer", **options):
    """The rule by which biases move means: it reaches its targets in networks of any size."""
    return Homeostasis(target, **{"mean_by": "bias", **options})


def seeded(model, scale=1.0, seed=0):
    """Units of very different means and spreads, as after a task."""
    generator = torch_generator(seed, "weights")
    with torch.no_grad():
        for value in model.parameters():
            size = scale * torch.rand(value.shape[:1] + (1,) * (value.ndim - 1), generator=generator) + 0.2
            value.copy_((torch.randn(value.shape, generator=generator) + 0.2) * size / max(value[0].numel(), 1) ** 0.5)
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.running_mean.copy_(torch.randn(layer.running_mean.shape, generator=generator))
                layer.running_var.copy_(torch.rand(layer.running_var.shape, generator=generator) + 0.5)
    return model


def noise(*shape):
    return InputNoise(0.1 + 0.5 * torch.rand(shape, generator=torch_generator(0, "mean")))


def dense(bias):
    return seeded(
        nn.Sequential(
            nn.Linear(20, 15, bias=bias), nn.ReLU(), nn.Linear(15, 12, bias=bias), nn.GELU(), nn.Linear(12, 6)
        )
    )


def convolutional(bias, groups=1):
    return seeded(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=bias),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1, bias=bias, groups=groups),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(54, 5, bias=bias),
        )
    )


class Residual(nn.Module):
    """Two convolutions with batch normalisation and what they started from, added in place."""

    def __init__(self, projection=False, norm=True):
        super().__init__()
        self.first = nn.Conv1d(2, 4, 3, padding=1, bias=not norm)
        self.second = nn.Conv1d(4, 4, 3, padding=1, bias=not norm)
        self.norms = nn.ModuleList(nn.BatchNorm1d(4) if norm else nn.Identity() for _ in range(2))
        self.shortcut = nn.Conv1d(4, 4, 1) if projection else nn.Identity()
        self.head = nn.Linear(4, 3)
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)

    def forward(self, x):
        h = self.act(self.norms[0](self.first(x)))
        out = self.drop(self.norms[1](self.second(h)))
        out += self.shortcut(h)
        self.sum = out.clone()
        return self.head(self.act(out).mean(2))


def drives_of(model, layers, frames):
    """Mean and spread of the units that leave ``layers``, by name, on ``frames``; measured by hooks."""
    model, said = copied(model).eval(), {}

    def keep(name):
        def hook(module, given, result):
            value = result.movedim(1, -1).double().flatten(0, -2)
            said[name] = value.mean(0), value.std(0, correction=0)

        return hook

    for name, module in model.named_modules():
        if name in layers:
            module.register_forward_hook(keep(name))
    with torch.no_grad():
        model(frames)
    return said


def assert_regulated(done, given, where=None, rtol=0.011):
    """Every driven unit has the mean and the spread of its layer, which the given network's units have not."""
    where = where or {layer.name: layer.name for layer in done.layers}
    frames = given.frames(DRAWS, seed=0)
    measured = drives_of(done.model, set(where.values()), frames)
    for layer in done.layers:
        mean, spread = measured[where[layer.name]]
        units = layer.changed
        assert units.any()
        assert torch.allclose(mean, layer.mean_after, rtol=1e-3, atol=1e-4)
        assert torch.allclose(spread, layer.spread_after, rtol=1e-3, atol=1e-4)
        assert torch.allclose(mean[units], torch.tensor(layer.target.mean).double(), atol=1e-3 * layer.target.spread)
        assert torch.allclose(spread[units], torch.tensor(layer.target.spread).double(), rtol=rtol)
        assert layer.mean_before[units].std() > 0.05 * layer.target.spread or units.sum() == 1


CASES = {
    "dense with biases": (lambda: dense(True), (20,), {}),
    "dense without biases": (lambda: dense(False), (20,), {}),
    "our MLP, which multiplies by transposes": (lambda: seeded(MLP([20, 15, 12, 6], dropout=0.2)), (20,), None),
    "convolutions with biases": (lambda: convolutional(True), (2, 6, 6), {}),
    "convolutions without biases": (lambda: convolutional(False), (2, 6, 6), {}),
    "grouped convolutions": (lambda: convolutional(False, groups=2), (2, 6, 6), {}),
    "batch normalisation": (
        lambda: seeded(
            nn.Sequential(
                nn.Linear(20, 15, bias=False), nn.BatchNorm1d(15), nn.ReLU(), nn.LayerNorm(15), nn.Linear(15, 4)
            )
        ),
        (20,),
        {"0": "1"},
    ),
}


@pytest.mark.parametrize("blocks", [1, 4], ids=["at once", "in blocks"])
@pytest.mark.parametrize("case", CASES)
def test_every_driven_unit_has_the_mean_and_the_spread_of_its_layer(case, blocks, monkeypatch):
    make, shape, where = CASES[case]
    model, given = make(), noise(*shape)
    if blocks > 1:
        largest = _drives.trace_drives(copied(model).eval(), given.frames(2, seed=0)).largest
        monkeypatch.setattr(homeostasis, "_LARGEST", largest * DRAWS // blocks)
    done = regulate(model, given, by_bias(limit=1e6), draws=DRAWS)
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert [layer.name for layer in done.layers] == names
    assert [layer.output for layer in done.layers] == [False] * (len(names) - 1) + [True]
    if where is None:  # the layers of MLP are never called
        one, two, three = done.model.layers
        chain = nn.Sequential(one, nn.ReLU(), Shrunk(), two, nn.ReLU(), Shrunk(), three)
        means = drives_of(chain, {"0", "3", "6"}, given.frames(DRAWS, seed=0))
        for layer, name in zip(done.layers, ("0", "3", "6"), strict=True):
            assert torch.allclose(means[name][0], torch.tensor(layer.target.mean).double(), atol=1e-3)
        return
    assert_regulated(done, given, {name: where.get(name, name) for name in names})


class Shrunk(nn.Module):
    """What dropout of 0.2 does in evaluation, in our MLP."""

    def forward(self, x):
        return x * 0.8


def test_weights_move_the_mean_of_units_with_a_bias_if_they_are_to():
    model, given = dense(True), noise(20)
    done = regulate(model, given, Homeostasis(mean_by="weights", limit=1e6), draws=DRAWS)
    assert all(layer.mean_input is not None for layer in done.layers)
    for layer, k in zip(done.layers, (0, 2, 4), strict=True):
        assert torch.allclose(done.model[k].bias, model[k].bias * layer.factor.float())
    measured = drives_of(done.model, {"0", "2", "4"}, given.frames(DRAWS, seed=0))
    for layer in done.layers:
        mean, spread = measured[layer.name]
        assert torch.allclose(mean, torch.tensor(layer.target.mean).double(), atol=1e-4)
        assert torch.allclose(spread, layer.spread_after, rtol=1e-3)
    # Where there is no mean to move along, it is the bias.
    centred = InputNoise(torch.zeros(20), torch.ones(20))
    layer = regulate(model, centred, Homeostasis(mean_by="weights")).layers[0]
    assert layer.mean_input is None and not layer.notes
    assert torch.allclose(layer.mean_after, torch.tensor(layer.target.mean).double(), atol=1e-6)
    normed, shape, _ = CASES["batch normalisation"]
    assert regulate(normed(), noise(*shape), Homeostasis(mean_by="weights")).layers[0].mean_input is None


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("projection", [True, False])
def test_a_residual_sum_is_one_drive(projection, norm):
    model, given = seeded(Residual(projection, norm)), noise(2, 7)
    done = regulate(model, given, by_bias(), draws=DRAWS)
    total = "second+shortcut" if projection else "second"
    assert [layer.name for layer in done.layers] == ["first", total, "head"]
    frames = given.frames(DRAWS, seed=0)
    with torch.no_grad():
        done.model.eval()(frames)
    value = done.model.sum.movedim(1, -1).double().flatten(0, -2)
    layer = done.layers[1]
    assert torch.allclose(value.mean(0), torch.tensor(layer.target.mean).double(), atol=1e-4)
    assert torch.allclose(value.std(0, correction=0), layer.spread_after, rtol=1e-4)
    reached = (layer.spread_after - layer.target.spread).abs() < 0.01 * layer.target.spread
    # One unit in such a sum may have a rest that varies more than the target.
    assert reached.sum() >= 3


def test_batch_normalisation_changes_in_its_weight_and_bias_and_keeps_that_in_training():
    model, given = CASES["batch normalisation"][0](), noise(20)
    done = regulate(model, given, by_bias())
    assert torch.equal(done.model[0].weight, model[0].weight)
    assert torch.equal(done.model[1].running_mean, model[1].running_mean)
    assert torch.equal(done.model[1].running_var, model[1].running_var)
    assert not torch.equal(done.model[1].weight, model[1].weight)
    frames = given.frames(DRAWS, seed=0)
    normalised = [net[1](net[0](frames)) for net in (model.train(), done.model.train())]
    factor = (done.layers[0].factor * 1).float()
    assert torch.allclose(normalised[1].std(0), normalised[0].std(0) * factor, rtol=1e-4)


class PostNorm(nn.Module):
    """Layer normalisation behind a layer, and behind the sum of one and what it started from."""

    def __init__(self, **norm):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 10), nn.Linear(10, 10), nn.Linear(10, 4)
        self.norms = nn.ModuleList(nn.LayerNorm(10, **norm) for _ in range(2))

    def forward(self, x):
        h = torch.relu(self.norms[0](self.first(x)))
        return self.head(torch.relu(self.norms[1](self.second(h) + h)))


def test_layer_normalisation_changes_in_its_weight_and_bias():
    model, given = seeded(PostNorm()), noise(8)
    done = regulate(model, given, by_bias(limit=1e6), draws=DRAWS)
    assert [layer.name for layer in done.layers] == ["first", "second", "head"]
    tokens = regulate(model, noise(3, 8), by_bias(limit=1e6), draws=200)
    assert all(layer.mean_after.std() < 1e-3 * layer.mean_before.std() for layer in tokens.layers)
    assert_regulated(done, given, {"first": "norms.0", "second": "norms.1", "head": "head"})
    for name in ("first", "second"):
        for key, value in done.model.get_submodule(name).named_parameters():
            assert torch.equal(value, model.get_submodule(name).get_parameter(key))
    # Without a weight and bias to change, or where they are frozen, the layer before it changes.
    for fixed in (PostNorm(elementwise_affine=False), PostNorm()):
        fixed = seeded(fixed)
        fixed.norms.requires_grad_(False)
        done = regulate(fixed, given, by_bias(), draws=200)
        assert not torch.equal(done.model.first.weight, fixed.first.weight) and len(done.layers) == 3
        assert all(
            torch.equal(a, b) for a, b in zip(done.model.norms.parameters(), fixed.norms.parameters(), strict=True)
        )


def test_batch_normalisation_without_weight_and_bias_is_refused():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False))
    with pytest.raises(UnsupportedError, match="behind layer '0'"):
        regulate(model, noise(4))


def test_in_the_output_layer_only_classes_seen_change():
    model, given = dense(False), noise(20)
    done = regulate(model, given, by_bias(classes=(4, 1, 4)), draws=DRAWS)
    output = done.layers[-1]
    assert output.changed.tolist() == [False, True, False, False, True, False]
    others = [0, 2, 3, 5]
    assert torch.equal(done.model[4].weight[others], model[4].weight[others])
    assert torch.equal(done.model[4].bias[others], model[4].bias[others])
    assert output.target.mean == pytest.approx(float(output.mean_before[[1, 4]].mean()))
    assert all(layer.changed.all() for layer in done.layers[:-1])
    assert_regulated(done, given)
    one = regulate(model, given, by_bias(classes=(2,)), draws=DRAWS).layers[-1]
    assert float(one.factor[2]) == pytest.approx(1) and float(one.offset[2]) == pytest.approx(0, abs=1e-6)
    with pytest.raises(SettingsError, match="class 6 was seen"):
        regulate(model, given, by_bias(classes=(0, 6)))


@pytest.mark.parametrize("bias", [True, False])
def test_a_second_sleep_changes_nothing(bias):
    first = regulate(dense(bias), noise(20), by_bias(), draws=DRAWS)
    second = regulate(first.model, noise(20), by_bias(), draws=DRAWS)
    for layer in second.layers:
        assert torch.allclose(layer.factor, torch.ones(1).double(), atol=0.012)
        assert (layer.offset.abs() < 0.02 * layer.target.spread).all()
    assert [layer.target.mean for layer in second.layers] == pytest.approx(
        [layer.target.mean for layer in first.layers], abs=1e-3
    )


def test_a_second_sleep_changes_nothing_where_weights_reach_every_target():
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 300), nn.ReLU(), nn.Linear(300, 10))
    first = regulate(wide, noise(200), draws=DRAWS)
    assert all(layer.notes == () for layer in first.layers)
    for layer in regulate(first.model, noise(200), draws=DRAWS).layers:
        assert torch.allclose(layer.factor, torch.ones(1).double(), atol=0.012)
        assert (layer.offset.abs() < 0.02 * layer.target.spread).all()


@given(st.permutations(range(15)), st.booleans())
@settings(max_examples=10, deadline=None)
def test_the_order_of_units_does_not_matter(order, bias):
    model = dense(bias)
    turned = copy.deepcopy(model)
    with torch.no_grad():
        turned[0].weight.copy_(model[0].weight[order])
        if bias:
            turned[0].bias.copy_(model[0].bias[order])
        turned[2].weight.copy_(model[2].weight[:, order])
    done, other = (regulate(net, noise(20), draws=300).model for net in (model, turned))
    assert torch.allclose(other[0].weight, done[0].weight[order], atol=1e-5)
    assert torch.allclose(other[2].weight, done[2].weight[:, order], atol=1e-5)
    assert torch.allclose(other[4].weight, done[4].weight, atol=1e-5)


def test_set_points_of_the_first_sleep_are_kept():
    given = noise(20)
    first = regulate(dense(True), given, by_bias("set-points"))
    later = seeded(dense(True), scale=3.0, seed=5)
    kept = regulate(later, given, by_bias("set-points"), set_points=first.set_points)
    assert kept.set_points == first.set_points
    assert kept.set_points != regulate(later, given).set_points
    for layer in kept.layers:
        assert torch.allclose(layer.mean_after, torch.tensor(layer.target.mean).double(), atol=1e-6)
    with pytest.raises(SettingsError, match="no set_points"):
        regulate(later, given, set_points=first.set_points)


def test_the_given_model_generators_and_modes_are_untouched():
    model = convolutional(False)
    model[1].train(False)
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    state = torch.random.get_rng_state()
    done = regulate(model, noise(2, 6, 6), draws=200)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for net in (model, done.model):
        assert [module.training for module in net.modules()] == modes
    assert not model[1].training and model[0].training
    assert all(p.requires_grad for p in done.model.parameters())
    again = regulate(model, noise(2, 6, 6), draws=200)
    other = regulate(model, noise(2, 6, 6), draws=200, seed=1)
    for a, b, c in zip(*(net.model.parameters() for net in (done, again, other)), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, c)


def test_apply_to_changes_the_same_tensors_and_an_optimiser_goes_on():
    model = dense(True)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    places = [p.data_ptr() for p in model.parameters()]
    done = regulate(model, noise(20), draws=200)
    done.apply_to(model)
    assert [p.data_ptr() for p in model.parameters()] == places
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), done.model.parameters(), strict=True))
    model(torch.rand(4, 20)).sum().backward()
    optimiser.step()
    assert not torch.equal(model[0].weight, done.model[0].weight)
    with pytest.raises(SettingsError, match=r"'0.weight'"):
        done.apply_to(nn.Sequential(nn.Linear(3, 2)))


def test_frozen_and_unnamed_layers_stay():
    model, given = dense(True), noise(20)
    model[0].requires_grad_(False)
    done = regulate(model, given, by_bias(), draws=200)
    assert [layer.name for layer in done.layers] == ["2", "4"]
    assert done.notes == ("0 stays as it is: it is frozen (requires_grad=False)",)
    assert torch.equal(done.model[0].weight, model[0].weight) and torch.equal(done.model[0].bias, model[0].bias)
    only = regulate(model, given, by_bias(layers=("4",)), draws=200)
    assert [layer.name for layer in only.layers] == ["4"]
    assert torch.equal(only.model[2].weight, model[2].weight)
    with pytest.raises(UnknownNameError, match="no layer named 'fc'"):
        regulate(model, given, by_bias(layers=("fc",)))
    with pytest.raises(UnsupportedError, match="0 stays as it is: it is frozen"):
        regulate(model, given, by_bias(layers=("0", "2")))
    with pytest.raises(UnsupportedError, match="Nothing of the model"):
        regulate(model.requires_grad_(False), given)


def test_a_frozen_bias_stays_and_the_weights_move_the_mean():
    model, given = dense(True), noise(20)
    for layer in (model[0], model[2], model[4]):
        layer.bias.requires_grad_(False)
    done = regulate(model, given, by_bias(limit=1e6), draws=DRAWS)
    assert all(torch.equal(done.model[k].bias, model[k].bias) for k in (0, 2, 4))
    measured = drives_of(done.model, {"0", "2", "4"}, given.frames(DRAWS, seed=0))
    for layer in done.layers:
        mean, spread = measured[layer.name]
        assert torch.allclose(mean, torch.tensor(layer.target.mean).double(), atol=1e-4)
        assert torch.allclose(spread, layer.spread_after, rtol=1e-3)
        # Moving a mean that far along the mean input makes some vary by more than their target, whatever the factor.
        missed = (spread - layer.target.spread).abs() > 0.01 * layer.target.spread
        assert int(missed.sum()) < len(missed) / 2
        assert not missed.any() or f"no factor gives {int(missed.sum())} units" in layer.notes[0]
        assert (layer.factor[missed] == 1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision(dtype):
    model = dense(True)
    exact = regulate(model, noise(20), draws=500).model
    done = regulate(copy.deepcopy(model).to(dtype), noise(20), draws=500).model
    assert all(p.dtype == dtype for p in done.parameters())
    tolerance = {torch.float16: 2e-2, torch.bfloat16: 1e-1, torch.float64: 1e-4}[dtype]
    for a, b in zip(done.parameters(), exact.parameters(), strict=True):
        assert torch.allclose(a.float(), b, atol=tolerance)


def test_what_does_not_vary_stays_and_is_counted():
    model, given = dense(False), noise(20)
    with torch.no_grad():
        model[0].weight[:3] = 0
        model[2].weight[:] = -1
    done = regulate(model, given, by_bias(), draws=500)
    assert torch.equal(done.model[0].weight[:3], model[0].weight[:3])
    assert "3 of 15 units" in done.layers[0].notes[0] and done.layers[0].driven.sum() == 12
    with torch.no_grad():
        model[0].weight[:] = -1
    done = regulate(model, given, by_bias(floor=1e9), draws=500)
    assert done.layers[1].target is None and "nothing drives it" in done.layers[1].notes[0]
    assert torch.equal(done.model[2].weight, model[2].weight)
    assert "1" not in done.set_points


def test_no_layer_is_silenced_by_what_is_usual_in_it():
    """Units of standardised inputs, most of them far below 0: the usual mean lies so many spreads below 0."""
    model, given = dense(True), InputNoise(torch.zeros(20), torch.ones(20))
    apart = 0.2 + torch.rand(15, generator=torch_generator(3, "biases"))
    with torch.no_grad():
        model[0].bias.copy_(-8 * apart * model[0].weight.norm(dim=1).mean())
    free = regulate(model, given, by_bias(floor=1e9), draws=DRAWS)
    usual = free.layers[0].target
    assert usual.mean < -3 * usual.spread and free.layers[1].target is None  # a layer above it has nothing to regulate
    for floor in (1.0, 0.0, 2.5):
        done = regulate(model, given, by_bias(floor=floor), draws=DRAWS)
        target = done.layers[0].target
        assert target.spread == usual.spread and target.mean == pytest.approx(-floor * usual.spread)
        assert "would silence it" in done.layers[0].notes[0] and done.layers[1].target is not None
        assert torch.allclose(done.layers[0].mean_after, torch.tensor(target.mean).double(), atol=1e-3)
        again = regulate(done.model, given, by_bias(floor=floor), draws=DRAWS)
        assert again.layers[0].notes == () and torch.allclose(
            again.layers[0].factor, torch.ones(15).double(), atol=1e-3
        )
    output = nn.Linear(20, 4)
    nn.init.constant_(output.bias, -50.0)
    assert regulate(output, given, by_bias(), draws=DRAWS).layers[0].target.mean < -40  # where less is not silence


def test_without_bias_and_with_inputs_of_mean_zero_only_the_spread_is_set():
    model = seeded(nn.Sequential(nn.Linear(20, 9, bias=False), nn.Tanh(), nn.Linear(9, 3)))
    layer = regulate(model, InputNoise(torch.zeros(20), torch.ones(20)), draws=2000).layers[0]
    # The mean of 2000 draws is not zero; what chance makes of it is none to move along.
    assert "only the spread" in layer.notes[0] and layer.mean_input is None
    assert torch.allclose(layer.spread_after, torch.tensor(layer.target.spread).double(), rtol=0.01)
    assert not layer.offset.any()


def test_standardised_inputs_drive_it_by_mean_and_spread():
    given = InputNoise(torch.linspace(-2, 2, 20), torch.linspace(0.5, 1.5, 20))
    assert_regulated(regulate(dense(True), given, by_bias(), draws=DRAWS), given)


class Several(nn.Module):
    """Heads on one trunk, a layer that runs twice, a weight that is no layer's, and one that never runs."""

    def __init__(self):
        super().__init__()
        self.trunk, self.twice, self.unused = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.heads = nn.ModuleList(nn.Linear(4, 2) for _ in range(2))
        self.mixing = nn.Parameter(torch.eye(4))

    def forward(self, x):
        h = torch.relu(self.trunk(x))
        h = torch.einsum("ni,oi->no", torch.relu(self.twice(torch.relu(self.twice(h)))), self.mixing)
        return {"a": self.heads[0](h), "b": self.heads[1](h)}


def test_several_heads_and_what_stays_is_said():
    model = seeded(Several())
    done = regulate(model, noise(5), draws=200)
    assert [layer.name for layer in done.layers if layer.output] == ["heads.0", "heads.1"]
    notes = " / ".join(done.notes)
    said = ("mixing stays as it is: the operation 'einsum'", "unused.weight stays as it is: nothing uses it")
    for text in ("twice stays as it is: its parameters are used more than once", *said):
        assert text in notes
    assert torch.equal(done.model.twice.weight, model.twice.weight)
    with pytest.raises(UnsupportedError, match="classes belong to one"):
        regulate(model, noise(5), by_bias(classes=(0,)))


def test_a_transformer_layer_goes_through():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Linear(6, 8), layer, nn.Flatten(), nn.Linear(24, 4))
    done = regulate(seeded(model), noise(3, 6), draws=200)
    assert [one.name for one in done.layers] == ["0", "1.linear1", "1.linear2", "3"]
    assert any("in_proj_weight stays" in note for note in done.notes)


class Fickle(nn.Module):
    """Takes another way for large batches."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.one(x) if len(x) < 5 else torch.relu(self.other(x)) + 1


def weight_normed():
    return nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))


@pytest.mark.parametrize(
    ("make", "given", "error", "match"),
    [
        (lambda: nn.Linear(4, 3), noise(5), DataError, r"noise of shape \(2, 5\)"),
        (lambda: nn.Linear(4, 3), [0.5] * 4, SettingsError, "The noise is"),
        (lambda: "net", noise(4), SettingsError, "The model is 'net'"),
        (nn.ReLU, noise(4), UnsupportedError, "no linear or convolutional layer"),
        (weight_normed, noise(4), UnsupportedError, "computed from others"),
        (lambda: nn.Linear(4, 3, device="meta"), noise(4), UnsupportedError, "meta"),
        (lambda: DendriticMLP([4, 3, 2]), noise(4), UnsupportedError, "fixed point"),
        (Fickle, noise(4), UnsupportedError, "another way"),
    ],
)
def test_what_cannot_be_done_is_refused(make, given, error, match):
    with pytest.raises(error, match=match):
        regulate(make(), given, draws=50)


def test_a_drive_that_is_not_finite_is_refused():
    model = dense(True)
    with torch.no_grad():
        model[2].weight[0, 0] = float("inf")
    with pytest.raises(NeurosleepError, match="layer '2' is NaN or infinite"):
        regulate(model, noise(20), draws=50)


@pytest.mark.parametrize("options", [{"draws": 1}, {"seed": -1}, {"rule": "homeostasis"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(SettingsError):
        regulate(dense(True), noise(20), **options)


def test_what_it_shows():
    done = regulate(dense(False), noise(20), draws=100)
    assert repr(done) == "<Regulation: 33 units in 3 layers (0, 2, 4)>"
    assert "<table>" in done._repr_html_() and "target spread" in done._repr_html_()
    frame = done.to_pandas()
    assert len(frame) == 33 and {"layer", "unit", "mean_before", "spread_after"} <= set(frame.columns)
