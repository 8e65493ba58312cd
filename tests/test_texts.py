"""Texts: tokens and their ids, batches of sequences, and networks over them."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright import words
from deepwright.batches import Rows, Sampler
from deepwright.datapath import lengths, rows_at_once, trimmed
from deepwright.engine.export import edge_rows
from deepwright.errors import RecipeError
from deepwright.facts import Facts, ImageFacts, TokensFacts
from deepwright.families import Encoder
from deepwright.features.text import Text
from deepwright.testing.networks import arrays_of, expect_equal, facts_of

texts = st.lists(st.none() | st.text(st.characters(codec="utf-8"), max_size=30), min_size=1, max_size=8)


def column(values, name="x"):
    return pl.Series(name, values, dtype=pl.String)


def pieces(value, kind="word", lower=True):
    normal = words.normalized(column([value]), lower=lower)
    return (words.split_words if kind == "word" else words.split_characters)(normal).to_list()[0]


# Tokens ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a GOOD film!!", ["it's", "a", "good", "film", "!", "!"]),
        ("这部电影很好看。", [*"这部电影很好看。"]),
        ("ﬁne Ａ１", ["fine", "a1"]),
        ("naïve e\u0301te\u0301", ["naïve", "été"]),
        ("東京タワー", [*"東京タワ", "ー"]),
        ("🙂 ok", ["🙂", "ok"]),
        ("snake_case 3.14", ["snake_case", "3", ".", "14"]),
        ("   ", []),
        ("x" * 100, ["x" * 64]),
    ],
)
def test_words(text, expected):
    assert pieces(text) == expected


def test_characters_and_case():
    assert pieces("A  b\n", "char") == ["a", " ", "b"]
    assert pieces("A b", "word", lower=False) == ["A", "b"]


def test_a_vocabulary_is_in_the_order_of_frequency_then_of_names():
    found = words.vocabulary(words.split_words(column(["b a", "a c b", "a d"])), size=3, min_count=1)
    assert found == ("a", "b", "c")
    assert words.vocabulary(words.split_words(column(["b a", "a c"])), size=9, min_count=2) == ("a",)


@given(texts)
@settings(max_examples=60, deadline=None)
def test_ids_are_those_of_a_loop(values):
    part = Text(min_count=1, max_length=5, keep="start")
    known = [value for value in values if value is not None]
    if not known:
        return
    state = part.fit(column(values))
    ids = part.encode(column(values), state)["tokens"]
    number = {token: index + 2 for index, token in enumerate(state.tokens)}
    for value, row in zip(values, ids.tolist(), strict=True):
        expected = [number[token] for token in (pieces(value) if value is not None else [])][:5]
        assert row == expected + [0] * (5 - len(expected))


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 6), st.sampled_from(["start", "end", "both"]))
def test_long_rows_are_cut_as_declared(counts, length, keep):
    flat = np.concatenate([np.arange(1, n + 1) for n in counts]).astype(np.int32)
    found = words.padded(flat, np.array(counts), length, keep)
    for count, row in zip(counts, found.tolist(), strict=True):
        whole = list(range(1, count + 1))
        head, tail = {"start": (length, 0), "end": (0, length), "both": (length - length // 2, length // 2)}[keep]
        kept = whole if count <= length else whole[:head] + (whole[-tail:] if tail else [])
        assert row == kept + [0] * (length - len(kept))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 5), max_size=6), min_size=1, max_size=5), st.integers(2, 4))
def test_equal_runs_have_equal_ids(rows, longest):
    tokens = np.zeros((len(rows), 6), np.int32)
    for row, ids in enumerate(rows):
        tokens[row, : len(ids)] = ids
    found = words.grams(tokens, longest, 2**20)
    seen = {}
    for ids, codes in zip(rows, found.tolist(), strict=True):
        runs = [tuple(ids[i : i + n]) for n in range(2, longest + 1) for i in range(len(ids) - n + 1)]
        assert codes == [seen.setdefault(run, code) for run, code in zip(runs, codes, strict=False)] + [0] * (
            len(codes) - len(runs)
        )
        assert all(1 <= code <= 2**20 for code in codes[: len(runs)])
    assert len(set(seen.values())) == len(seen), "different runs share an id among a million"


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_subwords_know_words_that_training_did_not_see(kind):
    pytest.importorskip("tokenizers")
    rows = column(["the lowest and the newest", "lower and newer", "widest 我们 wider", None] * 5)
    part = Text(tokens=kind, max_size=300, min_count=1)
    state = part.fit(rows)
    assert part.fit(rows.reverse()) == state
    assert type(state).model_validate_json(state.model_dump_json()) == state
    ids = part.encode(column(["lowest newest", "a widewest", "", None]), state)["tokens"]
    assert (ids[0] > 1).any()
    assert not ids[2:].any()
    assert ids.max() < part.facts("x", state).tokens.size
    if kind == "bpe":
        assert not (part.encode(column(["Ωδ🙂 全新"]), state)["tokens"] == 1).any(), "bytes make every text"


def test_a_text_of_ten_million_characters_is_read_in_part():
    part = Text()
    state = part.fit(column(["a b c"] * 3))
    ids = part.encode(column(["a " * 5_000_000, "x" * 10_000_000]), state)["tokens"]
    assert ids.shape == (2, state.length)


def test_letters_are_those_of_the_very_tokens():
    part = Text(tokens="char", letters=True, min_count=1)
    rows = column(["İstanbul", "ab", None, ""])  # one character is two in lower case
    arrays = part.encode(rows, part.fit(rows))
    there = arrays["letters"].any(2)
    assert (there == (arrays["tokens"] != 0)).all()
    with pytest.raises(ValueError, match="letters are those of words"):
        Text(tokens="bpe", letters=True)


# Batches --------------------------------------------------------------------------------------------------------------------


def batch_rows(count, seed=0):
    draw = np.random.default_rng(seed)
    tokens = np.zeros((count, 40), np.int32)
    for row in tokens:
        row[: draw.integers(1, 41)] = 3
    return Rows({"text.tokens": tokens}, {"y": np.zeros(count, np.float32)})


def test_a_batch_is_as_long_as_its_longest_row():
    rows = batch_rows(100)
    batch = rows.take(torch.tensor([3, 5]))
    assert batch.arrays["text.tokens"].shape == (2, int(rows.lengths[[3, 5]].max()))
    for part in rows.slices(7):
        assert (part.arrays["text.tokens"] != 0).sum(1).max() == part.arrays["text.tokens"].shape[1]


def test_batches_hold_rows_of_about_one_length_and_every_row_once():
    rows = batch_rows(1000)
    sampler = Sampler(1000, 20, 7, lengths=rows.lengths)
    order = [sampler(step) for step in range(sampler.steps)]
    assert sorted(torch.cat(order).tolist()) == list(range(1000))
    spread = np.mean([float(rows.lengths[index].float().std()) for index in order])
    assert spread < 1.0 < float(rows.lengths.float().std())
    longest = [int(rows.lengths[index].max()) for index in order]
    assert longest != sorted(longest), "batches are not in the order of their length"
    again = Sampler(1000, 20, 7, lengths=rows.lengths)
    assert torch.equal(again(37), order[37]), "a step's rows depend on the seed and the step alone"
    assert not torch.equal(again(sampler.steps + 37), order[37])


def test_sequences_are_cut_for_numpy_and_torch_alike():
    arrays = {"a.tokens": np.array([[1, 2, 0], [1, 0, 0]]), "b.numbers": np.zeros((2, 9))}
    assert {key: value.shape for key, value in trimmed(arrays).items()} == {"a.tokens": (2, 2), "b.numbers": (2, 9)}
    assert lengths(arrays)["a.tokens"].tolist() == [2, 1]
    assert trimmed({"a.tokens": np.zeros((2, 3), np.int32)})["a.tokens"].shape == (2, 1), "an empty text keeps a place"
    assert rows_at_once({"a.tokens": np.zeros((1, 4096))}, 1024) == 16
    assert rows_at_once({"a.numbers": np.zeros((1, 4096))}, 1024) == 1024


# Networks -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_recurrent_network_reads_each_row_as_if_it_were_alone(pool, bidirectional):
    facts = facts_of("tokens")[0]
    part = Encoder.parse({"type": "gru", "width": 5, "embedding": 4, "layers": 2, "bidirectional": bidirectional, "pool": pool})
    module = part.build(facts).eval()
    arrays = arrays_of(facts, 6)
    with torch.inference_mode():
        together = module(arrays)
        for row in range(6):
            alone = trimmed({key: value[row : row + 1] for key, value in arrays.items()})
            expect_equal(module(alone), together[row : row + 1], f"row {row}")
    assert not together[1].any(), "a text without a token has a vector of zeros"


def test_the_last_state_of_both_directions_has_read_the_whole_text():
    facts = facts_of("tokens")[0]
    module = Encoder.parse({"type": "lstm", "width": 4, "embedding": 4, "pool": "last"}).build(facts).eval()
    one = torch.tensor([[3, 4, 5, 6, 0]], dtype=torch.int32)
    for place in range(4):
        other = one.clone()
        other[0, place] = 7
        with torch.inference_mode():
            change = (module({"tokens": one}) - module({"tokens": other})).abs()
        assert change[0, :4].max() > 0, f"forward, place {place}"
        assert change[0, 4:].max() > 0, f"backward, place {place}"


def test_rotary_places_are_relative():
    from deepwright.blocks.transformer import rotated

    q, k = torch.randn(1, 1, 6, 8, dtype=torch.float64), torch.randn(1, 1, 6, 8, dtype=torch.float64)
    place = torch.arange(6)
    near, far = ((rotated(q, place + shift) @ rotated(k, place + shift).transpose(2, 3)) for shift in (0, 100))
    assert torch.allclose(near, far, atol=1e-3)


def test_encoders_of_texts_refuse_pictures():
    facts = Facts("picture", image=ImageFacts(8, 8, 1, (0.0,), (1.0,)))
    for name in ("bag", "text_cnn", "lstm", "transformer"):
        with pytest.raises(RecipeError, match="needs a text"):
            Encoder.parse(name).build(facts)
    with pytest.raises(RecipeError, match="width: 136"):
        Encoder.parse({"type": "transformer", "width": 130, "heads": 4}).build(facts_of("tokens")[0])


def test_edge_rows_of_a_text_are_empty_unknown_and_full():
    facts = {"t": Facts("t", tokens=TokensFacts(("<pad>", "<unk>", "a"), 4, 8))}
    arrays = {"t.tokens": np.zeros((3, 4), np.int32), "t.grams": np.zeros((3, 3), np.int32)}
    rows = edge_rows(arrays, facts)
    assert {key: value.shape for key, value in rows.items()} == {"t.tokens": (6, 4), "t.grams": (6, 3)}
    assert not rows["t.tokens"][0].any()
    assert rows["t.tokens"][3].tolist() == [2] * 4


# From text to prediction ----------------------------------------------------------------------------------------------------


def sentences(count=240, seed=0):
    """Return texts of one to twelve words whose class is whether one of the good words is among them."""
    draw = np.random.default_rng(seed)
    rows = []
    for row in range(count):
        text = draw.choice(["film", "plot", "actor", "the", "and", "很", "它"], draw.integers(1, 12)).tolist()
        good = row % 2
        text.insert(
            int(draw.integers(0, len(text) + 1)), str(draw.choice(["great", "好", "fine"] if good else ["bad", "坏", "dull"]))
        )
        rows.append((" ".join(text), "good" if good else "poor"))
    return pl.DataFrame(rows, schema=["text", "label"], orient="row")


SLOW = ["text_cnn", "rnn", "lstm", {"type": "transformer", "width": 32, "depth": 1}]


@pytest.mark.parametrize(
    "encoder", ["bag", {"type": "gru", "layers": 2}, *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW)]
)
def test_texts_train_export_and_predict_without_torch(tmp_path, encoder):
    frame = sentences()
    declared = {
        "inputs": {"text": {"type": "text", "encoder": encoder, "ngrams": 2 if encoder == "bag" else 1}},
        "training": {"epochs": 12, "batch": 16, "optimizer": {"type": "adamw", "lr": 0.01}, "seed": 0},
    }
    model = dw.train(frame, target="label", recipe=declared, out=tmp_path / "model")
    assert model.metrics["label"]["accuracy"]["value"] > 0.9
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["export"]["graph"] is True
    assert manifest["export"]["lengths"] > 3
    fresh = pl.DataFrame({"text": ["a great film", "", None, "坏", "x " * 999]})
    fresh.write_csv(tmp_path / "rows.csv")
    code = (
        "import json, sys, deepwright as dw; "
        f"frame = dw.load({str(tmp_path / 'model')!r}).predict({str(tmp_path / 'rows.csv')!r}); "
        "assert 'torch' not in sys.modules; print(json.dumps(frame['label'].to_list()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[0] == "good"


# Pairs ----------------------------------------------------------------------------------------------------------------------


def pairs(count=200, seed=0):
    """Return pairs of texts and how many words they share, of the words of the shorter one."""
    draw = np.random.default_rng(seed)
    known, rows = [f"word{i}" for i in range(40)], []
    for _ in range(count):
        first = draw.choice(known, 6, replace=False).tolist()
        same = int(draw.integers(0, 7))
        second = first[:same] + draw.choice([word for word in known if word not in first], 6 - same, replace=False).tolist()
        rows.append((" ".join(first), " ".join(second), float(same)))
    return pl.DataFrame(rows, schema=["first", "second", "score"], orient="row")


PAIR = {"first": {"type": "text", "min_count": 1}, "second": {"type": "text", "same_as": "first"}}


def test_two_texts_share_vocabulary_and_encoder(tmp_path):
    frame = pairs()
    declared = {
        "inputs": PAIR,
        "outputs": {"score": "number"},
        "training": {"epochs": 60, "batch": 16, "optimizer": {"type": "adamw", "lr": 0.01}},
    }
    model = dw.train(frame, recipe=declared, out=tmp_path / "model")
    assert model.metrics["score"]["spearman"]["value"] > 0.8
    recipe = model.recipe
    assert recipe.fusion.type_name() == "compare"
    assert recipe.inputs["second"].encoder == recipe.inputs["first"].encoder
    swapped = frame.rename({"first": "second", "second": "first"})
    one, other = (model.predict(each)["score"].to_numpy() for each in (frame, swapped))
    np.testing.assert_allclose(one, other, atol=1e-4)
    again = model.predict(frame, engine="torch")["score"].to_numpy()
    np.testing.assert_allclose(one, again, atol=1e-4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"first": "text", "second": {"type": "text", "same_as": "first", "encoder": "lstm"}}, "another one is declared"),
        ({"first": "text", "second": {"type": "text", "same_as": "frist"}}, "there is no input 'frist', did you mean 'first'"),
        ({"first": "category", "second": {"type": "text", "same_as": "first"}}, "of the same type"),
        ({"first": {"type": "text", "same_as": "second"}, "second": {"type": "text", "same_as": "first"}}, "options of its own"),
    ],
)
def test_what_cannot_be_shared_is_refused(tmp_path, inputs, message):
    with pytest.raises(RecipeError) as error:
        dw.train(pairs(40), recipe={"inputs": inputs, "outputs": {"score": "number"}}, out=tmp_path / "model")
    assert message in str(error.value)
