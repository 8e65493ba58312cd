"""The operators of our own in ONNX (floor 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnxscript import opset18

from deepwright.blocks.cells import OPERATOR

op: Any = opset18  # whose annotations know tensors of ONNX alone, not the lists and values that become such
_GATES = {"RNN_TANH": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}
"""PyTorch's gates in ONNX's order: update before reset; input, output, forget, cell."""


def _recurrence(mode: str, x: Any, hidden: Any, kept: Any, read: Any, again: Any, bias: Any, bias_again: Any) -> Any:
    """Return RNN, GRU or LSTM of ONNX (https://onnx.ai/onnx/operators), which put time first, and an axis for directions."""
    width = hidden.shape[2]
    order = op.Constant(value_ints=[gate * width + row for gate in _GATES[mode] for row in range(width)])

    def ordered(weights: Any) -> Any:
        return op.Gather(weights, order, axis=0) if len(_GATES[mode]) > 1 else weights

    first = [0]
    steps = op.Transpose(x, perm=[1, 0, 2])
    biases = op.Unsqueeze(op.Concat(ordered(bias), ordered(bias_again), axis=0), first)
    given = [steps, op.Unsqueeze(ordered(read), first), op.Unsqueeze(ordered(again), first), biases, None, hidden]
    if mode == "LSTM":
        y, last, kept = op.LSTM(*given, kept, hidden_size=width)
    elif mode == "GRU":
        y, last = op.GRU(*given, hidden_size=width, linear_before_reset=1)
    else:
        y, last = op.RNN(*given, hidden_size=width)
    return op.Transpose(op.Squeeze(y, [1]), perm=[1, 0, 2]), last, kept if mode == "LSTM" else last


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {OPERATOR: _recurrence}
"""From each of them to the function that writes it in ONNX."""
