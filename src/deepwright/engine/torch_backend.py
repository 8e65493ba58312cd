"""Predict with the network itself: what parity is measured against, and the way out when a network cannot be exported."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import load_file

from deepwright.bundle import Bundle
from deepwright.datapath import Arrays, DataPath
from deepwright.model import Model, build_model
from deepwright.runtime import Outputs


class TorchBackend:
    """The network in fp32 on the CPU.

    Args:
        model: The trained model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model.cpu().eval()

    @classmethod
    def load(cls, bundle: Bundle) -> TorchBackend:
        """Build the network of a bundle and load its weights."""
        model = build_model(bundle.recipe, DataPath.load(bundle.recipe, bundle.states))
        model.load_state_dict(load_file(bundle.file("weights.safetensors")))
        return cls(model)

    def run(self, arrays: Arrays) -> Outputs:
        """Return values (B,) or probabilities (B, classes) by output."""
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in arrays.items()}
            return {name: value.numpy() for name, value in self.model.predict(self.model(tensors)).items()}
