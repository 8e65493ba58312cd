"""Malformed texts, tags, sounds, series, ratings, pairs and weights, through the real command line, as in test_malformed.py.

``python tests/test_malformed_kinds.py`` prints how many cases there are of each kind.
"""

import gzip
import io
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import test_malformed as first
from deepwright.cli.main import run
from test_malformed import Case, check_refused, contents, folder, put, rows_out

CASES: list[tuple[str, Case]] = []
"""Each case and its kind."""


def refused(kind, name, files, command, code, *words):
    CASES.append((kind, Case(name, files, command, code, words)))


def repaired(kind, name, files, command, *words, rows=None):
    CASES.append((kind, Case(name, files, command, None, words, rows)))


def csv(frame):
    return frame.write_csv()


WORDS = ("good film about a ship", "bad film about a dog", "the ship was good", "the dog was not so bad", "what a long film it was")


def texts(n=60, **odd):
    """Return texts with a class; ``odd`` replaces texts: ``t3="…"``."""
    rows = [WORDS[i % 5] + f" {i % 7}" for i in range(n)]
    for at, text in odd.items():
        rows[int(at[1:])] = text
    return pl.DataFrame({"text": rows, "y": ["ab"["bad" in row or i % 9 == 0] for i, row in enumerate(rows)]}, strict=False)


TEXT = "data: t.csv\ninputs: {text: {type: text, encoder: {type: bag, width: 4}}}\noutputs: {y: binary}\ntraining: {epochs: 1}\n"
READ = "predict reader t.csv"
LEARN = "train r.yaml -o out"


def asked(**odd):
    """Return ten texts to predict from."""
    return csv(texts(10, **odd).select("text"))


def learnt(frame, recipe=TEXT, **files):
    return {"t.csv": frame if isinstance(frame, str | bytes) else csv(frame), "r.yaml": recipe, **files}


repaired("texts", "a token of 10 MB", {"t.csv": asked(t3="x" * 10_000_000)}, READ, rows=10)
repaired("texts", "a token of 10 MB to learn from", learnt(texts(t3="x" * 10_000_000)), LEARN, rows=60)
repaired("texts", "a hundred thousand words", {"t.csv": asked(t3="word " * 100_000)}, READ, rows=10)
refused("texts", "a lone surrogate in CSV", {"t.csv": asked().encode() + b"a \xed\xa0\x80 b\n"}, READ, "E207", "t.csv", "line 12")
LONE = '{"text": "a \\ud800 film"}\n'
refused(
    "texts", "a lone surrogate in JSON lines", {"t.jsonl": '{"text": "good"}\n' + LONE}, "predict reader t.jsonl", "E2", "t.jsonl"
)
refused("texts", "a lone surrogate in JSON", {"t.json": "[" + LONE.strip() + "]"}, "predict reader t.json", "E2", "t.json")
refused("texts", "half a character at the end", {"t.csv": asked().encode() + "上海".encode()[:-1]}, READ, "E207", "t.csv")
refused("texts", "NUL in a text", {"t.csv": asked(t3="a\0b")}, READ, "E207", "t.csv", "line 5", "NUL")
repaired("texts", "empty texts", {"t.csv": 'text,n\n"",1\n" ",2\nNA,3\n'}, READ, rows=3)
repaired(
    "texts", "signs, emoji and nothing known", {"t.csv": asked(t1="!?…", t2="🙂🙃", t3="ﷺ", t4="\u200b\u200d\u202e")}, READ, rows=10
)
repaired("texts", "control characters", {"t.csv": asked(t1="a\x01\x07b\x1b[31m")}, READ, rows=10)
repaired("texts", "numbers instead of texts", {"t.csv": "text\n" + "".join(f"{i}\n" for i in range(9))}, READ, rows=9)
refused("texts", "another column", {"t.csv": "txt\na good film\n"}, READ, "E107", "t.csv", "text")
refused("texts", "a text that is an object", {"t.json": '[{"text": {"a": [1]}}]'}, "predict reader t.json", "E", "t.json")
refused("texts", "no text at all", learnt("text,y\n" + ",a\n,b\n" * 30), LEARN, "E260", "text")
repaired(
    "texts",
    "subwords of no vocabulary",
    learnt(texts(), TEXT.replace("type: text,", "type: text, tokens: bpe, max_size: 3,")),
    LEARN,
    rows=60,
)
refused(
    "texts",
    "letters of subwords",
    learnt(texts(), TEXT.replace("type: text,", "type: text, tokens: bpe, letters: true,")),
    LEARN,
    "E103",
    "letters",
)
refused("texts", "pictures read as texts", learnt(texts(), TEXT.replace("bag, width: 4", "resnet")), LEARN, "E108", "resnet")

TAGGED = "".join(f"w{i} B-X\nv{i % 3} I-X\n" + "u O\n" * (1 + i % 2) + "\n" for i in range(40))
TAGS = (
    "data: {source: t.conll}\ninputs: {tokens: {type: text, encoder: {type: lstm, width: 4, embedding: 4}}}\n"
    "outputs: {tags: labels}\ntraining: {epochs: 1}\n"
)


def tagged(text=TAGGED, recipe=TAGS):
    return {"t.conll": text, "r.yaml": recipe}


refused("tags", "a token without a label", tagged(TAGGED + "w\n"), LEARN, "E225", "t.conll", "line 181")
refused("tags", "three fields among two", tagged(TAGGED + "w B-X Y\n"), LEARN, "E225", "t.conll", "line 181")
refused("tags", "a label without a token", tagged(TAGGED + "\tO\n"), LEARN, "E225", "t.conll")
refused("tags", "blank lines only", tagged("\n\n\n"), LEARN, "E206", "t.conll")
refused("tags", "an empty file", tagged(""), LEARN, "E206", "t.conll")
refused("tags", "Latin-1", tagged((TAGGED + "é O\n").encode("latin-1")), LEARN, "E207", "t.conll", "line 181")
refused("tags", "a binary file", tagged(b"\x89PNG\r\n\x1a\n\0\0"), LEARN, "E207", "t.conll")
repaired("tags", "spans that begin with I-", tagged(TAGGED.replace("w3 B-X", "w3 O")), LEARN, "begin with I-", rows=40)
repaired("tags", "a token of 10 MB", tagged(TAGGED + "x" * 10_000_000 + " O\n"), LEARN, rows=41)
repaired("tags", "no blank line at the end", tagged(TAGGED.rstrip("\n")), LEARN, rows=40)
repaired("tags", "carriage returns", tagged(TAGGED.replace("\n", "\r\n").encode()), LEARN, rows=40)
refused("tags", "gzip cut short", {"t.conll.gz": gzip.compress(TAGGED.encode())[:-15]}, "inspect t.conll.gz", "E202", "t.conll.gz")
LISTS = json.dumps({"tokens": ["a", "b"], "tags": ["O"]}) + "\n"
WHOLE = "".join(json.dumps({"tokens": [f"w{i}", "u"], "tags": ["B-X", "OB"[i % 2] + "-X" * (i % 2)]}) + "\n" for i in range(30))
refused(
    "tags", "fewer labels than tokens", {"t.jsonl": WHOLE + LISTS, "r.yaml": TAGS.replace("t.conll", "t.jsonl")}, LEARN,
    "E226", "row 31", "2 tokens, 1 labels",
)  # fmt: skip
repaired(
    "tags",
    "labels of a number",
    {"t.jsonl": WHOLE + '{"tokens": ["a"], "tags": 3}\n', "r.yaml": TAGS.replace("t.conll", "t.jsonl")},
    LEARN,
    rows=31,
)
repaired(
    "tags",
    "tokens alone at prediction",
    {"t.jsonl": '{"tokens": ["w1", "new", ""]}\n{"tokens": []}\n'},
    "predict tagger t.jsonl",
    rows=2,
)
repaired("tags", "a text where tokens were", {"t.csv": "tokens\nw1 v1 u\n"}, "predict tagger t.csv", rows=1)

TS = "@problemName toy\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"
WAVES = TS + "".join(
    ",".join(str(round(np.sin(i + k / (1 + i % 2)), 3)) for k in range(12)) + f":{'ab'[i % 2]}\n" for i in range(40)
)
SERIES = (
    "data: t.ts\ninputs: {series: {type: series, encoder: {type: lstm, width: 4}}}\noutputs: {label: category}\n"
    "training: {epochs: 1}\n"
)


def waves(text, recipe=SERIES):
    return {"t.ts": text, "r.yaml": recipe}


LISTED = "series,label\n" + "".join(f'"{";".join(str((i * k) % 7) for k in range(12))}",{"ab"[i % 2]}\n' for i in range(40))


def listed(more=""):
    return {"t.csv": LISTED + more, "r.yaml": SERIES.replace("t.ts", "t.csv")}


refused("series", "a word among numbers", waves(WAVES + "1,two,3:a\n"), LEARN, "E270", "t.ts", "line 46", "'two'")
refused("series", "no @data", waves(WAVES.replace("@data\n", "")), LEARN, "E270", "t.ts", "line")
refused("series", "a header line that is none", waves("nonsense\n" + WAVES), LEARN, "E270", "t.ts", "line 1")
refused("series", "an unknown class", waves(WAVES + "1,2:c\n"), LEARN, "E270", "t.ts", "line 46", "'c'")
refused("series", "another number of dimensions", waves(WAVES + "1,2:3,4:a\n"), LEARN, "E270", "t.ts", "line 46")
refused(
    "series", "time stamps", waves(WAVES.replace("@timeStamps false", "@timeStamps true")), LEARN, "E270", "t.ts", "time stamps"
)
refused("series", "a series without a place", waves(WAVES + ":a\n"), LEARN, "E270", "t.ts", "line 46")
refused("series", "an empty file", waves(""), LEARN, "E2", "t.ts")
refused("series", "a binary file", waves(b"\x00\x01\x02\xff" * 50), LEARN, "E2", "t.ts")
refused("series", "a file cut in the last line", waves(WAVES[:-2]), LEARN, "E270", "t.ts", "line 45")
repaired("series", "gaps", waves(WAVES + "1,?,3:a\n?,?:b\n"), LEARN, rows=42)
repaired(
    "series",
    "one place, and a thousand",
    waves(WAVES + "1:a\n" + ",".join("123456789"[k % 9] for k in range(1000)) + ":b\n"),
    LEARN,
    rows=42,
)
refused(
    "series",
    "words in a list at prediction",
    {"t.csv": 'series\n"1;2;x;4"\n'},
    "predict wave t.csv",
    "E",
    "t.csv",
    "column series",
    "row 1",
)
refused(
    "series",
    "an infinite number in a list",
    {"t.csv": 'series\n"1;inf;3"\n'},
    "predict wave t.csv",
    "E221",
    "t.csv",
    "column series",
    "row 1",
)
repaired("series", "series without a place at prediction", {"t.csv": 'series,n\n"",1\n"1",2\n'}, "predict wave t.csv", rows=2)
repaired("series", "lists with gaps", listed('"1;?;3;nan;5;6;7;8;9;1",a\n'), LEARN, rows=41)
refused(
    "series",
    "no number at all",
    {
        "t.json": json.dumps([{"series": [None, None], "label": "ab"[i % 2]} for i in range(30)]),
        "r.yaml": SERIES.replace("t.ts", "t.json"),
    },
    LEARN,
    "E2",
)
refused(
    "series",
    "channels that differ",
    {
        "t.json": json.dumps([{"series": [[1.0, 2.0][: 1 + (i > 20)]] * 3, "label": "ab"[i % 2]} for i in range(30)]),
        "r.yaml": SERIES.replace("t.ts", "t.json"),
    },
    LEARN,
    "E271",
    "series",
)

RATED = "user,film,rating,day\n" + "".join(f"u{i % 8},f{(i * 5) % 11},{i % 5 + 1},{i}\n" for i in range(80))
TASTE = (
    "data: {source: t.csv, split: {by: last, group: user, column: day}, columns: declared}\n"
    "inputs: {user: category, film: category}\n"
    "outputs: {rating: number}\ntabular: {type: factorization_machine, factors: 4}\ntraining: {epochs: 1}\n"
)
USERS, FILMS = "user\nu1\nu2\n", "film\nf1\nf2\nf3\n"


def rated(text=RATED, recipe=TASTE):
    return {"t.csv": text, "r.yaml": recipe}


def shop(users=USERS, films=FILMS, **more):
    return {"users.csv": users, "films.csv": films} | {f"{name}.csv": text for name, text in more.items()}


TOP = "recommend taste users.csv films.csv --top 2"
repaired("recommendation", "an unknown user", shop("user\nu1\nnobody\n"), TOP, "never saw")
repaired("recommendation", "an unknown film", shop(films=FILMS + "f999\n"), TOP, "never saw")
repaired(
    "recommendation",
    "an unknown user at prediction",
    {"t.csv": "user,film\nnobody,f1\n,f2\n"},
    "predict taste t.csv",
    "never saw",
    rows=2,
)
repaired("recommendation", "a user twice", shop(USERS + "u1\n"), TOP, "1 rows repeat a value of user")
repaired("recommendation", "a user without a name", shop("user,n\nu1,1\n,2\n"), TOP, "1 rows without user")
repaired("recommendation", "seen pairs of others", shop(seen="user,film\nx,f1\nu1,y\n"), TOP + " --seen seen.csv")
refused("recommendation", "no user column", shop("name\nann\nbob\n"), TOP, "E275", "users.csv", "user")
repaired("recommendation", "users among the films", shop(films="film,user\nf1,u1\nf2,u2\n"), TOP)
refused("recommendation", "no films", shop(films="film\n"), TOP, "E206", "films.csv")
refused(
    "recommendation",
    "a rating that is a word",
    rated(RATED + "u1,f1,great,99\n"),
    LEARN,
    "E220",
    "t.csv",
    "column rating",
    "'great'",
)
refused(
    "recommendation",
    "a split by a column that is not there",
    rated(recipe=TASTE.replace("column: day", "column: dya")),
    LEARN,
    "E107",
    "'dya'",
    "'day'",
)
refused(
    "recommendation",
    "one row a user",
    rated("user,film,rating,day\n" + "".join(f"u{i},f{i % 5},{i % 5},{i}\n" for i in range(60))),
    LEARN,
    "E231",
)
refused("recommendation", "no K", shop(), TOP.replace("2", "0"), "E701", "--top")

PAIRED = "question,answer\n" + "".join(f"what of w{i} and v{i % 7},w{i} is v{i % 7}\n" for i in range(60))
MATCH = (
    "data: {source: t.csv, derive: {match: answer}}\n"
    "inputs: {question: {type: text, min_count: 1, encoder: {type: bag, width: 4}}, answer: {type: text, same_as: question}}\n"
    "outputs: {match: match}\ntraining: {epochs: 1}\n"
)


def parquet(frame):
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def search(index, questions="question\nwhat of w1\nwhat of w2\n", **more):
    return {"q.csv": questions, "i.parquet": index if isinstance(index, bytes) else parquet(index), **more}


FIND = "neighbours faq q.csv --index i.parquet -k 2"
ANSWERS = pl.DataFrame({"answer": ["w1 is v1", "w2 is v2", ""]})
refused("pairs", "an index cut short", search(parquet(ANSWERS)[:-20]), FIND, "E2", "i.parquet")
refused("pairs", "no index", {"q.csv": "question\na\n"}, FIND, "E200", "i.parquet")
refused("pairs", "an index of other columns", search(pl.DataFrame({"reply": ["a"]})), FIND, "E107", "i.parquet", "answer")
refused("pairs", "vectors of another width", search(pl.DataFrame({"vector": [[1.0, 2.0]]})), FIND, "E286", "4 and 2")
refused(
    "pairs", "vectors of two widths", search(pl.DataFrame({"vector": [[1.0], [1.0, 2.0]]})), FIND, "E286", "i.parquet", "vector"
)
refused("pairs", "vectors with gaps", search(pl.DataFrame({"vector": [[1.0, None, 2.0, 3.0]]})), FIND, "E286", "i.parquet")
refused("pairs", "vectors that are not finite", search(pl.DataFrame({"vector": [[1.0, float("nan"), 2.0, 3.0]]})), FIND, "E286")
refused("pairs", "no K", search(ANSWERS), FIND.replace("2", "0"), "E701", "-k")
refused("pairs", "paired, and not as many", search(ANSWERS), FIND + " --paired", "E286", "2 and 3")
refused("pairs", "an unknown input", search(ANSWERS), FIND + " --of reply", "E706", "'reply'", "question, answer")
refused("pairs", "vectors into CSV", {"q.csv": "question\na\n"}, "embed faq q.csv -o v.csv", "E704", "v.csv", "v.parquet")
refused(
    "pairs",
    "one of the two inputs",
    {
        "t.csv": PAIRED,
        "r.yaml": MATCH.replace(", answer: {type: text, same_as: question}", "").replace("derive", "columns: declared, derive"),
    },
    LEARN,
    "E108",
    "match",
)
repaired("pairs", "empty and unknown texts", search(ANSWERS, "question,n\n,1\nzzz,2\n"), FIND)
repaired("pairs", "partners that are missing", {"t.csv": PAIRED + "what of w1,\n,w3 is v3\n", "r.yaml": MATCH}, LEARN)
repaired("pairs", "more neighbours than there are", search(ANSWERS), FIND.replace("-k 2", "-k 99"))

WEIGHTS = (
    "data: pics\n"
    "inputs: {image: {type: image, height: 8, width: 8, encoder: {type: pretrained, weights: FILE, model: {type: cnn}}}}\n"
    "outputs: {label: category}\ntraining: {epochs: 1, batch: 4}\n"
)


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def start(name, data):
    return folder(20) | {name: data, "r.yaml": WEIGHTS.replace("FILE", name)}


refused("transfer", "a file that is not there", folder(20) | {"r.yaml": WEIGHTS.replace("FILE", "w.npz")}, LEARN, "E200", "w.npz")
refused("transfer", "an archive cut short", start("w.npz", npz(a=np.zeros(9))[:-30]), LEARN, "E", "w.npz")
refused("transfer", "a pickle", start("w.pth", b"\x80\x02}q\x00."), LEARN, "E", "w.pth", "pickle")
refused("transfer", "pickles in an archive", start("w.npz", npz(a=np.array([{}], object))), LEARN, "E", "w.npz")
refused(
    "transfer", "a header that lies", start("w.safetensors", (10**9).to_bytes(8, "little") + b"{}"), LEARN, "E", "w.safetensors"
)
refused("transfer", "a text", start("w.safetensors", b"no weights"), LEARN, "E", "w.safetensors")
refused("transfer", "names of another network", start("w.npz", npz(foo=np.zeros((2, 2), np.float32))), LEARN, "E276", "foo")


SMALL = "{type: transformer_decoder, width: 8, heads: 2, depth: 1, beam: 2, max_length: 6}"
READER = "{type: transformer, width: 8, heads: 2, depth: 1, embedding: 8}"
WRITE = (
    f"data: t.csv\ninputs: {{text: {{type: text, encoder: {READER}}}}}\n"
    f"outputs: {{y: {{type: text, head: {SMALL}}}}}\ntraining: {{epochs: 1}}\n"
)
CONTINUE = (
    f"data: {{source: t.csv, columns: declared}}\noutputs: {{text: {{type: text, tokens: char, head: {SMALL}}}}}\n"
    "training: {epochs: 1}\n"
)


def pairs(n=40, **odd):
    """Return texts with the texts that are to be written; ``odd`` replaces those."""
    rows = [f"{['ein', 'zwei', 'drei'][i % 3]} {i % 5}" for i in range(n)]
    for at, text in odd.items():
        rows[int(at[1:])] = text
    return pl.DataFrame({"text": texts(n)["text"], "y": rows}, strict=False)


def written(**odd):
    return learnt(pairs(**odd), WRITE)


def book(text):
    return {"r.yaml": CONTINUE.replace("source: t.csv", "source: {type: plain, path: b.txt}"), "b.txt": text}


def to_read(*rows):
    return {"t.csv": "text,n\n" + "".join(f'"{row}",{i}\n' for i, row in enumerate(rows))}


OUT, ON = "predict writer t.csv", "predict story t.csv"
kind = "written texts"
refused(kind, "no text to write at all", learnt(pairs(3, t0="", t1=None, t2=" "), WRITE), LEARN, "E231", "0 rows")
refused(kind, "one text to write only", learnt("text,y\n" + "a,same\n" * 30, WRITE), LEARN, "E403", "y")
repaired(kind, "empty and missing texts to write", written(t0="", t1=None, t2=" "), LEARN, rows=37)
repaired(kind, "a token of 10 MB to write", written(t3="x" * 10_000_000), LEARN, rows=40)
repaired(kind, "a hundred thousand words to write", written(t3="wort " * 100_000), LEARN, rows=40)
repaired(kind, "signs, emoji and directions to write", written(t1="!?…", t2="🙂🙃", t4="\u200b\u202e"), LEARN, rows=40)
lone = csv(pairs()).encode() + b"a,b \xed\xa0\x80\n"
refused(kind, "a lone surrogate to write", learnt(lone, WRITE), LEARN, "E207", "t.csv")
repaired(kind, "nothing to read", to_read("", "NA"), OUT, rows=2)
repaired(kind, "a token of 10 MB to read", to_read("x" * 10_000_000), OUT, rows=1)
refused(kind, "an encoder without states", learnt(pairs(), WRITE.replace(READER, "bag")), LEARN, "E108", "states")
nobody = WRITE.replace("y: {type: text,", "y: {type: text, same_as: z,")
refused(kind, "a vocabulary of nobody", learnt(pairs(), nobody), LEARN, "E107", "'z'")
refused(kind, "a beginning that is too long", to_read("good " * 300, "bad"), ON, "E267", "rows 1")
repaired(kind, "beginnings of several lengths, and none", to_read("a good", "", "NA", "x🙂"), ON, rows=4)
repaired(kind, "no column of beginnings", {"t.csv": "n\n1\n2\n"}, ON, rows=2)
refused(kind, "running text that is none", book(b"a\x01b"), LEARN, "E207", "b.txt")
refused(kind, "an empty book", book(" \n\n"), LEARN, "E206", "b.txt")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Train a tiny model of each kind, once."""
    place = tmp_path_factory.mktemp("models")
    before = Path.cwd()
    os.chdir(place)
    try:
        for name, files in {
            "reader": learnt(texts()),
            "tagger": tagged(),
            "wave": listed(),
            "taste": rated(),
            "faq": {"t.csv": PAIRED, "r.yaml": MATCH},
            "writer": learnt(pairs(), WRITE),
            "story": learnt(texts(), CONTINUE),
        }.items():
            put(files)
            assert run(["train", "r.yaml", "-o", name, "-q"]) == 0
    finally:
        os.chdir(before)
    return place


@pytest.mark.parametrize(("kind", "case"), CASES, ids=[f"{kind}: {case.name}" for kind, case in CASES])
def test_malformed_of_each_kind(kind, case, models, capsys, monkeypatch):
    words = case.command.split()
    for name in ("reader", "tagger", "wave", "taste", "faq", "writer", "story"):
        if name in words:
            shutil.copytree(models / name, name)
    put(case.files)
    before = contents()
    monkeypatch.setattr("deepwright.steps.train._export", lambda *_: {"graph": False, "error": "left out: slow"})
    capsys.readouterr()
    code = run(words)
    out, err = capsys.readouterr()
    if os.environ.get("SHOW"):
        print(f"\n##### {kind}: {case.name}  → {code}\n{err[:1500]}{out[:300]}")
    assert "Traceback" not in out + err
    if case.code is not None:
        check_refused(case, code, out, err)
        assert contents() == before, "a refusal leaves everything as it was"
        return
    assert code == 0, err
    for word in case.words:
        assert word in err + out, err + out
    after = contents()
    assert {name: after.get(name) for name in before} == before
    assert {name.partition("/")[0] for name in after if name not in before} <= {"out"}
    if case.rows is not None:
        assert rows_out(case, out) == case.rows


def counted():
    """Return how many malformed inputs of each kind are tried."""
    sounds = [case for case in first.CASES if {"snd", "ear"} & set(case.command.split())]
    return Counter(kind for kind, _ in CASES) + Counter({"sounds": len(sounds)})


def test_every_kind_has_its_cases():
    assert min(counted().values()) >= 7
    assert counted().total() >= 100


if __name__ == "__main__":
    for kind, count in sorted(counted().items()):
        print(f"{count:4}  {kind}")
    print(f"{counted().total():4}  together")
