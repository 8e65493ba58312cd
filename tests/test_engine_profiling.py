"""The profile of training steps."""

import json

import pytest
import torch

from deepwright.engine.profiling import TRACE, profiled


def work():
    x = torch.randn(64, 64, requires_grad=True)
    for _ in range(5):
        (x @ x).relu().sum().backward()


def test_trace_and_table(tmp_path):
    events = []
    with profiled(torch.device("cpu"), tmp_path, events.append):
        work()
    trace = json.loads((tmp_path / TRACE).read_text())
    assert any(event.get("name") == "aten::mm" for event in trace["traceEvents"])
    [event] = events
    operations = event.values["operations"]
    assert 0 < len(operations) <= 15
    assert [entry["seconds"] for entry in operations] == sorted((entry["seconds"] for entry in operations), reverse=True)
    calls = {entry["name"]: entry["calls"] for entry in operations}
    assert calls["aten::mm"] == 15  # forward, and two products backward
    assert 0 < sum(entry["share"] for entry in operations) <= 1 + 1e-9
    assert "aten::mm" in event.text
    assert [file.name for file in tmp_path.iterdir()] == [TRACE]


def test_an_error_inside_writes_nothing(tmp_path):
    def fail():
        with profiled(torch.device("cpu"), tmp_path, lambda event: None):
            work()
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert not list(tmp_path.iterdir())
