"""Labels of tokens: spans, the conditional random field, and the search for the best labels."""

import itertools
import json

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepwright as dw
from deepwright.blocks.crf import LinearChain
from deepwright.blocks.heads import TaggingHead
from deepwright.blocks.routes import SequenceRoute
from deepwright.errors import DeepwrightError, RecipeError
from deepwright.families import Encoder, Source
from deepwright.metrics import score
from deepwright.model import Model
from deepwright.tagging import Span, allowed, counts, is_iob2, spans, types, viterbi
from deepwright.testing.networks import arrays_of, facts_of


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
    loss = chain(torch.tensor(emissions), torch.tensor(labels), mask).detach()
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


# From tokens to labels ------------------------------------------------------------------------------------------------------


def sentences(count=120, seed=0):
    """Return tokens and IOB2 labels: a name is a capitalised made-up word behind Mr, a place one or two behind in."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        tokens, labels = [], []
        for _ in range(int(draw.integers(1, 4))):
            word = "".join(draw.choice([*"abcdefgh"], 5)).capitalize()
            kind = draw.integers(0, 3)
            if kind == 0:
                tokens, labels = [*tokens, "Mr", word], [*labels, "O", "B-PER"]
            elif kind == 1:
                tokens, labels = [*tokens, "in", "New", word], [*labels, "O", "B-LOC", "I-LOC"]
            else:
                tokens, labels = [*tokens, "the", "dog"], [*labels, "O", "O"]
        rows.append((tokens, labels))
    return pl.DataFrame(rows, schema={"tokens": pl.List(pl.String), "tags": pl.List(pl.String)}, orient="row")


def declared(encoder="lstm", **more):
    part = {"type": encoder, "embedding": 16} | ({"width": 16} if encoder != "transformer" else {"width": 32, "depth": 1})
    return {
        "inputs": {"tokens": {"type": "text", "letters": True, "lower": False, "encoder": part}},
        "outputs": {"tags": {"type": "labels", **more}},
        "training": {"epochs": 15, "batch": 8, "optimizer": {"type": "adamw", "lr": 0.01}, "patience": 0},
    }


@pytest.mark.parametrize("encoder", ["lstm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gru", "transformer"))])
def test_tags_train_export_and_predict_without_torch(tmp_path, encoder):
    model = dw.train(sentences(), recipe=declared(encoder), out=tmp_path / "model")
    assert model.metrics["tags"]["f1"]["value"] > 0.9
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert manifest["export"]["graph"] is True
    fresh = pl.DataFrame({"tokens": [["Mr", "Hagbe"], [], None, ["the", "dog"] * 40]})
    frame = model.predict(fresh)
    assert frame["tags"].to_list()[:3] == [["O", "B-PER"], [], []]
    assert model.predict(fresh, engine="torch")["tags"].to_list() == frame["tags"].to_list()
    page = (tmp_path / "model" / "report.html").read_text()
    assert all(f">{kind}<" in page for kind in ("LOC", "PER")), "the report tells how each type of span fares"
    assert "F1 of each type" in page


def test_an_ensemble_of_taggers_is_their_mean(tmp_path):
    recipe = declared()
    parts = [{"type": "lstm", "width": 16, "embedding": 16}, {"type": "gru", "width": 8, "embedding": 16, "dropout": 0.0}]
    recipe["inputs"]["tokens"]["encoder"] = {"type": "ensemble", "encoders": parts}
    model = dw.train(sentences(), recipe=recipe, out=tmp_path / "model")
    assert model.metrics["tags"]["f1"]["value"] > 0.9
    assert json.loads((tmp_path / "model" / "manifest.json").read_text())["export"]["graph"] is True
    fresh = pl.DataFrame({"tokens": [["Mr", "Hagbe"], [], None, ["the", "dog"] * 40]})
    assert model.predict(fresh, engine="torch")["tags"].to_list() == model.predict(fresh)["tags"].to_list()


def test_each_member_of_a_sequence_learns_from_its_own_loss():
    torch.manual_seed(0)
    facts = facts_of("tokens")[0]
    parts = [{"type": "lstm", "width": 3}, {"type": "gru", "width": 2}]
    encoder = Encoder.parse({"type": "ensemble", "encoders": parts}).build(facts)
    head = TaggingHead(["O", "B-X", "I-X"])
    model = Model({"text": encoder}, None, {"tags": head}, {"tags": 1.0}, routes={"tags": SequenceRoute("text")}, joined={}).eval()
    arrays = arrays_of(facts, 4)
    raw = model({f"text.{key}": value for key, value in arrays.items()})
    mask, layer = arrays["tokens"] != 0, model.layers[0]
    each = []
    for index, member in enumerate(encoder.each()):
        states = member.states(arrays)[0]
        each.append((states @ layer.weight[index, : states.shape[2]] + layer.bias[index], mask))
    target = torch.where(mask, 0, -1)
    loss = model.loss(raw, {"tags": target}, complete=True)["tags"]
    torch.testing.assert_close(loss, torch.stack([head.loss(one, target) for one in each]).mean())
    torch.testing.assert_close(model.predict(raw)["tags"], torch.stack([head.outputs(one) for one in each]).mean(0), equal_nan=True)


def test_labels_are_told_by_the_lists_of_tokens_beside_them(tmp_path):
    frame = sentences().with_columns(other=pl.col("tags"))
    model = dw.train(frame, target="tags", out=tmp_path / "model", settings=["training.epochs=1"])
    assert model.recipe.outputs["tags"].type_name() == "labels"
    assert list(model.recipe.inputs) == ["tokens"]
    assert model.recipe.inputs["tokens"].letters


def test_a_few_rows_with_too_few_labels_are_refused_and_make_no_set_of_them(tmp_path):
    frame = sentences()
    short = pl.DataFrame({"tokens": [["a", "b", "c"]], "tags": [["O", "O"]]})
    with pytest.raises(DeepwrightError, match=r"E226.*another number of labels than of tokens"):
        dw.train(pl.concat([frame, short]), target="tags", out=tmp_path / "model", settings=["training.epochs=1"])


def test_a_frozen_encoder_still_has_its_states(tmp_path):
    recipe = declared()
    recipe["training"] |= {"epochs": 1, "rates": {"tokens": {"frozen": "always"}}}
    model = dw.train(sentences(40), recipe=recipe, out=tmp_path / "model")
    assert model.metrics["tags"]["token_accuracy"]["value"] is not None


def test_an_input_without_effect_is_refused(tmp_path):
    recipe = declared()
    recipe["inputs"]["size"] = "number"
    frame = sentences(40).with_columns(size=pl.Series(np.arange(40.0) % 7))
    with pytest.raises(RecipeError, match="no output is made of tabular"):
        dw.train(frame, recipe=recipe, out=tmp_path / "model")


def test_f1_is_that_of_all_spans_and_types():
    names = ["B-LOC", "B-PER", "I-PER", "O"]
    target = np.array([[1, 2, 3, 0], [3, 3, -1, -1], [-1, -1, -1, -1]])
    output = np.array([[1, 3, 3, 0], [1, 3, 3, 3], [3, 3, 3, 3]])
    found = counts(output, target, names)
    assert types(names) == ("LOC", "PER")
    assert found[0].tolist() == [3, 4, 0, 1, 1, 1, 0, 1, 1]
    assert found[1].tolist() == [1, 2, 0, 0, 0, 0, 0, 1, 0]
    assert np.isnan(found[2]).all()
    assert score("labels", "f1", np.nan_to_num(found), np.array([0, 0, -1])) == pytest.approx(2 * 1 / (3 + 2))
    plain = counts(np.array([[0, 1]]), np.array([[0, 0]]), ["NOUN", "VERB"])
    assert plain[0].tolist() == [1, 2, 0, 1, 1, 2, 0, 1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tags": [["O"], ["O", "O", "O"]]}, "another number of labels than of tokens"),
        ({"tags": [None, None]}, "0 rows"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, change, message):
    frame = pl.DataFrame({"tokens": [["a", "b"], ["c", "d", "e"]], "tags": [["O", "B-X"], ["O", "O", "B-X"]]})
    frame = frame.with_columns(pl.Series(name, values, dtype=pl.List(pl.String)) for name, values in change.items())
    with pytest.raises(DeepwrightError) as error:
        dw.train(pl.concat([frame] * 20), recipe=declared(), out=tmp_path / "model")
    assert message in str(error.value)


def test_labels_of_tokens_are_not_balanced_by_rows(tmp_path):
    with pytest.raises(RecipeError, match=r"E106.*one class for each row"):
        dw.train(sentences(40), recipe=declared(), out=tmp_path / "model", settings=["training.balance=weights"])


@pytest.mark.parametrize("encoder", ["bag", {"type": "ensemble", "encoders": ["bag", "lstm"]}])
def test_labels_need_an_encoder_with_states(tmp_path, encoder):
    recipe = declared()
    recipe["inputs"]["tokens"]["encoder"] = encoder
    with pytest.raises(RecipeError, match="encoder has states"):
        dw.train(sentences(40), recipe=recipe, out=tmp_path / "model")


CONLL = "# a comment\nEU NNP B-ORG\nrejects VBZ O\n\n-DOCSTART- -X- O\n\nPeter NNP B-PER\nBlackburn NNP I-PER\n"


def test_conll_is_read(tmp_path):
    path = tmp_path / "train.conll"
    path.write_text(CONLL)
    frame = Source.parse(str(path)).read().frame
    assert frame.columns == ["tokens", "field2", "tags"]
    assert frame["tokens"].to_list() == [["EU", "rejects"], ["Peter", "Blackburn"]]
    assert frame["tags"].to_list() == [["B-ORG", "O"], ["B-PER", "I-PER"]]


def test_conllu_has_its_columns_by_name(tmp_path):
    path = tmp_path / "dev.conllu"
    line = "{}\t{}\tlemma\t{}\tX\t_\t0\troot\t_\t_\n"
    path.write_text(
        "# text = can't go\n"
        + line.format("1-2", "can't", "_")
        + line.format(1, "ca", "AUX")
        + line.format(2, "n't", "PART")
        + "\n"
    )
    table = Source.parse(str(path)).read()
    assert table.frame["tokens"].to_list() == [["ca", "n't"]]
    assert table.frame["upos"].to_list() == [["AUX", "PART"]]
    assert "1 words" in table.notes[-1].text


@pytest.mark.parametrize(
    ("content", "code"),
    [("a O\nb\n", "E225"), ("a O\nb X Y\n", "E225"), ("\n\n", "E206"), ("a\nb\n", "E225"), ("a\tO\n\tO\n", "E225")],
)
def test_malformed_conll_is_refused_with_its_line(tmp_path, content, code):
    path = tmp_path / "bad.conll"
    path.write_text(content)
    with pytest.raises(DeepwrightError) as error:
        Source.parse(str(path)).read()
    assert error.value.code == code
    assert "bad.conll" in str(error.value)
