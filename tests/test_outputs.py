"""What commands write: never over what they read, and refused before any work is done."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

import deepwright as dw
from deepwright.cli.main import run
from deepwright.cli.predict import render
from deepwright.console import line
from deepwright.progress import silent


@pytest.fixture
def bundle(people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    people.frame.write_csv("rows.csv")
    dw.train(people.frame, target="rich", settings=["training.epochs=1"], out="m", listener=silent)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("predict m rows.csv -o rows.csv", "take the place of what is read"),
        ("predict m rows.csv -o nowhere/out.csv", "is not there"),
        ("embed m rows.csv -o nowhere/out.parquet", "is not there"),
        ("neighbours m rows.csv --index rows.csv -o rows.csv", "take the place of what is read"),
        ("evaluate m rows.csv -o rows.html/x.html", "is not there"),
        ("evaluate m rows.csv -o page.pdf", "the report is a page"),
        ("inspect rows.csv --report rows.csv", "the report is a page"),
        ("find lr rows.csv --target rich --report nowhere/x.html", "is not there"),
        ("predict nothing rows.csv -o out.csv", "there is no bundle nothing"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(bundle, capsys, command, words):
    before = Path("rows.csv").read_bytes()
    assert run(command.split()) not in (0, 70)
    assert words in capsys.readouterr().err
    assert Path("rows.csv").read_bytes() == before


def test_spans_of_characters_are_written_to_csv_as_json():
    spans = [[{"start": 0, "end": 3, "type": "PER", "text": "Ann"}], [], None]
    frame = pl.DataFrame({"label": spans, "tags": [["a", "b"], [], None]})
    rows = pl.read_csv(render(frame, ".csv"))
    assert [None if each is None else json.loads(each) for each in rows["label"]] == spans
    assert rows["tags"].to_list() == ["a|b", "", None]


def test_a_blank_stands_behind_every_stage(capsys):
    import sys

    assert line("recommended", "105 rows", sys.stdout) == "  recommended 105 rows"
    assert line("data", "x", sys.stdout) == "  data       x"


def test_shares_of_lists_are_those_of_all_their_values(tmp_path, capsys):
    rows = [{"tokens": ["a", "b", "a", "c"], "tags": ["O", "O", "O", "B-X"], "n": i} for i in range(30)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(["inspect", str(tmp_path / "t.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "O 75 %" in shown
    assert all(int(each) <= 100 for each in re.findall(r"(\d+) %", shown))
