"""One new file is all it takes: a recipe trains it, the schema and the docs list it, and the conformance suites test it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ENCODER = '''
"""The encoder ``mean``: all numbers averaged, as small as an encoder can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from deepwright.facts import Facts
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class Mean(Encoder):
    """The average of all columns, mapped to a vector."""

    width: int = Field(4, ge=1)
    """The width of the vector."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module."""
        import torch
        from torch import nn

        from deepwright.blocks.contract import EncoderModule
        from deepwright.blocks.tabular import TableVector

        class MeanModule(EncoderModule):
            def __init__(self, columns: TableVector, width: int) -> None:
                super().__init__()
                self.columns, self.width = columns, width
                self.out = nn.Linear(columns.width, width)

            def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
                return torch.tanh(self.out(self.columns(inputs)))

        return MeanModule(TableVector(facts.numbers, facts.categories, embedding="linear", embedding_width=4), self.width)
'''

RECIPE = """
data: {source: people.csv, drop: [pay]}
tabular: {type: mean, width: 6}
outputs: {rich: binary}
training: {epochs: 1, batch: 64}
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package with one file more, and the environment in which it is the one that is imported."""
    shutil.copytree(ROOT / "src" / "deepwright", tmp_path / "src" / "deepwright", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src" / "deepwright" / "encoders" / "mean.py").write_text(ENCODER)
    for name in ("scripts", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def run(*command):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.root = tmp_path
    return run


def test_a_new_file_is_a_part(package, people):
    people.frame.write_csv(package.root / "people.csv")
    (package.root / "r.yaml").write_text(RECIPE)
    deepwright = ("-m", "deepwright")
    package(*deepwright, "train", "r.yaml", "-o", "m")
    assert "mean" in (package.root / "m" / "recipe.yaml").read_text()
    package(*deepwright, "predict", "m", "people.csv", "-o", "p.csv")
    assert len((package.root / "p.csv").read_text().splitlines()) == 301
    assert '"#/$defs/encoders.mean"' in package(*deepwright, "schema")
    assert "the width of the vector" in package(*deepwright, "parts", "encoders", "mean").lower()
    package("-c", "import deepwright as dw; assert dw.Mean(width=3).dump() == {'type': 'mean', 'width': 3}")
    package("-c", "import sys; sys.path.insert(0, 'scripts'); import generate; assert '### mean' in generate.parts_page()")
    tested = package(
        "-m", "pytest", "-p", "no:cacheprovider", "tests/test_parts.py", "tests/test_networks.py", "-k", "encoders and mean"
    )
    assert int(re.search(r"(\d+) passed", tested)[1]) >= 12
