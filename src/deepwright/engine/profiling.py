"""What the steps of a training spend their time on: a trace for a browser, and the costliest operations (floor 5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from deepwright.progress import Event, Listener

TRACE = "trace.json"
"""The trace, to be opened in https://ui.perfetto.dev or chrome://tracing."""
MOST = 15
"""The operations that the table shows."""


@dataclass(frozen=True)
class Operation:
    """What one kind of operation took in the profiled steps.

    Args:
        name: Its name, such as ``aten::convolution_backward``.
        seconds: Seconds in itself, without what it called; on the device if that is a GPU.
        share: Its share of the seconds of all operations.
        calls: How often it ran.
    """

    name: str
    seconds: float
    share: float
    calls: int


@contextmanager
def profiled(device: torch.device, directory: Path, listener: Listener) -> Iterator[None]:
    """Profile what runs inside; afterwards write ``trace.json`` into ``directory`` and tell the costliest operations.

    Leave the first steps of a training outside: they pay for allocation and choice of kernels. A profiled step is slower than
    others, and its numbers are the same. If what runs inside raises, nothing is written.

    Args:
        device: The device that trains.
        directory: Where the trace goes; it exists.
        listener: Hears an event of the stage ``machine`` with the table in ``values["operations"]``.
    """
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as measured:
        yield
        if on_gpu:
            torch.cuda.synchronize(device)
    scratch = directory / f".{TRACE}.partial"
    measured.export_chrome_trace(str(scratch))
    os.replace(scratch, directory / TRACE)
    operations = costliest(measured, on_gpu=on_gpu)
    rows = [f"{each.share:6.1%} {1000 * each.seconds:9.1f} ms {each.calls:7,} ×  {each.name}" for each in operations]
    text = "\n".join([f"the {len(rows)} costliest operations; {directory / TRACE} opens in https://ui.perfetto.dev", *rows])
    listener(Event("machine", text, values={"operations": [vars(each) for each in operations], "trace": str(directory / TRACE)}))


def costliest(measured: profile, *, on_gpu: bool) -> list[Operation]:
    """Return the operations that took longest in themselves, the costliest first."""
    found = [
        (event.key, (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6, event.count)
        for event in measured.key_averages()
        # a kernel of a GPU is counted with the operation that started it
        if event.device_type.name == "CPU"
    ]
    whole = sum(seconds for _, seconds, _ in found) or 1.0
    found.sort(key=lambda entry: -entry[1])
    return [Operation(name, seconds, seconds / whole, calls) for name, seconds, calls in found[:MOST]]
