"""Embeddings, their neighbours, and what is learnt from pairs that match."""

import hashlib
import json

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import deepwright as dw
from deepwright.blocks.fusion import CompareFusion
from deepwright.blocks.matching import MatchingHead
from deepwright.cli.main import app
from deepwright.errors import DataError, RecipeError, UsageError
from deepwright.features.match import Match
from deepwright.progress import silent
from deepwright.retrieval import nearest_rows, place_counts, recall_of
from deepwright.steps.embed import evaluate_pairs
from deepwright.table import Table


@given(st.integers(0, 6), st.integers(1, 9), st.integers(1, 12), st.sampled_from(["cosine", "dot"]), st.integers(0, 99))
def test_neighbours_are_those_of_a_full_sort_and_of_equal_ones_the_first(queries, index, count, measure, seed):
    draw = np.random.default_rng(seed)
    one, other = (draw.integers(-1, 2, (size, 3)).astype(np.float32) for size in (queries, index))
    rows, scores = nearest_rows(one, other, count, measure)
    given_, offered = (
        (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) if measure == "cosine" else v) for v in (one, other)
    )
    alike = (given_ @ offered.T).round(5)
    wanted = np.argsort(-alike, axis=1, kind="stable")[:, :count]
    assert rows.shape == (queries, min(count, index))
    np.testing.assert_allclose(scores, np.take_along_axis(alike, wanted, 1), atol=1e-5)
    if measure == "dot":  # whole numbers: equal ones are equal to the bit
        assert (rows == wanted).all()


def test_neighbours_do_not_depend_on_the_pieces(monkeypatch):
    draw = np.random.default_rng(0)
    one, other = (draw.normal(size=(size, 8)).astype(np.float32) for size in (50, 70))
    whole = nearest_rows(one, other, 5)
    monkeypatch.setattr("deepwright.retrieval.AT_ONCE", 100)
    for found, wanted in zip(nearest_rows(one, other, 5), whole, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_place_of_a_partner_is_counted_among_distinct_partners(monkeypatch):
    draw = np.random.default_rng(1)
    partners = draw.normal(size=(4, 6)).astype(np.float32)
    codes = np.array([7, 3, 7, -1, 9, 3, 5])
    own = {7: 0, 3: 1, 9: 2, 5: 3}
    second = np.stack([partners[own.get(code, 0)] for code in codes])
    first = draw.normal(size=(7, 6)).astype(np.float32)
    for at_once in (1 << 24, 4):
        monkeypatch.setattr("deepwright.retrieval.AT_ONCE", at_once)
        counts = place_counts(first, second, codes)
        for row, code in enumerate(codes):
            if code < 0:
                assert np.isnan(counts[row]).all()
                continue
            alike = partners.astype(np.float64) @ first[row]
            place = int((np.delete(alike, own[code]) >= alike[own[code]]).sum()) + 1
            assert counts[row].tolist() == pytest.approx([1 / place, float(place <= 1), 1.0, 1.0])


def test_recall_is_of_the_first_places():
    found = np.array([[0, 1], [0, 1], [0, 1]])
    assert recall_of(found, np.array([0, 1, 2])) == pytest.approx({"mrr": 0.5, "recall_at_1": 1 / 3})


def test_the_loss_is_the_softmax_over_the_partners_of_the_batch():
    torch.manual_seed(0)
    first, second = torch.randn(2, 6, 4)
    target = torch.arange(6)
    one, other = (torch.nn.functional.normalize(each, dim=1) for each in (first, second))
    logits = one @ other.T / 0.1
    ways = [torch.nn.functional.cross_entropy(each, target, reduction="none") for each in (logits, logits.T)]
    head = MatchingHead(temperature=0.1, both=False)
    torch.testing.assert_close(head.loss((first, second), target), ways[0])
    torch.testing.assert_close(MatchingHead(temperature=0.1).loss((first, second), target), sum(ways) / 2)
    # logQ: the commoner a partner, the more is taken off (Yi et al. 2019, equation 4)
    corrected = MatchingHead(0, [(2, 8), (5, 3)], temperature=0.1, both=False).loss((first, second), target)
    shift = torch.tensor([0, 0, 8.0, 0, 0, 3.0]).clamp_min(1).log()
    wanted = torch.nn.functional.cross_entropy(logits - shift, target, reduction="none")
    torch.testing.assert_close(corrected, wanted)


def test_rows_of_one_partner_are_no_negatives_of_each_other():
    torch.manual_seed(0)
    first, second = torch.randn(2, 3, 4)
    head = MatchingHead(both=False)
    alone = head.loss((first[[0, 2]], second[[0, 2]]), torch.tensor([0, 1]))
    second[1] = second[0]
    torch.testing.assert_close(head.loss((first, second), torch.tensor([0, 0, 1]))[0], alone[0])
    margin = MatchingHead(margin=0.5, both=False)
    one, other = (torch.nn.functional.normalize(each, dim=1) for each in (first, second))
    alike = one @ other.T
    wanted = (0.5 + torch.stack([alike[0, 2], alike[1, 2], alike[2, 0]]) - alike.diagonal()).clamp_min(0)
    torch.testing.assert_close(margin.loss((first, second), torch.tensor([0, 0, 1])), wanted)


CODE_A = int.from_bytes(hashlib.blake2b(b"a", digest_size=8).digest(), "little") >> 1


def test_codes_do_not_depend_on_the_rows():
    column = pl.Series("id", ["a", None, "b", "a", "é"])
    state = Match().fit(column)
    assert Match().target(column, state).tolist() == [CODE_A, -1, *Match().target(column[2:], state).tolist()]
    assert state.recurring == ((CODE_A, 2),)


WORDS = [f"word{i}" for i in range(40)]


def pairs(rows=240, seed=0):
    """Return questions and answers that share three words each, in another order."""
    draw = np.random.default_rng(seed)
    topics = [draw.choice(40, 3, replace=False) for _ in range(rows)]
    return pl.DataFrame(
        {
            "question": ["what of " + " ".join(WORDS[i] for i in topic) for topic in topics],
            "answer": [" ".join(WORDS[i] for i in draw.permutation(topic)) + " it is" for topic in topics],
        }
    )


RECIPE = {
    "data": {"derive": {"match": "answer"}},
    "inputs": {
        "question": {"type": "text", "min_count": 1, "encoder": {"type": "bag", "width": 16}},
        "answer": {"type": "text", "same_as": "question"},
    },
    "outputs": {"match": "match"},
    "training": {"epochs": 3, "batch": 32},
}


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    return dw.train(pairs(), recipe=RECIPE, out=tmp_path_factory.mktemp("matched") / "model", listener=silent)


def test_pairs_that_match_are_learnt_without_labels(matched):
    assert matched.bundle.has("model.onnx")
    assert list(matched.metrics["match"]) == ["mrr", "recall_at_1", "recall_at_5", "recall_at_10"]
    assert matched.metrics["match"]["mrr"]["value"] > 0.5
    fresh = pairs(100, seed=1)
    assert matched.evaluate(fresh).as_json()["metrics"]["match"]["recall_at_10"]["value"] > 0.6
    alike = matched.predict(fresh)["match"]
    strangers = matched.predict(fresh.with_columns(pl.col("answer").reverse()))["match"]
    assert alike.mean() > strangers.mean() + 0.2
    torch_says = matched.predict(fresh, engine="torch")["match"]
    np.testing.assert_allclose(alike, torch_says, atol=1e-5)
    assert matched.predict(fresh.head(0)).height == 0


def test_vectors_are_those_of_the_prediction(matched):
    fresh = pairs(20, seed=2)
    one = matched.embed(fresh.select("question"))
    other = matched.embed(fresh.select("answer"), of="answer")
    assert one.columns == ["question", "vector"]
    vectors = [frame["vector"].to_numpy().astype(np.float64) for frame in (one, other)]
    cosine = (vectors[0] * vectors[1]).sum(1) / np.prod([np.linalg.norm(each, axis=1) for each in vectors], axis=0)
    np.testing.assert_allclose(matched.predict(fresh)["match"], cosine, atol=1e-5)
    again = matched.embed(fresh.select("question").reverse())["vector"].to_numpy()[::-1]
    np.testing.assert_allclose(again, vectors[0], atol=1e-6)
    assert matched.embed(fresh.head(0)).height == 0


def test_a_search_finds_the_answers(matched, tmp_path):
    fresh = pairs(60, seed=3)
    questions, answers = fresh.select("question"), fresh.select("answer")
    found = matched.neighbours(questions, answers, top=3)
    assert found.columns == ["row", "rank", "neighbour", "score", "answer"]
    assert found["rank"].to_list() == [1, 2, 3] * 60
    assert found["answer"].to_list() == [answers["answer"][i - 1] for i in found["neighbour"]]
    report = evaluate_pairs(matched.path, Table.of(questions), Table.of(answers), top=3)
    hits = found.filter(pl.col("row") == pl.col("neighbour"))
    assert report.metrics["recall_at_1"] == pytest.approx((hits["rank"] == 1).sum() / 60)
    assert report.metrics["mrr"] == pytest.approx((1 / hits["rank"]).sum() / 60)
    # vectors that were kept give the same
    held = matched.embed(answers, of="answer")
    assert matched.neighbours(questions, held, top=3).equals(found)


def test_the_commands_search_without_torch(matched, tmp_path):
    questions, answers = tmp_path / "questions.csv", tmp_path / "answers.csv"
    fresh = pairs(8, seed=4)
    fresh.select("question").write_csv(questions)
    fresh.select("answer").write_csv(answers)
    runner = CliRunner()

    def run(*words):
        return runner.invoke(app, [str(word) for word in words], catch_exceptions=False)

    assert run("embed", matched.path, answers, "--of", "answer", "-q", "-o", tmp_path / "v.parquet").exit_code == 0
    assert pl.read_parquet(tmp_path / "v.parquet").schema["vector"] == pl.Array(pl.Float32, 16)
    lines = run("embed", matched.path, answers, "--of", "answer", "-q").stdout.splitlines()
    assert len(json.loads(lines[0])["vector"]) == 16
    table = run("neighbours", matched.path, questions, "--index", tmp_path / "v.parquet", "-k", 2, "-q").stdout
    assert table.splitlines()[0] == "row,rank,neighbour,score,answer"
    assert len(table.splitlines()) == 17
    told = run("neighbours", matched.path, questions, "--index", answers, "--paired", "--json", "-q").stdout
    assert set(json.loads(told)["metrics"]) == {"mrr", "recall_at_1", "recall_at_5"}


def wrong_vectors(kind):
    values = {
        "ragged": [[1.0], [1.0, 2.0]],
        "missing": [[1.0, None], [1.0, 2.0]],
        "narrow": [[1.0], [2.0]],
        "nan": [[1e999, 1.0]] * 2,
    }
    return pl.DataFrame({"vector": values[kind]})


@pytest.mark.parametrize("kind", ["ragged", "missing", "narrow", "nan"])
def test_vectors_that_do_not_fit_are_refused(matched, kind):
    with pytest.raises(DataError, match="E286"):
        matched.neighbours(pairs(2), wrong_vectors(kind))


def test_what_cannot_be_embedded_is_told(matched):
    with pytest.raises(UsageError, match="E706"):
        matched.embed(pairs(2), of="reply")
    with pytest.raises(DataError, match="E107"):
        matched.embed(pl.DataFrame({"text": ["a"]}))
    with pytest.raises(UsageError, match="E701"):
        matched.neighbours(pairs(2), pairs(2), top=0)
    with pytest.raises(DataError, match="E286"):
        evaluate_pairs(matched.path, Table.of(pairs(2)), Table.of(pairs(3)))


def test_a_table_has_one_vector_and_several_inputs_a_fused_one(people, tmp_path):
    recipe = {
        "outputs": {"rich": "binary"},
        "data": {"drop": ["pay"]},
        "training": {"epochs": 1},
        "tabular": {"type": "mlp", "hidden": [6]},
    }
    model = dw.train(people.frame, recipe=recipe, out=tmp_path / "table", listener=silent)
    assert model.embed(people.frame)["vector"].dtype == pl.Array(pl.Float32, 6)
    frame = pairs(120).with_columns(y=pl.Series(np.arange(120) % 2).cast(pl.String), n=pl.Series(np.arange(120) / 7))
    recipe = {
        "data": {"drop": ["answer"]},
        "inputs": {"question": {"type": "text", "encoder": {"type": "bag", "width": 5}}, "n": "number"},
        "outputs": {"y": "binary"},
        "tabular": {"type": "mlp", "hidden": [3]},
        "training": {"epochs": 1},
    }
    model = dw.train(frame, recipe=recipe, out=tmp_path / "both", listener=silent)
    widths = {of: model.embed(frame, of=of)["vector"].dtype.size for of in (None, "question", "tabular")}
    assert widths == {None: 8, "question": 5, "tabular": 3}


@pytest.mark.parametrize(
    "inputs",
    [
        {"question": {"type": "text", "encoder": {"type": "bag", "width": 4}}},
        {
            "question": {"type": "text", "encoder": {"type": "bag", "width": 4}},
            "answer": {"type": "text", "encoder": {"type": "bag", "width": 5}},
        },
    ],
    ids=["one input", "two widths"],
)
def test_a_match_needs_two_inputs_of_one_width(inputs, tmp_path):
    recipe = RECIPE | {"inputs": inputs, "data": {"derive": {"match": "answer"}, "columns": "declared"}}
    with pytest.raises(RecipeError, match="E108"):
        dw.train(pairs(60), recipe=recipe, out=tmp_path / "model", listener=silent)


def test_users_and_items_are_towers_with_corrected_negatives(tmp_path):
    draw = np.random.default_rng(0)
    user = draw.integers(0, 30, 600)
    item = (user % 5) * 4 + draw.integers(0, 4, 600)
    frame = pl.DataFrame({"user": [f"u{i}" for i in user], "film": [f"f{i}" for i in item]})
    recipe = {
        "data": {"derive": {"match": "film"}},
        "inputs": {"user": {"type": "category", "encoder": {"type": "mlp", "hidden": [8]}}, "film": "category"},
        "tabular": {"type": "mlp", "hidden": [6]},
        "outputs": {"match": {"type": "match", "head": {"type": "matching", "width": 5, "temperature": 0.3}}},
        "training": {"epochs": 25, "batch": 64, "optimizer": {"type": "adam", "lr": 0.02}},
    }
    model = dw.train(frame, recipe=recipe, out=tmp_path / "towers", listener=silent)
    users, films = frame.select("user").unique(maintain_order=True), frame.select("film").unique(maintain_order=True)
    top = model.recommend(users, films, top=4)
    right = [int(film[1:]) // 4 == int(user[1:]) % 5 for user, film in top.select("user", "film").iter_rows()]
    assert np.mean(right) > 0.8
    assert {model.embed(frame, of=of)["vector"].dtype.size for of in ("user", "tabular")} == {5}


def test_a_cross_encoder_reads_two_texts_as_one(tmp_path):
    right = pairs(300)
    wrong = right.with_columns(pl.col("answer").shift(1).fill_null("it is"))
    frame = pl.concat([right.with_columns(same=pl.lit("yes")), wrong.with_columns(same=pl.lit("no"))])
    text = {
        "type": "text",
        "min_count": 1,
        "encoder": {"type": "transformer", "width": 16, "depth": 1, "heads": 2, "embedding": 16},
    }
    recipe = {
        "inputs": {"question": text, "answer": {"type": "text", "same_as": "question"}},
        "outputs": {"same": "binary"},
        "fusion": {"type": "cross", "width": 16, "heads": 2},
        "training": {"epochs": 2, "batch": 64},
    }
    model = dw.train(frame, recipe=recipe, out=tmp_path / "cross", listener=silent)
    rows = frame.sample(40, seed=0)
    probability = model.predict(rows)["same:yes"]
    np.testing.assert_allclose(probability, model.predict(rows, engine="torch")["same:yes"], atol=1e-5)
    alone = [model.predict(rows[i])["same:yes"][0] for i in range(3)]
    np.testing.assert_allclose(probability[:3], alone, atol=1e-5)
    # one vector of both, none of each
    assert model.embed(rows)["vector"].dtype == pl.Array(pl.Float32, 16)
    with pytest.raises(UsageError, match="E706"):
        model.embed(rows, of="answer")


def test_a_cross_encoder_reads_the_states_of_a_frozen_encoder(tmp_path):
    text = {"type": "text", "min_count": 1, "encoder": {"type": "gru", "width": 8, "embedding": 8}}
    recipe = {
        "inputs": {"question": text, "answer": {"type": "text", "same_as": "question"}},
        "outputs": {"y": "binary"},
        "fusion": {"type": "cross", "width": 8, "heads": 2},
        "training": {"epochs": 1, "batch": 16, "rates": {"question": {"frozen": "always"}}},
    }
    frame = pairs(60).with_columns(y=pl.Series(np.arange(60) % 2).cast(pl.String))
    model = dw.train(frame, recipe=recipe, out=tmp_path / "model", listener=silent)
    assert len(model.predict(frame)) == 60


def test_a_cross_encoder_needs_states(tmp_path):
    recipe = RECIPE | {"data": {}, "outputs": {"y": "binary"}, "fusion": "cross"}
    frame = pairs(60).with_columns(y=pl.Series(np.arange(60) % 2).cast(pl.String))
    with pytest.raises(RecipeError, match="E108"):
        dw.train(frame, recipe=recipe, out=tmp_path / "model", listener=silent)


def test_a_cosine_alone_finds_out_whether_alike_means_more_or_less():
    torch.manual_seed(0)
    first, other, share = torch.randn(300, 16), torch.randn(300, 16), torch.rand(300, 1)
    second, target = share * first + (1 - share) * other, (share - share.mean()) / share.std()
    for sign in (1.0, -1.0):
        fusion, vectors, out = CompareFusion((16, 16), cosine_only=True), torch.nn.Linear(16, 16, bias=False), torch.nn.Linear(1, 1)
        with torch.no_grad():
            out.weight.fill_(-sign)  # what it had to be, the wrong way round
            out.bias.zero_()  # as the heads of numbers begin
        modules = torch.nn.ModuleList([fusion, vectors, out])
        optimizer = torch.optim.Adam(modules.parameters(), lr=2e-3)
        for _ in range(300):
            optimizer.zero_grad()
            found = out(fusion([vectors(first), vectors(second)]))
            (found - sign * target).square().mean().backward()
            optimizer.step()
        assert torch.corrcoef(torch.stack([found.detach().flatten(), sign * target.flatten()]))[0, 1] > 0.8
