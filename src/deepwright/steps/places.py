"""Where several processes run, and what tells each of them who it is."""

from __future__ import annotations

import re
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal

from deepwright.errors import UsageError

Attempts = Generator[str | None, None, None]
"""Trains once for each value asked for: ``None`` when it is done, or what was lost."""


@dataclass(frozen=True)
class Place:
    """Where processes run.

    Args:
        kind: ``local``: this machine; ``ray``: a Ray cluster.
        workers: How many; ``None``: as many as the cluster has GPUs, or else machines.
        address: Of the cluster; empty: the one at hand, or a new one on this machine.
    """

    kind: Literal["local", "ray"]
    workers: int | None = None
    address: str = ""

    @classmethod
    def parse(cls, text: str, among: Sequence[str] = ("local", "ray")) -> Place:
        """Read ``local:N``, ``ray``, ``ray:N``, ``ray://HOST:PORT`` or ``ray://HOST:PORT/N``.

        Raises:
            UsageError: It is none of them (E701).
        """
        if "local" in among and (match := re.fullmatch(r"local:([1-9]\d*)", text)):
            return cls("local", int(match[1]))
        if match := re.fullmatch(r"ray(?::([1-9]\d*))?", text):
            return cls("ray", int(match[1]) if match[1] else None)
        if match := re.fullmatch(r"(ray://[^/\s]+:\d+)(?:/([1-9]\d*))?", text):
            return cls("ray", int(match[2]) if match[2] else None, match[1])
        raise UsageError(
            "E701",
            "the place to run on is unknown",
            where="--on",
            got=text,
            expected="local:N, " * ("local" in among) + "ray, ray:N, ray://HOST:PORT or ray://HOST:PORT/N, with N processes",
            fix=f"--on {among[0]}:2",
        )


def environment(rank: int, local: int, size: int, host: str, port: int, threads: int) -> dict[str, str]:
    """Return what tells a process who it is, as ``torchrun`` does."""
    given = {"RANK": rank, "LOCAL_RANK": local, "WORLD_SIZE": size, "MASTER_ADDR": host, "MASTER_PORT": port}
    return {key: str(value) for key, value in given.items()} | {"OMP_NUM_THREADS": str(threads)}


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
