"""Predict with the network itself: what parity is measured against, and the way out when a network cannot be exported."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from deepwright.blocks.contract import WriterModule
from deepwright.bundle import Bundle
from deepwright.datapath import Arrays, DataPath
from deepwright.families import Step
from deepwright.model import Model, build_model
from deepwright.runtime import Outputs


class TorchStep:
    """The network of a text's steps; see :class:`deepwright.families.Step`.

    Args:
        writer: The module.
    """

    def __init__(self, writer: WriterModule) -> None:
        self.writer = writer
        self.state_width = writer.state_width

    def __call__(
        self, memory: NDArray[np.float32], state: NDArray[np.float32], tokens: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return log p of the next tokens (B, U, V), and the state with these."""
        with torch.inference_mode():
            given = (torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in (memory, state, tokens))
            log_p, lines = (value.numpy() for value in self.writer.step(*given))
        return log_p, np.concatenate([state, lines], 1) if self.writer.grows else lines


class TorchBackend:
    """The network in fp32 on the CPU.

    Args:
        model: The trained model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model.cpu().eval()
        self.steps: dict[str, Step] = {name: TorchStep(model.writer(name)) for name in model.writers}

    @classmethod
    def load(cls, bundle: Bundle) -> TorchBackend:
        """Build the network of a bundle and load its weights."""
        model = build_model(bundle.recipe, DataPath.load(bundle.recipe, bundle.states))
        model.load_state_dict(load_file(bundle.file("weights.safetensors")))
        return cls(model)

    def run(self, arrays: Arrays) -> Outputs:
        """Return values (B,) or probabilities (B, classes) by output."""
        with torch.inference_mode():
            tensors = {
                name: torch.from_numpy(np.require(array, requirements=["C", "W"]))
                for name, array in arrays.items()
                if not name.endswith(".written")  # texts are written from what was read; their likelihood is the step's affair
            }
            return {name: value.numpy() for name, value in self.model.predict(self.model(tensors)).items()}
