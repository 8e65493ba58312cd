"""Labels of spans in other schemes than IOB2, unknown labels, and tokens that look like comments."""

import itertools
import re

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright.blocks.crf import LinearChain
from deepwright.blocks.heads import TaggingHead
from deepwright.datapath import DataPath
from deepwright.errors import DataError
from deepwright.features.labels import Labels, LabelsState
from deepwright.metrics import evaluate
from deepwright.recipe import Recipe
from deepwright.reporting.charts import bars
from deepwright.reporting.evaluation import evaluation_html
from deepwright.reporting.summary import worst_rows
from deepwright.sources.conll import Conll
from deepwright.table import Table
from deepwright.tagging import FORBIDDEN, Span, as_iob2, scheme, spans


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O B-X I-X", "IOB"),
        ("O I-X", "IOB"),
        ("O B-X E-X S-Y", "IOBES"),
        ("O B-X L-X U-Y", "BILOU"),
        ("O B-X M-X E-X S-Y", "BMES"),
        ("O B-X M-X E-X W-Y", "BMEWO"),
        ("O S-X", "IOBES"),
        ("O U-X", "BILOU"),
        ("NOUN VERB", "plain"),
        ("O", "plain"),
        ("B-X VERB", "plain"),
        ("S-bahn U-bahn", "plain"),
        ("B- I-X", "plain"),
        ("B-X O-X", "plain"),
        ("B-X E-X U-X", "plain"),
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
            one, last, inside = kind
            many = [f"B-{type_}", *[f"{inside}-{type_}"] * (count - 2), f"{last}-{type_}"]
            labels += [f"{one}-{type_}"] if count == 1 else many
        before = type_
    return labels


@settings(deadline=None, max_examples=80)
@given(rows(), st.sampled_from(["IOB1", "IOB2", "SEI", "ULI", "SEM", "WEM"]))
def test_every_scheme_is_read_as_iob2(row, kind):
    column = pl.Series("tags", [written(each, kind) for each in row], dtype=pl.List(pl.String))
    expected = [written(each, "IOB2") for each in row]
    assert as_iob2(column).to_list() == expected
    assert as_iob2(as_iob2(column)).to_list() == expected


def test_what_marks_no_span_is_left_alone():
    rows = [["O", "MISC", "I-X", "B-", "I-X", "Z-X", "E-X", "", "I-a\nb"]]
    expected = [["O", "MISC", "B-X", "B-", "B-X", "Z-X", "B-X", "", "B-a\nb"]]
    assert as_iob2(pl.Series(rows, dtype=pl.List(pl.String))).to_list() == expected


def test_missing_rows_and_labels_stay_missing():
    column = pl.Series("tags", [None, ["I-X", None, "I-X", "O", "I-X"], []], dtype=pl.List(pl.String))
    assert as_iob2(column).to_list() == [None, ["B-X", None, "I-X", "O", "B-X"], []]


@pytest.mark.parametrize(("kind", "words"), [("IOB1", "begin with I-"), ("SEI", "labels of IOBES"), ("ULI", "labels of BILOU")])
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
    few = frame[:1].with_columns(tags=pl.Series([["U-PER" if kind == "ULI" else "S-PER"]]), tokens=pl.Series([["Ann"]]))
    assert model.evaluate(few).outputs["tags"].metrics["f1"].value == 1, "what a label means does not depend on the rows beside it"


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


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("# id 1\tdomain=en\ndoris _ _ B-X\n\n# id 2\tdomain=en\nday _ _ O\n", [["doris"], ["day"]]),
        ("# a comment\n#WorldCup\tO\n#1\tO\n", [["#WorldCup", "#1"]]),
        ("# 1\n#Rome B-LOC\n", [["#Rome"]]),
        ("#\n# \nin O\n#\n", [["in"]]),
    ],
    ids=["tabs in comments", "tokens that all begin so", "one such token", "empty comments"],
)
def test_fields_are_told_by_tokens_alone(tmp_path, content, tokens):
    (tmp_path / "t.conll").write_text(content)
    assert Conll(path=str(tmp_path / "t.conll")).read().frame["tokens"].to_list() == tokens


def test_comments_alone_are_no_text(tmp_path):
    (tmp_path / "t.conll").write_text("# one\n#\n\n# two\n")
    with pytest.raises(DataError, match="E206"):
        Conll(path=str(tmp_path / "t.conll")).read()


def test_the_worst_rows_tell_true_labels_as_they_are_predicted():
    feature = Labels()
    recipe = Recipe.parse(
        {"data": "t.jsonl", "inputs": {"tokens": {"type": "text", "encoder": "lstm"}}, "outputs": {"tags": "labels"}}
    )
    table = Table(pl.DataFrame({"tokens": [["Ann", "the"], ["Ann", "Ann"]], "tags": [["S-PER", "O"], ["B-PER", "E-PER"]]}), "t")
    data = DataPath.fit(recipe, table)
    state = data.outputs["tags"]
    outputs = np.array([[state.values.index("O")] * 2] * 2)
    counted = feature.counts(outputs, feature.target(table.frame["tags"], state), state)
    report = evaluate(feature.target_facts("tags", state), counted, np.zeros(2, int), rounds=0)
    shown = worst_rows(data, table, {"tags": report}, {"tags": outputs})["tags"]
    assert shown["tags"].to_list() == [["B-PER", "I-PER"], ["B-PER", "O"]]
    assert shown["predicted"].to_list() == [["O", "O"]] * 2


# Unknown labels, in the loss of the head ------------------------------------------------------------------------------------

NAMES = ["B-X", "B-Y", "I-X", "I-Y", "O"]


def head_and_scores(rows=4, places=6, seed=0):
    torch.manual_seed(seed)
    head = TaggingHead(NAMES)
    with torch.no_grad():
        head.chain.transitions.normal_()
        head.chain.first.normal_()
    return head, torch.randn(rows, places, len(NAMES))


def test_an_unknown_label_takes_none_that_is_forbidden():
    head, values = head_and_scores(1, 3)
    values[0, 1, NAMES.index("B-Y")] = 9  # the best label of the unknown place, which no I-X may follow
    labels = torch.tensor([[NAMES.index("B-X"), -1, NAMES.index("I-X")]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    loss = head.loss((values, mask), labels)
    each = [head.loss((values, mask), torch.where(labels < 0, label, labels)) * 3 for label in range(len(NAMES))]
    expected = -torch.logsumexp(-torch.cat(each), 0) / 2
    torch.testing.assert_close(loss[0], expected)
    assert loss[0] < 100


def test_rows_with_unknown_labels_leave_the_others_alone():
    head, values = head_and_scores()
    x = [NAMES.index(name) for name in ("B-X", "I-X", "O")]
    labels = torch.tensor(
        [[x[0], x[1], x[2], x[2], -1, -1], [-1, x[1], -1, x[0], -1, x[2]], [-1] * 6, [x[0], -1, x[1], -1, -1, -1]]
    )
    mask = torch.arange(6) < torch.tensor([[4], [6], [3], [5]])
    together = head.loss((values, mask), labels)
    alone = [head.loss((values[row : row + 1], mask[row : row + 1]), labels[row : row + 1]) for row in range(4)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together[2] == 0
    values.requires_grad_()
    head.loss((values, mask), labels).sum().backward()
    assert torch.isfinite(values.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in head.parameters())
    assert not values.grad[2].any()
    assert not values.grad[3, 3:].any(), "nothing behind the last known label counts"


def test_a_row_without_any_constraint_costs_nothing():
    head, values = head_and_scores(2, 4)
    mask = torch.ones(2, 4, dtype=torch.bool)
    loss = head.chain(values, torch.full((2, 4), -1), mask)
    torch.testing.assert_close(loss, torch.zeros(2), atol=1e-5, rtol=0)


# The report -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["B-X", "I-X", "O"], ["B-X", "B-Y", "O"], ["NOUN", "VERB"]])
def test_labels_have_a_picture_from_one_type_on(names):
    feature, state = Labels(), LabelsState(values=tuple(names), counts=(1,) * len(names))
    target = np.array([[0, 1], [0, len(names) - 1]] * 10)
    output = np.array([[0, 1], [1, len(names) - 1]] * 10)
    facts = feature.target_facts("tags", state)
    report = evaluate(facts, feature.counts(output, target, state), np.zeros(20, int), rounds=0)
    page = evaluation_html({"tags": report})
    assert page.count("<svg") == 1
    assert "F1 of each type" in page
    assert "ROC AUC" not in page
    assert all(f">{row.label}<" in page for row in report.per_class)


def test_a_bar_is_as_long_as_its_share_of_the_whole():
    half, whole = (re.search(r'<rect[^>]* width="([\d.]+)"', bars(["X"], [0.5], title="t", full=full)) for full in (1.0, None))
    assert float(half[1]) == pytest.approx(float(whole[1]) / 2, abs=0.2)
