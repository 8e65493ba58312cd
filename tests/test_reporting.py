"""Reports are well-formed, safe against what the data hold, complete, and readable without a network."""

import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from deepwright import textscores
from deepwright.facts import COUNTED, TargetFacts
from deepwright.findings import Finding
from deepwright.metrics import METRICS, evaluate, score
from deepwright.profiling import ColumnProfile, Numbers, Profile, TopValue
from deepwright.reporting import charts
from deepwright.reporting.evaluation import evaluation_fragment, evaluation_html
from deepwright.reporting.inspection import inspection_html
from deepwright.reporting.page import Page, embedded, picture, section, table
from deepwright.reporting.svg import tick_labels, ticks
from deepwright.reporting.text import Markup, duration, escape, number, percent, shorten, tag, width
from deepwright.reporting.training import TrainingReport, training_html

EVIL = "</svg><script>alert(1)</script>\" onload='x' & \x00\x0b]]>"
VOID = {"br", "hr", "img", "meta", "link", "input"}


class Checker(HTMLParser):
    """Reads a page as a browser would, and remembers its elements."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def check(page):
    checked = Checker(page)
    assert not {"script", "iframe", "object", "embed", "link", "form"} & set(checked.tags)
    for key, value in checked.attributes:
        assert not key.startswith("on"), key
        if key in ("src", "href"):
            assert value.startswith(("data:image/png;base64,", "#")), value
    anchors = {value[1:] for key, value in checked.attributes if key == "href"}
    ids = [value for key, value in checked.attributes if key == "id"]
    assert anchors <= set(ids)
    assert len(ids) == len(set(ids))
    assert "nan" not in checked.text.lower().split()
    return checked


def svg(drawing):
    root = ET.fromstring(drawing)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("role") == "img"
    assert root[0].tag.endswith("title")
    assert "nan" not in drawing
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
    return root


def drawn(root, name):
    return [element for element in root.iter() if element.tag.endswith("}" + name)]


# --- text ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0"),
        (5.2e-17, "0"),
        (0.870249, "0.8702"),
        (0.5, "0.5000"),
        (32561, "32,561"),
        (32561.4, "32,561"),
        (12.5, "12.5"),
        (-3.14159, "−3.142"),
        (3.1e-7, "3.1e-7"),
        (-3.1e-7, "−3.1e-7"),
        (2.5e12, "2.5e12"),
        (float("inf"), "∞"),
        (True, "True"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_words():
    assert percent(0.0) == "0 %"
    assert percent(0.056) == "5.6 %"
    assert percent(0.76) == "76 %"
    assert duration(0.42) == "0.42 s"
    assert duration(192) == "3 min 12 s"
    assert duration(7500) == "2 h 5 min"
    assert shorten("short", 10) == "short"
    assert shorten("a very long name indeed", 8).endswith("…")
    assert width("上海") == 2


@given(st.text())
def test_text_is_never_markup(text):
    escaped = escape(text)
    assert not re.search("[<>\"']", escaped)
    assert escape(escaped) is escaped
    element = ET.fromstring(tag("b", text, title=text))
    assert set(element.keys()) == {"title"}
    assert len(element) == 0


@settings(deadline=None)
@example(6.103515625e-05, 1e-6, 2)
@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12), st.integers(2, 9))
def test_ticks_are_few_round_and_inside(low, span, most):
    high = low + span
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        return
    found = ticks(low, high, most)
    assert len(found) <= most + 1
    slack = 1e-6 * (high - low) + 1e-9 * abs(low)
    assert all(low - slack <= value <= high + slack for value in found)
    assert all(a < b for a, b in pairwise(found))
    assert len(set(tick_labels(found))) == len(found)


# --- charts -------------------------------------------------------------------------------------------------------------------


def test_lines_break_at_gaps_and_escape():
    chart = charts.line(
        {EVIL: ([1, 2, 3, 4], [1.0, None, 2.0, 3.0]), "b": ([1, 2], [float("nan"), 5.0])},
        title=EVIL, x_label=EVIL, y_label=EVIL, marks=[(3, EVIL)], diagonal=True,
    )  # fmt: skip
    root = svg(chart)
    assert len(drawn(root, "circle")) == 2  # lone points: (1, 1) and (2, 5)
    assert len(drawn(root, "path")) == 1


@pytest.mark.parametrize("ys", [[], [None], [3.0], [3.0, 3.0], [1e-300, 1e300]])
def test_lines_of_little(ys):
    svg(charts.line({"a": (list(range(len(ys))), ys)}, title="t"))


def test_histogram():
    root = svg(charts.histogram([0, 1, 2, 3], [5, 0, 7], title="t", x_label="x", marks=[(1.5, "here"), (9, "outside")]))
    assert len(drawn(root, "rect")) == 2
    svg(charts.histogram([4.0, 4.0], [12], title="constant"))
    svg(charts.histogram([0, 1], [0], title="empty"))


def test_bars():
    root = svg(charts.bars([EVIL, "b", "c"], [3.0, None, 0.0], title="t", x_label="rows"))
    assert len(drawn(root, "rect")) == 3
    svg(charts.bars([], [], title="none"))


def test_scatter_thins():
    rng = np.random.default_rng(0)
    few = svg(charts.scatter(rng.normal(size=50), rng.normal(size=50), title="t", diagonal=True))
    assert len(drawn(few, "circle")) == 50
    many = svg(charts.scatter(rng.normal(size=5000), rng.normal(size=5000), title="t"))
    assert 50 < len(drawn(many, "rect")) < 48 * 48
    svg(charts.scatter([], [], title="none"))
    svg(charts.scatter([1.0], [np.nan], title="none"))


def test_reliability():
    root = svg(charts.reliability([0.1, 0.9], [0.2, 0.8], [10, 30], title="t"))
    assert len(drawn(root, "circle")) == 2


def boxes(root):
    """The rough boxes of upright texts, as (left, right, top, bottom)."""
    found = []
    for element in drawn(root, "text"):
        if element.get("transform") or not element.text:
            continue
        size, x, y = float(element.get("font-size")), float(element.get("x")), float(element.get("y"))
        wide = 0.85 * size * width(element.text)  # the estimate is generous
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[element.get("text-anchor")]
        found.append((left, left + wide, y - 0.7 * size, y))
    return found


@pytest.mark.parametrize("classes", [2, 3, 6, 7, 12, 20, 50])
@pytest.mark.parametrize("label", ["c{}", "a rather long class name {}", "咖啡馆的很长的类别名称{}"])
def test_heatmap_labels_do_not_overlap(classes, label):
    rng = np.random.default_rng(0)
    labels = [label.format(i) for i in range(classes)]
    root = svg(charts.heatmap(rng.integers(0, 99_999, (classes, classes)), labels, labels, title="t"))
    found = boxes(root)
    box = np.array(found)
    left, right, top, bottom = box.T
    overlap = (left[:, None] < right) & (left < right[:, None]) & (top[:, None] < bottom) & (top < bottom[:, None])
    assert overlap.sum() == len(found)  # each with itself only
    wide, high = map(float, root.get("viewBox").split()[2:])
    assert left.min() >= 0
    assert right.max() <= wide
    assert bottom.max() <= high


@pytest.mark.parametrize("scale", [1e-5, 0.01, 1, 1234, 5e6, 3e11])
def test_axis_labels_do_not_overlap(scale):
    xs = np.linspace(0.3, 1.7, 20) * scale
    left, right, top, bottom = np.array(boxes(svg(charts.line({"a": (xs, -xs)}, title="t", x_label="x", y_label="y")))).T
    overlap = (left[:, None] < right) & (left < right[:, None]) & (top[:, None] < bottom) & (top < bottom[:, None])
    assert overlap.sum() == left.size
    assert left.min() >= -1


# --- pages --------------------------------------------------------------------------------------------------------------------


def test_page_is_safe_and_self_contained():
    page = Page(EVIL, EVIL).add(section(EVIL, table([EVIL, "n"], [[EVIL, 1.5], ["x", None]])), section("empty"), None).render()
    checked = check(page)
    assert page.startswith("<!doctype html>")
    assert "alert(1)" in checked.text
    assert "empty" not in checked.text
    assert "default-src 'none'" in dict(checked.attributes)["content"] or any("default-src" in v for _, v in checked.attributes)
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page


def test_tables_align_numbers_and_say_what_is_cut():
    made = table(["a", "b"], [["x", i] for i in range(12)], most=10)
    assert made.count('<td class="n">') == 10
    assert "and 2 more" in made
    assert table(["a"], []) == ""
    assert "<td>yes</td>" in table(["a"], [[True]])


def png(mode="RGB", size=(300, 200)):
    buffer = io.BytesIO()
    Image.new(mode, size, 128 if mode == "L" else None).save(buffer, format="PNG")
    return buffer.getvalue()


def test_pictures_are_written_anew():
    made = picture(png() + b"<script>alert(1)</script>", alt=EVIL)
    Checker(made)
    assert isinstance(made, Markup)
    assert "data:image/png;base64," in made
    for value in (np.zeros((8, 9), np.uint8), np.zeros((8, 9, 1), np.uint8), np.zeros((8, 9, 3), np.uint8), png("RGBA"), png("L")):
        assert "<img" in picture(value)
    for value in (b"<svg onload='alert(1)'/>", b"", None, np.zeros((8, 9)), np.zeros(3, np.uint8), "x.png", png()[:100]):
        assert picture(value) == '<span class="soft">no readable picture</span>'


def test_embedded_is_scoped():
    made = embedded(section("a", "b").render())
    Checker(made)
    style = re.search("<style>(.*?)</style>", made, re.S)[1]
    for rule in re.findall(r"(?:^|[}\n])([^{}@]+)\{", style):
        assert ".dw" in rule, rule


# --- evaluation ---------------------------------------------------------------------------------------------------------------

LABELS = ("<=50K", EVIL, "c", "d", "e")


def report_of(kind, size=300, classes=3, **options):
    rng = np.random.default_rng(0)
    name = f"out<{kind}>"
    if kind == "number":
        target = rng.normal(50, 10, size)
        return evaluate(TargetFacts(name, kind, center=50, rows=size), target + rng.normal(0, 3, size), target, rounds=30)
    classes = 2 if kind == "binary" else classes
    labels = tuple(LABELS[i] if i < 5 else f"c{i}" for i in range(classes))
    facts = TargetFacts(name, kind, labels, (5,) * classes, 5 * classes)
    if kind == "multilabel":
        target = (rng.random((size, classes)) < 0.3).astype(float)
        return evaluate(facts, np.clip(0.3 + 0.4 * target + rng.normal(0, 0.2, target.shape), 0, 1), target, rounds=30)
    target = rng.integers(0, classes, size)
    raw = rng.random((size, classes)) + np.eye(classes)[target]
    return evaluate(facts, raw / raw.sum(1, keepdims=True), target, rounds=30)


@pytest.mark.parametrize("kind", [kind for kind in METRICS if kind not in COUNTED])
def test_evaluation_page(kind):
    report = report_of(kind)
    checked = check(evaluation_html({report.name: report}, {"title": "t", "data": "d.csv", "recipe": "a: <b>", "seed": 3}))
    for metric in METRICS[kind].values():
        assert metric.label in checked.text
    assert "naive" in checked.text
    assert checked.tags.count("svg") >= 3
    order = [checked.text.index(word, 100) for word in ("Pictures", "Tables", "a: <b>", "Provenance")]
    assert order == sorted(order)
    Checker(evaluation_fragment({report.name: report}))


def test_evaluation_of_many_classes_and_of_several_outputs():
    reports = {r.name: r for r in (report_of("multiclass", 900, 60), report_of("number"), report_of("binary"))}
    checked = check(evaluation_html(reports))
    assert all(name in checked.text for name in reports)


@pytest.mark.parametrize("kind", [kind for kind in METRICS if kind not in COUNTED])
def test_evaluation_of_nothing_says_why(kind):
    missing = np.full((3, 3), np.nan) if kind == "multilabel" else np.full(3, np.nan) if kind == "number" else np.full(3, -1)
    facts = TargetFacts("y", kind, ("a", "b", "c")[: 2 if kind == "binary" else 3] if kind != "number" else ())
    outputs = np.full(3 if kind in ("number", "binary") else (3, 3), 0.3)
    text = check(evaluation_html({"y": evaluate(facts, outputs, missing)})).text
    assert "no row has a known target" in text
    assert "3 rows without a known target were left out" in text


def test_verdict_is_honest():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 400)
    facts = TargetFacts("y", "binary", ("a", "b"), (1, 1), 2)
    good = evaluate(facts, 0.25 + 0.5 * target, target, rounds=50)
    useless = evaluate(facts, 0.25 + 0.5 * rng.random(400), target, rounds=50)
    backwards = evaluate(facts, 0.75 - 0.5 * target, target, rounds=50)
    assert "clearly better than the naive" in evaluation_html({"y": good})
    assert "clearly better" not in evaluation_html({"y": useless})
    assert "no better than the naive" in evaluation_html({"y": backwards})


def test_worst_examples_show_the_picture_or_the_row():
    report = report_of("multiclass")
    frame = pl.DataFrame({
        "image": [png(), b"broken", None],
        report.name: ["c", EVIL, None],
        "predicted": [EVIL, "c", "c"],
        "predicted:c": [0.1, 0.95, 0.9],
        f"predicted:{EVIL}": [0.9, 0.05, 0.1],
        "note": ["x" * 500, EVIL, None],
        "size": [1.5, None, 2.0],
    })  # fmt: skip
    checked = check(evaluation_html({report.name: report}, {}, {report.name: frame}))
    assert checked.tags.count("img") == 1
    assert checked.text.count("no readable picture") == 2
    assert "95 %" in checked.text
    rows = check(evaluation_html({report.name: report}, {}, {report.name: frame.drop("image")}))
    assert "x" * 100 in rows.text
    assert "x" * 400 not in rows.text
    arrays = frame.drop("image").with_columns(pl.Series("shot", np.zeros((3, 4, 5), np.uint8)))
    assert check(evaluation_html({report.name: report}, {}, {report.name: arrays})).tags.count("img") == 3


def written(count=120, likelihood=True, searched=True):
    """Return what texts count for: every third is right, the others have lost words."""
    draw = np.random.default_rng(0)
    true = [" ".join(draw.choice(["one", "two", "three", "four"], draw.integers(1, 30))) for _ in range(count)]
    found = [text if row % 3 == 0 else " ".join(text.split()[: row % 7]) for row, text in enumerate(true)]
    likely = np.stack([draw.random(count) * 30, draw.integers(1, 30, count)], 1) if likelihood else None
    return textscores.counts(pl.Series(found) if searched else None, pl.Series(true), np.ones(count, bool), likely), true


@pytest.mark.parametrize(
    ("options", "metric"),
    [({}, "chrf"), ({"likelihood": False}, "character_error_rate"), ({"searched": False}, "bits")],
    ids=["written", "heard", "likelihood alone"],
)
def test_texts_have_pictures_of_each_row_and_of_lengths(options, metric):
    counts, true = written(**options)
    report = evaluate(TargetFacts(EVIL, "text"), counts, np.zeros(len(counts), int), rounds=30)
    alone = [score("text", metric, counts[row : row + 1], np.zeros(1, int)) for row in range(len(counts))]
    top = report.spread.edges[-1]
    assert report.spread.metric == metric
    assert list(report.spread.counts) == np.histogram(np.clip(alone, 0, top), report.spread.edges)[0].tolist()
    assert sum(report.spread.counts) == len(counts)
    assert sum(group.rows for group in report.lengths) == len(counts)
    sizes = np.array([len(text) for text in true]) if options != {"searched": False} else counts[:, -1]
    for group in report.lengths:
        low, _, high = group.label.partition("–")
        chosen = (sizes >= int(low)) & (sizes <= int(high or low))
        assert chosen.sum() == group.rows
        assert group.values[metric] == pytest.approx(score("text", metric, counts[chosen], np.zeros(chosen.sum(), int)))
    checked = check(evaluation_html({EVIL: report}))
    assert checked.tags.count("svg") == 2
    assert f"{METRICS['text'][metric].label} of each row" in checked.text
    assert "by length of the true text" in checked.text


def test_matches_have_a_picture_of_the_place_of_the_right_partner():
    places = np.random.default_rng(0).geometric(0.1, 200)
    counts = np.stack([1 / places, *(places <= rank for rank in (1, 5, 10))], 1)
    report = evaluate(TargetFacts("m", "match"), counts, np.zeros(200, int), rounds=30)
    assert [report.reach[rank - 1] for rank in (1, 5, 10)] == [report.metrics[f"recall_at_{rank}"].value for rank in (1, 5, 10)]
    assert len(report.reach) == places.max() == sorted(places)[-1]
    assert report.reach[-1] == 1
    checked = check(evaluation_html({"m": report}))
    assert checked.tags.count("svg") == 1
    assert "Right partners among the first" in checked.text
    perfect = evaluate(TargetFacts("m", "match"), np.ones((30, 4)), np.zeros(30, int), rounds=30)
    assert perfect.reach == (1.0,) * 10
    check(evaluation_html({"m": perfect}))


def test_answers_have_a_picture_of_lengths():
    draw = np.random.default_rng(0)
    f1, sizes = draw.choice([0, 0.5, 1], 90), draw.integers(1, 5, 90)
    counts, target = np.stack([f1 == 1, f1], 1), np.where(np.arange(90) % 9, 0, -1)
    report = evaluate(TargetFacts("a", "answer"), counts, target, rounds=30, sizes=sizes)
    assert [group.label for group in report.lengths] == ["1", "2", "3", "4"]
    chosen = (sizes == 2) & (target == 0)
    assert report.lengths[1].rows == chosen.sum()
    assert report.lengths[1].values == pytest.approx({"f1": f1[chosen].mean(), "exact_match": (f1[chosen] == 1).mean()})
    checked = check(evaluation_html({"a": report}))
    assert checked.tags.count("svg") == 1
    assert f"{report.lengths[1].rows} rows" in checked.text
    assert evaluate(TargetFacts("a", "answer"), counts, target, rounds=30).lengths == ()
    worst = pl.DataFrame({"a": [[{"first": 3, "last": 4, "text": EVIL}, {"first": 5, "last": 5, "text": "Rome"}]]})
    worst = worst.with_columns(pl.lit("Oslo").alias("predicted"), pl.lit(3).alias("predicted:start"), pl.lit("Who?").alias("asked"))
    shown = check(evaluation_html({"a": report}, {}, {"a": worst})).text
    assert "]]>, Rome Oslo Who?" in shown
    assert "first" not in shown.replace("worst first", "")
    assert "probability" not in shown


def test_texts_that_were_not_sought_are_not_shown_as_found():
    counts, true = written(searched=False)
    report = evaluate(TargetFacts("t", "text"), counts, np.zeros(len(counts), int), rounds=30)
    shown = check(evaluation_html({"t": report}, {}, {"t": pl.DataFrame({"t": true[:2], "predicted": ["", ""]})})).text
    assert "The least likely texts" in shown
    assert "predicted" not in shown


# --- training -----------------------------------------------------------------------------------------------------------------


def test_training_page_of_nothing():
    check(training_html(TrainingReport()))


def test_training_page():
    report = report_of("binary")
    log = [
        {"epoch": i, "step": 10 * i, "lr": 1e-3, "train_loss": 1 / i, "validation_loss": 1 / i, "roc_auc": 0.5 + i / 20}
        for i in range(1, 8)
    ]
    log[3]["roc_auc"] = float("nan")
    told = TrainingReport(
        title=EVIL,
        created="2026-01-02",
        seconds=192,
        rows={"train": 900, "validation": 100},
        notes=[{"what": "strip", "text": "blanks removed", "count": 12}],
        columns=[{"name": EVIL, "type": "number", "why": "numbers"}],
        log=log,
        best=5,
        stopped="no better for 6 epochs",
        machine=[{"precision": "fp32", "seconds": 0.2, "chosen": False}, {"precision": "bf16", "seconds": 0.1, "chosen": True}],
        model={"parameters": 512345},
        evaluation={report.name: report},
        test_name="test.csv",
        recipe_yaml="outputs: {y: binary}",
        fingerprint="sha256:abc",
        versions={"torch": "2.15"},
        seed=7,
        export={"largest_difference": 3e-7, "cases": 160},
    )  # fmt: skip
    page = training_html(told)
    checked = check(page)
    for word in (
        "3 min 12 s",
        "blanks removed",
        "best: epoch 6",
        "no better for 6 epochs",
        "512,345",
        "3e-7",
        "sha256:abc",
        "2.15",
    ):
        assert word in checked.text, word
    assert '<section id="machine">' in page
    assert re.search('<tr class="set"><td>bf16</td>', page)
    again = TrainingReport.model_validate_json(told.model_copy(update={"log": told.log[:3]}).model_dump_json())
    assert again.evaluation == told.evaluation


def test_training_log_with_nested_metrics_and_steps_only():
    log = [
        {"step": 5, "train_loss": 1.0, "metrics": {"rmse": 2.0, "other.mae": 1.0}},
        {"step": 10, "train_loss": 0.5, "metrics": {"rmse": 1.0}},
    ]
    checked = check(training_html(TrainingReport(log=log, export={"error": "E501 disagrees"})))
    assert "Validation RMSE" in checked.text
    assert "no graph was exported: E501 disagrees" in checked.text


# --- inspection ---------------------------------------------------------------------------------------------------------------


def test_inspection_page():
    numbers = Numbers(min=0, q25=1, median=2, q75=3, max=4, mean=2, std=1, zeros=0.1, edges=(0, 2, 4), counts=(5, 6))
    constant = numbers.model_copy(update={"edges": (4.0, 4.0), "counts": (11,)})
    columns = (
        ColumnProfile(name=EVIL, type="number", why="numbers", missing=1, missing_share=0.1, distinct=5, numbers=numbers),
        ColumnProfile(name="k", type="number", missing=0, missing_share=0, distinct=1, numbers=constant),
        ColumnProfile(
            name="c", type="category", missing=0, missing_share=0, distinct=2, top=(TopValue(value=EVIL, count=9, share=0.75),)
        ),
        ColumnProfile(name="d", type="date", missing=0, missing_share=0, distinct=2, first="2020-01-01", last="2021-01-01"),
        ColumnProfile(name="t", type="text", missing=12, missing_share=1, distinct=0, length=3.5),
    )
    findings = (
        Finding(code="duplicates", severity="error", columns=("c",), text=EVIL, fix="data: {clean: {duplicates: drop}}"),
        Finding(code="missing", severity="info", text="some values are missing"),
    )
    checked = check(inspection_html(Profile(name=EVIL, rows=12, sampled=10, columns=columns, target="c", findings=findings)))
    assert "data: {clean: {duplicates: drop}}" in checked.text
    assert "1 error, 1 note" in checked.text
    assert checked.tags.count("svg") == 3
    assert "Nothing deserves attention" in inspection_html(Profile(name="x", rows=0, columns=()))


def test_inspection_of_many_columns_stays_small():
    columns = tuple(ColumnProfile(name=f"c{i}", type="text", missing=0, missing_share=0, distinct=1) for i in range(500))
    page = inspection_html(Profile(name="wide", rows=3, columns=columns))
    check(page)
    assert "440 further columns" in page
    assert len(page) < 400_000


def test_axes_of_whole_numbers_have_whole_ticks():
    assert ticks(1, 3, 8, whole=True) == [1, 2, 3]
    assert ticks(1, 3, 8) != [1, 2, 3]
    drawn = charts.line({"loss": ([1, 2, 3], [0.5, 0.4, 0.3])}, title="Loss", x_label="epoch")
    assert ">1.5<" not in drawn
    assert ">2<" in drawn


def test_a_line_of_zeros_has_no_negative_axis():
    assert "−1" not in charts.line({"f1": ([1, 2, 3], [0.0, 0.0, 0.0])}, title="F1")
