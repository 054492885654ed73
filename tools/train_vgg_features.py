"""Train the small VGG-like network behind the features ``cifar10-vgg`` on the Tiny ImageNet subset.

    python tools/train_vgg_features.py --data DIR [--epochs 28] [--seed 0] [--out FILE]

Seven 3x3 convolutions on 32x32 images, of 32, 32 | 64, 64 | 128, 128 | 512 channels, each with batch normalisation and
ReLU, a 2x2 maximum at every bar and at the end, which leaves 512 x 2 x 2 = 2048 features; a linear layer to the 100
classes, dropped afterwards. SGD with momentum, one cycle of the learning rate, random shifts and mirroring. Budget: 28
epochs in bfloat16, about ten minutes on one core that computes in it. Batch normalisation is folded into the
convolutions and the weights are kept in float16 (under 2 MB). Prints the accuracy on the validation images and the
seconds it took.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from neurosleep.data import load_dataset

CHANNELS = (32, 32, 64, 64, 128, 128, 512)
POOLS = (1, 3, 5, 6)
CLASSES, BATCH, SHIFT = 100, 64, 4
DEFAULT_OUT = Path(__file__).resolve().parents[1] / "neurosleep" / "data" / "_vgg" / "vgg_tiny_imagenet.safetensors"


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for k, channels in enumerate(CHANNELS):
        layers += [nn.Conv2d(before, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        if k in POOLS:
            layers.append(nn.MaxPool2d(2))
        before = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(4 * CHANNELS[-1], CLASSES))


def small(images: Tensor) -> Tensor:
    """Images uint8 ``[n, 64, 64, 3]`` as the extractor sees them: ``[n, 3, 32, 32]`` in -1..1."""
    x = images.permute(0, 3, 1, 2).float()
    return F.interpolate(x, size=(32, 32), mode="bilinear", align_corners=False, antialias=True) / 127.5 - 1


def varied(x: Tensor, generator: torch.Generator) -> Tensor:
    """Each image shifted by up to ``SHIFT`` pixels and mirrored half of the time."""
    padded = F.pad(x, (SHIFT,) * 4, mode="reflect")
    side = x.shape[-1]
    rows, columns = torch.randint(0, 2 * SHIFT + 1, (2, len(x)), generator=generator).tolist()
    shifted = torch.stack([p[:, r : r + side, c : c + side] for p, r, c in zip(padded, rows, columns, strict=True)])
    mirror = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(mirror[:, None, None, None], shifted.flip(3), shifted)


def train(model: nn.Module, x: Tensor, y: Tensor, epochs: int, generator: torch.Generator) -> None:
    steps = len(x) // BATCH
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.08, total_steps=epochs * steps)
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        total = 0.0
        for k in range(steps):
            rows = order[k * BATCH : (k + 1) * BATCH]
            batch = varied(x[rows], generator).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                loss = F.cross_entropy(model(batch), y[rows], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.3f}, {time.process_time():.0f} s", flush=True)


def folded(model: nn.Sequential) -> dict[str, Tensor]:
    """Weights and biases of the convolutions with their batch normalisation worked in, float16."""
    tensors = {}
    modules = list(model)
    convolutions = [(m, modules[i + 1]) for i, m in enumerate(modules) if isinstance(m, nn.Conv2d)]
    for k, (convolution, norm) in enumerate(convolutions):
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        tensors[f"layers.{k}.weight"] = (convolution.weight.double() * gain[:, None, None, None]).half().contiguous()
        tensors[f"layers.{k}.bias"] = (norm.bias.double() - norm.running_mean.double() * gain).half()
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that holds tiny-imagenet-100")
    parser.add_argument("--epochs", type=int, default=28)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    dataset = load_dataset("tiny-imagenet-100", arguments.data)
    x, test = (small(torch.from_numpy(images)) for images in (dataset.images, dataset.test_images))
    y, labels = torch.from_numpy(dataset.labels), torch.from_numpy(dataset.test_labels)

    model = network().to(memory_format=torch.channels_last)
    train(model, x, y, arguments.epochs, generator)
    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(a).argmax(1) == b).sum()) for a, b in zip(test.split(250), labels.split(250), strict=True)
        )
    accuracy = right / len(labels)

    about = {
        "pools": list(POOLS),
        "trained_on": "tiny-imagenet-100",
        "epochs": arguments.epochs,
        "seed": arguments.seed,
        "accuracy": accuracy,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.out.with_name(f".{arguments.out.name}.tmp")
    with torch.inference_mode():
        save_file(folded(model), temporary, {"neurosleep": json.dumps(about)})
    temporary.replace(arguments.out)
    print(f"{arguments.out.name}: {arguments.out.stat().st_size} bytes")
    print(f"accuracy on {len(labels)} validation images {accuracy:.4f} (chance 0.01), {time.process_time():.0f} s")


if __name__ == "__main__":
    main()
