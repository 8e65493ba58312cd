"""A training that kills itself at a chosen point; run as a program by test_kills.py.

    python killed.py RECIPE OUT [PHASE COUNT SEED]

PHASE is ``step``, ``write`` or ``evaluation``: at the COUNTth of them the process gets SIGKILL, at a moment within it that SEED
decides. ``state.sha`` beside OUT holds the hash of the last state that was saved: weights, optimizer, random state and log.
"""

import hashlib
import os
import random
import signal
import sys
import threading
from pathlib import Path

import torch

from deepwright.bundle import write_atomically
from deepwright.engine import checkpoint, fit, loop
from deepwright.recipe import Recipe
from deepwright.steps.train import train


def digest(node, sha):
    """Add a state to a hash; times are not part of what must be equal."""
    if isinstance(node, dict):
        for key in sorted(node, key=str):
            if key != "seconds":
                sha.update(str(key).encode())
                digest(node[key], sha)
    elif isinstance(node, list | tuple):
        for each in node:
            digest(each, sha)
    else:
        sha.update(node.contiguous().numpy().tobytes() if isinstance(node, torch.Tensor) else repr(node).encode())


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    """Counts the passes of a phase, and kills within the one that is due."""

    def __init__(self, phase, count, seed):
        self.phase, self.left, self.random = phase, int(count), random.Random(int(seed))

    def due(self, phase):
        if phase == self.phase:
            self.left -= 1
        return phase == self.phase and self.left == 0

    def within(self, phase, function):
        """Return the function, killed at some time while it runs, at its end at the latest."""

        def wrapped(*args, **kwargs):
            due = self.due(phase)
            if due:
                threading.Timer(self.random.random() * 0.01, kill).start()
            result = function(*args, **kwargs)
            if due:
                kill()
            return result

        return wrapped

    def write(self, path, data):
        """Write a file as the checkpoint does, but die before it, with a part of it on the disk, or just after it."""
        due = self.due("write")
        moment = self.random.choice(["before", "torn", "after"]) if due else ""
        if moment == "torn":
            path.with_name(f".{path.name}.torn").write_bytes(data[: self.random.randrange(len(data))])
        if moment in ("before", "torn"):
            kill()
        write_atomically(path, data)
        if moment == "after":
            kill()


def main(recipe, out, *point):
    if point:
        killer = Killer(*point)
        loop.backward = killer.within("step", loop.backward)
        loop.predictions = killer.within("evaluation", loop.predictions)
        checkpoint.write_atomically = killer.write
    saved = fit.save_checkpoint

    def save(directory, state):
        sha = hashlib.sha256()
        digest(state, sha)
        Path(out).with_suffix(".sha").write_text(sha.hexdigest())
        saved(directory, state)

    fit.save_checkpoint = save
    train(Recipe.load(recipe), out=Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
