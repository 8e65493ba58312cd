"""Labels of tokens: spans, the conditional random field, and the search for the best labels."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepwright.blocks.crf import LinearChain
from deepwright.tagging import Span, allowed, is_iob2, spans, viterbi


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O B-PER I-PER O B-LOC", [Span("PER", 1, 3), Span("LOC", 4, 5)]),
        ("B-PER B-PER I-PER", [Span("PER", 0, 1), Span("PER", 1, 3)]),
        ("I-PER O", []),  # strict: nothing begins with I-
        ("B-PER I-LOC I-LOC", [Span("PER", 0, 1)]),
        ("", []),
    ],
)
def test_spans_are_read_strictly(labels, expected):
    assert spans(labels.split()) == expected


def test_what_may_follow_what():
    labels = ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"]
    follow, begin = allowed(labels)
    assert begin.tolist() == [True, True, False, False, True]
    assert follow[:, labels.index("I-PER")].tolist() == [False, True, False, True, False]
    assert is_iob2(labels)
    assert not is_iob2(["NOUN", "B-flat"])
    assert not is_iob2(["I-PER", "O"])
    assert allowed(["NOUN", "VERB"])[0].all()


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 10_000))
def test_likelihood_and_search_are_those_of_all_paths(rows, places, seed):
    draw = np.random.default_rng(seed)
    names = ["B-X", "I-X", "O"]
    follow, begin = allowed(names)
    chain = LinearChain(torch.tensor(follow), torch.tensor(begin))
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.copy_(torch.tensor(draw.normal(size=parameter.shape)))
    emissions = draw.normal(size=(rows, places, 3)).astype(np.float32)
    lengths = draw.integers(0, places + 1, rows)
    mask = torch.arange(places) < torch.tensor(lengths)[:, None]
    transitions, first = (each.detach().numpy() for each in chain.scores())

    def score(row, path):
        total = first[path[0]] + emissions[row, 0, path[0]]
        return total + sum(transitions[a, b] + emissions[row, t, b] for t, (a, b) in enumerate(itertools.pairwise(path), 1))

    found = viterbi(emissions, lengths, transitions, first)
    labels = np.where(found < 0, 2, found)
    loss = chain(torch.tensor(emissions), torch.tensor(labels), mask)
    for row, length in enumerate(lengths):
        assert (found[row, length:] == -1).all()
        if not length:
            assert loss[row] == 0
            continue
        paths = {path: score(row, path) for path in itertools.product(range(3), repeat=int(length))}
        best = max(paths, key=paths.get)
        assert found[row, :length].tolist() == list(best)
        total = np.logaddexp.reduce(list(paths.values()))
        np.testing.assert_allclose(float(loss[row]), total - paths[best], rtol=1e-4, atol=1e-4)
        assert "I" not in names[best[0]], "a row begins with B- or O"
