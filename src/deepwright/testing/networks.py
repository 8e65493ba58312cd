"""What the conformance suites of networks share: tiny inputs, and checks of modules.

A suite is a set of functions ``check_…(part)``, listed in its ``CHECKS``. Run them over a part of
your own, configured as you like::

    @pytest.mark.parametrize("check", encoders.CHECKS)
    def test_my_encoder(check):
        check(MyEncoder(width=8))
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from deepwright.engine.translations import TRANSLATIONS
from deepwright.facts import (
    SEQUENCES,
    CategoryFacts,
    Facts,
    ImageFacts,
    NumberFacts,
    SeriesFacts,
    SoundFacts,
    TokensFacts,
    WindowFacts,
    Wire,
)
from deepwright.trees import balanced_rows

TOLERANCE = 1e-5
"""The largest difference, absolute and relative, between two ways to compute the same in float32."""


def expect_equal(got: Tensor, wanted: Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    """Raise ``AssertionError`` unless two tensors have one shape and agree."""
    assert got.shape == wanted.shape, f"{what}: shape {tuple(got.shape)}, expected {tuple(wanted.shape)}"
    one, two = got.detach().double(), wanted.detach().double()
    gap = (one - two).abs() / (1.0 + two.abs())
    worst = float(gap.max()) if gap.numel() else 0.0
    assert worst <= tolerance, f"{what}: differs by {worst:.2g}, more than {tolerance:g}"


def facts_of(wire: Wire) -> list[Facts]:
    """Return tiny inputs of a wire: for a table every view with and without flags, numbers only, categories only."""
    if wire == "tokens":
        words = ("<pad>", "<unk>", *"abcdefg")
        return [Facts("text", tokens=TokensFacts(words, 9, 12, tree=4)), Facts("words", tokens=TokensFacts(words[:4], 5))]
    if wire == "series":
        return [
            Facts("gaps", series=SeriesFacts(3, 24, (0.0, 5.0, -1.0), (1.0, 2.0, 0.5), missing=True)),
            Facts("curve", series=SeriesFacts(1, 16, (0.0,), (1.0,))),
        ]
    if wire == "window":
        return [Facts("rows", window=WindowFacts(2, 25, 4)), Facts("column", window=WindowFacts(1, 16))]
    if wire == "sound":
        return [Facts("sound", sound=SoundFacts(8000, 800, 16, 64, 32, -5.0, 3.0))]
    if wire == "image":
        return [
            Facts("picture", image=ImageFacts(16, 16, 3, (120.0, 110.0, 100.0), (60.0, 61.0, 62.0))),
            Facts("grey", image=ImageFacts(12, 16, 1, (120.0,), (60.0,))),
        ]
    numbers = (
        NumberFacts("plain"),
        NumberFacts("flagged", missing=True, baseline=0.5),
        NumberFacts("ranked", "quantile", (-2.0, -0.5, 0.0, 1.5), missing=True),
        NumberFacts("binned", "piecewise", (-1.0, 0.0, 0.25, 1.0, 2.0), missing=True, baseline=0.25),
    )
    categories = (CategoryFacts("few", 4, 2), CategoryFacts("many", 9, 3))
    return [Facts("table", numbers, categories), Facts("numbers", numbers[:1]), Facts("categories", (), categories[:1])]


def arrays_of(facts: Facts, rows: int, seed: int = 0) -> dict[str, Tensor]:
    """Return random arrays of the wire; the first rows hold missing, unseen and extreme values."""
    draw = torch.Generator().manual_seed(seed)
    arrays: dict[str, Tensor] = {}
    if facts.image is not None:
        shape = (rows, facts.image.height, facts.image.width, facts.image.channels)
        arrays["image"] = torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)
    if facts.numbers:
        numbers = torch.randn(rows, len(facts.numbers), generator=draw)
        for row, value in enumerate((torch.nan, -50.0, 50.0)[:rows]):
            numbers[row] = value
        numbers[torch.rand(numbers.shape, generator=draw) < 0.1] = torch.nan
        arrays["numbers"] = numbers
    if facts.tokens is not None:
        arrays |= _ids("tokens", facts.tokens.size, facts.tokens.length, rows, draw)
        if facts.tokens.grams:
            arrays |= _ids("grams", facts.tokens.grams, facts.tokens.length - 1, rows, draw)
        if facts.tokens.tree:
            counts = (arrays["tokens"] != 0).sum(1).numpy()
            arrays["tree"] = torch.from_numpy(balanced_rows(counts, facts.tokens.length - 1))
    if facts.series is not None:
        series = torch.randn(rows, facts.series.length, facts.series.channels, generator=draw)
        series[torch.rand(series.shape, generator=draw) < 0.1] = torch.nan
        for row, value in enumerate((torch.nan, -1e6, 1e6)[:rows]):
            series[row] = value
        arrays |= {"series": series, "lengths": _lengths(facts.series.length, rows, draw)}
    if facts.window is not None:
        window = torch.randn(rows, facts.window.length, facts.window.channels, generator=draw)
        for row, value in enumerate((0.0, -100.0, 100.0)[:rows]):
            window[row] = value
        arrays["window"] = window
    if facts.sound is not None:
        sound = torch.randint(-32768, 32768, (rows, facts.sound.length), dtype=torch.int16, generator=draw)
        arrays |= {"sound": sound, "lengths": _lengths(facts.sound.length, rows, draw)}
    if facts.categories:
        sizes = torch.tensor([c.size for c in facts.categories])
        ids = (torch.rand(rows, len(sizes), generator=draw) * sizes).int()
        for row in range(min(rows, 2)):
            ids[row] = row
        arrays["categories"] = ids
    return arrays


def _lengths(longest: int, rows: int, draw: torch.Generator) -> Tensor:
    """Return lengths: one row is whole, the next has no place."""
    lengths = torch.randint(1, longest + 1, (rows,), generator=draw)
    lengths[0] = longest
    lengths[1:2] = 0
    return lengths.int()


def _ids(key: str, size: int, longest: int, rows: int, draw: torch.Generator) -> dict[str, Tensor]:
    ids = torch.randint(1, size, (rows, longest), dtype=torch.int32, generator=draw)
    return {key: ids * (torch.arange(longest) < _lengths(longest, rows, draw)[:, None])}


def padded(arrays: dict[str, Tensor], more: int = 7) -> dict[str, Tensor]:
    """Return arrays with so many places more behind the end of their sequences, where what stands must not count."""
    found = {}
    for key, array in arrays.items():
        if key in SEQUENCES:
            beyond = torch.zeros((len(array), more, *array.shape[2:]), dtype=array.dtype)
            if key in ("series", "sound"):
                beyond += 77
            array = torch.cat([array, beyond], 1)
        found[key] = array
    return found


def check_gradients(module: nn.Module, run: Callable[[], Tensor], steps: int = 3) -> None:
    """Every parameter gets finite gradients, and within a few steps one that is not zero everywhere.

    More than one step, since a branch may start closed: what lies behind a weight of zero learns from the second step on.
    """
    module.train()
    torch.manual_seed(0)
    asleep = {name for name, _ in module.named_parameters()}
    if not asleep:
        return  # nothing to learn
    for _ in range(steps):
        module.zero_grad()
        result = run()
        torch.autograd.backward(result, torch.randn(result.shape))
        for name, parameter in module.named_parameters():
            gradient = parameter.grad
            assert gradient is None or bool(torch.isfinite(gradient).all()), f"{name} gets a gradient that is not finite"
            if gradient is not None and gradient.any():
                asleep.discard(name)
                with torch.no_grad():
                    parameter.sub_(gradient, alpha=0.01)
    assert not asleep, f"no gradient reaches {', '.join(sorted(asleep))}"


def check_repeatable(build: Callable[[], nn.Module], run: Callable[[nn.Module], Tensor]) -> None:
    """One seed gives the same initial values and the same training pass to the bit; evaluation draws nothing."""
    passes = []
    for _ in range(2):
        torch.manual_seed(3)
        module = build().train()
        passes.append((module.state_dict(), run(module)))
    for (name, one), two in zip(passes[0][0].items(), passes[1][0].values(), strict=True):
        assert torch.equal(one, two), f"{name} differs between two builds with one seed"
    assert torch.equal(passes[0][1], passes[1][1]), "two training passes with one seed differ"
    module = build().eval()
    state = {name: value.clone() for name, value in module.state_dict().items()}
    before = torch.get_rng_state()
    with torch.inference_mode():
        assert torch.equal(run(module), run(module)), "two evaluation passes differ"
    assert torch.equal(before, torch.get_rng_state()), "evaluation draws random numbers"
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name]), f"evaluation changes {name}"


def check_onnx(
    module: nn.Module,
    inputs: Callable[[int], Sequence[Tensor]],
    batches: Sequence[int] = (1, 2, 7),
    sequences: Sequence[int] = (),
) -> None:
    """The exported graph, its batch size and the lengths of sequences free, agrees with the module in several of them.

    Args:
        module: Called with the tensors of ``inputs``.
        inputs: Returns the tensors for a batch of so many rows.
        batches: The batch sizes compared.
        sequences: Which of the tensors have a second axis of any length.
    """
    module.eval()
    example = tuple(inputs(3))
    names = [f"input{index}" for index in range(len(example))]
    batch = torch.export.Dim("batch", min=1)
    free = {index: torch.export.Dim(f"places{index}", min=1) for index in sequences}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                example,
                path,
                dynamo=True,
                input_names=names,
                dynamic_shapes={"tensors": tuple({0: batch} | ({1: free[i]} if i in free else {}) for i in range(len(example)))},
                custom_translation_table=TRANSLATIONS,
                external_data=False,
                verbose=False,
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for rows in batches:
        tensors = tuple(inputs(rows))
        (got,) = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)})
        with torch.inference_mode():
            expect_equal(torch.from_numpy(got), module(*tensors), f"the exported graph with {rows} rows")
