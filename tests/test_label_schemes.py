"""Labels of spans in other schemes than IOB2, unknown labels, and tokens that look like comments."""

import itertools

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright.blocks.crf import LinearChain
from deepwright.features.labels import Labels
from deepwright.sources.conll import Conll
from deepwright.tagging import FORBIDDEN, Span, as_iob2, scheme, spans


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O B-X I-X", "IOB"),
        ("O I-X", "IOB"),
        ("O B-X E-X S-Y", "IOBES"),
        ("O B-X L-X U-Y", "BILOU"),
        ("NOUN VERB", "plain"),
        ("O", "plain"),
        ("B-X VERB", "plain"),
        ("S-bahn U-bahn", "plain"),
        ("B- I-X", "plain"),
    ],
)
def test_the_scheme_is_told_by_the_names(labels, expected):
    assert scheme(labels.split()) == expected


@st.composite
def rows(draw):
    """Return spans of rows, as lists of the number of tokens and the type, "" outside."""
    row = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["", "X", "Y-Z"])), max_size=6)
    return draw(st.lists(row, min_size=1, max_size=4))


def written(row, kind):
    labels, before = [], ""
    for count, type_ in row:
        if not type_:
            labels += ["O"] * count
        elif kind == "IOB1":
            labels += ["B-" + type_ if before == type_ else "I-" + type_] + ["I-" + type_] * (count - 1)
        elif kind == "IOB2":
            labels += ["B-" + type_] + ["I-" + type_] * (count - 1)
        else:
            one, last = kind[0], kind[1]
            labels += [f"{one}-{type_}"] if count == 1 else [f"B-{type_}", *[f"I-{type_}"] * (count - 2), f"{last}-{type_}"]
        before = type_
    return labels


@settings(deadline=None, max_examples=80)
@given(rows(), st.sampled_from(["IOB1", "IOB2", "SE", "UL"]))
def test_every_scheme_is_read_as_iob2(row, kind):
    column = pl.Series("tags", [written(each, kind) for each in row], dtype=pl.List(pl.String))
    expected = [written(each, "IOB2") for each in row]
    assert as_iob2(column).to_list() == expected
    assert as_iob2(as_iob2(column)).to_list() == expected


def test_missing_rows_and_labels_stay_missing():
    column = pl.Series("tags", [None, ["I-X", None, "I-X", "O", "I-X"], []], dtype=pl.List(pl.String))
    assert as_iob2(column).to_list() == [None, ["B-X", None, "I-X", "O", "B-X"], []]


@pytest.mark.parametrize(("kind", "words"), [("IOB1", "begin with I-"), ("SE", "labels of IOBES"), ("UL", "labels of BILOU")])
def test_labels_of_other_schemes_are_learnt_judged_and_predicted_as_iob2(tmp_path, kind, words):
    draw = np.random.default_rng(0)
    tokens, labels = [], []
    for _ in range(100):
        row = [(int(draw.integers(1, 3)), str(draw.choice(["", "PER", "LOC"]))) for _ in range(4)]
        row = [each for each, other in zip(row, [*row[1:], (0, "END")], strict=True) if each[1] != other[1]]
        labels.append(written(row, kind))
        tokens.append([{"": "the", "PER": "Ann", "LOC": "Rome"}[type_] for count, type_ in row for _ in range(count)])
    frame = pl.DataFrame({"tokens": tokens, "tags": labels}, schema={"tokens": pl.List(pl.String), "tags": pl.List(pl.String)})
    heard = []
    recipe = {
        "inputs": {"tokens": {"type": "text", "lower": False, "encoder": {"type": "lstm", "width": 8, "embedding": 8}}},
        "outputs": {"tags": "labels"},
        "training": {"epochs": 12, "batch": 8, "optimizer": {"type": "adamw", "lr": 0.02}, "patience": 0},
    }
    model = dw.train(frame, recipe=recipe, out=tmp_path / "m", listener=heard.append)
    assert any(words in event.text for event in heard), "the repair is stated"
    assert model.metrics["tags"]["f1"]["value"] > 0.95
    found = model.predict({"tokens": [["Ann", "Ann", "the", "Rome"]]})["tags"][0].to_list()
    assert found == ["B-PER", "I-PER", "O", "B-LOC"]
    assert model.evaluate(frame).outputs["tags"].metrics["f1"].value > 0.95


def test_plain_labels_are_left_alone():
    column = pl.Series("tags", [["I", "B-side"], ["O"]], dtype=pl.List(pl.String))
    state = Labels().fit(column)
    assert set(state.values) == {"I", "B-side", "O"}
    assert Labels().remark(column) is None


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_an_unknown_label_may_be_any(seed):
    draw = np.random.default_rng(seed)
    places, count = int(draw.integers(1, 5)), 3
    may = torch.tensor(draw.random((count, count)) < 0.8) | torch.eye(count, dtype=torch.bool)
    chain = LinearChain(may, torch.ones(count, dtype=torch.bool))
    with torch.no_grad():
        chain.transitions.normal_()
        chain.first.normal_()
    emissions = torch.randn(1, places, count)
    labels = torch.from_numpy(draw.integers(-1, count, (1, places)))
    loss = float(chain(emissions, labels, torch.ones(1, places, dtype=torch.bool)).detach())
    transitions, first = (each.detach() for each in chain.scores())

    def score(path):
        own = sum(float(emissions[0, place, label]) for place, label in enumerate(path))
        return own + float(first[path[0]]) + sum(float(transitions[a, b]) for a, b in itertools.pairwise(path))

    every = list(itertools.product(range(count), repeat=places))
    fit = [
        score(path) for path in every if all(known in (-1, label) for known, label in zip(labels[0].tolist(), path, strict=True))
    ]
    expected = np.logaddexp.reduce([score(path) for path in every]) - np.logaddexp.reduce(fit)
    if abs(expected) < -FORBIDDEN / 2:
        assert loss == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("#WorldCup\tO\nin\tO\nRome\tB-LOC\n", [["#WorldCup", "in", "Rome"]]),
        ("in\tO\n\n#1\tO\n#\tO\n", [["in"], ["#1", "#"]]),
        ("#WorldCup O\nin O\n", [["#WorldCup", "in"]]),
        ("# a comment\nin X O\n\n# another\nby X O\n", [["in"], ["by"]]),
        ("#begin document (x); part 000\nin O\n", [["in"]]),
    ],
)
def test_tokens_may_begin_as_comments_do(tmp_path, content, tokens):
    (tmp_path / "t.conll").write_text(content)
    assert Conll(path=str(tmp_path / "t.conll")).read().frame["tokens"].to_list() == tokens


def test_spans_are_strict_in_predictions_all_the_same():
    assert spans(["I-X", "B-X"]) == [Span("X", 1, 2)]
