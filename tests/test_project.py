"""The project's frame: floors, codes, public names, targets, and what must not be in the repository."""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deepwright
from deepwright.errors import CODES
from deepwright.parts import families
from deepwright.reference import example, fields, flow, sections, summary, type_words

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


floors = script("check_floors")


def test_every_import_goes_down():
    assert [str(violation) for violation in floors.check(SOURCE)] == []


@pytest.mark.parametrize(
    ("file", "code", "words"),
    [
        ("recipe.py", "def planted():\n    from deepwright.steps import train\n", "upward"),
        ("recipe.py", "def planted():\n    import deepwright.cli.main\n", "upward"),
        ("recipe.py", "def planted():\n    import importlib\n    importlib.import_module('deepwright.engine.loop')\n", "upward"),
        ("recipe.py", "from . import engine\n", "upward"),
        ("optimizers/adamw.py", "def planted():\n    from deepwright.optimizers.sgd import SGD\n", "member of the same family"),
        ("optimizers/adamw.py", "from . import sgd\n", "member of the same family"),
        ("encoders/mlp.py", "def planted():\n    from deepwright.heads import binary\n", "sideways"),
        ("stray.py", "", "no floor"),
        ("blocks/one.py", "from deepwright.blocks import two\n", "cycle"),
    ],
)
def test_a_planted_import_is_found(file, code, words, tmp_path):
    shutil.copytree(SOURCE / "deepwright", tmp_path / "deepwright", ignore=shutil.ignore_patterns("__pycache__"))
    planted = tmp_path / "deepwright" / file
    planted.write_text((planted.read_text(encoding="utf-8") if planted.exists() else "") + "\n" + code, encoding="utf-8")
    if words == "cycle":
        planted.with_name("two.py").write_text("def planted():\n    from deepwright.blocks import one\n")
    found = [violation for violation in floors.check(tmp_path) if violation.file.parent == planted.parent]
    assert any(words in violation.text for violation in found)
    assert all(violation.line > 0 for violation in found)


def test_type_checking_imports_do_not_count():
    tree = ast.parse("if TYPE_CHECKING:\n    import deepwright.cli\nelse:\n    import deepwright.table\n")
    assert [name for _, name in floors.imports(tree, "deepwright.x", package=False)] == ["deepwright.table"]


def codes_in(node):
    """Yield the codes that a call raises: the first argument of an error or a problem."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                if (
                    isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                    and re.fullmatch(r"E\d{3}", argument.value)
                ):
                    yield argument.value


def test_codes_in_source_are_the_catalogue():
    used = set()
    for file in SOURCE.rglob("*.py"):
        if file.name != "errors.py":
            text = file.read_text(encoding="utf-8")
            used |= set(re.findall(r"\"(E\d{3})\"", text))
    used |= set(codes_in(ast.parse((SOURCE / "deepwright" / "errors.py").read_text(encoding="utf-8"))))
    assert used - set(CODES) == set(), "raised, but not in CODES"
    assert set(CODES) - used == set(), "in CODES, but never raised"


def test_codes_in_docs_are_the_catalogue():
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| (E\d{3}) ", page, re.MULTILINE)) == set(CODES)


def test_codes_in_prose_exist():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        assert set(re.findall(r"\bE\d{3}\b", page.read_text(encoding="utf-8"))) <= set(CODES), page.name


def test_importing_is_light():
    code = (
        "import sys, logging, warnings\nbefore = list(logging.root.handlers)\nimport deepwright\n"
        "heavy = {'torch', 'polars', 'numpy', 'onnxruntime', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\nassert logging.root.handlers == before\n"
        "deepwright.Recipe, deepwright.Table, deepwright.load, deepwright.MLP, deepwright.inspect\n"
        "assert 'torch' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_public_names_resolve():
    names = dir(deepwright)
    assert {"train", "load", "inspect", "Recipe", "Table", "DeepwrightError", "MLP", "AdamW"} <= set(names)
    for name in names:
        assert getattr(deepwright, name) is not None
    listed = {id(getattr(deepwright, name)) for name in names}
    for base in families().values():
        for part in base.all().values():
            assert id(part) in listed, part


def test_part_names_are_forgiving_but_not_wrong():
    from deepwright.encoders.mlp import MLP
    from deepwright.fusions.concat import Concat

    assert deepwright.MLP is MLP
    assert deepwright.MLPEncoder is MLP
    assert deepwright.ConcatFusion is Concat
    with pytest.raises(AttributeError, match="MLP"):
        _ = deepwright.MPL
    with pytest.raises(AttributeError):
        _ = deepwright.mlp


def test_make_targets_exist():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert {"help", "run", "test", "test-all", "check", "bench", "generate", "clean"} <= targets
    listed = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    assert all(f"make {target}" in listed for target in targets)


def test_constraints_name_no_machine():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+]+", line) for line in lines)
    assert any(line.startswith("torch==") for line in lines)


def tracked():
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_no_machine_paths():
    pattern = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/\w")
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text) if path != Path(__file__)]
    assert found == []


def test_no_large_files():
    assert [str(path) for path in tracked() if path.stat().st_size > 1_000_000] == []


def test_the_readmes_say_the_same():
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    code = re.compile(r"```(?:bash|python)\n(.*?)```", re.DOTALL)

    def bare(text):
        return [re.sub(r" *#.*", "", block) for block in code.findall(text)]

    assert bare(english) == bare(chinese)
    assert english.count("\n## ") == chinese.count("\n## ")


def test_links_between_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} → {target}"


def test_derived_files_are_fresh():
    result = subprocess.run(
        [sys.executable, "scripts/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("family", families())
def test_every_part_can_be_described(family):
    for part in families()[family].all().values():
        assert summary(part)
        assert example(part).startswith("{type:")
        for field in fields(part):
            assert field.help, f"{part.__name__}.{field.name} has no help"
            assert "<class" not in field.type
            assert "typing" not in field.type


def test_reference_words():
    from typing import Annotated, Literal

    assert type_words(int | None) == "integer or null"
    assert type_words(Annotated[list[str], 1]) == "list of text"
    assert type_words(Literal["keep", 3]) == "keep or 3"
    assert type_words(dict[str, float]) == "mapping of text to number"
    assert flow({"a": ["x y", "yes", None, 1.5, "a: b"]}) == '{a: [x y, "yes", null, 1.5, "a: b"]}'
    assert flow("1e3") == '"1e3"'


def test_flow_is_yaml():
    import yaml

    for value in (
        "on",
        "No",
        "-",
        "?",
        "",
        " x",
        "a,b",
        "1",
        "null",
        "~",
        "it's",
        "日期",
        "a#b",
        "x: y",
        "{",
        "/data/x.csv",
        "<=50K",
    ):
        assert yaml.safe_load(f"key: {flow(value)}") == {"key": value}
        assert yaml.safe_load(f"{{{flow(value)}: [{flow(value)}]}}") == {value: [value]}


def test_sections_cover_the_recipe():
    found = sections(deepwright.Recipe)
    assert {"", "data", "data.clean", "data.split", "data.select", "training"} <= set(found)


def test_the_snippets_of_the_docs_are_found():
    docs = script("check_docs")
    text = "<!-- skip -->\n```bash\nfalse\n```\n\n```python\nprint(1)\n```\n\n```yaml\na: 1\n```\n"
    found = [(match["language"], bool(match["skip"])) for match in docs.SNIPPET.finditer(text)]
    assert found == [("bash", True), ("python", False)]
