"""Spans of characters: how files write them, the tokens that they mean, and predictions as spans."""

import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright import words
from deepwright.errors import DeepwrightError
from deepwright.families import Source
from deepwright.preparation import open_tables, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe
from deepwright.spans import SPANS
from deepwright.table import Table
from deepwright.tagging import labelled, marked

TEXT = "Mr Smith flew from New York to 北京 on Monday."


def prepared(frame, recipe):
    """Return the rows as they would be trained on, and the recipe with all that it leaves open decided."""
    table, held, name, declared = open_tables(Recipe.parse(recipe), Table.of(frame), [])
    return prepare(declared, table, held, name, silent)


def resolved(frame, recipe):
    """Return the recipe with all that it leaves open decided; nothing is trained."""
    return prepared(frame, recipe).recipe


def column(*rows):
    return pl.Series(
        "label", [[dict(zip(("start", "end", "type"), span, strict=True)) for span in row] for row in rows], dtype=SPANS
    )


@pytest.mark.parametrize(
    "record",
    [
        {"text": TEXT, "label": {"PER": {"Smith": [[3, 7]]}, "LOC": {"New York": [[19, 26]], "北京": [[31, 32]]}}},
        {"text": TEXT, "label": {"PER": {"Smith": [[3, 8]]}, "LOC": {"New York": [[19, 27]], "北京": [[31, 33]]}}},
        {"text": TEXT, "label": [[3, 8, "PER"], [19, 27, "LOC"], [31, 33, "LOC"]]},
        {
            "text": TEXT,
            "label": [{"start": s, "end": e, "label": t} for s, e, t in ((3, 8, "PER"), (19, 27, "LOC"), (31, 33, "LOC"))],
        },
        {"text": TEXT, "label": [{"start_offset": 3, "end_offset": 8, "entity_type": "PER"}]},
    ],
    ids=["names, inclusive", "names, exclusive", "lists", "objects", "offsets"],
)
def test_every_form_of_spans_is_read(tmp_path, record):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (record, {"text": "Nobody.", "label": []})))
    frame = Source.parse(str(path)).read().frame
    assert frame.schema == {"text": pl.String, "label": SPANS}
    texts = [TEXT[span["start"] : span["end"]] for span in frame["label"][0]]
    assert texts == ["Smith", "New York", "北京"][: len(texts)]
    assert frame["label"][1].to_list() == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0, 3]], "row 2"),
        ([[0, "3", "PER"]], "row 2"),
        ("PER", "row 2"),
        ([[0, 3, "PER"], None], "row 2"),
        ([{"start": 1, "end": 2}], "row 2"),
    ],
)
def test_what_is_no_span_is_refused(tmp_path, value, message):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": TEXT, "label": each}) + "\n" for each in ([[3, 8, "PER"]], value)))
    with pytest.raises(DeepwrightError) as error:
        Source.parse(str(path)).read()
    assert error.value.code == "E227"
    assert message in str(error.value)


def test_a_name_that_does_not_stand_there_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": TEXT, "label": {"PER": {"Smith": [[4, 8]]}}}) + "\n")
    with pytest.raises(DeepwrightError, match="'Smith' at") as error:
        Source.parse(str(path)).read()
    assert error.value.code == "E227"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text(st.sampled_from("ab İßﬁ½①é\u0301한ᄒ\u1161\u11ab北.\u3000\n’'x"), max_size=12), min_size=1, max_size=4),
    st.sampled_from(["words", "characters", "blanks"]),
    st.booleans(),
)
def test_places_are_those_of_the_tokens(texts, kind, lower):
    column, blanks = pl.Series("text", texts, dtype=pl.String), kind == "blanks"
    found = words.places(column, characters=kind != "words", lower=lower, blanks=blanks)
    simple = words.normalized(column, lower=lower)
    pieces = (words.split_words(simple) if kind == "words" else words.split_characters(simple, blanks=blanks)).to_list()
    assert found.counts.tolist() == [len(each) for each in pieces]
    firsts = found.firsts
    for text, tokens, first in zip(texts, pieces, firsts, strict=True):
        for index, token in enumerate(tokens):
            start, stop = found.starts[first + index], found.stops[first + index]
            assert 0 <= start < stop <= len(text)
            whole = words.normalized(pl.Series([text[start:stop]]), lower=lower)[0]
            assert token.strip() in whole or not token.strip()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.booleans())
def test_spans_become_labels_and_spans_again(seed, characters):
    draw = np.random.default_rng(seed)
    texts = pl.Series([" ".join("".join(draw.choice([*"abé北 "], 3)) for _ in range(draw.integers(0, 6))) for _ in range(4)])
    places = words.places(texts, characters=characters, lower=False)
    rows = []
    for first, count in zip(places.firsts, places.counts, strict=True):
        cuts = np.sort(draw.choice(count + 1, min(count + 1, 2 * int(draw.integers(0, 3))), replace=False)) + first
        pairs = [(int(a), int(b)) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
        rows.append([(int(places.starts[a]), int(places.stops[b - 1]), str(draw.choice(["X", "Y-Z"]))) for a, b in pairs])
    blanks = [any(texts[i][s:e].strip() != texts[i][s:e] for s, e, _ in row) for i, row in enumerate(rows)]
    labels, wrong = labelled(column(*rows), texts, places)
    assert not [row for row in wrong if not blanks[row]], wrong
    found = marked(labels, texts, places).to_list()
    for index, (row, blank) in enumerate(zip(rows, blanks, strict=True)):
        if not blank:
            assert [(s["start"], s["end"], s["type"]) for s in found[index]] == sorted(row)
            assert all(s["text"] == texts[index][s["start"] : s["end"]] for s in found[index])


@pytest.mark.parametrize(
    ("spans", "what"),
    [
        ([(3, 8, "PER"), (3, 13, "PER")], "overlaps another"),
        ([(3, 80, "PER")], "outside of the text of 44 characters"),
        ([(-1, 2, "PER")], "outside of the text"),
        ([(8, 8, "PER")], "outside of the text"),
        ([(8, 9, "PER")], "blank"),
        ([(4, 8, "PER")], "cuts a token"),
        ([(3, 7, "PER")], "cuts a token"),
        ([(3, 8, "PER"), (3, 8, "LOC")], "overlaps another"),
    ],
)
def test_spans_that_do_not_fit_are_told(spans, what):
    texts = pl.Series([TEXT, TEXT])
    _, wrong = labelled(column([(3, 8, "PER")], spans), texts, words.places(texts, characters=False, lower=True))
    assert list(wrong) == [1]
    assert what in wrong[1]


def test_blanks_around_a_span_and_a_span_given_twice_do_no_harm():
    texts = pl.Series([TEXT])
    labels, wrong = labelled(column([(2, 9, "PER"), (2, 9, "PER")]), texts, words.places(texts, characters=False, lower=True))
    assert not wrong
    assert labels[0].to_list()[:3] == ["O", "B-PER", "O"]


def letters_of(count=100, seed=0):
    """Return texts with the spans of made-up names behind Mr, and of places behind in, blanks before some of them."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        text, spans = "  " * (number % 2), []
        for _ in range(int(draw.integers(1, 4))):
            word, kind = "".join(draw.choice([*"abcdefgh"], 5)).capitalize(), draw.integers(0, 3)
            before, type_ = (("Mr ", "PER"), ("in New ", "LOC"), ("the ", ""))[kind]
            start = len(text) + len(before) - (4 if type_ == "LOC" else 0)
            text += before + (word if type_ else "dog") + " "
            if type_:
                spans.append([start, len(text) - 1, type_])
        rows.append({"text": text, "label": spans})
    return rows


ENCODERS = {
    "lstm": {"type": "lstm", "embedding": 16, "width": 16},
    "transformer": {"type": "transformer", "embedding": 16, "width": 32, "depth": 1},
}


@pytest.mark.parametrize("encoder", ["lstm", pytest.param("transformer", marks=pytest.mark.slow)])
def test_spans_train_and_are_predicted_with_their_places(tmp_path, encoder):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in letters_of()))
    recipe = {
        "data": str(path),
        "inputs": {"text": {"type": "text", "letters": True, "lower": False, "encoder": ENCODERS[encoder]}},
        "outputs": {"label": "labels"},
        "training": {"epochs": 20, "batch": 8, "optimizer": {"type": "adamw", "lr": 0.01}, "patience": 0},
    }
    model = dw.train(recipe=recipe, out=tmp_path / "model")
    assert model.metrics["label"]["f1"]["value"] > 0.9
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["export"]["graph"] is True
    found = model.predict({"text": ["   Mr Hagbe in New Bebab", "", None, "the dog"]})["label"].to_list()
    assert found[0] == [
        {"start": 6, "end": 11, "type": "PER", "text": "Hagbe"},
        {"start": 15, "end": 24, "type": "LOC", "text": "New Bebab"},
    ]
    assert found[1:] == [[], [], []]
    figures = model.evaluate(str(path)).outputs["label"].metrics["f1"].value
    assert figures > 0.9


def test_what_is_left_open_is_inferred_from_spans():
    cut = [{**row, "label": [[start, end - 1, kind] for start, end, kind in row["label"]]} for row in letters_of(60)]
    for name, rows, tokens in (("whole", letters_of(60), "word"), ("cut", cut, "char")):
        found = resolved(rows, {"outputs": {"label": "labels"}})
        assert list(found.inputs) == ["text"], name
        text = found.inputs["text"]
        assert (text.tokens, text.letters, text.keep, text.encoder.type_name()) == (tokens, True, "start", "lstm")
        assert found.outputs["label"].form == "characters"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"inputs": {"text": {"type": "text", "tokens": "bpe", "encoder": "lstm"}}}, "E106"),
        ({"inputs": {"text": "category"}}, "E108"),
    ],
)
def test_spans_need_words_or_characters(tmp_path, change, code):
    with pytest.raises(DeepwrightError) as error:
        dw.train(letters_of(60), recipe={"outputs": {"label": "labels"}} | change, out=tmp_path / "model")
    assert error.value.code == code


def test_rows_whose_spans_do_not_fit_are_refused_or_left_out():
    rows = letters_of(60)
    rows[7] = {"text": "Mr Smith", "label": [[3, 9, "PER"]]}
    recipe = {"inputs": {"text": {"type": "text", "encoder": "lstm"}}, "outputs": {"label": "labels"}, "training": {"epochs": 1}}
    with pytest.raises(DeepwrightError, match=r"row 8: \[3, 9, PER\] outside") as error:
        prepared(rows, recipe)
    assert error.value.code == "E227"
    recipe["data"] = {"clean": {"label": {"on_error": "missing"}}}
    notes = prepared(rows, recipe).notes
    assert any("1 values do not fit their text" in note.text for note in notes)
