"""Malformed input, through the real command line: each case is refused, or repaired with a word about it.

A refusal exits non-zero, names the file, the place, the cause and the fix, shows no traceback, and leaves the folder exactly as it
was: no bundle, no ``.partial``, no scratch file, nothing changed. A repair says what it did, and every row that went in comes out
or is counted.
"""

import bz2
import gzip
import io
import json
import os
import pickle
import re
import shlex
import shutil
import sqlite3
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from deepwright.cli.main import BUG, run
from deepwright.sounds import wav

ROWS = 60
HEAD = "age,city,day,y\n"
SMALL = ["--set", "training.epochs=1", "--set", "tabular={type: mlp, hidden: [4]}", "--set", "training.precision=fp32"]


def line(i, **cells):
    """Return row i of the good table, some of its cells replaced."""
    row = {"age": 20 + i % 50, "city": ("Oslo", "Rome", "Lima")[i % 3], "day": f"2024-01-{i % 28 + 1:02}", "y": "ab"[i % 50 > 25]}
    return ",".join(str(cell) for cell in (row | cells).values()) + "\n"


def table(n=ROWS, head=HEAD, **odd):
    """Return a good CSV text of n rows; ``odd`` replaces cells of a column: ``age={3: "x"}``."""
    rows = [line(i, **{name: cells[i] for name, cells in odd.items() if i in cells}) for i in range(n)]
    return head + "".join(rows)


def unlabelled(n=10, **odd):
    """Return rows without the output column."""
    return "\n".join(row.rpartition(",")[0] for row in table(n, **odd).splitlines()) + "\n"


GOOD = table()


def picture(kind="PNG", size=(8, 8), mode="RGB", colour=None, **options):
    """Return the bytes of a picture file."""
    colour = {"RGB": (200, 30, 60), "RGBA": (0, 0, 255, 90), "CMYK": (10, 200, 30, 5), "L": 90, "P": 3, "I;16": 40000}.get(
        mode
    ) or colour
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, kind, **options)
    return file.getvalue()


def noise(seed, kind="PNG"):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def huge_png():
    """Return a PNG of some hundred bytes that claims 60,000 × 60,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def animation():
    file = io.BytesIO()
    frames = [Image.new("P", (8, 8), i) for i in range(3)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def turned():
    image, file = Image.new("RGB", (8, 4), "red"), io.BytesIO()
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def folder(n=12, **extra):
    """Return the files of a folder of pictures, one folder a class; ``extra`` are further files."""
    return {f"pics/{'ab'[i % 2]}/{i:02}.png": noise(i) for i in range(n)} | extra


def zipped(files, name="rows.zip"):
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as archive:
        for inner, data in files.items():
            archive.writestr(inner, data)
    return {name: box.getvalue()}


def exact_idx(shape, claimed=None, kind=8):
    head = bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *(claimed or shape))
    return head + bytes(i % 7 for i in range(int(np.prod(shape))))


def parquet(frame):
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def sqlite_file(*tables):
    path = Path("scratch.db")
    with sqlite3.connect(path) as base:
        for name in tables:
            base.execute(f"CREATE TABLE {name} (age REAL, y TEXT)")
            base.executemany(f"INSERT INTO {name} VALUES (?, ?)", [(i, "ab"[i % 2]) for i in range(40)])
    base.close()
    data = path.read_bytes()
    path.unlink()
    return data


def arff(*rows, nominal="{a,b}"):
    body = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(20))
    return f"@relation r\n@attribute age numeric\n@attribute y {nominal}\n@data\n{body}" + "".join(row + "\n" for row in rows)


def ndjson(n=20, **odd):
    rows = [json.dumps({"age": i, "y": "ab"[i % 2]}) for i in range(n)]
    for at, text in odd.items():
        rows[int(at[1:]) - 1] = text
    return "\n".join(rows) + "\n"


def workbook(rows):
    import openpyxl

    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def recipe(text="", **files):
    """Return the good table and a recipe that learns from it."""
    return {"rows.csv": GOOD, "r.yaml": text, **files}


def edited(name, change):
    """Return a change of one file of the bundle ``model``."""

    def change_it():
        path = Path("model") / name
        path.write_bytes(change(path.read_bytes()))

    return change_it


def manifest(**entries):
    return edited("manifest.json", lambda data: json.dumps({**json.loads(data), **entries}).encode())


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Args:
        name: What is wrong.
        files: What lies in the folder, or a function that puts it there.
        command: The command line; ``train`` is made small.
        code: The code of the error; None if the input is repaired.
        words: What must stand in the messages.
        rows: Rows that must come out (predictions, or trained on and validated), for a repair.
    """

    name: str
    files: dict | Callable | None
    command: str
    code: str | None
    words: tuple
    rows: int | None = None


CASES: list[Case] = []


def refused(name, files, command, code, *words):
    CASES.append(Case(name, files, command, code, words))


def repaired(name, files, command, *words, rows=None):
    CASES.append(Case(name, files, command, None, words, rows))


TRAIN = "train rows.csv -t y -o out"
PREDICT = "predict model rows.csv"
EVALUATE = "evaluate model rows.csv"

# ------------------------------------------------------------------------------------------------------------ delimited text

refused("empty file", {"rows.csv": ""}, TRAIN, "E206", "rows.csv", "empty")
refused("blank file", {"rows.csv": " \n\n \n"}, TRAIN, "E206", "rows.csv")
refused("header only", {"rows.csv": HEAD}, TRAIN, "E206", "rows.csv", "header")
refused("header only at prediction", {"rows.csv": "age,city,day\n"}, PREDICT, "E206", "rows.csv", "header")
refused("one row", {"rows.csv": table(1)}, TRAIN, "E4", "rows.csv")
refused("nine rows", {"rows.csv": table(9)}, TRAIN, "E4", "rows.csv")
repaired("one row at prediction", {"rows.csv": unlabelled(1)}, PREDICT, rows=1)
refused("comments only", {"rows.csv": "# a\n# b\n"}, TRAIN, "E206", "rows.csv")
refused("ragged: a field too few", {"rows.csv": GOOD + "33,Oslo\n"}, TRAIN, "E208", "rows.csv", "line 62", "4")
refused("ragged: a field too many", {"rows.csv": GOOD + "33,Oslo,2024-01-01,a,9\n"}, TRAIN, "E208", "rows.csv", "line 62")
refused("ragged at prediction", {"rows.csv": unlabelled() + "33\n"}, PREDICT, "E208", "rows.csv", "line 12")
refused("ragged at inspection", {"rows.csv": GOOD + "33\n"}, "inspect rows.csv", "E208", "rows.csv", "line 62")
refused("cut in the last row", {"rows.csv": GOOD[:-12]}, TRAIN, "E208", "rows.csv", "line 61")
refused("unclosed quote", {"rows.csv": table(city={7: '"Oslo'})}, TRAIN, "E209", "rows.csv", "line 9", "quote")
refused("unclosed quote at the end", {"rows.csv": table(y={59: '"a'})}, TRAIN, "E209", "rows.csv", "line 61")
refused("text behind a closing quote", {"rows.csv": table(city={7: '"Os"lo"'})}, TRAIN, "E209", "rows.csv", "line 9")
repaired("quotes inside quotes", {"rows.csv": table(city={7: '"the ""big"" one, there"'})}, TRAIN, rows=ROWS)
repaired("line end in quotes", {"rows.csv": unlabelled().replace("Rome", '"Ro\nme"', 1)}, PREDICT, rows=10)
repaired("BOM", {"rows.csv": b"\xef\xbb\xbf" + GOOD.encode()}, TRAIN, "byte-order mark", rows=ROWS)
repaired("BOM at prediction", {"rows.csv": b"\xef\xbb\xbf" + unlabelled().encode()}, PREDICT, "byte-order mark", rows=10)
repaired("UTF-16 with BOM", {"rows.csv": GOOD.encode("utf-16")}, "inspect rows.csv", "UTF-16")
repaired("UTF-16 with BOM at prediction", {"rows.csv": unlabelled().encode("utf-16")}, PREDICT, "UTF-16", rows=10)
refused(
    "UTF-16 without BOM", {"rows.csv": GOOD.encode("utf-16-le")}, TRAIN, "E207", "rows.csv", "line 1", "encoding: ", "utf-16-le"
)
refused("NUL", {"rows.csv": GOOD.replace("Rome", "Ro\0me", 1)}, TRAIN, "E207", "rows.csv", "line 3", "NUL")
refused("Latin-1", {"rows.csv": table(city={5: "Tromsø"}).encode("latin-1")}, TRAIN, "E207", "rows.csv", "line 7", "latin-1")
refused(
    "GB18030", {"rows.csv": table(city=dict.fromkeys(range(30), "上海市")).encode("gb18030")}, TRAIN, "E207", "rows.csv", "gb18030"
)
repaired("CRLF", {"rows.csv": GOOD.replace("\n", "\r\n").encode()}, TRAIN, rows=ROWS)
repaired("CR alone", {"rows.csv": unlabelled().replace("\n", "\r").encode()}, PREDICT, rows=10)
repaired("mixed line ends", {"rows.csv": unlabelled().replace("\n", "\r\n", 4).encode()}, PREDICT, rows=10)
repaired("no newline at the end", {"rows.csv": unlabelled().rstrip("\n")}, PREDICT, rows=10)
repaired("blank lines", {"rows.csv": unlabelled(5) + "\n\n" + unlabelled(5).partition("\n")[2]}, PREDICT, "2 blank lines", rows=10)
refused(
    "duplicate header", {"rows.csv": table(head="age,age,day,y\n")}, TRAIN, "E210", "rows.csv", "'age'", "columns 1, 2", "names:"
)
refused("blank header", {"rows.csv": table(head="age,,day,y\n")}, TRAIN, "E210", "rows.csv", "line 1", "2", "names:")
refused("header of blanks", {"rows.csv": table(head="age,  ,day,y\n")}, TRAIN, "E210", "rows.csv", "names:")
refused("header of nothing", {"rows.csv": table(head=",,,\n")}, TRAIN, "E210", "rows.csv", "names:")
refused("no header", {"rows.csv": table(head="")}, TRAIN, "E107", "rows.csv", "'y'", "column_1")
refused("header again as a row", {"rows.csv": GOOD + GOOD}, TRAIN, "E290", "rows.csv", "line 62", "age,city", "header: true")
refused("header again at prediction", {"rows.csv": unlabelled() + unlabelled()}, PREDICT, "E290", "rows.csv", "line 12", "age,city")
repaired("another separator", {"rows.csv": unlabelled().replace(",", ";")}, PREDICT, "';'", rows=10)
repaired("very long cell", {"rows.csv": unlabelled(city={4: "x" * 1_000_000})}, PREDICT, rows=10)
repaired(
    "emoji and Chinese",
    {"rows.csv": table(head="年龄,🏙,日期,y\n", city=dict.fromkeys(range(0, 60, 3), "上海🎉"))},
    TRAIN,
    rows=ROWS,
)
repaired("blanks around values", {"rows.csv": unlabelled().replace(",", " , ")}, PREDICT, "blanks removed", rows=10)
refused(
    "gzip cut short", {"rows.csv.gz": gzip.compress(GOOD.encode())[:-20]}, "train rows.csv.gz -t y -o out", "E202", "rows.csv.gz"
)
refused("gzip that is none", {"rows.csv.gz": GOOD}, "train rows.csv.gz -t y -o out", "E202", "rows.csv.gz", "rename it to rows.csv")
refused(
    "gzip with a flipped byte",
    {"r.csv.gz": gzip.compress(GOOD.encode())[:60] + b"\xff" + gzip.compress(GOOD.encode())[61:]},
    "inspect r.csv.gz",
    "E202",
    "r.csv.gz",
)
refused("bzip2 cut short", {"rows.csv.bz2": bz2.compress(GOOD.encode())[:-9]}, "inspect rows.csv.bz2", "E202", "rows.csv.bz2")
refused("zip that is none", {"rows.zip": GOOD}, "train rows.zip -t y -o out", "E202", "rows.zip")
refused("empty zip", zipped({}), "train rows.zip -t y -o out", "E104", "rows.zip")
refused(
    "zip of several tables",
    zipped({"a.csv": GOOD, "b.csv": GOOD}),
    "train rows.zip -t y -o out",
    "E205",
    "a.csv, b.csv",
    "rows.zip/a.csv",
)
refused("zip with pickles", zipped({"a.pkl": pickle.dumps({"a": 1})}), "train rows.zip -t y -o out", "E104", "rows.zip")
refused("pickle in a zip, named", zipped({"a.pkl": pickle.dumps(1)}), "train rows.zip/a.pkl -t y -o out", "E104", "pickle")
refused(
    "pickle named .csv in a zip", zipped({"a.csv": pickle.dumps([1] * 99)}), "train rows.zip -t y -o out", "E204", "a.csv", "pickle"
)
refused("pickle", {"rows.pkl": pickle.dumps({"age": [1]})}, "train rows.pkl -t y -o out", "E104", "rows.pkl", "pickle", "arquet")
refused("pickle named .csv", {"rows.csv": pickle.dumps({"age": [1]})}, TRAIN, "E204", "rows.csv", "pickle", "arquet")
refused("PyTorch file", {"net.pt": b"PK\3\4rest"}, "predict model net.pt", "E104", "net.pt", "pickle")
refused("binary named .csv", {"rows.csv": noise(1)}, TRAIN, "E207", "rows.csv")
refused("Parquet named .csv", {"rows.csv": parquet(pl.DataFrame({"a": [1.5] * 99}))}, TRAIN, "E20", "rows.csv")
refused("a folder named .csv", {"rows.csv/notes.md": "x"}, TRAIN, "E", "rows.csv")
refused("no such file", {"rows.csv": GOOD}, "train row.csv -t y -o out", "E200", "row.csv", "does not exist", "rows.csv")
refused(
    "no such file at prediction", {"rows.csv": GOOD}, "predict model row.csv", "E200", "row.csv", "does not exist", "'rows.csv'"
)
refused("unknown ending", {"rows.xyz": GOOD}, "train rows.xyz -t y -o out", "E104", "rows.xyz", "type: csv")
refused("no ending", {"rows": GOOD}, "inspect rows", "E104", "rows", "type: csv")
refused("empty file name", {}, "train '' -t y -o out", "E", "path")
refused("a folder of nothing", {"pics/notes.md": "x"}, "train pics -t label -o out", "E104", "pics")

# -------------------------------------------------------------------------------------------------------------------- values

refused(
    "target misspelt", {"rows.csv": GOOD}, "train rows.csv -t yy -o out", "E107", "rows.csv", "'yy'", "did you mean 'y'", "--target"
)
refused("target misspelt at init", {"rows.csv": GOOD}, "init rows.csv -t Y", "E701", "rows.csv", "'Y'", "--target")
refused("one class", {"rows.csv": table(y=dict.fromkeys(range(60), "a"))}, TRAIN, "E403", "rows.csv", "column y", "one value")
refused(
    "target without a value", {"rows.csv": table(y=dict.fromkeys(range(60), ""))}, TRAIN, "E403", "rows.csv", "column y", "no value"
)
refused("a class of one row", {"rows.csv": table(y={5: "c"})}, "inspect rows.csv -t nope", "E701", "nope")
refused("target all distinct", {"rows.csv": table(y={i: f"text {i}" for i in range(60)})}, TRAIN, "E", "y")
repaired("target with gaps", {"rows.csv": table(y={3: "", 9: "NA", 12: "?"})}, TRAIN, "3 rows without a value of y", rows=57)
refused(
    "all columns without a value",
    {"rows.csv": table(age=dict.fromkeys(range(60), "NA"), city=dict.fromkeys(range(60), ""), day=dict.fromkeys(range(60), "?"))},
    TRAIN,
    "E106",
    "age",
    "it holds no value",
)
repaired(
    "a column without a value",
    {"rows.csv": table(age=dict.fromkeys(range(60), "NA"))},
    TRAIN,
    "age is not an input: it holds no value",
    rows=ROWS,
)
repaired("all values missing at prediction", {"rows.csv": "age,city,day\n" + ",,\n" * 7}, PREDICT, "empty", "21 times", rows=7)
refused(
    "1e400", {"rows.csv": table(age={3: "1e400"})}, TRAIN, "E221", "rows.csv", "column age", "row 4", "1e400", "on_error: missing"
)
refused("inf", {"rows.csv": table(age={3: "inf"})}, TRAIN, "E221", "rows.csv", "column age", "row 4", "'inf'")
refused(
    "Infinity in the target",
    {"rows.csv": table(age={3: "-Infinity"})},
    "train rows.csv -t age -o out",
    "E221",
    "rows.csv",
    "column age",
    "row 4",
)
refused("infinity at prediction", {"rows.csv": unlabelled(age={3: "inf"})}, PREDICT, "E221", "rows.csv", "column age", "row 4")
repaired("NaN as a word", {"rows.csv": table(age={3: "NaN", 5: "NaN"})}, TRAIN, '"NaN" read as missing, 2 times', rows=ROWS)
repaired("nan in lower case", {"rows.csv": unlabelled(age={3: "nan"})}, PREDICT, "missing", rows=10)
refused(
    "words among numbers at prediction",
    {"rows.csv": unlabelled(age={3: "old", 5: "young"})},
    PREDICT,
    "E220",
    "rows.csv",
    "column age",
    "2 of 10",
    "row 4: 'old'",
    "row 6: 'young'",
)
refused(
    "words declared a number",
    {"rows.csv": GOOD, "r.yaml": "data: rows.csv\ninputs: {city: number}\noutputs: {y: binary}\n"},
    "train r.yaml -o out",
    "E220",
    "rows.csv",
    "column city",
    "row 1: 'Oslo'",
    "category",
)
refused(
    "percent signs",
    {"rows.csv": unlabelled(age={i: f"{i}%" for i in range(10)})},
    PREDICT,
    "E220",
    "rows.csv",
    "column age",
    "strip: '%'",
)
refused(
    "thousands separators",
    {"rows.csv": unlabelled(age={2: '"1,234"'})},
    PREDICT,
    "E220",
    "rows.csv",
    "column age",
    "row 3: '1,234'",
    "thousands",
)
refused(
    "mixed decimal comma",
    {"rows.csv": unlabelled(age={2: "1,5", 4: "1.5"}).replace(",", ";").replace("1;5", "1,5")},
    PREDICT,
    "E220",
    "rows.csv",
    "row 3: '1,5'",
    "decimal: ','",
)
repaired(
    "decimal comma throughout",
    {"rows.csv": unlabelled(age={i: f"{i}.5" for i in range(10)}).replace(",", ";").replace(".", ",")},
    PREDICT,
    "decimal commas",
    rows=10,
)
refused(
    "ambiguous dates",
    {"rows.csv": table(day={i: f"0{i % 9 + 1}/0{(i + 3) % 9 + 1}/2024" for i in range(60)})},
    TRAIN,
    "E222",
    "rows.csv",
    "column day",
    "YYYY-MM-DD",
)
refused(
    "another date format at prediction",
    {"rows.csv": unlabelled(day={3: "never"})},
    PREDICT,
    "E222",
    "rows.csv",
    "column day",
    "row 4: 'never'",
)
refused("impossible date", {"rows.csv": unlabelled(day={3: "2024-02-31"})}, PREDICT, "E222", "rows.csv", "column day", "row 4")
repaired("unseen category", {"rows.csv": unlabelled(city={3: "Atlantis", 4: "Mu"})}, PREDICT, "city", "never saw", rows=10)
repaired(
    "no missing rows for a missing cell",
    {"rows.csv": unlabelled(age={1: ""}, city={2: ""}, day={3: ""})},
    PREDICT,
    "3 times",
    rows=10,
)
repaired("a word in a number column", {"rows.csv": table(age={3: "old"})}, TRAIN, "age is taken for", "1 of 60", "'old'", rows=ROWS)
repaired("a missing column", {"rows.csv": "age,day\n" + "30,2024-01-01\n" * 6}, PREDICT, "city", "missing values", rows=6)
repaired(
    "an extra column",
    {"rows.csv": "".join(r + ",1\n" for r in unlabelled().splitlines()).replace("day,1", "day,extra")},
    PREDICT,
    "extra",
    rows=10,
)
refused("none of the columns", {"rows.csv": "a,b\n1,2\n3,4\n"}, PREDICT, "E107", "rows.csv", "age", "header")
repaired(
    "columns renamed by case",
    {"rows.csv": unlabelled().replace("age", "Age")},
    PREDICT,
    "missing values: age",
    "left out: Age",
    rows=10,
)
refused(
    "negative weights",
    {"rows.csv": table(age={3: "-1"})},
    TRAIN + " --set data.weight=age",
    "E103",
    "rows.csv",
    "column age",
    "row 4",
)
refused("weights of words", {"rows.csv": GOOD}, TRAIN + " --set data.weight=city", "E", "column city")
refused(
    "weights of zero", {"rows.csv": table(age=dict.fromkeys(range(60), 0))}, TRAIN + " --set data.weight=age", "E", "column age"
)
refused("evaluation without the output", {"rows.csv": unlabelled()}, EVALUATE, "E107", "rows.csv", "'y'")
refused(
    "evaluation with unseen labels",
    {"rows.csv": table(y={3: "b.", 5: "b."})},
    EVALUATE,
    "E214",
    "rows.csv",
    "column y",
    "b.",
    "2 rows",
)
refused(
    "evaluation without a known label",
    {"rows.csv": table(y=dict.fromkeys(range(60), ""))},
    EVALUATE,
    "E",
    "rows.csv",
    "known output",
)
repaired("evaluation with gaps in the output", {"rows.csv": table(y={3: "", 4: ""})}, EVALUATE, "2 rows without a value of y")
refused(
    "test rows with unseen labels",
    {"rows.csv": GOOD, "t.csv": table(y={3: "B"})},
    TRAIN + " --test t.csv",
    "E214",
    "t.csv",
    '"B"',
    "case: lower",
)
refused("test rows without the output", {"rows.csv": GOOD, "t.csv": unlabelled()}, TRAIN + " --test t.csv", "E107", "t.csv", "'y'")
refused("inputs all constant", {"rows.csv": "a,y\n" + "1,p\n1,q\n" * 20}, TRAIN, "E106", "one value")

# ------------------------------------------------------------------------------------------------------------- other formats

refused(
    "JSON cut short",
    {"rows.json": '[{"age": 1, "y": "a"},\n {"age": 2'},
    "train rows.json -t y -o out",
    "E212",
    "rows.json",
    "line 2",
)
refused(
    "JSON of nested lists",
    {"rows.json": json.dumps([{"age": [[[1]], [[2]]], "y": "a"}] * 20)},
    "train rows.json -t y -o out",
    "E224",
    "rows.json",
    "age",
    "row 1",
)
refused("JSON of a number", {"rows.json": "42"}, "inspect rows.json", "E212", "rows.json")
refused("JSON of a mixed list", {"rows.json": '[{"a": 1}, 2]'}, "inspect rows.json", "E212", "rows.json")
refused("JSON with a key twice", {"rows.json": '[{"a": 1, "a": 2}]'}, "inspect rows.json", "E212", "rows.json", "'a'")
refused("JSON of nothing", {"rows.json": "[]"}, "inspect rows.json", "E2", "rows.json")
refused(
    "JSON columns of unequal length",
    {"rows.json": '{"a": [1, 2], "y": ["p"]}'},
    "inspect rows.json",
    "E210",
    "rows.json",
    "a: 2",
    "y: 1",
)
refused("JSON nested without end", {"rows.json": "[" * 100_000}, "inspect rows.json", "E212", "rows.json")
refused(
    "JSON with Infinity",
    {"rows.json": json.dumps([{"age": float("inf") if i == 3 else i * 1.5, "y": "ab"[i % 2]} for i in range(40)])},
    "train rows.json -t y -o out",
    "E221",
    "rows.json",
    "age",
    "row 4",
)
repaired(
    "JSON with NaN",
    {"rows.json": json.dumps([{"age": float("nan") if i == 3 else i * 1.5, "city": "Oslo", "day": None} for i in range(10)])},
    "predict model rows.json",
    rows=10,
)
repaired(
    "JSON of mixed types",
    {"rows.json": json.dumps([{"age": str(i) if i % 2 else i, "city": "Oslo"} for i in range(10)])},
    "predict model rows.json",
    "several kinds",
    "age",
    rows=10,
)
repaired(
    "JSON with missing keys",
    {"rows.json": json.dumps([{"age": i} if i % 2 else {"city": "Oslo", "day": "2024-01-02"} for i in range(10)])},
    "predict model rows.json",
    rows=10,
)
refused(
    "NDJSON with a broken line",
    {"rows.jsonl": ndjson(_7='{"age": 7, "y"')},
    "train rows.jsonl -t y -o out",
    "E212",
    "rows.jsonl",
    "line 7",
)
refused(
    "NDJSON with a list",
    {"rows.jsonl": ndjson(_7="[1, 2]", _9="null")},
    "train rows.jsonl -t y -o out",
    "E212",
    "rows.jsonl",
    "line 7",
    "line 9",
)
refused(
    "NDJSON with a key twice",
    {"rows.jsonl": ndjson(_4='{"age": 3, "age": 4, "y": "a"}')},
    "train rows.jsonl -t y -o out",
    "E212",
    "rows.jsonl",
    "line 4",
    "'age'",
)
refused(
    "Parquet cut short",
    {"rows.parquet": parquet(pl.DataFrame({"age": range(99)}))[:-30]},
    "train rows.parquet -t y -o out",
    "E217",
    "rows.parquet",
)
refused("Parquet that is none", {"rows.parquet": GOOD}, "predict model rows.parquet", "E217", "rows.parquet")
refused(
    "Parquet without rows",
    {"rows.parquet": parquet(pl.DataFrame({"age": []}))},
    "predict model rows.parquet",
    "E206",
    "rows.parquet",
)
refused("workbook that is none", {"rows.xlsx": b"PK\3\4 no workbook"}, "train rows.xlsx -t y -o out", "E218", "rows.xlsx")
refused(
    "workbook with a blank name",
    {"rows.xlsx": workbook([["age", None, "y"], [1, 2, "a"], [3, 4, "b"]])},
    "inspect rows.xlsx",
    "E210",
    "rows.xlsx",
)
refused("empty workbook", {"rows.xlsx": workbook([])}, "inspect rows.xlsx", "E2", "rows.xlsx")
refused(
    "ARFF with an undeclared value",
    {"rows.arff": arff("7,c")},
    "train rows.arff -t y -o out",
    "E213",
    "rows.arff",
    "line 25",
    "'c'",
    "a, b",
)
refused(
    "ARFF with a value too few",
    {"rows.arff": arff("7")},
    "train rows.arff -t y -o out",
    "E213",
    "rows.arff",
    "line 25",
    "1 values for 2",
)
refused(
    "ARFF with a word for a number",
    {"rows.arff": arff("old,a")},
    "train rows.arff -t y -o out",
    "E213",
    "rows.arff",
    "line 25",
    "'old'",
)
refused(
    "ARFF without data", {"rows.arff": "@relation r\n@attribute a numeric\n"}, "inspect rows.arff", "E213", "rows.arff", "@data"
)
refused(
    "IDX with a lying header",
    {"x/train-images-idx3-ubyte": exact_idx((20, 4, 4), (2000, 4, 4)), "x/train-labels-idx1-ubyte": exact_idx((20,))},
    "train x -t label -o out",
    "E215",
    "train-images",
    "cut short",
)
refused(
    "IDX that claims the moon",
    {"x/train-images-idx3-ubyte": exact_idx((20, 4, 4), (2**32 - 1,) * 3), "x/train-labels-idx1-ubyte": exact_idx((20,))},
    "train x -t label -o out",
    "E215",
    "train-images",
    "cut short",
)
refused(
    "IDX with labels too few",
    {"x/train-images-idx3-ubyte": exact_idx((20, 4, 4)), "x/train-labels-idx1-ubyte": exact_idx((19,))},
    "train x -t label -o out",
    "E215",
    "train-images",
    "(20, 4, 4)",
    "(19,)",
)
refused(
    "IDX of floats",
    {"x/train-images-idx3-ubyte": exact_idx((20, 4, 4), kind=13), "x/train-labels-idx1-ubyte": exact_idx((20,))},
    "inspect x",
    "E215",
    "train-images",
    "bytes",
)
refused(
    "IDX without labels",
    {"x/train-images-idx3-ubyte": exact_idx((20, 4, 4))},
    "train x -t label -o out",
    "E215",
    "train-images",
    "train-labels-idx1-ubyte",
)
refused("SQLite that is none", {"rows.db": GOOD}, "train rows.db -t y -o out", "E219", "rows.db", "not a database")
refused(
    "SQLite of two tables",
    lambda: Path("rows.db").write_bytes(sqlite_file("one", "two")),
    "train rows.db -t y -o out",
    "E219",
    "rows.db",
    "one, two",
    "table: one",
)
refused(
    "SQLite without a table", lambda: Path("rows.db").write_bytes(sqlite_file()), "train rows.db -t y -o out", "E219", "rows.db"
)
refused(
    "SQLite, no such table",
    lambda: [
        Path("rows.db").write_bytes(sqlite_file("people")),
        Path("r.yaml").write_text("data: {source: {type: sql, path: rows.db, table: poeple}}\noutputs: {y: binary}\n"),
    ],
    "train r.yaml -o out",
    "E219",
    "rows.db",
    "'poeple'",
    "did you mean 'people'",
)

# ------------------------------------------------------------------------------------------------------------------ pictures

PICS = "train pics -t label -o out --set training.batch=4"

refused("pictures without folders", {f"pics/{i}.png": noise(i) for i in range(12)}, PICS, "E104", "pics")
refused("one class folder", {f"pics/a/{i}.png": noise(i) for i in range(12)}, PICS, "E403", "pics", "label")
repaired(
    "a class of one picture",
    {**{f"pics/a/{i}.png": noise(i) for i in range(12)}, "pics/b/x.png": noise(99)},
    PICS,
    "1 classes have one row only",
    rows=13,
)
refused("too few pictures", folder(4), PICS, "E402", "pics")
refused("a text named .jpg", folder(20) | {"pics/a/odd.jpg": "no picture"}, PICS, "E265", "odd.jpg", "not a picture")
refused("an empty picture", folder(20) | {"pics/a/odd.png": b""}, PICS, "E265", "odd.png")
refused("a picture cut short", folder(20) | {"pics/b/odd.png": noise(5)[:120]}, PICS, "E265", "odd.png")
refused("a JPEG cut short", folder(20) | {"pics/b/odd.jpg": noise(5, "JPEG")[:400]}, PICS, "E265", "odd.jpg")
refused("a picture that lies about its size", folder(20) | {"pics/a/odd.png": huge_png()}, PICS, "E265", "odd.png", "pixels")
refused(
    "floating-point pixels",
    folder(20) | {"pics/a/odd.tif": picture("TIFF", mode="F", colour=0.5)},
    PICS,
    "E265",
    "odd.tif",
    "16 bits",
)
refused("all pictures broken", {f"pics/{'ab'[i % 2]}/{i}.png": "x" for i in range(20)}, PICS, "E265", "20 of 20")
repaired("a folder named .jpg", folder(20) | {"pics/odd.jpg/readme.md": "x"}, PICS, "no picture", "odd.jpg/readme.md", rows=20)
refused("pictures at two depths", folder(20) | {"pics/a/deep/odd.png": noise(3)}, PICS, "E216", "deep/odd.png", "CLASS")
refused(
    "pictures in a broken zip",
    {"pics.zip": zipped(folder(20), "z")["z"][:-40]},
    "train pics.zip -t label -o out",
    "E202",
    "pics.zip",
)
refused(
    "a picture cut short in a zip",
    zipped(folder(20) | {"pics/a/odd.png": noise(5)[:120]}, "pics.zip"),
    "train pics.zip -t label -o out",
    "E265",
    "column image",
    "row",
)
repaired("a file that is no picture", folder(20) | {"pics/a/Thumbs.db": b"x"}, "inspect pics", "1 file is no picture", "Thumbs.db")

ODD = {
    "png-named.jpg": noise(1),
    "cmyk.jpg": picture("JPEG", mode="CMYK"),
    "wide.png": picture(mode="I;16"),
    "palette.png": picture(mode="P"),
    "alpha.png": picture(mode="RGBA"),
    "grey.png": picture(mode="L"),
    "bit.png": picture(mode="1", colour=1),
    "moving.gif": animation(),
    "turned.jpg": turned(),
    "one.png": picture(size=(1, 1)),
    "long.png": picture(size=(900, 2)),
}
COLUMN = {f"odd/{name}": data for name, data in ODD.items()}
LISTED = "image\n" + "".join(f"odd/{name}\n" for name in ODD)

repaired("odd but whole pictures", COLUMN | {"p.csv": LISTED}, "predict seer p.csv", rows=len(ODD))
repaired(
    "paths relative to the CSV, not to the caller",
    {f"deep/{k}": v for k, v in COLUMN.items()} | {"deep/p.csv": LISTED},
    "predict seer deep/p.csv",
    rows=len(ODD),
)
repaired("a picture without a path", COLUMN | {"p.csv": LISTED + "NA\n"}, "predict seer p.csv", "missing", rows=len(ODD) + 1)
refused(
    "a path to nothing",
    COLUMN | {"p.csv": LISTED + "odd/gone.png\n"},
    "predict seer p.csv",
    "E265",
    "row 12",
    "gone.png",
    "does not exist",
)
refused("a path to a folder", COLUMN | {"p.csv": LISTED + "odd\n"}, "predict seer p.csv", "E265", "row 12")
refused("a path to a text", COLUMN | {"p.csv": LISTED + "p.csv\n"}, "predict seer p.csv", "E265", "row 12", "not a picture")

# --------------------------------------------------------------------------------------------------------------------- masks


def classes(values, size=(8, 8), kind="PNG", mode=None, seed=0):
    """Return the bytes of a mask of some values."""
    pixels, file = np.random.default_rng(seed).choice(np.array(values, np.uint8), size), io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


def masked(n=14, **extra):
    """Return the files of pictures and their masks of two classes."""
    files = {f"seg/images/{i:02}.png": noise(i) for i in range(n)}
    return files | {f"seg/masks/{i:02}.png": classes([0, 255], seed=i) for i in range(n)} | extra


MASK = "train seg -t mask -o out --set training.batch=4 --set inputs.image='{type: image, encoder: {type: unet, width: 2}}'"
ABOUT = MASK + " --set outputs.mask='{type: mask, classes: {road: 0, car: 1}}'"
HOLES = Image.fromarray(np.dstack([np.zeros((8, 8, 3), np.uint8), np.eye(8, dtype=np.uint8) * 255]))


def saved(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def odd_mask(name, data, code, *words, command=MASK, where="seg/masks/05.png"):
    refused(name, masked() | {where: data}, command, code, "05", *words)


odd_mask("a mask of another size", classes([0, 255], (8, 12)), "E268", "row 6", "8 × 12", "8 × 8")
odd_mask("a mask turned by 90 degrees", classes([0, 255], (12, 8)), "E268", "row 6")
odd_mask("a mask of one pixel", classes([255], (1, 1)), "E268", "1 × 1")
odd_mask("a mask cut short", classes([0, 255], (80, 80))[:120], "E265")
odd_mask("an empty mask", b"", "E265", "not a picture")
odd_mask("a text named as a mask", b"0 1 1 0", "E265", "not a picture")
odd_mask("a mask that claims to be gigabytes", huge_png(), "E265", "pixels")
odd_mask("a mask with transparent pixels", saved(HOLES), "E265", "transparen")
odd_mask("a mask in CMYK", classes([0, 255], kind="TIFF", mode="CMYK"), "E265", "CMYK")
odd_mask("a mask of floating-point pixels", classes([0, 1], kind="TIFF", mode="F"), "E265", "mode F")
odd_mask("a picture cut short beside its mask", noise(5)[:100], "E265", where="seg/images/05.png")
refused(
    "masks with values that no class has",
    masked() | {f"seg/masks/{i:02}.png": classes([0, 1, 7], seed=i) for i in range(14)},
    ABOUT,
    "E269",
    "7",
    "road: 0, car: 1",
    "row",
)
refused(
    "masks saved with loss",
    masked()
    | {f"seg/masks/{i:02}.png": saved(Image.fromarray(np.arange(900).astype(np.uint16).reshape(30, 30))) for i in range(14)}
    | {f"seg/images/{i:02}.png": picture(size=(30, 30)) for i in range(14)},
    MASK,
    "E269",
    "threshold: 128",
)
refused("masks of one class", masked() | {f"seg/masks/{i:02}.png": classes([0]) for i in range(14)}, MASK, "E403", "mask")
repaired(
    "a picture without its mask", {k: v for k, v in masked().items() if k != "seg/masks/05.png"}, MASK, "no mask", "05", rows=13
)
repaired("a mask without its picture", masked() | {"seg/masks/99.png": classes([0])}, MASK, "99.png", "left out", rows=14)
repaired("masks of 16 bits, of one bit and with a palette", masked() | {
    "seg/masks/05.png": saved(Image.fromarray((np.eye(8) * 255).astype(np.uint16))),
    "seg/masks/06.png": classes([0, 255], mode="1"),
    "seg/masks/07.png": classes([0, 255], mode="RGB"),
    "seg/masks/08.png": classes([0, 255], mode="RGBA"),
}, MASK, rows=14)  # fmt: skip
refused(
    "pictures to predict of another size",
    {f"den/noisy/{i:02}.png": noise(i) for i in range(14)}
    | {f"den/clean/{i:02}.png": picture(size=(9, 8) if i == 5 else (8, 8)) for i in range(14)},
    "train den -t clean -o out --set training.batch=4 --set outputs.clean=image",
    "E268",
    "row 6",
)
refused(
    "folders whose names do not fit together",
    {f"seg/images/{i:02}.png": noise(i) for i in range(14)} | {f"seg/masks/x{i:02}.png": classes([0, 255]) for i in range(14)},
    "train seg -t mask -o out",
    "E107",
    "mask",
)

# -------------------------------------------------------------------------------------------------------------------- sounds


def sound(seed, rate=8000, count=400, kind="WAV", **options):
    """Return the bytes of a file of noise."""
    return wav(np.random.default_rng(seed).normal(0, 0.1, count).astype(np.float32), rate, kind=kind, **options)


def recordings(n=20, **extra):
    """Return the files of a folder of sounds, one folder a class."""
    return {f"snd/{'ab'[i % 2]}/{i:02}.wav": sound(i, subtype="PCM_16") for i in range(n)} | extra


def floats(values):
    """Return a WAV file of float samples, whatever they are."""
    return wav(np.resize(np.asarray(values, np.float32), 400), 8000, subtype="FLOAT")


def relabelled(at, form, value, data=None):
    """Return a WAV file with a field of its header written over."""
    data = bytearray(data or sound(1, subtype="PCM_16"))
    struct.pack_into(form, data, at, value)
    return bytes(data)


SND = "train snd -t label -o out --set training.batch=4"
HEAR = "predict ear s.csv"


def odd_sound(name, data, *words, ending="wav", code="E266"):
    refused(name, recordings() | {f"snd/a/odd.{ending}": data}, SND, code, f"odd.{ending}", *words)


odd_sound("a sound of no bytes", b"", "not a sound")
odd_sound("a text named .wav", "no sound at all", "not a sound")
odd_sound("a picture named .wav", noise(1), "not a sound")
odd_sound("noise named .mp3", np.random.default_rng(0).bytes(5000), ending="mp3")
odd_sound("a WAV cut short", sound(1, subtype="PCM_16")[:-100], "cut short", "800", "700")
odd_sound("a WAV whose header lies about its length", relabelled(40, "<I", 99_999), "cut short", "99,999")
odd_sound("a WAV cut short in the header", sound(1)[:30])
odd_sound("a FLAC cut short", sound(1, count=30_000, kind="FLAC")[:20_000], "lost sync", ending="flac")
odd_sound("a FLAC cut short in the header", sound(1, kind="FLAC")[:40], ending="flac")
odd_sound("a sound without a sample", wav(np.zeros(0, np.int16), 8000), "no sample")
odd_sound("samples that are NaN", floats([0.1, np.nan]), "NaN")
odd_sound("samples that are infinite", floats([0.1, np.inf, -np.inf]), "NaN or infinite")
odd_sound("floats in the range of integers", floats([0.1, 20_000.0]), "20,000", "full scale is 1")
odd_sound("a rate of 0", relabelled(24, "<I", 0))
odd_sound("a rate of 3", relabelled(24, "<I", 3), "3 samples a second")
odd_sound("a rate of 4 GHz", relabelled(24, "<I", 4_000_000_000))
odd_sound("no channel", relabelled(22, "<H", 0))
odd_sound("an unknown coding", relabelled(20, "<H", 0x7777))
odd_sound("an AIFF named .wav", sound(1, kind="AIFF"), "AIFF")
refused("all sounds broken", {f"snd/{'ab'[i % 2]}/{i}.wav": "x" for i in range(20)}, SND, "E266", "20 of 20", "10 more")
refused("sounds without folders", {f"snd/{i}.wav": sound(i) for i in range(12)}, SND, "E104", "snd")
refused("sounds at two depths", recordings() | {"snd/a/deep/odd.wav": sound(3)}, SND, "E216", "deep/odd.wav", "names")
refused(
    "a sound in an archive cut short",
    zipped(recordings() | {"snd/a/odd.wav": sound(5)[:300]}, "snd.zip"),
    "train snd.zip -t label -o out",
    "E266",
    "row",
)
refused(
    "names that do not fit",
    recordings() | {"r.yaml": 'data: {source: {type: sounds, path: snd, names: "{label}_{n}"}}\noutputs: {label: category}\n'},
    "train r.yaml -o out",
    "E216",
    "20 of 20",
    "{label}_{n}",
)
refused(
    "a flip of sounds",
    recordings() | {"r.yaml": "data: snd\ninputs: {sound: {type: sound, augment: [flip]}}\noutputs: {label: category}\n"},
    "train r.yaml -o out",
    "E106",
    "flip",
    "speed",
)
repaired(
    "a streamed WAV that does not tell its length", recordings() | {"snd/a/odd.wav": relabelled(40, "<I", 0xFFFFFFFF)}, SND, rows=21
)
repaired("sounds in stereo, of other rates and formats", recordings() | {
    "snd/a/x.wav": wav(np.random.default_rng(0).normal(0, 0.1, (500, 2)), 44_100, subtype="PCM_24"),
    "snd/b/y.flac": sound(3, 22_050, kind="FLAC"),
    "snd/b/z.ogg": sound(4, 16_000, 4000, kind="OGG"),
}, SND, rows=23)  # fmt: skip
repaired("samples a little beyond full scale", recordings() | {"snd/a/x.wav": floats([0.5, -1.2])}, SND, rows=21)
repaired("a file that is no sound", recordings() | {"snd/a/notes.txt": "x"}, "inspect snd", "1 file is no sound", "notes.txt")
refused("a missing file at prediction", {"s.csv": "sound\ngone.wav\n"}, HEAR, "E266", "gone.wav", "does not exist")
refused("a broken sound at prediction", {"s.csv": "sound\nodd.wav\n", "odd.wav": sound(1)[:99]}, HEAR, "E266", "odd.wav")
refused("a folder for a sound", {"s.csv": "sound\nodd.wav\n", "odd.wav/x": "x"}, HEAR, "E266", "odd.wav")
repaired("a missing sound at prediction", {"s.csv": "sound,n\nok.wav,1\n,2\n", "ok.wav": sound(1)}, HEAR, rows=2)

# ----------------------------------------------------------------------------------------------------------------- forecasts


def hours(n=ROWS, **odd):
    """Return n rows of an hour with two columns; ``odd`` replaces cells: ``t={3: "x"}``."""
    rows = []
    for i in range(n):
        row = {"t": f"2024-01-{i // 24 + 1:02} {i % 24:02}:00", "a": f"{i % 24}", "b": f"{50 - i % 7}"}
        row |= {name: cells[i] for name, cells in odd.items() if i in cells}
        rows.append(",".join(row.values()))
    return "t,a,b\n" + "\n".join(rows) + "\n"


FORETELL = "train rows.csv --time t --horizon 2 -o out"
NEXT = "predict clock rows.csv"

refused("no such time", {"rows.csv": hours()}, "train rows.csv --time tt --horizon 2 -o out", "E107", "'tt'")
refused("a horizon without a time", {"rows.csv": hours()}, "train rows.csv -t a --horizon 2 -o out", "E701", "--time")
refused("times that are words", {"rows.csv": hours(t=dict.fromkeys(range(ROWS), "soon"))}, FORETELL, "E2", "rows.csv", "t")
refused("a time that is none", {"rows.csv": hours(t={7: "noon"})}, FORETELL, "E222", "row 8", "noon")
refused("a row without a time", {"rows.csv": hours(t={7: ""})}, FORETELL, "E234", "row 8")
refused("two rows of a time", {"rows.csv": hours(t={7: "2024-01-01 06:00"})}, FORETELL, "E234", "row 7", "row 8", "series")
refused("no column of numbers", {"rows.csv": "t,a\n2024-01-01,x\n2024-01-02,y\n"}, FORETELL, "E106", "numbers")
refused("a horizon longer than the data", {"rows.csv": hours()}, "train rows.csv --time t --horizon 500 -o out", "E236", "500")
refused("rows too few to foretell", {"rows.csv": hours(8)}, FORETELL, "E236", "rows.csv")
refused("a side longer than the data", {"rows.csv": hours()}, FORETELL + " --set data.split='{test: 4 months}'", "E236", "training")
refused("a column without a value", {"rows.csv": hours(a=dict.fromkeys(range(ROWS), ""))}, FORETELL + " -t a", "E260", "a")
refused("a column to foretell that is text", {"rows.csv": hours(a={5: "wet"})}, FORETELL + " -t a", "E220", "row 6", "wet")
refused("fewer rows than the window", {"rows.csv": hours(5)}, NEXT, "E236", "rows.csv", "5 rows")
refused(
    "another step at prediction", {"rows.csv": hours(t={i: f"2024-01-01 00:{i:02}" for i in range(ROWS)})}, NEXT, "E235", "minute"
)
refused("a column missing at prediction", {"rows.csv": hours().replace(",b", ",c")}, NEXT, "E107", "'b'")
refused("no time at prediction", {"rows.csv": hours().replace("t,", "when,")}, NEXT, "E107", "'t'")
refused("nothing known at prediction", {"rows.csv": "t,a,b\n2024-01-01 00:00,,\n2024-01-01 01:00,,\n"}, NEXT, "E236", "no row")
refused("a word at prediction", {"rows.csv": hours(a={9: "wet"})}, NEXT, "E220", "row 10", "wet")
refused("too few rows to judge", {"rows.csv": hours(20)}, "evaluate clock rows.csv", "E236", "20 rows")
refused("unusual rows of a table", {"rows.csv": GOOD}, "detect model rows.csv", "E707", "forecast")
refused("no column of truth", {"rows.csv": hours()}, "detect clock rows.csv --truth odd", "E701", "odd")

turned = hours().splitlines()
repaired("rows not in order", {"rows.csv": "\n".join([turned[0], *turned[:0:-1]]) + "\n"}, FORETELL, "order")
repaired("a row twice", {"rows.csv": hours() + turned[5] + "\n"}, FORETELL, "1 rows that repeat")
repaired("hours left out", {"rows.csv": "\n".join(turned[:20] + turned[23:]) + "\n"}, FORETELL, "3 times are missing")
repaired("values left out", {"rows.csv": hours(a={5: "", 6: "?", 40: ""})}, FORETELL, "last known")
repaired("a constant column", {"rows.csv": hours(a=dict.fromkeys(range(ROWS), "3"))}, FORETELL)
repaired("windows without any value", {"rows.csv": hours(a=dict.fromkeys(range(8, 45), ""))}, FORETELL, "missing values")
repaired(
    "irregular times",
    {"rows.csv": hours(t={i: f"2024-01-01 {i // 60:02}:{i % 60:02}:{i * i % 60:02}" for i in range(ROWS)})},
    FORETELL,
)
repaired("rows to foretell from in any order", {"rows.csv": "\n".join([turned[0], *turned[:0:-1]]) + "\n"}, NEXT, rows=2)

# ------------------------------------------------------------------------------------------------------------------- recipes

R = "train r.yaml -o out"
WHOLE = "data: rows.csv\noutputs: {y: binary}\n"

refused("recipe: missing", {}, R, "E101", "r.yaml", "does not exist", "init")
refused("recipe: empty", recipe(""), R, "E101", "r.yaml", "nothing")
refused("recipe: a list", recipe("- data: rows.csv\n"), R, "E101", "r.yaml", "a list")
refused("recipe: a text", recipe("rows.csv"), R, "E101", "r.yaml", "a str")
refused("recipe: tabs", recipe("data:\n\tsource: rows.csv\n"), R, "E101", "r.yaml", "line 2", "column 1")
refused("recipe: not closed", recipe("data: rows.csv\noutputs: {y: binary\n"), R, "E101", "r.yaml", "line")
refused(
    "recipe: a key twice",
    recipe("data: rows.csv\noutputs: {y: binary}\ndata: other.csv\n"),
    R,
    "E101",
    "r.yaml",
    "line 3",
    "'data'",
    "twice",
)
refused(
    "recipe: unknown key", recipe(WHOLE + "trainning: {epochs: 1}\n"), R, "E102", "r.yaml", "trainning", "did you mean 'training'"
)
refused(
    "recipe: unknown keys, all told",
    recipe(WHOLE + "training: {epoch: 1, seeed: 2}\n"),
    R,
    "E102",
    "training.epoch",
    "'epochs'",
    "training.seeed",
    "'seed'",
)
refused("recipe: wrong type", recipe(WHOLE + "training: {epochs: many}\n"), R, "E103", "r.yaml", "training.epochs", "'many'")
refused("recipe: out of bounds", recipe(WHOLE + "training: {epochs: 0}\n"), R, "E103", "r.yaml", "training.epochs", "0")
refused("recipe: a mapping where a number belongs", recipe(WHOLE + "training: {epochs: {a: 1}}\n"), R, "E103", "training.epochs")
refused("recipe: a number where a mapping belongs", recipe(WHOLE + "training: 3\n"), R, "E103", "r.yaml", "training")
refused("recipe: a NaN", recipe(WHOLE + "training: {clip: .nan}\n"), R, "E103", "training.clip")
refused("recipe: infinite", recipe(WHOLE + "training: {budget: .inf}\n"), R, "E103", "training.budget")
refused("recipe: unknown type", recipe("data: rows.csv\noutputs: {y: binry}\n"), R, "E104", "r.yaml", "outputs.y", "'binary'")
refused(
    "recipe: Python object", recipe("data: !!python/object/apply:os.system ['true']\n"), R, "E101", "r.yaml", "line 1", "python"
)
refused(
    "recipe: billion laughs",
    recipe(
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(12))
    ),
    R,
    "E101",
    "r.yaml",
)
refused("recipe: an anchor in itself", recipe("data: &a [*a]\n"), R, "E1", "r.yaml")
refused("recipe: nested without end", recipe("data: " + "[" * 5000 + "]" * 5000), R, "E101", "r.yaml")
refused("recipe: not UTF-8", recipe("data: Tromsø.csv\n".encode("latin-1")), R, "E101", "r.yaml", "UTF-8")
refused("recipe: NUL", recipe("data: rows.csv\0\n"), R, "E101", "r.yaml")
refused("recipe: a folder", {"r.yaml/x": ""}, R, "E101", "r.yaml")
refused("recipe: no output", recipe("data: rows.csv\n"), R, "E105", "output")
refused("recipe: no data", recipe("outputs: {y: binary}\n"), R, "E105", "data.source")
refused(
    "recipe: unknown column",
    recipe("data: rows.csv\ninputs: {agee: number}\noutputs: {y: binary}\n"),
    R,
    "E107",
    "agee",
    "did you mean 'age'",
)
refused(
    "recipe: unknown column to drop",
    recipe("data: {source: rows.csv, drop: [cty]}\noutputs: {y: binary}\n"),
    R,
    "E107",
    "data.drop",
    "'cty'",
    "'city'",
)
refused(
    "recipe: an input that is an output",
    recipe("data: rows.csv\ninputs: {y: binary}\noutputs: {y: binary}\n"),
    R,
    "E106",
    "r.yaml",
    "inputs.y",
)
refused("recipe: a newer format", recipe(WHOLE + "format: 99\n"), R, "E103", "r.yaml", "format")
refused(
    "recipe: a broken expression",
    recipe("data: {source: rows.csv, derive: {z: 'age +'}}\noutputs: {y: binary}\n"),
    R,
    "E120",
    "derive",
    "z",
)
refused(
    "recipe: code in an expression",
    recipe("data: {source: rows.csv, derive: {z: '__import__(\"os\")'}}\noutputs: {y: binary}\n"),
    R,
    "E12",
    "derive",
    "z",
)
refused(
    "recipe: clean of an unknown column",
    recipe("data: {source: rows.csv, clean: {cty: {strip: '.'}}}\noutputs: {y: binary}\n"),
    R,
    "E107",
    "cty",
    "'city'",
)
refused("recipe: unknown metric", recipe(WHOLE + "training: {monitor: acuracy}\n"), R, "E103", "training.monitor", "accuracy")
refused(
    "recipe: split by a missing column",
    recipe("data: {source: rows.csv, split: {by: group, column: who}}\noutputs: {y: binary}\n"),
    R,
    "E107",
    "split",
    "'who'",
)
refused("recipe: an encoder that does not fit", recipe(WHOLE + "tabular: resnet\n"), R, "E108", "resnet")
refused(
    "recipe: broken JSON", {"rows.csv": GOOD, "r.json": '{"data": "rows.csv",'}, "train r.json -o out", "E101", "r.json", "line"
)
refused("--set without a value", {"rows.csv": GOOD}, TRAIN + " --set training", "E109", "training", "KEY.PATH=VALUE")
refused("--set of no YAML", {"rows.csv": GOOD}, TRAIN + " --set 'training.epochs=[1'", "E109", "training.epochs")
refused("--set of an unknown key", {"rows.csv": GOOD}, TRAIN + " --set training.epoch=3", "E102", "training.epoch", "'epochs'")
refused(
    "--set through a value", {"rows.csv": GOOD}, TRAIN + " --set training.seed=1 --set training.seed.x=2", "E109", "training.seed.x"
)
refused("--set of a bomb", {"rows.csv": GOOD}, TRAIN + " --set 'data=" + "[" * 5000 + "'", "E109", "--set")
refused("--budget of nonsense", {"rows.csv": GOOD}, TRAIN + " --budget soon", "E103", "training.budget", "soon")
refused("--seed of nonsense", {"rows.csv": GOOD}, TRAIN + " --seed x", "E701", "seed")

# ------------------------------------------------------------------------------------------------------- outputs and bundles

refused("-o is a file", {"rows.csv": GOOD, "out": "precious"}, TRAIN, "E303", "out", "not a bundle", "-o")
refused("-o is a file, overwriting", {"rows.csv": GOOD, "out": "precious"}, TRAIN + " --overwrite", "E303", "out", "not a bundle")
refused(
    "-o is a folder of others",
    {"rows.csv": GOOD, "out/mine.txt": "precious"},
    TRAIN + " --overwrite",
    "E303",
    "out",
    "not a bundle",
)
refused("-o is a bundle", {"rows.csv": GOOD}, "train rows.csv -t y -o model", "E303", "model", "--overwrite")
refused("-o below a file", {"rows.csv": GOOD, "file": ""}, "train rows.csv -t y -o file/out", "E703", "file")
refused("-o beside others' partial", {"rows.csv": GOOD, "out.partial/mine.txt": "precious"}, TRAIN, "E703", "out.partial", "move")
refused("predictions to an unknown ending", {"rows.csv": unlabelled()}, PREDICT + " -o p.xyz", "E704", "p.xyz", "p.csv")
refused("predictions into a missing folder", {"rows.csv": unlabelled()}, PREDICT + " -o no/p.csv", "E703", "no/p.csv")
refused("predictions over a folder", {"rows.csv": unlabelled(), "p.csv/x": ""}, PREDICT + " -o p.csv", "E703", "p.csv")
refused("report into a missing folder", {"rows.csv": GOOD}, EVALUATE + " -o no/r.html", "E703", "no/r.html")
refused("init over a file", {"rows.csv": GOOD, "r.yaml": "mine"}, "init rows.csv -t y -o r.yaml", "E303", "r.yaml")
refused("init of a broken file", {"rows.csv": GOOD + "1,2\n"}, "init rows.csv -t y -o r.yaml", "E208", "rows.csv", "line 62")
refused("bundle: missing", {}, "show gone", "E301", "gone", "deepwright train")
refused("bundle: a file", {"b": "x"}, "show b", "E301", "b")
refused("bundle: a folder of others", {"b/x": ""}, "predict b x.csv", "E301", "b", "manifest.json")
refused(
    "bundle: a flipped byte",
    edited("model.onnx", lambda d: d[:99] + bytes([d[99] ^ 1]) + d[100:]),
    "predict model rows.csv",
    "E302",
    "model.onnx",
    "changed",
)
refused(
    "bundle: changed weights",
    edited("weights.safetensors", lambda d: d[:-1] + b"\7"),
    "show model",
    "E302",
    "weights.safetensors",
    "changed",
)
refused("bundle: cut short", edited("states.json", lambda d: d[:50]), "evaluate model rows.csv", "E302", "states.json")
refused(
    "bundle: a file is gone", lambda: Path("model/states.json").unlink(), "predict model rows.csv", "E302", "states.json", "missing"
)
refused(
    "bundle: a file and another are gone",
    lambda: [Path("model/states.json").unlink(), Path("model/model.onnx").unlink()],
    "show model",
    "E302",
    "states.json",
    "model.onnx",
)
refused("bundle: manifest is no JSON", edited("manifest.json", lambda d: d[:-50]), "show model", "E302", "manifest.json")
refused("bundle: manifest is empty", edited("manifest.json", lambda d: b""), "show model", "E302", "manifest.json")
refused("bundle: manifest is a list", edited("manifest.json", lambda d: b"[]"), "predict model rows.csv", "E302", "manifest.json")
refused("bundle: manifest is no text", edited("manifest.json", lambda d: b"\xff\xfe\0"), "show model", "E302", "manifest.json")
refused("bundle: files are a list", manifest(files=["recipe.yaml"]), "show model", "E302", "manifest.json")
refused("bundle: an entry without a hash", manifest(files={"recipe.yaml": {}}), "show model", "E302", "manifest.json")
refused("bundle: an entry that is a text", manifest(files={"recipe.yaml": "x"}), "show model", "E302", "manifest.json")
refused("bundle: files outside", manifest(files={"../rows.csv": {"sha256": "x", "bytes": 1}}), "show model", "E302", "rows.csv")
refused("bundle: no files at all", manifest(files={}), "predict model rows.csv", "E302", "model")
refused("bundle: a newer format", manifest(format=99), "predict model rows.csv", "E304", "99", "upgrade")
refused("bundle: a format that is a text", manifest(format="x"), "predict model rows.csv", "E30", "model")
refused("an unknown command", {}, "trian rows.csv", "E701", "trian", "train")
refused("an unknown option", {"rows.csv": GOOD}, TRAIN + " --sed 3", "E701", "--sed", "--seed")
refused("no target", {"rows.csv": GOOD}, "train rows.csv", "E701", "--target")


# ------------------------------------------------------------------------------------------------------------------- running


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Train a tiny model of a table, one of pictures, one of sounds and one that foretells, once."""
    place = tmp_path_factory.mktemp("bundles")
    before = Path.cwd()
    os.chdir(place)
    try:
        put({"rows.csv": GOOD} | folder(20) | recordings())
        assert run(["train", "rows.csv", "-t", "y", "-o", "model", "-q", *SMALL]) == 0
        cnn = "{image: {type: image, height: 8, width: 8}}"
        assert run(["train", "pics", "-t", "label", "-o", "seer", "-q", *SMALL, "--set", f"inputs={cnn}"]) == 0
        assert run(["train", "snd", "-t", "label", "-o", "ear", "-q", *SMALL]) == 0
        put({"hours.csv": hours(200)})
        assert run(["train", "hours.csv", "--time", "t", "--horizon", "2", "-o", "clock", "-q", *SMALL]) == 0
    finally:
        os.chdir(before)
    return place


def put(files):
    for name, data in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)


def contents():
    """Return every file and folder here, with the files' bytes."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(Path().rglob("*"))}


def arguments(command):
    """Return the words of a command line; a training from data is made small, a recipe stays as it is written."""
    words = shlex.split(command)
    return words + (SMALL if words[0] == "train" and words[1] not in ("r.yaml", "r.json") else [])


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_malformed(case, bundles, capsys, monkeypatch):
    for name in ("model", "seer", "ear", "clock"):
        if name in case.command.split() or (name == "model" and callable(case.files)):
            shutil.copytree(bundles / name, name)
    case.files() if callable(case.files) else put(case.files or {})
    before = contents()
    monkeypatch.setattr("deepwright.steps.train._export", lambda *_: {"graph": False, "error": "left out: slow"})
    capsys.readouterr()
    code = run(arguments(case.command))
    out, err = capsys.readouterr()
    if os.environ.get("SHOW"):
        print(f"\n##### {case.name}  → {code}\n{err}{out[:300]}")
    if case.code is not None:
        check_refused(case, code, out, err)
        assert contents() == before, "a refusal leaves everything as it was"
    else:
        assert code == 0, err
        for word in case.words:
            assert word in err + out, err + out
        after = contents()
        assert {name: after.get(name) for name in before} == before
        new = {name.partition("/")[0] for name in after if name not in before}
        assert new <= {"out"}
        if case.rows is not None:
            assert rows_out(case, out) == case.rows
    assert "Traceback" not in out + err


def test_columns_in_another_order_give_the_same_predictions(bundles, capsys):
    shutil.copytree(bundles / "model", "model")
    frame = pl.read_csv(unlabelled().encode(), infer_schema=False)
    frame.write_csv("rows.csv")
    frame.select(reversed(frame.columns)).write_csv("turned.csv")
    assert run(["predict", "model", "rows.csv"]) == 0
    first = capsys.readouterr().out
    assert run(["predict", "model", "turned.csv"]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
@pytest.mark.parametrize("command", [TRAIN, "inspect rows.csv", "train good.csv -t y -o locked/out"])
def test_permission_denied(command, capsys):
    put({"rows.csv": GOOD, "good.csv": GOOD, "locked/x": ""})
    Path("rows.csv").chmod(0)
    Path("locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert run(arguments(command)) not in (0, BUG)
    finally:
        Path("locked").chmod(0o755)
    err = capsys.readouterr().err
    assert "E201" in err or "E703" in err
    assert "Traceback" not in err
    assert sorted(map(str, Path().iterdir())) == ["good.csv", "locked", "rows.csv"]


def test_rows_beyond_the_first_chunk_keep_their_numbers(bundles, monkeypatch, capsys):
    monkeypatch.setattr("deepwright.runtime.CHUNK", 4)
    shutil.copytree(bundles / "seer", "seer")
    put(COLUMN | {"p.csv": LISTED.replace("odd/one.png", "odd/gone.png")})
    assert run(["predict", "seer", "p.csv"]) == 3
    assert "counted from row 9" in capsys.readouterr().err


def check_refused(case, code, out, err):
    assert code not in (0, BUG), err
    codes = re.findall(r"^  error  (E\d+)", err, re.MULTILINE)
    assert codes, err
    assert codes[0].startswith(case.code), err
    assert out == "", "standard output stays empty"
    for word in case.words:
        assert word in err, err
    assert re.search(r"^         do  ", err, re.MULTILINE), f"no fix in\n{err}"


def rows_out(case, out):
    if case.command.startswith("predict"):
        return len(out.splitlines()) - 1
    sides = json.loads(Path("out/manifest.json").read_text())["lineage"]["rows"]
    return sides["train"] + sides["validation"]
