"""What this machine has left (floor 0)."""

from __future__ import annotations

import os
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")
_UNKNOWN = 8 * 10**9
"""What is assumed where the system does not tell."""


def available_memory() -> int:
    """Return the bytes of memory that can be had without swapping: the system's figure, or a container's limit if it is less."""
    return min(_system(), _container())


def processors() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _system() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # not Linux
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _container() -> int:
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_GROUP / "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        # What was read from files and not used since goes as soon as memory is wanted.
        return max(int(limit) - used + int(stat.get("inactive_file", 0)), 0) if limit != "max" else 2**63
    except (OSError, ValueError):
        return 2**63
