"""Whether this machine is ready, and what to do where it is not (floor 6)."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

PYTHON = (3, 11)
"""The oldest Python that the package supports."""
DISK = 2 * 1024**3
"""Bytes that should be free for data, checkpoints and bundles."""
EXTRAS = {
    "train": ("torch", "onnx", "onnxscript"),
    "excel": ("fastexcel",),
    "sql": ("sqlalchemy",),
    "arrow": ("pyarrow",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "cloud": ("fsspec",),
    "text": ("tokenizers",),
    "audio": ("soundfile", "soxr"),
    "ray": ("ray",),
    "vision": ("torchvision",),
    "timm": ("timm",),
}
"""The modules that each extra brings."""
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16", "i8mm")
"""The instruction sets that matter for training and inference."""

HINTS = ("torch build",)
"""The checks whose advice is worth telling although nothing is wrong."""


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Args:
        name: What was looked at.
        ok: Whether it is as it should be.
        detail: What was found.
        fix: What to do, if it is not.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def doctor() -> list[Check]:
    """Look at Python, libraries, accelerators, processor, disk and permissions; importing torch takes a few seconds."""
    found = [*_python(), *_libraries(), *_torch(), *_processor(), *_storage(), *_traps()]
    return [replace(check, fix="") if check.ok and check.name not in HINTS else check for check in found]


def _python() -> Iterator[Check]:
    detail = f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()} {platform.machine()})"
    wanted = ".".join(map(str, PYTHON))
    yield Check("python", sys.version_info >= PYTHON, detail, f"install Python {wanted} or newer")
    yield Check("64 bit", sys.maxsize > 2**32, f"{'64' if sys.maxsize > 2**32 else '32'} bit", "install a 64-bit Python")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _libraries() -> Iterator[Check]:
    yield Check(
        "deepwright", _version("deepwright") is not None, _version("deepwright") or "not installed", "pip install deepwright"
    )
    names = [line.split(";")[0].split(">")[0].strip() for line in requires("deepwright") or [] if "extra ==" not in line]
    missing = [name for name in names if _version(name) is None]
    found = ", ".join(f"{name} {_version(name)}" for name in names if name not in missing)
    yield Check("libraries", not missing, f"missing: {', '.join(missing)}" if missing else found, "pip install deepwright")
    for extra, modules in EXTRAS.items():
        absent = [module for module in modules if find_spec(module) is None]
        have = ", ".join(f"{module} {_version(module) or ''}".strip() for module in modules if module not in absent)
        optional = extra != "train"
        detail = have if not absent else f"not installed: {', '.join(absent)}" + (" (optional)" if optional else "")
        yield Check(f"extra {extra}", optional or not absent, detail, f'pip install "deepwright[{extra}]"')


def _torch() -> Iterator[Check]:
    if find_spec("torch") is None:
        yield Check("accelerator", True, "torch is not installed: predicting works, training does not")
        return
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Check("accelerator", True, f"cuda {torch.version.cuda}: {names}")
    elif torch.backends.mps.is_available():
        yield Check("accelerator", True, "mps (Apple)")
    else:
        yield Check("accelerator", True, f"none; training runs on {torch.get_num_threads()} CPU threads")
        if torch.version.cuda and platform.system() == "Linux":
            cpu = "pytorch.org shows the pip command for the CPU build"
            yield Check(
                "torch build", True, f"built for CUDA {torch.version.cuda}, which this machine lacks; the CPU build is smaller", cpu
            )


def _processor() -> Iterator[Check]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    limit = f", limited to {quota:g} by the container" if quota is not None and quota < usable else ""
    found = cpu_features()
    yield Check("processor", True, f"{usable} cores{limit}" + (f"; {', '.join(found)}" if found else ""))
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is not None:
        few = threads.isdigit() and int(threads) < usable
        yield Check("threads", not few, f"OMP_NUM_THREADS={threads}", "unset OMP_NUM_THREADS to use every core")


def cpu_features() -> tuple[str, ...]:
    """Return those of :data:`FEATURES` that the processor has, where the system tells (Linux)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    flags = {word for row in text.splitlines() if row.lower().startswith(("flags", "features")) for word in row.split()}
    return tuple(name for name in FEATURES if name in flags)


def _quota() -> float | None:
    """Return how many cores the container may use, where control groups tell."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _storage() -> Iterator[Check]:
    free = shutil.disk_usage(Path.cwd()).free
    yield Check("disk", free >= DISK, f"{free / 1024**3:.1f} GiB free here", "free some space, or work on another disk")
    for name, folder in (("write here", Path.cwd()), ("temporary", Path(tempfile.gettempdir()))):
        yield Check(name, os.access(folder, os.W_OK), str(folder), f"allow writing to {folder}, or work elsewhere")


def _traps() -> Iterator[Check]:
    encoding = sys.getfilesystemencoding()
    yield Check("file names", encoding.lower() in ("utf-8", "utf8"), encoding, "export LC_ALL=C.UTF-8")
    if platform.system() == "Darwin" and find_spec("torch") is not None and platform.machine() == "x86_64":
        yield Check("rosetta", False, "an Intel Python on macOS: recent torch has no such build", "install an arm64 Python")
    shadow = [name for name in ("torch.py", "polars.py", "numpy.py", "deepwright.py") if Path(name).exists()]
    yield Check("shadowing", not shadow, ", ".join(shadow) or "no file here hides a library", f"rename {', '.join(shadow)}")
