"""Parts of words, word vectors, trees of texts, and several encoders of one text."""

import gzip
import re

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright import trees, vectors, words
from deepwright.errors import DataError, DeepwrightError, RecipeError
from deepwright.facts import Facts, SoundFacts, WindowFacts
from deepwright.families import Encoder
from deepwright.features.text import Text
from deepwright.testing import encoders, features
from deepwright.testing.networks import arrays_of, facts_of


def column(values, name="x"):
    return pl.Series(name, values, dtype=pl.String)


# Runs of characters ---------------------------------------------------------------------------------------------------------


def runs_of(word, shortest, longest):
    marked = f"<{word}>"
    return [marked[i : i + n] for n in range(shortest, longest + 1) for i in range(len(marked) - n + 1)]


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), max_size=4), min_size=1, max_size=5), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_equal_runs_of_characters_have_equal_ids(rows, longest):
    pieces = pl.Series("x", rows, pl.List(pl.String))
    flat, counts = words.subword_grams(pieces, min(2, longest), longest, 2**24)
    expected = [run for row in rows for word in row for run in runs_of(word, min(2, longest), longest)]
    assert counts.tolist() == [sum(len(runs_of(word, min(2, longest), longest)) for word in row) for row in rows]
    seen = {}
    assert flat.tolist() == [seen.setdefault(run, code) for run, code in zip(expected, flat.tolist(), strict=True)]
    assert len(set(seen.values())) == len(seen), "different runs share an id among 16 millions"


@pytest.mark.parametrize("options", [{"subwords": (3, 5)}, {"subwords": (1, 2), "ngrams": 2, "max_length": 2}])
def test_subwords_conform(options):
    class Part(Text):
        @classmethod
        def example(cls):
            return Text(min_count=1, **options)

    features.conforms(Part)


def test_subwords_tell_what_an_unknown_word_is_like():
    part = Text(subwords=(3, 4), min_count=1)
    state = part.fit(column(["interesting film", "boring play"]))
    known, unknown = part.encode(column(["interesting", "uninteresting"]), state)["grams"]
    shared = set(known[known > 0]) & set(unknown[unknown > 0])
    assert len(shared) > 0.7 * (known > 0).sum()
    for wrong in ({"subwords": (5, 3)}, {"subwords": (2, 3), "tokens": "char"}):
        with pytest.raises(ValueError, match="characters"):
            Text(**wrong)


# Word vectors ---------------------------------------------------------------------------------------------------------------

GOOD = "the 0.1 0.2 0.3\nof -1 2e-3 .5\nNew York 1 1 1\n\nFilm 9 8 7\n"


@pytest.mark.parametrize("header", ["", "4 3\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_vectors_of_text_files(tmp_path, header, packed):
    path = tmp_path / "v.txt"
    data = (header + GOOD).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    assert vectors.dimension_of(str(path), "here") == 3
    found = vectors.read_vectors(str(path), {"of", "film", "New York", "other"}, "here")
    assert {word: values.tolist() for word, values in found.items()} == {
        "of": pytest.approx([-1, 0.002, 0.5]),
        "New York": [1, 1, 1],
        "film": [9, 8, 7],
    }


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b"", "E277", "line 1"),
        (b"\0\0\1\2", "E277", "line 1"),
        (b"the 0.1 0.2\nof 0.1\n", "E277", "line 2"),
        (b"the 0.1 0.2\nof 0.1 x\n", "E277", "line 2"),
        (b"the 0.1 0.2\nof 0.1 nan\n", "E277", "line 2"),
        (b"2 2\nthe 0.1 0.2\nof 0.1 inf\n", "E277", "line 3"),
        (b"5 2\nthe 0.1 0.2\nof 0.1 0.3\n", "E277", "v.vec"),
        (b"the 0.1 0.2\n\xff\xfe 0.1 0.2\n", "E277", "line 2"),
        (b"the 0.1 0.2\n" + b"of " * 500_000 + b"\n", "E277", "line 2"),
        (gzip.compress(GOOD.encode() * 50, mtime=0)[:60], "E202", "v.vec"),
        (None, "E200", "v.vec"),
    ],
)
def test_malformed_vectors_are_told_with_their_line(tmp_path, data, code, where):
    path = tmp_path / "v.vec"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError, match=re.escape(where)) as caught:
        vectors.read_vectors(str(path), {"of"}, "here")
    assert caught.value.code == code


def sentiment(count=240, seed=0):
    rng = np.random.default_rng(seed)
    good, bad = ["good", "fine", "great", "nice"], ["bad", "poor", "awful", "dull"]
    labels = rng.integers(0, 2, count)
    rows = [" ".join([*rng.choice(["the", "film", "was"], 3), rng.choice(good if label else bad)]) for label in labels]
    return {"text": rows, "label": ["yes" if label else "no" for label in labels]}


def test_embeddings_start_from_vectors_and_frozen_ones_stay(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("good 1 1 1 1\nbad -1 -1 -1 -1\nfilm 0 0 0 1\nnever 5 5 5 5\n", encoding="utf-8")
    told = []
    encoder = {"type": "text_cnn", "vectors": str(path), "frozen_vectors": True, "channels": 8, "unknown": 0}
    recipe = {"inputs": {"text": {"type": "text", "encoder": encoder}}, "outputs": {"label": "binary"}, "training": {"epochs": 2}}
    model = dw.train(sentiment(), recipe=recipe, out=tmp_path / "m", listener=lambda event: told.append(event.text))
    assert any("vectors of 3 of 11 known tokens" in text for text in told)
    assert model.recipe.inputs["text"].encoder.embedding == 4
    path.unlink()  # the bundle does not need it
    network = dw.load(tmp_path / "m")
    assert len(network.predict({"text": ["good film", "bad film"]})) == 2
    from safetensors.numpy import load_file

    table = load_file(tmp_path / "m" / "weights.safetensors")["encoders.0.entrance.embedding.weight"]
    vocabulary = ["<pad>", "<unk>", *model.bundle.states["inputs"]["text"]["tokens"]]
    np.testing.assert_array_equal(table[vocabulary.index("good")], np.ones(4, np.float32))
    assert not table[0].any()
    assert np.abs(table[vocabulary.index("fine")]).max() < 1


def test_vectors_of_another_width_are_refused(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("good 1 1 1 1\n", encoding="utf-8")
    encoder = {"type": "gru", "vectors": str(path), "embedding": 8}
    recipe = {"inputs": {"text": {"type": "text", "encoder": encoder}}, "outputs": {"label": "binary"}}
    with pytest.raises(DeepwrightError, match="embedding: 4, or leave it out"):
        dw.train(sentiment(), recipe=recipe, out=tmp_path / "m")
    with pytest.raises(ValueError, match="frozen_vectors"):
        Encoder.parse({"type": "lstm", "frozen_vectors": True})


# Trees ----------------------------------------------------------------------------------------------------------------------


def test_trees_of_the_penn_treebank():
    tree = trees.read_tree("(3 (2 It) (4 (4 (2 is) (4 (2 -LRB-) (4 good))) (2 .)))")
    assert tree.tokens == ("It", "is", "(", "good", ".")
    assert tree.merges == ((3, 4, 1), (2, -1, 2), (-2, 5, 3), (1, -3, 4))
    assert trees.read_tree("(S (NP (DT The) (NN cat)) (VP sat) (. .))").merges == ((1, 2, 1), (-1, 3, 2), (-2, 4, 3))
    assert trees.read_tree("(1 a (1 (1 b c) d))") == trees.Tree(("a", "b", "c", "d"), ((2, 3, 1), (-1, 4, 2), (1, -2, 3)))
    assert trees.read_tree("(ROOT (S (X one)))") == trees.Tree(("one",), ())


shapes = st.recursive(st.just("w"), lambda inner: st.lists(inner, min_size=2, max_size=3), max_leaves=12)


@given(shapes)
@settings(max_examples=80, deadline=None)
def test_merges_are_those_of_the_brackets(shape):
    def written(node):
        return f"(1 {node})" if isinstance(node, str) else "(2 " + " ".join(map(written, node)) + ")"

    def spans(node, start):
        """Return the end of a node, and the spans that its merges cover."""
        if isinstance(node, str):
            return start + 1, []
        end, found = start, []
        for index, child in enumerate(node):
            end, more = spans(child, end)
            found += more + ([(start, end)] if index else [])
        return end, found

    tree = trees.read_tree(written(shape))
    covered, got = {i + 1: (i, i + 1) for i in range(len(tree.tokens))}, []
    for number, (left, right, height) in enumerate(tree.merges):
        assert covered[left][1] == covered[right][0], "children stand side by side"
        assert height >= 1
        covered[-number - 1] = (covered[left][0], covered[right][1])
        got.append(covered[-number - 1])
    assert sorted(got) == sorted(spans(shape, 0)[1])
    assert [merge[2] for merge in tree.merges] == sorted(merge[2] for merge in tree.merges)


@pytest.mark.parametrize("text", ["(a", "a)", "()", "(a b) (c d)", "((", "(x (y z)))", "word (a b)"])
def test_malformed_trees_are_told_with_their_row(text):
    with pytest.raises(DataError, match="row 2") as caught:
        Text(trees="given").fit(column(["(1 good)", text]))
    assert caught.value.code == "E278"


@pytest.mark.parametrize("kind", ["given", "balanced"])
def test_trees_conform(kind):
    class Part(Text):
        @classmethod
        def example(cls):
            return Text(trees=kind, min_count=1, letters=True)

        @classmethod
        def columns(cls):
            deep = "(1 (1 a) " * 80 + "(1 z)" + ")" * 80
            return {"trees": ["(3 (2 It) (4 (2 is) (4 good)))", "plain text", None, "", "(2 one)", deep], "plain": ["a b c", "d"]}

    for check in features.CHECKS:
        if kind == "balanced" or check is not features.check_target:  # given trees are inputs only
            check(Part)
    if kind == "given":
        with pytest.raises(RecipeError, match="no trees"):
            Part.example().target_facts("x", Part.example().fit(column(["(1 a)"])))


def test_a_tree_lstm_is_its_equations():
    torch.manual_seed(0)
    facts = facts_of("tokens")[0]
    module = Encoder.parse({"type": "tree_lstm", "width": 5, "embedding": 4}).build(facts).eval()
    arrays = arrays_of(facts, 6)
    tree = trees.merged([trees.read_tree("(1 a (1 (1 b c) (1 d e)))").merges] * 6, facts.tokens.length - 1)
    arrays["tokens"] = torch.randint(1, facts.tokens.size, (6, 5), dtype=torch.int32)
    arrays["tree"] = torch.from_numpy(tree)
    found = module(arrays)

    def leaf(x):
        i, o, u = module.leaf(x).chunk(3)
        c = i.sigmoid() * u.tanh()
        return o.sigmoid() * c.tanh(), c

    def node(left, right):
        i, o, u, fl, fr = module.node(torch.cat([left[0], right[0]])).chunk(5)
        c = i.sigmoid() * u.tanh() + fl.sigmoid() * left[1] + fr.sigmoid() * right[1]
        return o.sigmoid() * c.tanh(), c

    for row, tokens in enumerate(module.entrance.embedding(arrays["tokens"])):
        a, b, c, d, e = map(leaf, tokens)
        torch.testing.assert_close(found[row], node(a, node(node(b, c), node(d, e)))[0])
    with pytest.raises(RecipeError, match="trees: balanced"):
        Encoder.parse("tree_lstm").build(facts_of("tokens")[1])


@pytest.mark.parametrize("kind", ["given", "balanced"])
def test_a_bundle_of_trees_predicts_without_torch(tmp_path, kind):
    table = sentiment()
    if kind == "given":
        table["text"] = [
            re.sub(r"(\S+) (\S+) (\S+) (\S+)", r"(0 (1 \1) (0 (0 (1 \2) (1 \3)) (1 \4)))", row) for row in table["text"]
        ]
    part = {"type": "text", "trees": kind, "encoder": {"type": "tree_lstm", "width": 8, "embedding": 8}}
    recipe = {
        "inputs": {"text": part},
        "outputs": {"label": "binary"},
        "training": {"epochs": 12, "batch": 32, "optimizer": {"type": "adamw", "lr": 0.02}},
    }
    model = dw.train(table, recipe=recipe, out=tmp_path / "m")
    assert (tmp_path / "m" / "model.onnx").exists(), "the graph takes trees of any height"
    rows = ["the film was good", "awful", "", "(1 (1 a) (1 (1 poor) (1 film)))" if kind == "given" else "a poor film", "good " * 60]
    assert model.predict({"text": rows})["label"].to_list()[:2] == ["yes", "no"]
    assert model.metrics["label"]["accuracy"]["value"] > 0.9


# Several encoders -----------------------------------------------------------------------------------------------------------


def test_an_ensemble_is_the_mean_of_its_encoders(tmp_path):
    part = {"type": "ensemble", "encoders": ["bag", {"type": "text_cnn", "channels": 4}, {"type": "gru", "width": 8}]}
    recipe = {"inputs": {"text": {"type": "text", "encoder": part}}, "outputs": {"label": "category"}, "training": {"epochs": 3}}
    model = dw.train(sentiment(), recipe=recipe, out=tmp_path / "m")
    assert (tmp_path / "m" / "model.onnx").exists()
    assert len(model.predict({"text": ["good", "bad", None]})) == 3
    facts = facts_of("tokens")[0]
    module = Encoder.parse({"type": "ensemble", "encoders": ["bag", {"type": "lstm", "width": 3}]}).build(facts).eval()
    arrays = arrays_of(facts, 4)
    assert (module.members, module.width) == (2, 16)
    both = module(arrays)
    for index, each in enumerate(module.each()):
        torch.testing.assert_close(both[:, index, : each.width], each(arrays))
        assert not both[:, index, each.width :].any()


def test_an_ensemble_refuses_what_does_not_accept_its_input():
    part = Encoder.parse({"type": "ensemble", "encoders": ["bag", "cnn"]})
    with pytest.raises(RecipeError, match=r"encoders\[1\]"):
        part.build(facts_of("tokens")[0])
    encoders.conforms(Encoder.parse({"type": "ensemble", "encoders": [{"type": "lstm", "width": 3}, {"type": "gru", "width": 2}]}))


def test_an_ensemble_of_sounds_has_states_only_of_one_pace():
    kinds = [{"type": "sound_cnn", "channels": [4, 4]}, {"type": "crnn", "channels": [4, 4], "width": 4}]
    mixed = Encoder.parse({"type": "ensemble", "encoders": kinds})
    assert mixed.shapes() == ("vector",), "four frames to a state, and two"
    alike = Encoder.parse({"type": "ensemble", "encoders": [{**kinds[0], "halvings": 1}, kinds[1]]})
    assert alike.shapes() == ("vector", "sequence")
    facts = facts_of("sound")[0]
    values, mask = alike.build(facts).states(arrays_of(facts, 3))
    assert values.shape[:2] == (3, 2)
    assert values.shape[2] == mask.shape[1]


def test_learnt_positions_reach_to_the_end_of_every_input():
    part = Encoder.parse({"type": "transformer", "positions": "learned", "width": 8, "depth": 1, "heads": 2})
    window = part.build(Facts("w", window=WindowFacts(2, 720)))
    sound = part.build(Facts("s", sound=SoundFacts(8000, 8000 * 30, 8, 256, 80, 0.0, 1.0)))
    assert [module.body.places.num_embeddings for module in (window, sound)] == [720, 3001]


def test_a_bag_may_start_from_what_naive_bayes_knows(tmp_path):
    ids = np.array([[2, 3, 0], [2, 2, 0], [3, 4, 0], [4, 0, 0]], np.int32)
    ratios = words.class_ratios(ids, np.array([0, 0, 1, -1]), 2, 6)
    held = np.array([[2, 0], [1, 1], [0, 1]]) + 1.0  # texts of each class with the ids 2, 3, 4, one added
    inside = held / (held.sum(0) + 2)  # ids 1 and 5 are in no text: one each
    outside = held[:, ::-1] / (held.sum(0) + 2)[::-1]
    np.testing.assert_allclose(ratios[2:5], np.log(inside / outside), atol=1e-6)
    assert not ratios[[0, 1, 5]].any()
    part = {"type": "bag", "naive_bayes": True, "width": 3}
    recipe = {"inputs": {"text": {"type": "text", "ngrams": 2, "encoder": part}}, "outputs": {"label": "binary"}}
    recipe["training"] = {"epochs": 1, "optimizer": {"type": "adamw", "lr": 1e-6}}
    model = dw.train(sentiment(), recipe=recipe, out=tmp_path / "m")
    from safetensors.numpy import load_file

    table = load_file(tmp_path / "m" / "weights.safetensors")["encoders.0.tokens.vectors.weight"]
    vocabulary = ["<pad>", "<unk>", *model.bundle.states["inputs"]["text"]["tokens"]]
    good, bad = (table[vocabulary.index(word)] for word in ("good", "bad"))
    assert good[1] > 0.3 > 0 > good[0]
    assert bad[0] > 0.3 > 0 > bad[1]
