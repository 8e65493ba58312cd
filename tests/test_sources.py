"""Sources: the conformance suite over the folder, what each reads, and what each refuses."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import sqlite3
import struct
import tarfile
import zipfile

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic import ValidationError

from deepwright import files
from deepwright.delimited import Dialect, read_delimited
from deepwright.errors import DataError, DeepwrightError, RecipeError
from deepwright.families import Source
from deepwright.layout import lay_out, lay_out_exactly
from deepwright.recipe import Recipe
from deepwright.sources.arff import Arff
from deepwright.sources.csv import Csv
from deepwright.sources.excel import Excel
from deepwright.sources.idx import Idx
from deepwright.sources.images import Images
from deepwright.sources.json import Json
from deepwright.sources.ndjson import Ndjson
from deepwright.sources.parquet import Parquet
from deepwright.sources.sql import Sql
from deepwright.table import tidy
from deepwright.testing import parts, sources
from deepwright.text import to_utf8


@pytest.mark.parametrize("check", [*parts.CHECKS, *sources.CHECKS], ids=parts.check_name)
@pytest.mark.parametrize("name", [name for _, name in parts.discovered("sources")])
def test_source(name, check):
    check(sources.find(name))


def csv(text, **fields):
    """Read bytes or a text as a CSV file."""
    data = text.encode() if isinstance(text, str) else text
    with open("rows.csv", "wb") as file:
        file.write(data)
    return Csv(path="rows.csv", **fields).read()


def refused(call, code):
    """Return the error that a call ends in, which must be of the code."""
    with pytest.raises(DataError) as caught:
        call()
    assert {problem.code for problem in caught.value.problems} == {code}, str(caught.value)
    return caught.value


def whats(table):
    return [note.what for note in table.notes]


# ---------------------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("adult.csv", "csv"),
        ("a/b.TSV.gz", "csv"),
        ("x.data", "csv"),
        ("a.json", "json"),
        ("a.jsonl.xz", "ndjson"),
        ("a.parquet", "parquet"),
        ("book.XLSX", "excel"),
        ("a.sqlite3", "sql"),
        ("postgresql://me:pw@host/base", "sql"),
        ("sqlite:///a.db", "sql"),
        ("a.arff.gz", "arff"),
        ("train-images-idx3-ubyte.gz", "idx"),
        ("t10k-images.idx3-ubyte", "idx"),
        ("a.zip/inner/b.csv", "csv"),
    ],
)
def test_a_path_stands_for_its_source(path, kind):
    assert Source.parse(path).dump(defaults=False) == {"type": kind, "path": path}


def test_a_path_of_nobody_says_why():
    open("housing.xyz", "w").close()
    for path, words in [
        ("housing.xy", "does not exist, did you mean 'housing.xyz'"),
        ("housing.xyz", "no source"),
        ("m.pkl", "a pickle"),
    ]:
        with pytest.raises(RecipeError, match="E104") as caught:
            Recipe.parse({"data": path})
        assert words in str(caught.value)


def test_a_missing_folder_is_named():
    assert "the folder nowhere does not exist" in str(refused(lambda: Csv(path="nowhere/a.csv").read(), "E200"))


def test_compressions_and_archives_are_read_in_place(tmp_path):
    text = b"a,b\n1,x\n2,y\n"
    for name, pack in [("a.csv.gz", gzip.compress), ("a.csv.bz2", bz2.compress), ("a.csv.xz", lzma.compress)]:
        (tmp_path / name).write_bytes(pack(text))
    with zipfile.ZipFile("one.zip", "w") as box:
        box.writestr("folder/a.csv", text)
        box.writestr("folder/LICENSE.txt", "free of charge, to any person")
        box.writestr("__MACOSX/folder/._a.csv", b"\0\0")
    with zipfile.ZipFile("two.zip", "w") as box:
        box.writestr("a.csv", text)
        box.writestr("b.csv.gz", gzip.compress(text))
    for name, mode in [("one.tar", "w"), ("one.tgz", "w:gz"), ("one.tar.xz", "w:xz")]:
        with tarfile.open(name, mode) as tape:
            info = tarfile.TarInfo("./a.csv")
            info.size = len(text)
            tape.addfile(info, io.BytesIO(text))
    before = sorted(tmp_path.iterdir())
    for path in [
        "a.csv.gz",
        "a.csv.bz2",
        "a.csv.xz",
        "one.zip",
        "one.zip/a.csv",
        "two.zip/b.csv.gz",
        "one.tar",
        "one.tgz",
        "one.tar.xz/a.csv",
    ]:
        source = Source.parse(path)
        assert isinstance(source, Csv)
        assert source.read().frame.rows() == [("1", "x"), ("2", "y")], path
    assert sorted(tmp_path.iterdir()) == before, "nothing is unpacked to the disk"
    error = refused(lambda: Source.parse("two.zip").read(), "E205")
    assert "a.csv, b.csv.gz" in str(error)
    assert "two.zip/a.csv" in str(error)
    assert "did you mean 'a.csv'" in str(refused(lambda: Csv(path="two.zip/aa.csv").read(), "E205"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_cut_or_damaged_compressed_file(tmp_path, pack):
    name = {gzip.compress: "a.csv.gz", bz2.compress: "a.csv.bz2", lzma.compress: "a.csv.xz"}[pack]
    whole = pack(b"a,b\n" + b"1,2\n" * 5000)
    (tmp_path / name).write_bytes(whole[:-20])
    assert name in str(refused(lambda: Csv(path=name).read(), "E202"))
    (tmp_path / name).write_bytes(whole[:20] + bytes([whole[20] ^ 255]) + whole[21:])
    refused(lambda: Csv(path=name).read(), "E202")
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    assert "rename it to a.csv" in str(refused(lambda: Csv(path=name).read(), "E202"))


def test_damaged_archives(tmp_path):
    for name in ("x.zip", "x.tar", "x.tar.gz"):
        (tmp_path / name).write_bytes(b"this is no archive at all" * 50)
        refused(lambda name=name: Csv(path=name).read(), "E202")
    with tarfile.open("whole.tar.gz", "w:gz") as tape:
        info = tarfile.TarInfo("a.csv")
        info.size = 100_000
        tape.addfile(info, io.BytesIO(np.random.default_rng(0).bytes(100_000)))
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "whole.tar.gz").read_bytes()[:50_000])
    refused(lambda: Csv(path="cut.tar.gz").read(), "E202")


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BOMB_FLOOR", 1 << 20)
    zeros = b"0\n" * (4 << 20)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(zeros))
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as box:
        box.writestr("a.csv", zeros)
    with tarfile.open("bomb.tar.gz", "w:gz") as tape:
        info = tarfile.TarInfo("a.csv")
        info.size = len(zeros)
        tape.addfile(info, io.BytesIO(zeros))
    for name in ("bomb.csv.gz", "bomb.zip", "bomb.tar.gz"):
        assert "unpack it yourself" in str(refused(lambda name=name: Csv(path=name).read(), "E203"))


def test_a_zip_that_lies_about_a_size(tmp_path):
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as box:
        box.writestr("a.csv", b"a,b\n" + b"1,2\n" * 1000)
    data = (tmp_path / "a.zip").read_bytes().replace(struct.pack("<I", 4004), struct.pack("<I", 44))
    (tmp_path / "a.zip").write_bytes(data)
    refused(lambda: Csv(path="a.zip").read(), "E202")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_whatever_its_name(tmp_path, protocol):
    (tmp_path / "a.csv").write_bytes(pickle.dumps({"a": [1, 2]}, protocol))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(pickle.dumps([1, 2], protocol)))
    for name in ("a.csv", "a.csv.gz"):
        assert "to_parquet" in str(refused(lambda name=name: Csv(path=name).read(), "E204"))
    (tmp_path / "a.pkl").write_bytes(b"")
    refused(lambda: files.read_bytes("a.pkl"), "E204")


# ------------------------------------------------------------------------------------------------------------------ csv


def test_what_is_written_comes_back_as_text():
    table = csv('name,n\n Ann ,1\nBob,\n"a,""b""\nc, d",?\n')
    assert table.frame.rows() == [(" Ann ", "1"), ("Bob", ""), ('a,"b"\nc, d', "?")]
    assert table.name == "rows.csv"
    neat = tidy(table)
    assert neat.frame.rows() == [("Ann", "1"), ("Bob", None), ('a,"b"\nc, d', None)]
    assert {note.text: note.count for note in neat.notes} == {
        "blanks removed around 1 values": 1,
        '"?" read as missing, 1 times': 1,
        "empty read as missing, 1 times": 1,
    }


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), max_size=6)
sheets = st.integers(2, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=6))


@settings(max_examples=150, deadline=None)
@given(sheets, st.sampled_from(",;\t|"), st.booleans())
def test_no_cell_is_lost_or_changed(rows, separator, always):
    """Whatever is written by the rules comes back, cell by cell."""

    def written(cell):
        special = always or any(sign in cell for sign in (separator, '"', "\n")) or cell[:1] in (" ", "#") or not cell.strip()
        return '"' + cell.replace('"', '""') + '"' if special else cell

    names = [f"c{i}" for i in range(len(rows[0]))]
    text = "\n".join(separator.join(map(written, row)) for row in [names, *rows]) + "\n"
    frame, _ = read_delimited(text.encode(), Dialect(separator, '"', header=True, decimal="."), "x.csv")
    assert frame.columns == names
    assert [list(row) for row in frame.rows()] == rows
    quick, exact = lay_out(text.encode(), separator, '"'), lay_out_exactly(text.encode(), separator, '"')
    assert quick is not None
    assert exact is not None
    assert quick.starts.tolist() == exact.starts.tolist()
    assert quick.ends.tolist() == exact.ends.tolist()
    assert quick.fields.tolist() == exact.fields.tolist()


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('a1,;"\n \t#'), max_size=40))
def test_any_text_is_read_or_refused(text):
    """Nothing but a DataError comes of odd texts, and rows that are read have as many cells as the text has fields."""
    try:
        frame, _ = read_delimited(text.encode(), Dialect(), "x.csv")
    except DataError:
        return
    assert frame.width >= 1
    assert frame.height <= text.count("\n") + 1
    assert frame.null_count().row(0) == (0,) * frame.width


@pytest.mark.parametrize("separator", list(",;\t|"))
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends_are_found_out(separator, ends):
    table = csv(ends.join(separator.join(row) for row in [("a", "b c"), ("1", "x y"), ("2", "z")]))
    assert table.columns == ["a", "b c"]
    assert table.frame.rows() == [("1", "x y"), ("2", "z")]
    assert ("separator" in whats(table)) == (separator != ",")


def test_ragged_rows_are_named_by_their_lines():
    text = "a,b\n1,2\n" + '"x\ny",2\n' + "1,2,3\n" * 6 + "1\n" * 7
    error = refused(lambda: csv(text), "E208")
    assert len(error.problems) == 11
    assert "rows.csv: line 5: 3 fields, more than the 2 of the first" in str(error)
    assert "line 11: 1 fields, fewer" in str(error)
    assert "3 more rows" in error.problems[-1].message


def test_a_title_or_a_nameless_first_column():
    assert "comments" in str(refused(lambda: csv("Report\n\na,b,c\n1,2,3\n4,5,6\n"), "E208"))
    assert "name the first column" in str(refused(lambda: csv("a,b\nr1,1,2\nr2,3,4\nr3,5,6\n"), "E208"))


def test_an_unclosed_quote_is_named_by_its_line():
    error = refused(lambda: csv('a,b\n1,2\n3,"open\n4,5\n6,7,8\n'), "E209")
    assert "line 3" in str(error)
    assert '"open' in error.problems[0].got
    assert "line 2" in str(refused(lambda: csv('a,b\n"x"y,2,3\n4,5\n'), "E209"))
    assert "line 2" in str(refused(lambda: csv('a,b\n1,"x\n2,y\n'), "E209")), "complete lines or not: commas call for quotes"


def test_quotes_that_are_plain_signs():
    table = csv('ham\tHe said "no\nspam\t"Win" now\nham\tok"\nham\tok\n')
    assert table.frame["column_2"].to_list() == ['He said "no', '"Win" now', 'ok"', "ok"]
    assert "quote" in whats(table)
    declared = csv('a\tb\n"x\t"y"\n', quote="")
    assert declared.frame.rows() == [('"x', '"y"')]
    single = csv("a,b\n'x,y',2\n", quote="'")
    assert single.frame.rows() == [("x,y", "2")]


def test_quotes_that_can_be_read_in_two_ways_are_refused():
    text = 'a\tb\nham\t"one\nham\ttwo"\nham\tthree\n'
    assert "two ways" in str(refused(lambda: csv(text), "E209"))
    assert len(csv(text, quote="")) == 3
    assert csv(text, quote='"').frame["b"].to_list() == ["one\nham\ttwo", "three"]


def test_a_blank_before_a_quote():
    table = csv('a, b, c\n1, "x, y", 2\n2, "say ""hi""" , 3\n3, 5" tall, 4\n')
    assert table.columns == ["a", "b", "c"]
    assert table.frame["b"].to_list() == ["x, y", 'say "hi"', ' 5" tall']


def test_blank_and_comment_lines_are_counted():
    table = csv("# made by hand\na,b\n1,2\n\n   \n3,4\n\n")
    assert table.frame.rows() == [("1", "2"), ("3", "4")]
    assert {note.what: note.count for note in table.notes} == {"comment": 1, "blank_lines": 2}
    declared = csv("a,b\n1,2\n//,x\n// left, out, here\n3,4\n", comment="//")
    assert declared.frame.rows() == [("1", "2"), ("3", "4")]
    assert csv("#id,b\n1,2\n").columns == ["#id", "b"]
    refused(lambda: csv("# nothing\n# here\n", comment="#"), "E206")


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,2\n3,4\n", True),
        ("1,2\n3,4\n", False),
        ("A11,6,x\nA12,7,y\nA11,8,z\n", False),
        ("country,2019,2020\nFR,1,2\nDE,3,4\n", False),
        ("year,2019,2020\n1,1,2\n2,3,4\n", True),
        ("ham,hello you\nspam,win\nham,ok\n", False),
        ("city,name\nRome,Ann\nOslo,Bob\n", True),
        ("?,2\n1,3\n5,6\n", False),
        ("score\n0.5\n0.7\n", True),
    ],
)
def test_the_header_is_found_out(text, header):
    table = csv(text)
    lines = text.count("\n")
    assert len(table) == lines - header
    assert (table.columns[0] != "column_1") == header
    assert len(csv(text, header=True)) == lines - 1
    assert len(csv(text, header=False)) == lines


def test_names_instead_of_a_header():
    assert csv("1,2\n3,4\n", names=("x", "y")).frame.to_dicts() == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]
    replaced = csv("a,b\n3,4\n", names=("x", "y"))
    assert replaced.frame.to_dicts() == [{"x": "3", "y": "4"}]
    assert "header" in whats(replaced)
    assert len(csv("p,q\nr,s\n", names=("x", "y"))) == 2
    assert "1 names are declared for 2 columns" in str(refused(lambda: csv("1,2\n", names=("x",)), "E210"))


def test_bad_column_names():
    error = refused(lambda: csv("a,,a,\n1,2,3,4\n"), "E210")
    assert len(error.problems) == 2
    assert 'names: ["a", "column_2", "a_2", "column_4"]' in str(error)
    assert csv("a,b\n1,2\n").columns == csv(" a , b\n1,2\n").columns


def test_files_without_rows():
    for text in ("", "\n\n", "   \n", "a,b\n"):
        refused(lambda text=text: csv(text), "E206")


def test_a_wrong_separator():
    assert 'separator: ";"' in str(refused(lambda: csv("a;b\n1;2\n3;4\n", separator=","), "E211"))
    assert csv("a b\nc d e\nf g\n").columns == ["a b"]
    assert csv('text\nhello, you\n"a, b"\nc;d\n').frame["text"].to_list() == ["hello, you", "a, b", "c;d"]
    assert csv("A11 6 x\nA12 7 y\nA11 8 z\n").frame.row(2) == ("A11", "8", "z")


def test_decimal_commas():
    table = csv("a;b;c\n1,5;x,y;1.234,5\n2;z;7\n")
    assert table.frame.rows() == [("1.5", "x,y", "1.234,5"), ("2", "z", "7")]
    assert "decimal" in whats(table)
    assert csv("a;b\n1,5;2\n2,0;3\n", decimal=".").frame["a"].to_list() == ["1,5", "2,0"]
    assert csv('a,b\n"1,5",2\n', decimal=",").frame["a"].to_list() == ["1.5"]


@pytest.mark.parametrize(
    ("encoding", "what"), [("utf-8-sig", ["bom"]), ("utf-16", ["bom", "encoding"]), ("utf-16-le", None), ("utf-8", [])]
)
def test_byte_order_marks(encoding, what):
    text = "größe,城市\n1,北京\n2,Köln\n"
    if what is None:
        error = refused(lambda: csv(text.encode(encoding)), "E207")
        assert "encoding: utf-16-le" in str(error)
        table = csv(text.encode(encoding), encoding=encoding)
    else:
        table = csv(text.encode(encoding))
        assert whats(table) == what
    assert table.frame.rows() == [("1", "北京"), ("2", "Köln")]
    assert table.columns == ["größe", "城市"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("latin-1", "name,n\nJosé,1\nMüller,2\nélan,3\n"), ("gb18030", "名字,数\n北京的天气,1\n我们去上海看电影\u3002,2\n")],
)
def test_another_encoding_is_named_not_guessed(encoding, text):
    error = refused(lambda: csv(text.encode(encoding)), "E207")
    assert f"encoding: {encoding}" in str(error)
    assert "byte" in error.problems[0].where
    assert csv(text.encode(encoding), encoding=encoding).frame.item(0, 0) == text.split("\n")[1].split(",")[0]
    refused(lambda: csv(text, encoding="no-such"), "E207")


@settings(max_examples=80, deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), min_size=1),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "gb18030"]),
)
def test_text_survives_its_encoding(text, encoding):
    data, _ = to_utf8(text.encode(encoding), encoding, kind="csv", where="x.csv")
    assert data.decode() == text


def test_nul_bytes():
    assert "line 2, byte 5" in str(refused(lambda: csv(b"a,b\n1\x00,2\n"), "E207"))


def test_a_folder_with_one_table(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.csv").write_text("a,b\n1,pics/x.png\n")
    (tmp_path / "d/readme.txt").write_text("nothing, here")
    table = Source.parse("d").read()
    assert table.frame.rows() == [("1", "pics/x.png")]
    assert table.base == "d", "relative paths start from the table's folder"
    (tmp_path / "d/b.csv").write_text("a,b\n1,2\n")
    refused(lambda: Source.parse("d").read(), "E205")


# ----------------------------------------------------------------------------------------------------------------- json


@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        {"data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], "version": 3},
        {"a": [1, 2], "b": ["x", "y"]},
        {"a": {"0": 1, "1": 2}, "b": {"0": "x", "1": "y"}},
        {"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [2, "y"]]},
    ],
)
def test_forms_of_json(tmp_path, value):
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert Json(path="a.json").read().frame.rows() == [(1, "x"), (2, "y")]


def test_nested_missing_and_mixed_values(tmp_path):
    rows = [{"a": {"b": 1, "c": {"d": "x"}}, "t": ["p", "q"], "m": 1}, {"a": None, "t": [], "m": "two"}, {"z": True}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    for source in (Ndjson(path="a.jsonl"), Json(path="a.json")):
        table = source.read()
        assert table.frame.to_dicts() == [
            {"a.b": 1, "a.c.d": "x", "t": ["p", "q"], "m": "1", "z": None},
            {"a.b": None, "a.c.d": None, "t": [], "m": "two", "z": None},
            {"a.b": None, "a.c.d": None, "t": None, "m": None, "z": True},
        ]
        assert {"nested", "mixed"} <= set(whats(table))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": 1,]', "line 1, column 10"),
        ("[1, 2]", "a list of int"),
        ('"x"', "a str"),
        ('{"a": 1}', "an object with the keys a"),
        ('[{"a": 1, "a": 2}]', "'a' twice"),
        ('{"a": 1}\n{"a": 2}', "type: ndjson"),
    ],
)
def test_json_that_is_no_table(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    assert words in str(refused(lambda: Json(path="a.json").read(), "E212"))


def test_lists_of_objects_are_refused(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": [[1]]}, {"a": [{"b": 1}]}]')
    assert "row 2" in str(refused(lambda: Json(path="a.json").read(), "E224"))
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"k": {f"{i}-{j}": 1 for j in range(900)}}) for i in range(12)))
    assert "different keys" in str(refused(lambda: Ndjson(path="b.jsonl").read(), "E224"))


def test_bad_lines_of_ndjson_are_listed(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' + "nope\n" * 12 + "[1]\n")
    error = refused(lambda: Ndjson(path="a.jsonl").read(), "E212")
    assert len(error.problems) == 11
    assert "line 2" in str(error)


# ------------------------------------------------------------------------------------------------------------ typed files


def test_parquet_file_folder_and_pictures(tmp_path):
    frame = pl.DataFrame({"image": [{"bytes": b"x", "path": "x.png"}], "label": [3], "geo": [{"lat": 1.5, "lon": 2.5}]})
    (tmp_path / "d").mkdir()
    frame.write_parquet("d/part-0.parquet")
    frame.write_parquet("d/part-1.parquet")
    table = Source.parse("d").read()
    assert table.frame.rows() == [(b"x", 3, 1.5, 2.5)] * 2
    assert table.columns == ["image", "label", "geo.lat", "geo.lon"]
    assert Parquet(path="d").held_out() is None
    frame.select("label").write_parquet("d/part-2.parquet")
    assert "no image" in str(refused(lambda: Parquet(path="d").read(), "E217"))
    frame.clear().write_parquet("empty.parquet")
    refused(lambda: Parquet(path="empty.parquet").read(), "E206")


def test_parquet_train_and_test_files(tmp_path):
    (tmp_path / "d").mkdir()
    for side, count in (("train", 3), ("test", 2)):
        pl.DataFrame({"a": range(count)}).write_parquet(f"d/{side}.parquet")
    source = Source.parse("d")
    assert len(source.read()) == 3
    assert "test: {type: parquet" in source.read().notes[-1].text
    test = source.held_out()
    assert len(test.read()) == 2
    assert test.held_out() is None


def test_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [("a", "b", None), (1, "x", None), (2.5, None, None), (None, None, None)]:
        book.active.append(row)
    book.create_sheet("more").append(("c", "c"))
    book.create_sheet("bare").append((7, 8))
    book.save("a.xlsx")
    table = Source.parse("a.xlsx").read()
    assert table.frame.rows() == [(1.0, "x"), (2.5, None)]
    assert "sheet" in whats(table)
    assert Excel(path="a.xlsx", sheet="bare", header=False).read().frame.rows() == [(7.0, 8.0)]
    assert Excel(path="a.xlsx", sheet=3, header=False).read().columns == ["column_1", "column_2"]
    assert "did you mean 'more'" in str(refused(lambda: Excel(path="a.xlsx", sheet="mor").read(), "E218"))
    refused(lambda: Excel(path="a.xlsx", sheet="more").read(), "E210")


def test_sqlite(tmp_path):
    with sqlite3.connect("a.db") as base:
        base.execute("CREATE TABLE people (name TEXT, age REAL)")
        base.executemany("INSERT INTO people VALUES (?, ?)", [("Ann", 31), ("Bob", None)])
    assert Source.parse("a.db").read().frame.rows() == [("Ann", 31.0), ("Bob", None)]
    assert Sql(path="sqlite:///a.db", query="SELECT name AS n FROM people ORDER BY n DESC").read().frame.rows() == [
        ("Bob",),
        ("Ann",),
    ]
    base.execute('CREATE TABLE "odd ""name" (x INTEGER)')
    assert "people" in str(refused(lambda: Sql(path="a.db").read(), "E219"))
    refused(lambda: Sql(path="a.db", table='odd "name').read(), "E206")
    refused(lambda: Sql(path="a.db", table="peeple").read(), "E219")
    refused(lambda: Sql(path="a.db", query="DELETE FROM people").read(), "E219")
    refused(lambda: Sql(path="a.db", query="SELECT 1 AS x, 2 AS x").read(), "E210")
    base.close()
    with pytest.raises(ValidationError, match="both given"):
        Sql(path="a.db", table="a", query="b")


def test_other_databases_go_through_sqlalchemy():
    pytest.importorskip("sqlalchemy")
    assert Sql(path="sqlite+pysqlite://", query="SELECT 1 AS x, 'a' AS y").read().frame.rows() == [(1, "a")]
    error = refused(lambda: Sql(path="nosuch://me:secret@host/base", table="x").read(), "E219")
    assert "secret" not in str(error)


def test_arff(tmp_path):
    header = "% made by hand\n@RELATION r\n\n@attribute 'a b' REAL\n@attribute c {x, 'y z', \"it's\"}\n"
    body = "1.5, x, 'one, \\'two\\'', 2020-01-01\n% no row\n?,'y z',?,?\n3,\"it's\",'?',2020-02-01\n"
    (tmp_path / "a.arff").write_text(header + "@attribute s string\n@attribute d date 'yyyy-MM-dd'\n@DATA\n" + body)
    assert Source.parse("a.arff").read().frame.to_dicts() == [
        {"a b": 1.5, "c": "x", "s": "one, 'two'", "d": "2020-01-01"},
        {"a b": None, "c": "y z", "s": None, "d": None},
        {"a b": 3.0, "c": "it's", "s": "?", "d": "2020-02-01"},
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("@data\n{0 1, 1 x}\n", "sparse"),
        ("@data\n1\n", "line 5: 1 values for 2"),
        ("@data\none,x\n", "a wrong value of a"),
        ("@data\n1,w\n", "a wrong value of b"),
        ("@data\n1,'x\n", "quote"),
        ("@attribute c relational\n", "not read"),
        ("", "no @attribute or no @data"),
    ],
)
def test_arff_that_is_not_read(tmp_path, body, words):
    (tmp_path / "a.arff").write_text("@relation r\n@attribute a numeric\n@attribute b {x,y}\n" + body)
    assert words in str(refused(lambda: Arff(path="a.arff").read(), "E213"))


# --------------------------------------------------------------------------------------------------------------- pictures


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_idx(tmp_path):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (5, 4, 3), np.uint8), np.array([3, 1, 0, 9, 3], np.uint8)
    for side, count in (("train", 5), ("t10k", 2)):
        (tmp_path / f"{side}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels[:count])))
        (tmp_path / f"{side}-labels-idx1-ubyte").write_bytes(idx(labels[:count]))
    source = Source.parse(str(tmp_path))
    assert isinstance(source, Idx)
    table = source.read()
    assert table.frame.schema == {"image": pl.Array(pl.UInt8, (4, 3)), "label": pl.String}
    assert np.array_equal(table.frame["image"].to_numpy(), pixels)
    assert table.frame["label"].to_list() == ["3", "1", "0", "9", "3"]
    assert whats(table) == ["held_out"]
    assert source.held_out() == Idx(path=str(tmp_path), split="test")
    assert len(source.held_out().read()) == 2
    assert source.held_out().held_out() is None
    alone = Source.parse("t10k-images-idx3-ubyte.gz")
    assert len(alone.read()) == 2
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels[:3]))
    refused(alone.read, "E215")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels[:2])[:-1])
    assert "cut short" in str(refused(alone.read, "E215"))
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert "t10k-labels-idx1-ubyte" in str(refused(alone.read, "E215"))


def png(value):
    stream = io.BytesIO()
    Pillow.new("L", (2, 2), value).save(stream, "png")
    return stream.getvalue()


def test_pictures_in_folders_of_classes(tmp_path):
    top = tmp_path / "pets" / "pets"
    for number, name in enumerate(["cats/2.png", "cats/1.PNG", "dogs/1.png"]):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(png(number))
    (top / "dogs/notes.txt").write_text("good, dogs")
    source = Source.parse("pets")
    assert isinstance(source, Images)
    table = source.read()
    assert table.frame["label"].to_list() == ["cats", "cats", "dogs"]
    assert table.frame["image"].to_list() == [str(top / name) for name in ("cats/1.PNG", "cats/2.png", "dogs/1.png")]
    assert [(note.what, note.count) for note in table.notes] == [("not_pictures", 1)]
    assert source.held_out() is None
    (top / "stray.png").write_bytes(png(1))
    assert "stray.png" in str(refused(source.read, "E216"))
    (top / "stray.png").unlink()
    (top / "dogs/small").mkdir()
    (top / "dogs/small/2.png").write_bytes(png(1))
    assert "dogs/small/2.png" in str(refused(source.read, "E216"))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_pictures_in_an_archive_with_train_and_test(kind):
    names = {f"pets/{side}/{label}/{i}.png": png(i) for side in ("train", "test") for label in ("cats", "dogs") for i in (1, 0)}
    if kind == "zip":
        with zipfile.ZipFile("pets.zip", "w") as box:
            for name, data in names.items():
                box.writestr(name, data)
    else:
        with tarfile.open("pets.tar.gz", "w:gz") as tape:
            for name, data in names.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tape.addfile(info, io.BytesIO(data))
    source = Source.parse(f"pets.{kind}")
    table = source.read()
    assert table.frame.schema == {"image": pl.Binary, "label": pl.String}
    assert table.frame.rows() == [(png(0), "cats"), (png(1), "cats"), (png(0), "dogs"), (png(1), "dogs")]
    assert whats(table) == ["held_out"]
    assert source.held_out().read().frame.equals(table.frame)
    assert source.held_out().held_out() is None


def test_validation_pictures_are_test_or_training_pictures(tmp_path):
    for side in ("train", "val"):
        (tmp_path / "d" / side / "x").mkdir(parents=True)
        (tmp_path / "d" / side / "x/a.png").write_bytes(png(1))
    assert len(Images(path="d").read()) == 1
    assert len(Images(path="d").held_out().read()) == 1
    (tmp_path / "d/test/x").mkdir(parents=True)
    (tmp_path / "d/test/x/a.png").write_bytes(png(1))
    table = Images(path="d").read()
    assert len(table) == 2
    assert whats(table) == ["validation", "held_out"]
    (tmp_path / "d/extra/x").mkdir(parents=True)
    (tmp_path / "d/extra/x/a.png").write_bytes(png(1))
    assert "several folders" in str(refused(Images(path="d").read, "E216"))


def test_pictures_beside_no_classes(tmp_path):
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat/a.png").write_bytes(png(1))
    refused(lambda: Images(path="flat").read(), "E216")
    (tmp_path / "only" / "train" / "x").mkdir(parents=True)
    (tmp_path / "only/train/x/a.png").write_bytes(png(1))
    assert Images(path="only").read().frame["label"].to_list() == ["x"]
    refused(lambda: Images(path="only", split="test").read(), "E216")


def test_errors_are_deepwrights():
    assert issubclass(DataError, DeepwrightError)
