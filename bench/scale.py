"""What several processes cost and gain: measured here with 1 and 2 over gloo, and planned for 8, 64 and 512 accelerators.

    python bench/scale.py [--steps N] [--out FILE.json]

The measurement checks the model of docs/scale.md: a step takes as long as its computation, plus the exchange of gradients that the
backward pass does not hide. The plan applies it to the public specification of one accelerator (HARDWARE).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from deepwright.blocks.residual import resnet
from deepwright.engine.parallel import GradientSum, World, joined
from deepwright.steps.places import environment, free_port

HARDWARE = {
    # NVIDIA H100 SXM, https://www.nvidia.com/en-us/data-center/h100/ : dense bf16 (half of the figure with sparsity), HBM, NVLink
    "flops": 989e12,
    "memory": 3.35e12,
    "inside": 450e9,  # 900 GB/s NVLink, both directions together
    # DGX H100, https://docs.nvidia.com/dgx/dgxh100-user-guide/ : one 400 Gb/s ConnectX-7 an accelerator, 8 accelerators a machine
    "between": 50e9,
    "machine": 8,
    # Assumptions, not specifications: the share of the peak that training reaches, latencies, and the share of an exchange hidden.
    "reached": 0.4,
    "latency_inside": 3e-6,
    "latency_between": 10e-6,
    "hidden": 0.8,
}


def networks() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    """Return small networks and one batch of two processes' rows each."""
    torch.manual_seed(0)
    wide = [layer for _ in range(4) for layer in (nn.Linear(512, 512), nn.ReLU())]
    pictures, width = resnet(3, (1, 1, 1, 1), width=16, small=True, norm="group")
    return {
        "perceptron": (nn.Sequential(*wide, nn.Linear(512, 10)), torch.randn(512, 512)),
        "resnet": (
            nn.Sequential(pictures, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)),
            torch.randn(64, 3, 32, 32),
        ),
    }


def flops(model: nn.Module, x: torch.Tensor) -> int:
    """Count the floating-point operations of a forward and backward pass."""
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
    return counter.get_total_flops()


def seconds(step, steps: int, world: World) -> float:
    """Return the median time of a step."""
    times = []
    for _ in range(steps + 2):
        world.wait()
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def trained(model: nn.Module, x: torch.Tensor, exchange=None, forward=None):
    """Return a function that makes one step."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = (forward or model)(x).square().mean()
        loss.backward()
        if exchange is not None:
            exchange(loss.detach())
        optimizer.step()

    return step


def measure(steps: int) -> dict[str, dict[str, float]]:
    """Measure in this process, one of those that train together."""
    found = {}
    with joined() as world:
        for name in networks():
            model, x = networks()[name]
            half = x[: len(x) // 2]
            size = sum(p.numel() for p in model.parameters())
            row = {"parameters": size, "flops": flops(model, x), "rows": len(x)}
            row["whole batch"] = seconds(trained(model, x), steps, world)
            if world.size > 1:
                row["half batch"] = seconds(trained(model, half), steps, world)
                flat = torch.zeros(size)
                row["exchange"] = seconds(lambda flat=flat: dist.all_reduce(flat), steps, world)
                small = torch.zeros(1)
                row["latency"] = seconds(lambda small=small: dist.all_reduce(small), steps, world)
                model, _ = networks()[name]
                row["GradientSum"] = seconds(trained(model, half, GradientSum(model.parameters(), world)), steps, world)
                model, _ = networks()[name]
                row["DDP"] = seconds(trained(model, half, forward=DistributedDataParallel(model)), steps, world)
            found[name] = row
    return found


def processes(size: int, steps: int) -> dict[str, dict[str, float]]:
    """Measure with ``size`` processes of one thread each."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.json"
        command = [sys.executable, __file__, "--worker", str(file), "--steps", str(steps)]
        running = [
            subprocess.Popen(command, env={**os.environ, **environment(rank, rank, size, "127.0.0.1", port, 1)})
            for rank in range(size)
        ]
        if any(process.wait() for process in running):
            raise SystemExit("a process failed")
        return json.loads(file.read_text())


def all_reduce(size: float, n: int) -> float:
    """Return the seconds of an all-reduce of ``size`` bytes: within machines, between them, within them again."""
    inside = min(n, HARDWARE["machine"])
    machines = math.ceil(n / HARDWARE["machine"])
    within = 2 * (inside - 1) / inside * size / HARDWARE["inside"] + 2 * (inside - 1) * HARDWARE["latency_inside"]
    between = 2 * (machines - 1) / machines * size / inside / HARDWARE["between"]
    return within + between + 2 * math.log2(machines) * HARDWARE["latency_between"]


def plan(parameters: float, operations: float, moved: float, n: int, *, sharded: bool) -> dict[str, float]:
    """Plan a step of ``n`` accelerators.

    Args:
        parameters: Of the network, in bf16 for the passes and fp32 with two moments for the optimizer.
        operations: Floating-point operations of one accelerator's rows, forward and backward.
        moved: Bytes of activations that one accelerator's rows write and read.
        n: Accelerators.
        sharded: FSDP2 instead of data parallel.
    """
    updated = 16 * parameters * 2 / (n if sharded else 1)
    compute = max(operations / (HARDWARE["flops"] * HARDWARE["reached"]), (moved + updated + 6 * parameters) / HARDWARE["memory"])
    # Data parallel exchanges fp32 gradients once; FSDP2 gathers fp32 weights twice and scatters gradients, half an all-reduce each.
    exchange = (1.5 if sharded else 1.0) * all_reduce(4 * parameters, n)
    overlapped = min(HARDWARE["hidden"] * exchange, (1.0 if sharded else 2 / 3) * compute)
    held = 16 * parameters / (n if sharded else 1)
    return {
        "compute": compute,
        "exchange": exchange,
        "step": compute + exchange - overlapped,
        "efficiency": compute / (compute + exchange - overlapped),
        "held": held,
    }


PLANNED = {
    # parameters, FLOPs and activation bytes of one accelerator's rows (6 FLOPs a weight and token for the transformer)
    "ResNet-18 at 32×32, 1,024 rows": (11.2e6, 3 * 1.11e9 * 1024, 1024 * 2.5e6 * 2 * 3),
    "TabM of 0.5 M, 4,096 rows": (0.5e6, 6 * 0.5e6 * 16 * 4096, 4096 * 16 * 192 * 2 * 2 * 6),
    "transformer of 1.3 G, 16,384 tokens": (1.3e9, 6 * 1.3e9 * 16384, 16384 * 24 * 2048 * 34 * 2),
}


def main() -> None:
    """Measure, compare with the model, and plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="ignored: make bench names its folder")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        found = measure(options.steps)
        if os.environ["RANK"] == "0":
            options.worker.write_text(json.dumps(found))
        return
    one, two = processes(1, options.steps), processes(2, options.steps)
    heads = [
        "network",
        "parameters",
        "GFLOP",
        "1 process ms",
        "half batch ms",
        "exchange ms",
        "planned ms",
        "measured ms",
        "DDP ms",
    ]
    print(f"| {' | '.join(heads)} | efficiency |\n{'|---' * (len(heads) + 1)}|")
    for name, row in two.items():
        alone = one[name]["whole batch"]
        planned = row["half batch"] + row["exchange"]
        row["planned"] = planned
        cells = [alone, row["half batch"], row["exchange"], planned, row["GradientSum"], row["DDP"]]
        shown = " | ".join(f"{1e3 * cell:.1f}" for cell in cells)
        print(f"| {name} | {row['parameters']:,} | {row['flops'] / 1e9:.2f} | {shown} | {alone / 2 / row['GradientSum']:.2f} |")
    planned_rows = []
    print("\n| network | mode | accelerators | compute ms | exchange ms | step ms | efficiency | weights and optimizer GB |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (parameters, operations, moved) in PLANNED.items():
        for sharded in (False, True):
            for n in (8, 64, 512):
                row = plan(parameters, operations, moved, n, sharded=sharded)
                mode = "sharded" if sharded else "data"
                planned_rows.append({"network": name, "mode": mode, "accelerators": n, **row})
                times = " | ".join(f"{1e3 * row[key]:.2f}" for key in ("compute", "exchange", "step"))
                print(f"| {name} | {mode} | {n} | {times} | {row['efficiency']:.2f} | {row['held'] / 1e9:.3f} |")
    if options.out is not None:
        options.out.write_text(json.dumps({"one": one, "two": two, "planned": planned_rows}, indent=1))


if __name__ == "__main__":
    main()
