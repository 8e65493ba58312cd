"""The command line: help, results, errors, exit codes; the console and the rendering behind it."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from deepwright import __version__
from deepwright.cli.main import BUG, COMMANDS, run
from deepwright.cli.predict import _flat
from deepwright.cli.render import cut, grid, render_metrics
from deepwright.console import Console, clock, plain, print_errors
from deepwright.errors import CODES, DataError, Problem, RecipeError, UsageError
from deepwright.progress import Event
from deepwright.recipe import Recipe

EXAMPLES = Path(__file__).parents[1] / "examples"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"{age}, {'ab'[age % 2]}, {'<=50K' if age < 50 else '>50K'}" for age in [*range(20, 80), *range(30, 40)]]
    Path("people.csv").write_text("age, kind, income\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_version_and_help(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"deepwright {__version__}\n"
    assert run([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert run([command, "--help"]) == 0
    assert command in capsys.readouterr().out


def test_help_is_light():
    code = (
        "import sys\nfrom deepwright.cli.main import run\nrun(['--help'])\n"
        "heavy = {'torch', 'polars', 'onnxruntime', 'numpy', 'rich', 'yaml', 'deepwright.parts'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["traain"], ["E701", "traain", "train"]),
        (["train"], ["E701", "RECIPE_OR_DATA", "deepwright train --help"]),
        (["train", "people.csv"], ["E701", "--target"]),
        (["train", "people.csv", "--target", "income", "--sed", "3"], ["E701", "--sed", "--seed"]),
        (["predict", "bundle", "people.csv", "-o", "out.xyz"], ["E704", ".parquet"]),
        (["parts", "encoder", "restnet"], ["E701", "resnet"]),
        (["parts", "encoderz"], ["E701", "encoders"]),
        (["explain-error", "E999"], ["E701", "E999"]),
        (["show", "nowhere"], ["E301", "nowhere"]),
        (["predict", "nowhere", "people.csv"], ["E301"]),
        (["train", "nothing.yaml"], ["E101", "nothing.yaml"]),
    ],
)
def test_errors_are_messages(arguments, words, here, capsys):
    assert run(arguments) in range(1, 8)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    for word in words:
        assert word in captured.err


def test_errors_as_json_on_stdout(here, capsys):
    assert run(["show", "nowhere", "--json"]) == 4
    captured = capsys.readouterr()
    (problem,) = json.loads(captured.out)["errors"]
    assert problem["code"] == "E301"
    assert set(problem) == {"code", "message", "where", "got", "expected", "fix"}
    assert "E301" in captured.err


def test_all_recipe_errors_together(here, capsys):
    Path("bad.yaml").write_text("data: people.csv\noutputs: {income: binry}\ntraining: {epochz: 3, batch: -1}\n")
    assert run(["train", "bad.yaml"]) == 2
    err = capsys.readouterr().err
    assert "binry" in err
    assert "epochz" in err
    assert "did you mean 'epochs'" in err
    assert "training.batch" in err


def test_unforeseen_errors_are_called_bugs(monkeypatch, capsys):
    def broken(*arguments, **options):
        raise RuntimeError("surprise")

    monkeypatch.setattr("deepwright.steps.show.show", broken)
    monkeypatch.delenv("DEEPWRIGHT_TRACEBACK", raising=False)
    assert run(["show", "x"]) == BUG == 70
    err = capsys.readouterr().err
    assert "bug" in err
    assert "surprise" in err
    assert "DEEPWRIGHT_TRACEBACK=1" in err
    assert "Traceback" not in err
    monkeypatch.setenv("DEEPWRIGHT_TRACEBACK", "1")
    assert run(["show", "x"]) == BUG
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_says_how_to_go_on(here, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("deepwright.api.train", interrupted)
    assert run(["train", "people.csv", "-t", "income"]) == 130
    err = capsys.readouterr().err
    assert "Ctrl-C" in err
    assert "the same command goes on" in err


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -c 'from deepwright.cli.main import main; main()' explain-error | head -n 1"
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"}
    )
    assert result.returncode == 0
    assert result.stdout.startswith("E101")
    assert result.stderr == ""


def test_explain_error(capsys):
    assert run(["explain-error", "e303"]) == 0
    assert CODES["E303"] in capsys.readouterr().out
    assert run(["explain-error", "--json"]) == 0
    assert [entry["code"] for entry in json.loads(capsys.readouterr().out)] == sorted(CODES)


def test_parts(capsys):
    assert run(["parts"]) == 0
    assert "encoders" in capsys.readouterr().out
    assert run(["parts", "encoders"]) == 0
    assert "mlp" in capsys.readouterr().out
    assert run(["parts", "optimizers", "adamw"]) == 0
    out = capsys.readouterr().out
    assert "lr" in out
    assert "> 0" in out
    assert "{type: adamw" in out or "adamw" in out
    assert run(["parts", "optimizers", "adamw", "--json"]) == 0
    assert {"name", "type", "default", "bounds", "help"} == set(json.loads(capsys.readouterr().out)["fields"][0])


def test_schema(here, capsys):
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "encoders.mlp" in schema["$defs"]
    assert run(["schema", "-o", "recipe.schema.json"]) == 0
    assert json.loads(Path("recipe.schema.json").read_text()) == schema
    assert run(["schema", "-o", "no/where.json"]) == 2
    assert "E703" in capsys.readouterr().err


def test_doctor(capsys):
    run(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)
    assert {"python", "libraries", "disk", "write here", "extra train"} <= {check["name"] for check in checks}
    assert all(check["ok"] or check["fix"] for check in checks)


def test_inspect(here, capsys):
    assert run(["inspect", "people.csv", "--target", "income"]) == 0
    out = capsys.readouterr().out
    assert "70 rows × 3 columns" in out
    assert "20 … 79" in out
    assert "next: deepwright train people.csv --target income" in out
    assert run(["inspect", "people.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 70
    assert run(["inspect", "people.csv", "--target", "incom"]) == 2
    assert "did you mean 'income'" in capsys.readouterr().err


def test_inspect_report(here, capsys):
    assert run(["inspect", "people.csv", "--report", "profile.html"]) == 0
    assert "<html" in Path("profile.html").read_text(encoding="utf-8").lower()


def test_init_writes_a_recipe_that_loads(here, capsys):
    assert run(["init", "people.csv", "--target", "income"]) == 0
    text = capsys.readouterr().out
    recipe = Recipe.parse(yaml.safe_load(text))
    assert list(recipe.outputs) == ["income"]
    assert set(recipe.inputs) == {"age", "kind"}
    for key in ("# budget: null", "# batch: null", "# derive: {}", "# tabular: null"):
        assert key in text
    assert run(["init", "people.csv", "--target", "income", "-o", "r.yaml"]) == 0
    assert Path("r.yaml").read_text(encoding="utf-8") == text
    capsys.readouterr()
    assert run(["init", "people.csv", "--target", "income", "-o", "r.yaml"]) == 4
    assert "E303" in capsys.readouterr().err
    assert run(["init", "people.csv"]) == 2
    assert "--target income" in capsys.readouterr().err


def test_init_writes_a_recipe_of_forecasts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = [f"2024-01-{1 + i // 24:02} {i % 24:02}:00,{i % 24},{i}.5" for i in range(200)]
    Path("demand.csv").write_text("\n".join(["hour,load,history", *rows]))
    assert run(["init", "demand.csv", "--time", "hour", "--horizon", "6", "-t", "load", "-o", "my demand.yaml"]) == 0
    assert "deepwright train 'my demand.yaml'" in capsys.readouterr().err
    text = Path("my demand.yaml").read_text(encoding="utf-8")
    recipe = Recipe.parse(yaml.safe_load(text))
    assert recipe.data.time == "hour"
    assert list(recipe.inputs) == ["history_"]
    (future,) = recipe.outputs.values()
    assert (future.channels, future.horizon) == (("load",), 6)
    shown = "\n".join(line.replace("# ", "", 1) if line.startswith("    # ") else line for line in text.splitlines())
    shown = shown[: shown.index("\ntraining:")]
    opened = Recipe.parse({"data": {"time": "hour"}, **yaml.safe_load(shown[shown.index("\ninputs:") :])})
    assert (opened.inputs, opened.outputs) == (recipe.inputs, recipe.outputs)
    assert run(["init", "demand.csv", "--time", "hour"]) == 0
    (future,) = Recipe.parse(yaml.safe_load(capsys.readouterr().out)).outputs.values()
    assert future.channels == "all"


def test_every_default_that_init_shows_can_be_uncommented(here, capsys):
    assert run(["init", "people.csv", "--target", "income"]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("training:")
    shown = [line.replace("# ", "", 1) if line.startswith("  # ") else line for line in lines[start:]]
    recipe = Recipe.parse(yaml.safe_load("\n".join(lines[:start] + shown)))
    assert recipe.training == Recipe().training


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.yaml"))])
def test_examples_load(name, monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    recipe = Recipe.load(name)
    assert Recipe.parse(recipe.dump()) == recipe


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".jsonl"])
def test_predictions_are_written_in_every_format(suffix, here, monkeypatch, capsys):
    frame = pl.DataFrame({"income": ["<=50K", ">50K"], "income:>50K": [0.25, 0.75]})
    monkeypatch.setattr("deepwright.steps.predict.predict", lambda bundle, source, on, listener: frame)
    assert run(["predict", "bundle", "people.csv", "-o", f"out{suffix}"]) == 0
    readers = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".json": pl.read_json, ".jsonl": pl.read_ndjson}
    assert readers[suffix](f"out{suffix}").equals(frame)
    assert [path.name for path in here.iterdir() if "out" in path.name] == [f"out{suffix}"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert run(["predict", "bundle", "people.csv"]) == 0
    assert capsys.readouterr().out == frame.write_csv()
    assert run(["predict", "bundle", "people.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == frame.to_dicts()


@pytest.mark.slow
def test_train_evaluate_predict_show(here, capsys):
    assert run(["train", "people.csv", "-t", "income", "--set", "training.epochs=3", "-o", "b", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["bundle"] == "b"
    for stage in ("data", "model", "bundle", "next"):
        assert f"\n  {stage}" in "\n" + captured.err
    assert run(["train", "people.csv", "-t", "income", "-o", "b"]) == 4
    capsys.readouterr()
    assert run(["evaluate", "b", "people.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 70
    assert run(["evaluate", "b", "people.csv", "-o", "report.html", "-q"]) == 0
    assert Path("report.html").exists()
    assert "accuracy" in capsys.readouterr().out.lower()
    assert run(["predict", "b", "people.csv", "-q"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 71
    assert run(["show", "b"]) == 0
    assert "income" in capsys.readouterr().out


def test_console_prints_aligned_lines():
    stream = io.StringIO()
    with Console(stream=stream) as console:
        console(Event("data", "10 rows\nand more"))
        console(Event("warning", "careful"))
    assert stream.getvalue() == "  data       10 rows\n             and more\n  warning    careful\n"


def test_plain_training_is_one_line_an_epoch():
    stream = io.StringIO()
    with Console(stream=stream) as console:
        for step in range(20):
            console(Event("training", f"step {step}", done=step / 20, left=72.0, values={"epoch": step // 5}))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "  training   step 0   1:12 left"


def test_live_training_draws_a_bar(monkeypatch):
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with Console(stream=stream) as console:
        console(Event("training", "epoch 1/2", done=0.5, left=7))
        console(Event("warning", "careful"))
        console(Event("stopped", "enough"))
    shown = stream.getvalue()
    assert "━" in shown
    assert "epoch 1/2" in shown
    assert "0:07 left" in shown
    assert "careful" in shown
    assert shown.rstrip().endswith("enough")


def test_colours_only_where_they_are_wanted(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    Console(stream=stream).say("warning", "x")
    assert "\x1b" not in stream.getvalue()
    monkeypatch.delenv("NO_COLOR")
    Console(stream=stream).say("warning", "x")
    assert "\x1b[33m" in stream.getvalue()


def test_quiet_keeps_warnings():
    stream = io.StringIO()
    console = Console(quiet=True, stream=stream)
    console(Event("data", "x"))
    console(Event("warning", "y"))
    assert stream.getvalue() == "  warning    y\n"


def test_errors_are_printed_with_their_siblings(capsys):
    problems = [Problem("E201", f"problem {index}", "a.csv", "x", "y", "line 1\nline 2") for index in range(60)]
    print_errors(DataError.of(problems), as_json=False)
    err = capsys.readouterr().err
    assert "error  E201  a.csv: problem 0" in err
    assert "do         line 1\n                    line 2" in err
    assert "and 10 more" in err
    assert "explain-error E201" in err


def test_data_cannot_steer_the_terminal(capsys):
    print_errors(DataError("E201", "a \x1b[2Jvalue", where="x\x07", got="\x9b1m"), as_json=False)
    Console().say("data", "\x1b]0;title")
    err = capsys.readouterr().err
    assert not set("\x1b\x07\x9b") & set(err)
    assert cut("\x1b[1m\r", 9) == "�[1m�"


def test_exit_codes_differ_by_kind():
    assert len({error.exit_code for error in (DataError, RecipeError)}) == 2
    assert UsageError.exit_code == 2


def test_plain_values():
    import numpy as np

    value = {"a": float("nan"), 1: (np.float32(0.5), Path("x")), "b": [True, None, float("inf")]}
    assert plain(value) == {"a": None, "1": [0.5, "x"], "b": [True, None, None]}


def test_words():
    assert [clock(7), clock(72), clock(7384)] == ["0:07", "1:12", "2:03:04"]
    assert cut("a\nb", 10) == "a b"
    assert cut("abcdef", 4) == "abc…"
    assert grid([("", "x"), ("", "名字"), ("", "ab")]) == ["  x", "  名字", "  ab"]


def test_metrics_with_interval_and_baseline():
    result = {
        "bundle": "b",
        "rows": 10,
        "metrics": {
            "income": {"accuracy": {"value": 0.87, "low": 0.865, "high": 0.875}, "auc": {"value": None, "low": None, "high": None}}
        },
        "baseline": {"income": {"accuracy": 0.764}},
        "report": "r.html",
    }
    text = render_metrics(result)
    assert "0.8700  [0.8650, 0.8750]  0.7640" in text
    assert "auc" not in text
    assert "r.html" in text


def test_tags_are_written_to_csv_as_they_are_read():
    frame = pl.DataFrame({"genres": [["drama", "war"], []], "p": [0.5, 0.25]})
    assert _flat(frame).write_csv() == 'genres,p\ndrama|war,0.5\n"",0.25\n'
