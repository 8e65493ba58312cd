"""Answers that stand in a passage: where, the best span, how they are judged, and a network that finds them."""

import gzip
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright import words
from deepwright.answers import best_spans, judged, placed, texts_of
from deepwright.errors import DeepwrightError
from deepwright.facts import TargetFacts
from deepwright.families import Head, Source
from deepwright.opening import read_rows
from deepwright.preparation import open_tables, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.sources.squad import Squad
from deepwright.spans import ANSWERS, as_answers
from deepwright.table import Table

PASSAGE = "  Ann lives in New York. Bo lives in Rome."
EXAMPLES = Path(__file__).parents[1] / "examples"


def resolved(frame, recipe):
    """Return the recipe with all that it leaves open decided; nothing is trained."""
    table, held, name, declared = open_tables(Recipe.parse(recipe), Table.of(frame), [])
    return prepare(declared, table, held, name, silent).recipe


@pytest.mark.parametrize(
    ("found", "references", "exact", "f1"),
    [
        ("New York", ["new york"], 1, 1),
        ("in the New York.", ["New York"], 0, 0.8),
        ("The New York!", ["a new york"], 1, 1),
        ("York", ["Rome", "New York"], 0, 2 / 3),
        ("", ["Rome"], 0, 0),
        ("the", ["a"], 1, 1),
        ("state-of-the-art", ["stateoftheart"], 1, 1),
    ],
)
def test_answers_are_judged_as_squad_does(found, references, exact, f1):
    assert judged(found, references) == (exact, pytest.approx(f1))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), st.integers(0, 10_000))
def test_the_best_span_is_the_best_of_all(rows, places, longest, seed):
    draw = np.random.default_rng(seed)
    scores, lengths = draw.normal(size=(rows, places, 2)), draw.integers(0, places + 1, rows)
    found = best_spans(scores, lengths, longest)
    for row, length in enumerate(lengths):
        spans = [(a, b) for a in range(length) for b in range(a, min(length, a + longest))]
        if not spans:
            assert found[row].tolist() == [-1, -1]
            continue
        best = max(scores[row, a, 0] + scores[row, b, 1] for a, b in spans)
        a, b = found[row]
        assert (a, b) in spans
        assert scores[row, a, 0] + scores[row, b, 1] == pytest.approx(best)


def test_answers_are_placed_among_tokens_and_told_in_characters():
    texts = pl.Series([PASSAGE] * 4)
    places = words.places(texts, characters=False, lower=True)
    rows = [[(None, "New York")], [(15, "New York"), (38, "ome")], None, [(None, "lives")]]
    column = pl.Series("answer", [r and [{"start": a, "text": t} for a, t in r] for r in rows], dtype=ANSWERS)
    found, wrong = placed(column, texts, places)
    assert not wrong
    assert found.to_list()[0] == [{"first": 3, "last": 4, "text": "New York"}]
    assert found.to_list()[1][1] == {"first": 9, "last": 9, "text": "ome"}  # widened to its token
    assert found.to_list()[2] is None
    cut, ends = texts_of(np.array([[3, 4], [9, 9], [-1, -1], [1, 1]]), texts, places)
    assert cut == ["New York", "Rome", "", "lives"]
    assert ends.tolist() == [[15, 23], [37, 41], [-1, -1], [6, 11]]


def test_every_form_of_answers_is_read():
    assert as_answers(pl.Series("a", ["x", None])).to_list() == [[{"start": None, "text": "x"}], None]
    assert as_answers(pl.Series("a", [["x", "y"], None])).to_list()[0][1] == {"start": None, "text": "y"}
    given_ = pl.Series("a", [[{"text": "x", "answer_start": 3}], None])
    assert as_answers(given_).to_list() == [[{"start": 3, "text": "x"}], None]
    assert as_answers(pl.Series("a", [[1.0]])) is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([{"start": None, "text": "Paris"}], "'Paris' does not stand in the passage"),
        ([{"start": 3, "text": "Rome"}], "'Rome' does not stand in the passage at 3"),
        ([{"start": -1, "text": "Rome"}], "does not stand"),
        ([{"start": None, "text": " "}], "does not stand"),
    ],
)
def test_answers_that_do_not_stand_there_are_told(answer, message):
    texts = pl.Series([PASSAGE, PASSAGE])
    column = pl.Series("answer", [[{"start": None, "text": "Rome"}], answer], dtype=ANSWERS)
    wrong = placed(column, texts, words.places(texts, characters=False, lower=True))[1]
    assert list(wrong) == [1]
    assert message in wrong[1]


def test_squad_is_read():
    frame = Squad(path=str(EXAMPLES / "questions.json")).read().frame
    assert frame.columns == ["title", "id", "question", "passage", "answer"]
    assert frame.height == 1500
    row = frame.row(0, named=True)
    answer = row["answer"][0]
    assert row["passage"][answer["start"] :].startswith(answer["text"])


def asked(**more):
    """Return a file of one question, some of it replaced."""
    qa = {"question": "q", "answers": [{"text": "c", "answer_start": 0}]} | {k: v for k, v in more.items() if k != "context"}
    return json.dumps({"data": [{"paragraphs": [{"context": more.get("context", "c"), "qas": [qa]}]}]})


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "E212"),
        ("[]", "E212"),
        ('{"data": {}}', "E212"),
        (asked(context=3), "E212"),
        (asked(question=None), "E212"),
        (asked(answers=[{"text": 3}]), "E212"),
        (asked(answers=[{"text": "c", "answer_start": "0"}]), "E212"),
        (asked(answers="c"), "E212"),
        ('{"data": []}', "E206"),
    ],
)
def test_malformed_squad_is_refused(tmp_path, content, code):
    path = tmp_path / "questions.json"
    path.write_text(content)
    with pytest.raises(DeepwrightError) as error:
        Squad(path=str(path)).read()
    assert error.value.code == code


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (asked(), "squad"),
        (b"\xef\xbb\xbf" + asked(context='a "quoted" {brace} [' * 2000).encode(), "squad"),
        ('{"version": "v2.0", "data": [{"title": "Beyonc\\u00e9 {1}", "paragraphs": [{"qas": [', "squad"),
        ('{"data": [{"title": "a", "qas": [1]}]}', "json"),
        ('{"data": [{"a": 1, "b": "x"}]}', "json"),
        ('[{"data": [{"paragraphs": [{"qas": []}]}]}]', "json"),
        ('{"text": "\\"data\\": [{ \\"paragraphs\\": [{ \\"qas\\": ["}', "json"),
        ('{"data": "' + "x" * 1000, "json"),
        ("", "json"),
    ],
)
def test_squad_is_told_by_what_is_in_the_file(tmp_path, content, kind):
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "plain.json").write_bytes(data)
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(data))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.json").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "box.zip", "w") as box:
        box.writestr("inside/train.json", data)
    with tarfile.open(tmp_path / "box.tgz", "w:gz") as tape:
        tape.add(tmp_path / "plain.json", "train.json")
    for name in ("plain.json", "packed.json.gz", "folder", "box.zip", "box.zip/inside/train.json", "box.tgz"):
        assert Source.parse(str(tmp_path / name)).type_name() == kind, name


def test_a_large_file_is_told_by_its_beginning(tmp_path, monkeypatch):
    path = tmp_path / "large.json"
    path.write_text(asked()[:-1] + ', "more": "' + "x" * 3_000_000 + '"}')
    monkeypatch.setattr(Path, "read_bytes", None)
    assert Source.parse(str(path)).type_name() == "squad"


def test_a_file_of_questions_is_data_without_further_words(tmp_path):
    assert read_rows(str(EXAMPLES / "questions.json")).frame.columns == ["title", "id", "question", "passage", "answer"]


def facts(count=240, seed=0):
    """Return passages of three facts about three people, and a question about one of them."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        names = draw.choice(["Ann", "Bo", "Cleo", "Dan", "Eve"], 3, replace=False)
        homes = draw.choice(["New York", "Rome", "Oslo", "Lima", "Cape Town"], 3, replace=False)
        passage = " ".join(f"{name} lives in {home}." for name, home in zip(names, homes, strict=True))
        asked = int(draw.integers(0, 3))
        rows.append({"question": f"Where does {names[asked]} live?", "passage": passage, "answer": str(homes[asked])})
    return pl.DataFrame(rows)


SMALL = {"type": "lstm", "embedding": 24, "width": 24, "embedding_dropout": 0.1, "dropout": 0.1}
RECIPE = {
    "inputs": {
        "passage": {"type": "text", "encoder": SMALL},
        "question": {"type": "text", "same_as": "passage"},
    },
    "outputs": {"answer": {"type": "answer", "head": {"type": "pointers", "width": 24}}},
    "training": {"epochs": 25, "batch": 16, "optimizer": {"type": "adamw", "lr": 0.01}, "patience": 0},
}


def test_answers_are_found_without_torch(tmp_path):
    model = dw.train(facts(), recipe=RECIPE, out=tmp_path / "model")
    assert model.metrics["answer"]["f1"]["value"] > 0.8
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["export"]["graph"] is True
    fresh = facts(30, seed=1)
    frame = model.predict(fresh.drop("answer"))
    assert (frame["answer"] == fresh["answer"]).mean() > 0.7
    for row, passage in zip(frame.to_dicts(), fresh["passage"], strict=True):
        assert passage[row["answer:start"] : row["answer:end"]] == row["answer"]
    assert model.predict(fresh.drop("answer"), engine="torch").equals(frame)
    nothing = model.predict({"question": ["Where?", None], "passage": [None, "Ann lives in Rome."]})
    assert nothing["answer"][0] is None
    report = model.evaluate(fresh.with_columns(pl.concat_list("answer")))
    assert report.outputs["answer"].metrics["exact_match"].value > 0.7
    assert {group.label: group.rows for group in report.outputs["answer"].lengths} == {
        str(size): count for size, count in sorted(Counter(len(text.split()) for text in fresh["answer"]).items())
    }


def test_answers_are_as_long_as_those_of_the_training_rows(tmp_path):
    end = pl.when(pl.int_range(40) % 2 == 0).then(pl.lit("y")).otherwise(pl.lit("z"))
    rows = facts(40).with_columns(answer=pl.lit("x " * 40) + end, passage=pl.lit("a " * 9 + "x " * 40) + end + " end")
    model = dw.train(rows, recipe=RECIPE, out=tmp_path / "model", settings=["training.epochs=3"])
    found = model.predict(rows.head(2).drop("answer"))
    assert found["answer"].to_list() == rows["answer"].head(2).to_list(), "41 tokens"
    head = Head.parse({"type": "pointers", "longest": 2}).build_reader(TargetFacts("answer", "answer", longest=41), 4, 4)
    assert int(head.extras()["longest"]) == 2


def test_what_is_left_open_is_inferred_from_names():
    found = resolved(facts(60), {"outputs": {"answer": "answer"}})
    output, inputs = found.outputs["answer"], found.inputs
    assert (output.of, output.asks, output.head.type_name()) == ("passage", "question", "pointers")
    assert inputs["question"].same_as == "passage"
    assert inputs["passage"].encoder.type_name() == "lstm"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"inputs": {"passage": {"type": "text"}}, "data": {"columns": "declared"}}, "E108"),
        ({"inputs": {"passage": {"type": "text", "encoder": "bag"}, "question": {"type": "text", "encoder": "lstm"}}}, "E108"),
    ],
)
def test_answers_need_a_passage_and_a_question(tmp_path, change, code):
    with pytest.raises(DeepwrightError) as error:
        dw.train(facts(60), recipe=RECIPE | change, out=tmp_path / "model", settings=["training.epochs=1"])
    assert error.value.code == code


def test_an_answer_that_is_not_in_its_passage_is_refused_or_left_out():
    frame = facts(60)
    frame[4, "answer"] = "Paris"
    with pytest.raises(DeepwrightError, match="row 5: 'Paris' does not stand in the passage") as error:
        resolved(frame, RECIPE)
    assert error.value.code == "E227"
    recipe = RECIPE | {"data": {"clean": {"answer": {"on_error": "missing"}}}}
    resolved(frame, recipe)
