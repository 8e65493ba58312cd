"""CIFAR-10 pictures: a straight PyTorch port of airbench94 (K. Jordan, arXiv 2404.00498) against a Deepwright recipe, in one run.

The port trains and sets the accuracy that counts; the recipe then trains for as long as its own schedule takes. Both read the same
decoded pictures, use the same threads, precision (bf16 where the CPU computes it) and channels-last, and are timed from decoded
pictures in memory to trained weights; the port without its own warm-up, the recipe with its tune-up. Decoding, export and reports
are shown apart.

python bench/airbench.py DATA_DIRECTORY [--epochs 9.9] [--recipe-epochs 8] [--pictures N] [--width-factor 1.0] [--threads 2]
    [--precision fp32|bf16]
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import bf16
from torch import Tensor, nn
from torch.nn import functional as F

import deepwright as dw
from deepwright.families import Source
from deepwright.progress import Event

PAPER = {"parameters": 1.97e6, "flops": 3.6e14}
"""Of airbench94, section 3 and table 1 of the paper: weights, and FLOPs of a whole training of 9.9 epochs on 50,000 pictures."""


# The port: everything as the paper's sections 3.1–3.6 and its appendix say.


class Group(nn.Sequential):
    """Convolution, pool, normalisation, GELU, convolution, normalisation, GELU; scales of normalisations are not learnt."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(width, eps=1e-12, momentum=0.4),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width, eps=1e-12, momentum=0.4),
            nn.GELU(),
        )
        for module in self:
            if isinstance(module, nn.Conv2d):
                with torch.no_grad():
                    nn.init.dirac_(module.weight[: module.weight.shape[1]])
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.requires_grad_(False)


class Port(nn.Module):
    """The network of airbench94; ``pictures`` (standardised) are what the first convolution is whitened by."""

    def __init__(self, pictures: Tensor, factor: float) -> None:
        super().__init__()
        widths = [max(24, round(width * factor / 8) * 8) for width in (64, 256, 256)]
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        patches = pictures.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2)
        with torch.no_grad():
            self.whiten.weight.copy_(torch.cat([filters, -filters]))
            self.whiten.bias.zero_()
        self.groups = nn.Sequential(*(Group(a, b) for a, b in zip([24, *widths], widths, strict=False)))
        self.head = nn.Linear(widths[-1], 10, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.groups(F.gelu(self.whiten(pictures)))
        return self.head(F.max_pool2d(maps, 3).flatten(1)) / 9


def translated(pictures: Tensor, reach: int = 2) -> Tensor:
    """Shift each picture by up to ``reach`` pixels, those of one shift together."""
    wide = F.pad(pictures, (reach,) * 4, mode="reflect")
    shifts = torch.randint(0, 2 * reach + 1, (len(pictures), 2))
    moved = torch.empty_like(pictures)
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            chosen = (shifts == torch.tensor([y, x])).all(1)
            moved[chosen] = wide[chosen, :, y : y + 32, x : x + 32]
    return moved


def optimizer_of(model: Port, batch: int) -> torch.optim.SGD:
    """Nesterov SGD with the paper's decoupled values: rate and decay are given for 1,024 pictures, in units of the momentum."""
    momentum, kilostep = 0.85, 1024 * (1 + 1 / (1 - 0.85))
    lr, decay = 11.5 / kilostep, 0.0153 * batch / kilostep
    biases = [p for name, p in model.named_parameters() if name.startswith("groups") and name.endswith("bias")]
    known = {id(p) for p in biases}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    groups = [
        {"params": biases, "lr": 64 * lr, "weight_decay": decay / (64 * lr)},
        {"params": rest, "lr": lr, "weight_decay": decay / lr},
    ]
    return torch.optim.SGD(groups, momentum=momentum, nesterov=True)


def triangle(done: float) -> float:
    """The factor of the rate at a fraction of all steps: from 0.2 to 1 at 0.23, and down to 0.07."""
    return 0.2 + 0.8 * done / 0.23 if done < 0.23 else 1 - 0.93 * (done - 0.23) / 0.77


def train_port(pictures: Tensor, labels: Tensor, epochs: float, batch: int, factor: float, *, half: bool) -> Port:
    """Train on standardised pictures (N, 3, 32, 32); ``half``: in bf16 as torch.autocast mixes it."""
    model = Port(pictures[:5000], factor).to(memory_format=torch.channels_last)
    optimizer = optimizer_of(model, batch)
    rates = [group["lr"] for group in optimizer.param_groups]
    slow = {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}
    per_epoch = len(pictures) // batch
    steps, step = math.ceil(epochs * per_epoch), 0
    mirrored = torch.where((torch.rand(len(pictures)) < 0.5).view(-1, 1, 1, 1), pictures.flip(3), pictures)
    model.train()
    for epoch in range(math.ceil(epochs)):
        model.whiten.bias.requires_grad_(epoch < 3)
        for rows in torch.randperm(len(pictures))[: per_epoch * batch].split(batch):
            if step == steps:
                break
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * triangle(step / steps)
            chosen = translated(mirrored[rows] if epoch % 2 == 0 else mirrored[rows].flip(3))
            chosen = chosen.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = model(chosen)
            loss = F.cross_entropy(logits.float(), labels[rows], label_smoothing=0.2, reduction="sum")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
            if step % 5 == 0:
                lookahead(model, slow, 0.95**5 * (step / steps) ** 3)
    lookahead(model, slow, 1.0)
    return model.eval()


@torch.no_grad()
def lookahead(model: Port, slow: dict[str, Tensor], decay: float) -> None:
    """Move slow weights towards the fast ones, and the fast ones there (Lookahead, arXiv 1907.08610)."""
    for name, value in model.state_dict().items():
        if name in slow:
            slow[name].lerp_(value, 1 - decay)
            value.copy_(slow[name])


@torch.inference_mode()
def accuracy_of_port(model: Port, pictures: Tensor, labels: Tensor) -> float:
    """Return the accuracy over six views: mirrored or not, in place (half the weight) or shifted by a pixel along the diagonal."""
    hits = 0
    for chosen, truth in zip(pictures.split(500), labels.split(500), strict=True):
        wide = F.pad(chosen, (1,) * 4, mode="reflect")
        views = [(0.5, chosen), (0.25, wide[:, :, :32, :32]), (0.25, wide[:, :, 2:, 2:])]
        logits = sum(weight * (model(view) + model(view.flip(3))) for weight, view in views)
        hits += int((logits.argmax(1) == truth).sum())
    return hits / len(labels)


# The recipe


def recipe(arguments: argparse.Namespace, test: str) -> dict[str, object]:
    """The Deepwright recipe: the same network, learnt by Muon in fewer epochs."""
    widths = [max(24, round(width * arguments.width_factor / 8) * 8) for width in (64, 256, 256)]
    image = {
        "type": "image",
        "encoder": {"type": "airbench", "widths": widths},
        "augment": [{"type": "flip", "alternate": True}, {"type": "crop", "shift": 0.0625}],
        "tta": "mirror_translate",
    }
    training = {
        "epochs": arguments.recipe_epochs,
        "batch": 512,
        "seed": arguments.seed,
        "threads": arguments.threads,
        "precision": arguments.precision,
        "layout": "channels_last",
        "optimizer": {"type": "muon", "lr": 0.01, "weight_decay": 0.01},
        "schedule": {"type": "one_cycle", "shape": "linear"},
    }
    return {
        "data": {"test": test, "split": {"validation": 0.0}},
        "inputs": {"image": image},
        "outputs": {"label": {"type": "category", "loss": {"type": "cross_entropy", "label_smoothing": 0.2}}},
        "training": training,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=float, default=9.9, help="of the port; the paper's are 9.9")
    parser.add_argument("--recipe-epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=1024, help="of the port")
    parser.add_argument("--pictures", type=int, help="train on so many pictures only, and test on a fifth as many")
    parser.add_argument("--width-factor", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16" if bf16() else "fp32", help="of both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help="of the recipe")
    parser.add_argument("--only", choices=["port", "recipe"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    began = time.perf_counter()
    source = Source.parse(str(arguments.data / "cifar10" / "cifar10_jpg.tar.gz"))
    train, test = source.read(), source.held_out().read()
    if arguments.pictures:
        rows = np.random.default_rng(arguments.seed).permutation(len(train))[: arguments.pictures]
        train, test = train.with_frame(train.frame[rows]), test.with_frame(test.frame.sample(len(rows) // 5, seed=0))
    pixels = [decoded(table) for table in (train, test)]
    print(f"{len(train):,} + {len(test):,} pictures read and decoded in {time.perf_counter() - began:.0f} s", flush=True)
    results: dict[str, dict[str, float]] = {}
    if arguments.only != "recipe":
        results["port"] = run_port(arguments, *pixels)
    if arguments.only != "port":
        results["recipe"] = run_recipe(arguments, train, test)
    if len(results) == 2:
        ratio = results["recipe"]["seconds"] / results["port"]["seconds"]
        reached = results["recipe"]["accuracy"] >= results["port"]["accuracy"]
        print(f"time to accuracy, recipe / port: {ratio:.2f} (wanted: at most 1.1), accuracy reached: {'yes' if reached else 'NO'}")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2))


def decoded(table: dw.Table) -> tuple[Tensor, Tensor]:
    """Return (N, 3, 32, 32) uint8 pictures and their labels, the labels numbered in the order of their names."""
    from deepwright.pictures import Form, decode

    pixels = decode(table.frame["image"], Form(32, 32, 3, "stretch"), np.zeros(3, np.uint8))
    _, labels = np.unique(table.frame["label"].to_numpy(), return_inverse=True)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels)


def run_port(arguments: argparse.Namespace, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> dict[str, float]:
    torch.manual_seed(arguments.seed)
    began = time.perf_counter()
    pictures = train[0].float() / 255
    mean, std = pictures.mean((0, 2, 3)).view(1, 3, 1, 1), pictures.std((0, 2, 3)).view(1, 3, 1, 1)
    half = arguments.precision == "bf16"
    standard = (pictures - mean) / std
    model = train_port(standard, train[1], arguments.epochs, arguments.batch, arguments.width_factor, half=half)
    seconds = time.perf_counter() - began
    accuracy = accuracy_of_port(model, (test[0].float() / 255 - mean) / std, test[1])
    parameters, forward = cost(model)
    flops = 3 * 2 * forward * arguments.epochs * len(train[0])
    print(
        f"port    {parameters / 1e6:.2f} M weights (paper {PAPER['parameters'] / 1e6:.2f} M), {flops:.2g} FLOPs "
        f"(paper {PAPER['flops']:.2g} for 9.9 epochs of 50,000), accuracy {accuracy:.4f} in {seconds:.0f} s, "
        f"{arguments.epochs * len(train[0]) / seconds:,.0f} pictures/s",
        flush=True,
    )
    return {"accuracy": accuracy, "seconds": seconds, "parameters": parameters, "flops": flops}


def cost(model: Port) -> tuple[int, int]:
    """Return the weights, and the multiply-accumulates of one picture."""
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.inference_mode():
        model(torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    return sum(p.numel() for p in model.parameters()), total


def run_recipe(arguments: argparse.Namespace, train: dw.Table, test: dw.Table) -> dict[str, float]:
    began = time.perf_counter()
    marks: dict[str, float] = {}

    def listen(event: Event) -> None:
        marks.setdefault(event.stage, time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "test.parquet"
        test.frame.write_parquet(held)
        declared = recipe(arguments, str(held))
        model = dw.train(train.frame, recipe=declared, out=Path(folder) / "model", settings=arguments.settings, listener=listen)
        accuracy = model.metrics["label"]["accuracy"]["value"]
    seconds, reading = marks["stopped"] - marks["data"], marks["data"] - began
    print(
        f"recipe  accuracy {accuracy:.4f} in {seconds:.0f} s, tune-up included; {reading:.0f} s of decoding before it", flush=True
    )
    return {"accuracy": accuracy, "seconds": seconds}


if __name__ == "__main__":
    main()
