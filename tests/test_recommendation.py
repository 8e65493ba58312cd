"""Recommendation: encoders of products, the split by last rows, drawn pairs, ranked items, and what is wrong with their files."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import deepwright as dw
from deepwright.blocks.factors import FactorizationMachineEncoder
from deepwright.cli.main import run
from deepwright.encoders.two_towers import TwoTowers
from deepwright.errors import DataError, RecipeError, UsageError
from deepwright.facts import CategoryFacts, Facts, NumberFacts, TargetFacts
from deepwright.metrics.top import top_figures
from deepwright.negatives import NO, YES, drawn, with_output
from deepwright.pairing import scores_of
from deepwright.recipe import Negatives, Recipe, Split
from deepwright.split import split_rows
from deepwright.table import Table

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = {"epochs": 3, "batch": 64, "precision": "fp32", "threads": 1}


def code(error):
    return error.value.code


# Encoders -------------------------------------------------------------------------------------------------------------------


def test_a_factorization_machine_is_the_sum_over_all_pairs():
    torch.manual_seed(0)
    encoder = FactorizationMachineEncoder(
        [NumberFacts("a"), NumberFacts("b")], [CategoryFacts("u", 5), CategoryFacts("i", 7)], factors=3
    ).eval()
    numbers, ids = torch.randn(6, 2), torch.stack([torch.arange(6) % 5, torch.arange(6) % 7], 1).int()
    vectors = torch.cat([encoder.categories(ids), numbers.unsqueeze(-1) * encoder.slopes], 1)  # (B, 4, D + 1)
    pairs = sum(vectors[:, i, :-1] * vectors[:, j, :-1] for i, j in combinations(range(4), 2))
    wanted = torch.cat([pairs, vectors[..., -1].sum(1, keepdim=True)], 1)
    torch.testing.assert_close(encoder({"numbers": numbers, "categories": ids}), wanted)


def test_missing_and_unseen_values_begin_without_a_say():
    encoder = FactorizationMachineEncoder([], [CategoryFacts("u", 5), CategoryFacts("i", 7)], factors=3).eval()
    assert not encoder({"categories": torch.tensor([[0, 1]], dtype=torch.int32)}).any()


@pytest.mark.parametrize(
    ("users", "wanted"), [(["usr"], "E107"), (["user", "item", "born"], "E106")], ids=["a misspelt column", "no column of the item"]
)
def test_towers_refuse(users, wanted):
    facts = Facts("t", (NumberFacts("born.elapsed"),), (CategoryFacts("user", 5), CategoryFacts("item", 5)))
    with pytest.raises(RecipeError) as error:
        TwoTowers(users=users).build(facts)
    assert code(error) == wanted


def test_towers_take_all_columns_of_a_feature():
    numbers = (NumberFacts("born.elapsed"), NumberFacts("price"), NumberFacts("born.month_sin"))
    module = TwoTowers(users=["user", "born"]).build(Facts("t", numbers, (CategoryFacts("item", 5), CategoryFacts("user", 5))))
    assert module.user.number_places.tolist() == [0, 2]
    assert module.item.number_places.tolist() == [1]
    assert module.user.category_places.tolist() == [1]


# The split by last rows -----------------------------------------------------------------------------------------------------


LAST = Split(by="last", group="user", column="time")


def rows_of(users, times):
    return Table(pl.DataFrame({"user": users, "time": times}, strict=False), "t.csv")


def test_the_last_row_tests_and_the_one_before_validates():
    rows = split_rows(rows_of([*"abababaab"], [5, 1, 4, 2, 3, 9, 6, 6, 3]), LAST)
    assert rows.test.tolist() == [5, 7]  # of a's equal times the later row is later
    assert rows.validation.tolist() == [6, 8]
    assert rows.train.tolist() == [0, 1, 2, 3, 4]
    assert rows.notes == ()


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), min_size=3, max_size=60))
def test_every_user_with_rows_left_trains(pairs):
    users, times = zip(*pairs, strict=True)
    counts = {user: users.count(user) for user in users}
    if max(counts.values()) < 3:
        with pytest.raises(DataError, match="E231"):
            split_rows(rows_of(users, times), LAST)
        return
    rows = split_rows(rows_of(users, times), LAST)
    assert sorted([*rows.train, *rows.validation, *rows.test]) == list(range(len(users)))
    assert {users[i] for i in rows.train} == set(users)
    assert len(rows.test) == sum(count > 1 for count in counts.values())
    for side, later in ((rows.train, rows.validation), (rows.validation, rows.test)):
        for i in side:
            assert all(times[i] <= times[j] for j in later if users[j] == users[i])


def test_rows_without_a_user_or_a_time_train():
    rows = split_rows(rows_of(["a", None, "a", "a", "a"], [1, 9, None, 2, 3]), LAST)
    assert rows.train.tolist() == [0, 1, 2]
    assert {note.count for note in rows.notes} == {1}


@pytest.mark.parametrize(
    ("split", "wanted"),
    [
        ({"by": "last", "column": "time"}, "E106"),
        ({"by": "last", "group": "user"}, "E106"),
        ({"by": "last", "group": "user", "column": "time", "test": 0.1}, "E106"),
        ({"by": "last", "group": "user", "column": "time", "folds": 3}, "E106"),
        ({"by": "time", "group": "user", "column": "time"}, "E106"),
    ],
)
def test_contradictions_of_the_split(split, wanted):
    with pytest.raises(RecipeError) as error:
        Recipe.parse({"data": {"split": split}})
    assert code(error) == wanted


@pytest.mark.parametrize("key", ["group", "column"])
def test_the_columns_of_the_split_must_exist(key):
    with pytest.raises(RecipeError, match="did you mean"):
        split_rows(rows_of(["a"] * 4, [1, 2, 3, 4]), LAST.model_copy(update={key: "usre" if key == "group" else "tiem"}))


# Pairs that were not there --------------------------------------------------------------------------------------------------


RULE = Negatives(user="u", item="i", output="seen", columns=["genre"], count=3)


def pairs_of(rows):
    frame = pl.DataFrame(rows, schema=["u", "i", "when"], orient="row")
    return Table(frame.with_columns(genre="g" + pl.col("i").cast(pl.String)), "t.csv")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 3)), min_size=2, max_size=40), st.integers(0, 3))
def test_nothing_that_was_there_is_drawn(rows, seed):
    known = with_output(pairs_of(rows), RULE)
    side = known.with_frame(known.frame.head(len(rows) // 2 + 1))
    frame = drawn(side, known, RULE, seed).frame
    assert frame.head(len(side)).equals(side.frame)
    more = frame.tail(len(frame) - len(side))
    assert set(more["seen"]) <= {NO}
    assert set(side.frame["seen"]) == {YES}
    assert not set(more.select("u", "i").rows()) & {(u, i) for u, i, _ in rows}
    assert (more["genre"] == "g" + more["i"].cast(pl.String)).all()
    full = {
        u for u in set(more["u"]) | set(side.frame["u"]) if len({i for v, i, _ in rows if v == u}) == len({i for _, i, _ in rows})
    }
    assert len(more) <= 3 * len(side)
    assert not set(more["u"]) & full
    assert drawn(side, known, RULE, seed).frame.equals(frame)


def test_drawn_rows_keep_the_columns_of_the_user():
    known = with_output(pairs_of([(u, (u + k) % 9, 10 * u) for u in range(5) for k in range(3)]), RULE)
    frame = drawn(known, known, RULE, 0).frame
    assert len(frame) == 4 * len(known)
    assert (frame["when"] == 10 * frame["u"]).all()


@pytest.mark.parametrize(
    ("update", "wanted"), [({"output": "when"}, "E124"), ({"user": "user"}, "E107"), ({"columns": ["genres"]}, "E107")]
)
def test_the_columns_of_negatives(update, wanted):
    with pytest.raises(RecipeError) as error:
        with_output(pairs_of([(0, 0, 0)]), RULE.model_copy(update=update))
    assert code(error) == wanted


@pytest.mark.parametrize("outputs", [{}, {"seen": "number"}, {"other": "binary"}])
def test_negatives_need_their_output(outputs):
    with pytest.raises(RecipeError, match="not declared as binary"):
        Recipe.parse({"data": {"negatives": {"user": "u", "item": "i", "output": "seen"}}, "outputs": outputs})


# Figures --------------------------------------------------------------------------------------------------------------------


def test_figures_by_hand():
    hits = np.array([[True, False, True], [False, False, False], [False, True, False]])
    found = {name: entry["value"] for name, entry in top_figures(hits, np.array([4, 1, 1])).items()}
    half = 1 / np.log2(3)
    assert found["recall"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert found["ndcg"] == pytest.approx(((1 + 0.5) / (1 + half + 0.5) + 0 + half) / 3)
    assert found["hit_rate"] == pytest.approx(2 / 3)


def test_a_perfect_ranking():
    found = top_figures(np.ones((4, 2), bool), np.array([2, 2, 2, 2]))
    assert {entry["value"] for entry in found.values()} == {1.0}
    assert {entry["low"] for entry in found.values()} == {1.0}


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_outputs_that_rank_nothing(kind):
    data = SimpleNamespace(target_facts=lambda: {"y": TargetFacts("y", kind, ("a", "b", "c"))})
    with pytest.raises(UsageError) as error:
        scores_of(data)
    assert code(error) == "E705"


def test_an_ordinal_ranks_by_its_mean():
    data = SimpleNamespace(target_facts=lambda: {"y": TargetFacts("y", "ordinal", ("bad", "fair", "good"))})
    scores = scores_of(data)({"y": np.array([[0.5, 0.0, 0.5], [0.0, 0.9, 0.1]], np.float32)})
    assert scores == pytest.approx([1.0, 1.1])


# From ratings to recommendations --------------------------------------------------------------------------------------------


ITEMS = 20


def ratings(folder):
    """Write ratings of 30 users that like even or odd items, users and items; return the ratings."""
    draw = np.random.default_rng(0)
    rows = []
    for user in range(30):
        for day, item in enumerate(draw.choice(ITEMS, 8, replace=False)):
            rows.append((f"u{user}", int(item), 4.5 if (user + item) % 2 else 2.0, day, "even" if item % 2 == 0 else "odd"))
    frame = pl.DataFrame(rows, schema=["user", "item", "stars", "day", "kind"], orient="row")
    frame.write_csv(folder / "ratings.csv")
    pl.DataFrame({"user": [f"u{i}" for i in range(30)]}).write_csv(folder / "users.csv")
    pl.DataFrame({"item": range(ITEMS), "kind": ["even", "odd"] * (ITEMS // 2)}).write_csv(folder / "items.csv")
    frame.unique("user", keep="last", maintain_order=True).select("user", "item").write_csv(folder / "later.csv")
    return frame


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    frame = ratings(folder)
    recipe = {
        "data": {"source": str(folder / "ratings.csv"), "split": {"by": "last", "group": "user", "column": "day"}},
        "inputs": {"user": "category", "item": "category", "kind": "category"},
        "outputs": {"stars": "number"},
        "tabular": {"type": "factorization_machine", "factors": 4},
        "training": QUICK,
    }
    return SimpleNamespace(folder=folder, frame=frame, model=dw.train(recipe=recipe, out=folder / "taste"))


def test_what_was_seen_is_left_out(shop):
    where = shop.folder
    found = shop.model.recommend(where / "users.csv", where / "items.csv", seen=where / "ratings.csv", top=ITEMS)
    assert found.columns == ["user", "rank", "item", "score"]
    assert len(found) == 30 * (ITEMS - 8)
    known = shop.frame.select("user", pl.col("item").cast(pl.String))
    assert found.select("user", pl.col("item").cast(pl.String)).join(known, on=["user", "item"], how="inner").is_empty()
    for _, group in found.group_by("user", maintain_order=True):
        assert group["rank"].to_list() == list(range(1, len(group) + 1))
        assert group["score"].is_sorted(descending=True)


def test_scores_are_predictions(shop):
    found = shop.model.recommend({"user": ["u3"]}, shop.folder / "items.csv", top=5)
    kinds = pl.read_csv(shop.folder / "items.csv", infer_schema_length=0)
    rows = found.select("user", pl.col("item").cast(pl.String)).join(kinds, on="item", how="left", maintain_order="left")
    assert shop.model.predict(rows)["stars"].to_list() == pytest.approx(found["score"].to_list(), abs=1e-5)


def test_recommending_imports_no_torch(shop):
    script = (
        "import sys; from deepwright.cli.main import run; assert run(sys.argv[1:]) == 0; assert 'torch' not in sys.modules, 'torch'"
    )
    files = [str(shop.folder / name) for name in ("taste", "users.csv", "items.csv")]
    subprocess.run([sys.executable, "-c", script, "recommend", *files, "--top", "1"], check=True, stdout=subprocess.DEVNULL)


def test_pandas_in_pandas_out(shop):
    pandas = pytest.importorskip("pandas")
    found = shop.model.recommend(pandas.DataFrame({"user": ["u3"]}), shop.folder / "items.csv", top=2)
    assert isinstance(found, pandas.DataFrame)


def test_figures_of_recommendations(shop):
    where = shop.folder
    seen = shop.frame.filter(pl.struct("user", "day") != pl.struct("user", day=pl.lit(7, pl.Int64)))
    report = shop.model.evaluate_top(where / "users.csv", where / "items.csv", where / "later.csv", seen=seen, top=5)
    assert report.users == 30
    assert set(report.metrics) == set(report.baseline) == {"recall", "ndcg", "hit_rate"}
    entry = report.metrics["recall"]
    assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1
    everything = shop.model.evaluate_top(where / "users.csv", where / "items.csv", where / "later.csv", seen=seen, top=ITEMS)
    assert everything.metrics["recall"]["value"] == 1.0


@pytest.mark.slow
def test_implicit_feedback_end_to_end(tmp_path):
    """Users who choose among one half of the items get items of that half."""
    draw = np.random.default_rng(0)
    half = [(f"u{u}", f"i{2 * i + u % 2}") for u in range(60) for i in draw.choice(15, 7, replace=False)]
    frame = pl.DataFrame(half, schema=["user", "item"], orient="row")
    recipe = {
        "data": {"negatives": {"user": "user", "item": "item", "output": "seen"}},
        "inputs": {"user": "category", "item": "category"},
        "outputs": {"seen": "binary"},
        "tabular": {"type": "factorization_machine", "dropout": 0.2},
        "training": {**QUICK, "epochs": 40, "optimizer": {"type": "adamw", "lr": 0.01}},
    }
    model = dw.train(frame, recipe=recipe, out=tmp_path / "m")
    items = {"item": [f"i{i}" for i in range(30)]}
    found = model.recommend({"user": [f"u{u}" for u in range(60)]}, items, seen=frame, top=3)
    right = [int(user[1:]) % 2 == int(item[1:]) % 2 for user, item in found.select("user", "item").rows()]
    assert np.mean(right) > 0.9
    assert model.bundle.manifest["lineage"]["rows"]["train"] > 3 * len(frame)


# What is wrong with the files -----------------------------------------------------------------------------------------------


@pytest.fixture
def desk(shop, tmp_path, monkeypatch):
    """A folder with the files of the shop, that a case may spoil, and what runs ``recommend`` there."""
    for file in shop.folder.glob("*.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recommended(capsys, shop, *arguments, users="users.csv", items="items.csv"):
    """Run the command; return its exit code, the rows of its output and what it said."""
    done = run(["recommend", str(shop.folder / "taste"), users, items, *arguments])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return done, [line.split(",") for line in told.out.splitlines()[1:]], told.err


REFUSED = {
    "no user column": ("users.csv", "name\nann\nbob\n", [], "E275"),
    "no item column": ("items.csv", "title,price\nx,1\ny,2\n", [], "E275"),
    "a misspelt --user": (None, "", ["--user", "usr"], "E275"),
    "a misspelt --item": (None, "", ["--item", "itm"], "E275"),
    "a column in both tables": ("users.csv", "user,kind\nu1,odd\nu2,odd\n", [], "E275"),
    "no user has an identifier": ("users.csv", "user,x\n,1\n?,2\n", [], "E275"),
    "seen pairs without items": ("seen.csv", "user,film\nu1,3\nu2,4\n", ["--seen", "seen.csv"], "E275"),
    "no relevant pair": ("rel.csv", "user,item\nx,3\ny,4\n", ["--relevant", "rel.csv"], "E275"),
    "no items are asked for": (None, "", ["--top", "0"], "E701"),
    "a file that is not there": (None, "", ["--seen", "absent.csv"], "E200"),
    "an ending that is not written": (None, "", ["-o", "out.xlsx"], "E704"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, desk, shop, capsys):
    name, text, arguments, wanted = REFUSED[case]
    if name:
        (desk / name).write_text(text)
    before = sorted(desk.iterdir())
    done, rows, told = recommended(capsys, shop, *arguments)
    assert done not in (0, 70)
    assert wanted in told, told
    assert "do " in told
    assert not rows
    assert sorted(desk.iterdir()) == before


def test_an_unknown_user_gets_items_and_a_word(desk, shop, capsys):
    (desk / "users.csv").write_text("user\nu1\nnobody\n")
    done, rows, told = recommended(capsys, shop, "--seen", "ratings.csv", "--top", "3")
    assert done == 0
    assert [row[0] for row in rows] == ["u1"] * 3 + ["nobody"] * 3
    assert "user: 1 values that training never saw" in told


def test_an_unknown_item_can_be_recommended(desk, shop, capsys):
    (desk / "items.csv").write_text("item,kind\n3,odd\nnew,odd\n")
    done, rows, told = recommended(capsys, shop, "--top", "5")
    assert done == 0
    assert {row[2] for row in rows} == {"3", "new"}
    assert "item: 1 values that training never saw" in told


def test_missing_and_repeated_identifiers(desk, shop, capsys):
    (desk / "users.csv").write_text("user,age\nu1,1\n,2\nu1,3\n u2 ,4\n")
    done, rows, told = recommended(capsys, shop, "--top", "1")
    assert done == 0
    assert [row[0] for row in rows] == ["u1", "u2"]
    assert "1 rows without user are left out" in told
    assert "1 rows repeat a value of user" in told


def test_more_items_asked_for_than_there_are(desk, shop, capsys):
    done, rows, _ = recommended(capsys, shop, "--seen", "ratings.csv", "--top", "1000")
    assert done == 0
    assert len(rows) == 30 * (ITEMS - 8)


def test_a_user_who_has_seen_everything(desk, shop, capsys):
    (desk / "users.csv").write_text("user\nu1\nu2\n")
    (desk / "all.csv").write_text("user,item\n" + "".join(f"u1,{i}\n" for i in range(ITEMS)))
    done, rows, _ = recommended(capsys, shop, "--seen", "all.csv", "--top", "2")
    assert done == 0
    assert [row[0] for row in rows] == ["u2"] * 2


def test_odd_pairs_are_left_out_with_a_word(desk, shop, capsys):
    (desk / "seen.csv").write_text("user,item\nu1,3\nu1,3\n,3\nu1,\nx,3\nu1,absent\n")
    (desk / "users.csv").write_text("user\nu1\n")
    done, rows, told = recommended(capsys, shop, "--seen", "seen.csv", "--top", "100")
    assert done == 0
    assert len(rows) == ITEMS - 1
    assert "2 seen pairs lack a user or an item" in told


def test_relevant_pairs_that_cannot_be_found(desk, shop, capsys):
    (desk / "rel.csv").write_text("user,item\nu1,absent\nu1,3\nu2,4\n")
    (desk / "seen.csv").write_text("user,item\nu2,4\n")
    done = run(
        [
            "recommend",
            str(shop.folder / "taste"),
            "users.csv",
            "items.csv",
            "--seen",
            "seen.csv",
            "--relevant",
            "rel.csv",
            "--top",
            "20",
            "--json",
        ]
    )
    told = capsys.readouterr()
    assert done == 0
    found = json.loads(told.out)
    assert found["rows"] == 1
    assert found["metrics"]["top 20"]["recall"]["value"] == 0.5
    assert "1 relevant pairs hold an item that is not among the items" in told.err
    assert "1 relevant pairs were seen already" in told.err


def test_numbers_and_numerals_are_the_same_item(shop):
    items = pl.DataFrame({"item": list(range(ITEMS)), "kind": ["even", "odd"] * (ITEMS // 2)})
    seen = pl.DataFrame({"user": ["u1"] * 3, "item": ["1", "2", "3"]})
    found = shop.model.recommend({"user": ["u1"]}, items, seen=seen, top=ITEMS)
    assert len(found) == ITEMS - 3


def test_a_text_among_the_ratings(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ratings(tmp_path)
    lines = (tmp_path / "ratings.csv").read_text().splitlines()
    lines[5] = lines[5].replace(lines[5].split(",")[2], "great")
    (tmp_path / "ratings.csv").write_text("\n".join(lines))
    recipe = {"data": {"source": "ratings.csv"}, "inputs": {"user": "category"}, "outputs": {"stars": "number"}}
    with pytest.raises(DataError) as error:
        dw.train(recipe=recipe, out=tmp_path / "m")
    assert code(error) == "E220"
    assert "great" in str(error.value)


def test_repeated_ratings_are_dropped_when_that_is_declared(tmp_path):
    frame = ratings(tmp_path)
    frame = pl.concat([frame, frame.head(3)])
    from deepwright.preparation import open_tables, prepare
    from deepwright.progress import silent

    recipe = Recipe.parse(
        {
            "data": {"clean": {"duplicates": "drop"}, "split": {"by": "last", "group": "user", "column": "day"}},
            "inputs": {"user": "category", "item": "category"},
            "outputs": {"stars": "number"},
        }
    )
    table, held, name, recipe = open_tables(recipe, Table.of(frame), [])
    prepared = prepare(recipe, table, held, name, silent)
    assert len(prepared.train) + len(prepared.validation) + len(prepared.test) == 240
    assert len(prepared.test) == len(prepared.validation) == 30


def test_streamed_rows_are_not_drawn_beside(tmp_path):
    ratings(tmp_path).write_parquet(tmp_path / "ratings.parquet")
    recipe = {
        "data": {
            "source": str(tmp_path / "ratings.parquet"),
            "stream": True,
            "negatives": {"user": "user", "item": "item", "output": "seen"},
        },
        "outputs": {"seen": "binary"},
    }
    with pytest.raises(RecipeError) as error:
        dw.train(recipe=recipe, out=tmp_path / "m")
    assert code(error) == "E241"


def test_the_example_is_what_its_script_writes(tmp_path):
    subprocess.run([sys.executable, str(EXAMPLES / "make_ratings.py"), str(tmp_path)], check=True)
    for name in ("ratings.csv", "ratings-later.csv", "films.csv", "users.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), name
