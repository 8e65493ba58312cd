"""Texts that are written: searches, training, the exported steps, language models."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import deepwright as dw
from deepwright.bundle import Bundle
from deepwright.decoding import Sampling, beam_search, likelihoods, sampled
from deepwright.errors import DeepwrightError
from deepwright.opening import open_predictor, read_rows
from deepwright.progress import silent

SIZE, LONGEST = 5, 4


class Table:
    """Log p of a token behind another, other ones for each memory: a step whose state is the number of tokens read."""

    state_width = 1

    def __init__(self, seed: int = 0) -> None:
        self.draw = np.random.default_rng(seed).normal(size=(3, SIZE, SIZE)) * 1.5

    def __call__(self, memory: np.ndarray, state: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        table = self.draw[memory[:, 0, 0].astype(int)]
        scores = np.take_along_axis(table, tokens[:, :, None], 1)
        log_p = scores - np.log(np.exp(scores).sum(2, keepdims=True))
        return log_p.astype(np.float32), np.concatenate([state, np.zeros((*tokens.shape, 1), np.float32)], 1)


MEMORY = np.array([0, 1, 2, 1], np.float32).reshape(4, 1, 1)


def best_of_all(step: Table, row: int, penalty: float) -> list[int]:
    """Look at every text of up to LONGEST tokens that ends, and return the one of the best score."""
    texts = [text for size in range(1, LONGEST) for text in itertools.product(range(2, SIZE), repeat=size)]
    written = np.array([[*text, *[0] * (LONGEST - len(text))] for text in texts])
    lost = likelihoods(step, np.repeat(MEMORY[row : row + 1], len(texts), 0), written)
    scores = -lost[:, 0] / ((5 + lost[:, 1]) / 6) ** penalty
    return list(texts[int(scores.argmax())])


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_text(penalty: float) -> None:
    for seed in range(5):
        step = Table(seed)
        found = beam_search(step, MEMORY, None, LONGEST, 60, penalty)
        for row in range(4):
            assert [token for token in found[row].tolist() if token >= 0] == best_of_all(step, row, penalty)


def test_a_beam_of_one_is_greedy() -> None:
    step = Table(1)
    found = beam_search(step, MEMORY, None, 6, 1)
    for row in range(4):
        text, last = [], 0
        while len(text) < 6:
            log_p = step(MEMORY[row : row + 1], np.zeros((1, 1, 1)), np.array([[last]]))[0][0, 0].copy()
            log_p[1] = -np.inf
            log_p[0] = log_p[0] if text else -np.inf
            last = int(log_p.argmax())
            if last == 0:
                break
            text.append(last)
        assert [token for token in found[row].tolist() if token >= 0] == text


@pytest.mark.parametrize("beam", [1, 3])
def test_rows_do_not_depend_on_each_other_and_go_on_from_their_prompts(beam: int) -> None:
    prompt = np.array([[2, 3], [4, 0], [0, 0], [2, 2]])
    whole = beam_search(Table(2), MEMORY, prompt, 5, beam, 0.6)
    for row in range(4):
        size = int((prompt[row] > 0).sum())
        alone = beam_search(Table(2), MEMORY[row : row + 1], prompt[row : row + 1], 5, beam, 0.6)[0]
        assert [t for t in whole[row] if t >= 0] == [t for t in alone if t >= 0]
        assert whole[row, :size].tolist() == prompt[row, :size].tolist()


def test_many_rows_are_sought_a_few_at_once_without_what_is_behind_their_end() -> None:
    class Watched(Table):
        most, places = 0, 0

        def __call__(self, memory: np.ndarray, state: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.most, self.places = max(self.most, len(memory)), self.places + memory.shape[0] * memory.shape[1]
            assert not np.isnan(memory[:, 0, 0]).any()
            return super().__call__(memory, state, tokens)

    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 40, 500)
    memory = np.where(np.arange(40) < lengths[:, None], draw.integers(0, 3, (500, 1)), np.nan).astype(np.float32)[:, :, None]
    step = Watched(2)
    found = beam_search(step, memory, None, 5, 3, 0.6)
    assert step.most <= 64 * 3
    assert likelihoods(step, memory, np.where(found < 0, 0, found)).shape == (500, 2)
    for row in range(0, 500, 50):
        alone = beam_search(Table(2), memory[row : row + 1, :1], None, 5, 3, 0.6)[0]
        assert [t for t in found[row] if t >= 0] == [t for t in alone if t >= 0]
    step.places = 0
    likelihoods(step, memory, np.full((500, 1), 2))
    assert step.places < 0.6 * memory.size


def test_draws_follow_the_probabilities_and_the_seed() -> None:
    step, rows = Table(3), np.arange(4000)
    memory = np.repeat(MEMORY[:1], 4000, 0)
    found = sampled(step, memory, None, rows, 1, Sampling(seed=5))[:, 0]
    log_p = step(MEMORY[:1], np.zeros((1, 1, 1)), np.zeros((1, 1), np.int64))[0][0, 0].astype(float)
    p = np.exp(log_p) * (np.arange(SIZE) > 1)
    np.testing.assert_allclose(np.bincount(found, minlength=SIZE) / 4000, p / p.sum(), atol=0.03)
    again = sampled(step, memory[:10], None, rows[7:17], 1, Sampling(seed=5))[:, 0]
    np.testing.assert_array_equal(again, found[7:17])
    assert (sampled(step, memory, None, rows, 1, Sampling(seed=6))[:, 0] != found).any()


@pytest.mark.parametrize("how", [Sampling(top_k=1), Sampling(top_p=1e-6), Sampling(temperature=1e-4)])
def test_narrow_draws_are_greedy(how: Sampling) -> None:
    found = sampled(Table(4), MEMORY, None, np.arange(4), 6, how)
    np.testing.assert_array_equal(found, beam_search(Table(4), MEMORY, None, 6, 1))


EN, DE = ["one", "two", "three", "four", "five", "six"], ["eins", "zwei", "drei", "vier", "fünf", "sechs"]


def numbers(count: int, seed: int = 0) -> pl.DataFrame:
    """Return texts of numbers in English and German; one is empty."""
    draw = random.Random(seed)
    rows = [[draw.randrange(6) for _ in range(draw.randint(1, 4))] for _ in range(count)]
    frame = pl.DataFrame({key: [" ".join(names[i] for i in row) for row in rows] for key, names in (("en", EN), ("de", DE))})
    return frame.with_columns(en=pl.when(pl.int_range(count) == 3).then(pl.lit("")).otherwise("en"))


TRAINING = {"epochs": 15, "batch": 32, "precision": "fp32", "compile": False, "threads": 1}


def recipe(head: dict[str, object], encoder: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "data": {"split": {"test": 0.1}},
        "inputs": {"en": {"type": "text", "encoder": {**encoder, "embedding": 32, "embedding_dropout": 0, "dropout": 0}}},
        "outputs": {"de": {"type": "text", "head": {"width": 32, "depth": 1, "dropout": 0, "beam": 3, **head}, **more}},
        "training": {**TRAINING, "optimizer": {"type": "adam", "lr": 0.01}},
    }


@pytest.mark.parametrize(
    ("head", "encoder", "perplexity"),
    [
        # Attention learns what to look at after some thousand steps only; here it is enough that it learns.
        ({"type": "transformer_decoder", "heads": 2}, {"type": "transformer", "width": 32, "depth": 1, "heads": 2}, 4.5),
        ({"type": "lstm_decoder"}, {"type": "gru", "width": 16}, 1.5),
    ],
)
def test_a_translation_trains_exports_and_predicts_without_torch(
    head: dict[str, object], encoder: dict[str, object], perplexity: float, tmp_path: Path
) -> None:
    frame = numbers(400)
    model = dw.train(frame, recipe=recipe(head, encoder), out=tmp_path / "model", listener=silent)
    bundle = Bundle.open(tmp_path / "model")
    assert bundle.manifest["export"]["graph"]
    assert bundle.manifest["export"]["lengths"] > 1
    figures = bundle.manifest["metrics"]["de"]
    assert figures["perplexity"]["value"] < perplexity
    rows = numbers(40, seed=1)
    rows.select("en").write_csv(tmp_path / "rows.csv")
    code = (
        "import json, sys, deepwright as dw; "
        f"frame = dw.load({str(tmp_path / 'model')!r}).predict({str(tmp_path / 'rows.csv')!r}); "
        "assert 'torch' not in sys.modules; print(json.dumps(frame['de'].to_list()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    graph = json.loads(done.stdout)
    by_torch = open_predictor(bundle, "torch").predict(read_rows(str(tmp_path / "rows.csv")))["de"].to_list()
    assert graph == by_torch
    if perplexity < 2:
        assert sum(found == true for found, true in zip(graph, rows["de"], strict=True)) > 30
    evaluated = model.evaluate(frame.tail(50)).outputs["de"]
    assert evaluated.metrics["perplexity"].value is not None
    assert evaluated.metrics["bleu"].low is not None


def test_shared_tokens_share_their_vectors(tmp_path: Path) -> None:
    declared = recipe({"type": "transformer_decoder"}, {"type": "transformer", "width": 32, "depth": 1}, same_as="en")
    declared["training"] = {**declared["training"], "epochs": 1, "average": "ema"}  # type: ignore[dict-item]
    frame = numbers(200)
    dw.train(frame, recipe=declared, out=tmp_path / "shared", listener=silent)
    bundle = Bundle.open(tmp_path / "shared")
    states = bundle.states
    assert states["inputs"]["en"] == states["outputs"]["de"]
    assert {*EN, *DE} <= set(states["outputs"]["de"]["tokens"])
    from safetensors.numpy import load_file

    names = [
        name for name, value in load_file(bundle.file("weights.safetensors")).items() if value.shape[0] == 14 and value.ndim == 2
    ]
    assert names == ["encoders.0.entrance.embedding.weight"]


@pytest.mark.parametrize("head", ["transformer_decoder", "lstm_decoder"])
def test_a_language_model_continues_what_it_is_given(head: str, tmp_path: Path) -> None:
    draw = random.Random(0)
    frame = pl.DataFrame({"text": ["abcdefgh"[draw.randrange(5) :] for _ in range(300)]})
    small = {"type": head, "width": 16, "depth": 1, "dropout": 0, "max_length": 9}
    declared = {
        "outputs": {"text": {"type": "text", "tokens": "char", "head": small}},
        "training": {**TRAINING, "optimizer": {"type": "adam", "lr": 0.02}},
    }
    model = dw.train(frame, recipe=declared, out=tmp_path / "model", listener=silent)
    report = model.evaluate(frame.head(60)).outputs["text"]
    assert report.main == "perplexity"
    assert 1.0 < report.metrics["perplexity"].value < 1.6
    assert report.metrics["bleu"].value is None
    found = model.predict(pl.DataFrame({"text": ["ab", "cde", "h", None]}))["text"].to_list()
    assert found[:3] == ["abcdefgh", "cdefgh", "h"]
    assert found[3] in {"abcdefgh"[start:] for start in range(5)}
    assert model.predict(pl.DataFrame({"text": ["cde"]}))["text"].to_list() == [found[1]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"head": {"type": "transformer_decoder", "width": 30}}, "twice the heads"),
        ({"loss": "mse"}, "loss of its own"),
        ({"head": "multiclass"}, "does not fit"),
        ({"same_as": "nobody"}, "no input"),
        ({"of": "nobody"}, "no such input"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    declared = recipe({"type": "transformer_decoder"}, {"type": "transformer", "width": 32, "depth": 1})
    declared["outputs"] = {"de": {"type": "text", **change}}
    with pytest.raises(DeepwrightError, match=said):
        dw.train(numbers(60), recipe=declared, out=tmp_path / "model", listener=silent)


def test_an_encoder_without_states_is_refused(tmp_path: Path) -> None:
    declared = recipe({"type": "transformer_decoder"}, {"type": "transformer", "width": 32, "depth": 1})
    declared["inputs"] = {"en": {"type": "text", "encoder": "bag"}}
    with pytest.raises(DeepwrightError, match="encoder has states"):
        dw.train(numbers(60), recipe=declared, out=tmp_path / "model", listener=silent)
