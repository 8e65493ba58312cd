"""Texts as outputs: their metrics, and from ids back to texts."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwright import metrics, textscores, words
from deepwright.facts import TargetFacts
from deepwright.features.text import Text

WORDS = [
    "The",
    "cat,",
    "sat",
    "on",
    "mats;",
    "3.14",
    "and",
    "5-6",
    '"quoted"',
    "(said)",
    "it's",
    "你好",
    "世界。",
    "ﬁne",
    "&",
    "done!",
    "a/b",
]


def pairs(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return texts and what they should be: some words lost, some replaced, empty and equal ones among them."""
    draw = random.Random(seed)
    true = [" ".join(draw.choices(WORDS, k=draw.randint(1, 25))) for _ in range(count)]
    found = [
        " ".join(draw.choice(WORDS) if draw.random() < 0.2 else word for word in text.split() if draw.random() < 0.9)
        for text in true
    ]
    return [*found, "", true[0]], [*true, "not empty", true[0]]


def rows_of(found: list[str], true: list[str]) -> np.ndarray:
    return textscores.counts(pl.Series(found), pl.Series(true), np.ones(len(true), bool))


def measured(name: str, counts: np.ndarray) -> float:
    return metrics.score("text", name, counts, np.zeros(len(counts), np.int64))


def edits(one: str | list[str], other: str | list[str]) -> int:
    """Levenshtein's table, cell by cell."""
    line = list(range(len(other) + 1))
    for place, left in enumerate(one, 1):
        before, line[0] = line[0], place
        for column, right in enumerate(other, 1):
            before, line[column] = line[column], min(line[column] + 1, line[column - 1] + 1, before + (left != right))
    return line[-1]


def common(one: list[str], other: list[str]) -> int:
    line = [0] * (len(other) + 1)
    for left in one:
        above = line.copy()
        for column, right in enumerate(other, 1):
            line[column] = above[column - 1] + 1 if left == right else max(above[column], line[column - 1])
    return line[-1]


@pytest.mark.parametrize(("tokens", "chinese"), [("13a", False), ("zh", True)])
def test_bleu_and_chrf_are_those_of_sacrebleu(tokens: str, chinese: bool) -> None:
    reference = pytest.importorskip("sacrebleu")
    found, true = pairs(300)
    if not chinese:
        keep = [i for i, texts in enumerate(zip(found, true, strict=True)) if not any("你" in t or "世" in t for t in texts)]
        found, true = [found[i] for i in keep], [true[i] for i in keep]
    assert len(found) > 20
    rows = rows_of(found, true)
    score = reference.BLEU(tokenize=tokens).corpus_score(found, [true])
    sums = rows[:, textscores.columns("bleu")].sum(0)
    assert sums.tolist() == [*score.counts, *score.totals, score.ref_len]
    assert measured("bleu", rows) == pytest.approx(score.score, abs=1e-9)
    assert measured("chrf", rows) == pytest.approx(reference.CHRF().corpus_score(found, [true]).score, abs=1e-9)


@pytest.mark.parametrize("found", ["a b", "x y z a", "a", "", "q w e r t y"])
def test_bleu_of_little_is_that_of_sacrebleu(found: str) -> None:
    reference = pytest.importorskip("sacrebleu")
    score = reference.BLEU().corpus_score([found], [["a b c d e"]]).score
    assert measured("bleu", rows_of([found], ["a b c d e"])) == pytest.approx(score, abs=1e-9)


def test_edit_distances_and_common_subsequences_are_those_of_the_table() -> None:
    found, true = pairs(120, seed=1)
    rows = rows_of(found, true)
    assert rows[:, textscores.columns("characters")].tolist() == [
        [edits(one, other), len(other)] for one, other in zip(found, true, strict=True)
    ]
    split = [
        [w for w in pieces if any(c.isalnum() for c in w)]
        for pieces in words.split_words(pl.Series(found + true).str.to_lowercase())
    ]
    for row, one, other in zip(rows, split[: len(found)], split[len(found) :], strict=True):
        assert row[textscores.columns("rouge")][2] == pytest.approx(2 * common(one, other) / max(1, len(one) + len(other)))


def test_many_long_texts_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found, true = pairs(50)
    whole = rows_of(found, true)
    monkeypatch.setattr(textscores, "_AT_ONCE", 100)
    np.testing.assert_array_equal(rows_of(found, true), whole)


def test_what_is_right_is_right() -> None:
    rows = rows_of(["The cat sat on the mat."], ["The cat sat on the mat."])
    facts = TargetFacts("text", "text")
    report = metrics.evaluate(facts, rows, np.zeros(1, np.int64))
    values = {name: measure.value for name, measure in report.metrics.items()}
    assert values == {
        "bleu": pytest.approx(100), "chrf": pytest.approx(100), "character_error_rate": 0, "perplexity": None, "word_error_rate": 0,
        "exact": 1, "rouge_1": 1, "rouge_2": 1, "rouge_l": 1, "bits": None,
    }  # fmt: skip
    assert report.worst == ()


def test_a_likelihood_alone_is_a_perplexity() -> None:
    likelihood = np.array([[4 * np.log(8), 4.0], [0.0, 2.0]])
    rows = textscores.counts(None, pl.Series(["a b c", "d"]), np.ones(2, bool), likelihood)
    report = metrics.evaluate(TargetFacts("text", "text"), rows, np.zeros(2, np.int64))
    assert report.main == "perplexity"
    assert report.metrics["perplexity"].value == pytest.approx(4)
    assert report.metrics["bits"].value == pytest.approx(2)
    assert report.metrics["bleu"].value is None
    assert report.worst == (0,)


PLAIN = st.text(st.sampled_from("aZé9ß ,.!?'\"()-/你好。，🙂_&\u00a0\n"), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(PLAIN, min_size=1, max_size=5).filter(lambda texts: any(text.strip() for text in texts)))
@pytest.mark.parametrize("tokens", ["word", "char", "bpe", "unigram"])
def test_texts_come_back_from_their_ids(tokens: str, texts: list[str]) -> None:
    texts = texts if tokens in ("bpe", "char") else [text.strip() for text in texts]
    part = Text(tokens=tokens, lower=False, form="NFC", blanks=True, min_count=1, max_size=400)
    column = pl.Series("text", texts)
    state = part.fit(column)
    target = part.target(column, state)
    decoded = part.decode("text", target, state)["text"]
    np.testing.assert_array_equal(part.target(decoded, state), target)
    if tokens in ("bpe", "char"):
        cut = (target >= 0).sum(1) >= 2 * state.length
        assert [text for text, over in zip(decoded, cut, strict=True) if not over] == [
            text.removeprefix(" ") if tokens == "bpe" else text for text, over in zip(texts, cut, strict=True) if not over
        ]


def test_words_are_written_as_usual() -> None:
    text = "He said: \"It's 3.14 (about 22/7), isn't it?\" – a well-known fact."
    part = Text(lower=False, min_count=1)
    state = part.fit(pl.Series([text]))
    assert part.decode("t", part.target(pl.Series([text]), state), state)["t"].to_list() == [text]


def test_an_unknown_word_is_never_right() -> None:
    part = Text(min_count=1)
    state = part.fit(pl.Series(["known words only"]))
    target = part.target(pl.Series(["unheard words"]), state)
    assert part.decode("t", target, state)["t"].to_list() == ["� words"]
    assert measured("exact", part.counts(np.where(target == 1, 0, target), target, state)) == 0


def test_a_huge_token_and_a_long_text_are_cut() -> None:
    part = Text(tokens="char", max_length=10, min_count=1)
    column = pl.Series(["abc", "x" * 10_000_000, None, ""])
    state = part.fit(column)
    assert part.target(column, state).shape == (4, 20)
