"""Layers of recurrence as operators of their own, in the network and in its graph."""

import collections

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from deepwright.blocks import cells
from deepwright.engine.translations import TRANSLATIONS

KINDS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}


class Layer(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, hidden, kept):
        y, (last, memory) = cells.states(self.cell, x, (hidden, kept))
        return y, last, memory


def given(rows, places):
    draw = torch.Generator().manual_seed(rows)
    return tuple(torch.randn(size, generator=draw) for size in ((rows, places, 3), (1, rows, 5), (1, rows, 5)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_computes_what_the_layer_does(kind):
    torch.manual_seed(0)
    cell = KINDS[kind](3, 5, batch_first=True)
    weights = (cell.weight_ih_l0, cell.weight_hh_l0, cell.bias_ih_l0, cell.bias_hh_l0)
    for found, expected in zip(cells.recurrence(cell.mode, *given(2, 4), *weights), Layer(cell)(*given(2, 4)), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore:# The axis name")
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_one_operator_of_onnx_and_takes_any_length(kind, tmp_path):
    torch.manual_seed(0)
    layer, path = Layer(KINDS[kind](3, 5, batch_first=True)).eval(), tmp_path / "model.onnx"
    rows, places = torch.export.Dim("rows", min=1), torch.export.Dim("places", min=1)
    torch.onnx.export(
        layer,
        given(3, 4),
        path,
        dynamo=True,
        dynamic_shapes=({0: rows, 1: places}, {1: rows}, {1: rows}),
        custom_translation_table=TRANSLATIONS,
        external_data=False,
        verbose=False,
    )
    operators = collections.Counter(node.op_type for node in onnx.load(path).graph.node)
    assert operators[kind] == 1
    assert not {"Loop", "Scan"} & operators.keys()
    session = onnxruntime.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]
    for size in ((1, 1), (2, 9), (5, 4)):
        tensors = given(*size)
        # Cells without a memory leave it out of their graph's inputs.
        found = session.run(
            None, {name: tensor.numpy() for name, tensor in zip(("x", "hidden", "kept"), tensors, strict=True) if name in names}
        )
        for ours, theirs in zip(found, layer(*tensors), strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-5)
