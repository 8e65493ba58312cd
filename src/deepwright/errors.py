"""Errors that people can act on, and the catalogue of their codes (floor 0).

Every error names what was expected, what was got, where, and what to do::

    DeepwrightError
    ├── RecipeError       E1xx  the declaration is wrong
    ├── DataError         E2xx  a file, a column or a row is wrong
    ├── BundleError       E3xx  a bundle is missing, damaged or in the way
    ├── TrainingError     E4xx  training cannot start or cannot go on
    ├── ExportError       E5xx  the exported graph disagrees with the model, or cannot run
    ├── MissingExtra      E6xx  an optional dependency is not installed
    └── UsageError        E7xx  a command or a call was used wrongly

One exception carries all the problems found at once, so that a recipe or a file is mended in one go.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        code: A stable code of :data:`CODES`, such as ``"E214"``.
        message: What is wrong, in one sentence without a full stop.
        where: File, row, column or recipe path (``"adult.csv: column income, row 12"``).
        got: What was found.
        expected: What would have been right.
        fix: What to do, best as the very line to write; by default the usual remedy of the code (:data:`REMEDIES`).
    """

    code: str
    message: str
    where: str = ""
    got: str = ""
    expected: str = ""
    fix: str = ""

    def __post_init__(self) -> None:
        if not self.fix:
            object.__setattr__(self, "fix", REMEDIES.get(self.code, ""))

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        lines = [f"{self.code}  {head}"]
        lines += [
            f"{label:<10}{text}" for label, text in (("got", self.got), ("expected", self.expected), ("do", self.fix)) if text
        ]
        return "\n      ".join(lines)


class DeepwrightError(Exception):
    """The root of all errors that Deepwright raises on purpose.

    Args:
        code: A code of :data:`CODES`.
        message: What is wrong.
        where: Where it is wrong.
        got: What was found.
        expected: What would have been right.
        fix: What to do about it.
    """

    exit_code = 1
    elected = False
    """Whether this process was chosen, of several that train together, to tell the error."""

    def __init__(self, code: str, message: str, *, where: str = "", got: object = "", expected: object = "", fix: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(code, message, where, str(got), str(expected), fix),)
        super().__init__(str(self))

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> DeepwrightError:
        """Return one error that carries ``problems`` (at least one)."""
        found = tuple(problems)
        error = cls(found[0].code, found[0].message)
        error.problems = found
        error.args = (str(error),)
        return error

    @property
    def code(self) -> str:
        """The code of the first problem."""
        return self.problems[0].code

    def as_json(self) -> list[dict[str, Any]]:
        """Return the problems as plain dictionaries, for ``--json``."""
        return [asdict(problem) for problem in self.problems]

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class RecipeError(DeepwrightError):
    """The recipe is wrong (E1xx)."""

    exit_code = 2


class DataError(DeepwrightError):
    """The data are wrong (E2xx)."""

    exit_code = 3


class BundleError(DeepwrightError):
    """A bundle is missing, damaged or in the way (E3xx)."""

    exit_code = 4


class TrainingError(DeepwrightError):
    """Training cannot start or cannot go on (E4xx)."""

    exit_code = 5


class ExportError(DeepwrightError):
    """The exported graph disagrees with the trained model or cannot run (E5xx)."""

    exit_code = 6


class MissingExtra(DeepwrightError, ImportError):  # noqa: N818  the name says it
    """An optional dependency is not installed (E6xx)."""

    exit_code = 7


class UsageError(DeepwrightError):
    """A command or a call was used wrongly (E7xx)."""

    exit_code = 2


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Args:
        module: The dotted name of the module to import.
        extra: The extra of this package that installs it.

    Raises:
        MissingExtra: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise
        raise MissingExtra(
            "E601",
            f"{module} is not installed",
            expected=f"the optional dependency {module}",
            fix=f'pip install "deepwright[{extra}]"',
        ) from None


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the nearest of ``known``, or nothing."""
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f", did you mean {near[0]!r}?" if near else ""


CODES: Mapping[str, str] = {
    # E1xx recipe
    "E101": "The recipe cannot be read: it is not valid YAML or JSON, or its top level is not a mapping.",
    "E102": "A key of the recipe is unknown. Unknown keys are refused, so that a misspelt option is never ignored.",
    "E103": "A value of the recipe has the wrong type or is out of bounds.",
    "E104": "A part type is unknown in its family. `deepwright parts` lists the types of every family.",
    "E105": "A required key of the recipe is missing.",
    "E106": "Sections of the recipe contradict each other.",
    "E107": "The recipe names a column that the data do not have.",
    "E108": "An encoder, fusion, head or loss does not accept what the part before it produces.",
    "E109": "A --set override cannot be applied: it is not KEY.PATH=VALUE, or the path leads nowhere.",
    "E110": "A plugin or a part file breaks the contract of its family.",
    "E111": "A module from Python that the recipe needs was not given to dw.train, or is another one than before.",
    "E120": "An expression of data.derive cannot be parsed.",
    "E121": "An expression of data.derive calls an unknown function, or a function with the wrong arguments.",
    "E122": "An expression of data.derive uses something that the language of expressions does not have.",
    "E123": "An expression of data.derive mixes types that do not fit, such as a text and a number.",
    "E124": "A constructed column has the name of a column that exists already.",
    # E2xx data
    "E200": "A file or folder of data does not exist.",
    "E201": "A file cannot be opened: permission is denied, or a folder stands where a file is expected.",
    "E202": "A file is damaged, cut short, encrypted, or not what its name says.",
    "E203": "A compressed file would expand beyond all measure (a zip bomb), so that it is not unpacked.",
    "E204": "The file is a pickle, which can run any code when it is opened; save the data in an open format.",
    "E205": "A folder or an archive holds no file that fits, or several of which one must be named.",
    "E206": "A file holds no rows.",
    "E207": "A text file is not in the encoding that is declared or assumed, or holds NUL bytes.",
    "E208": "Rows of a delimited text have more or fewer fields than the header.",
    "E209": "A quote in a delimited text is never closed, or the quotes can be read in two ways.",
    "E210": "Column names are blank, given twice or of the wrong number, or columns are not equally long.",
    "E211": "The declared separator does not divide the lines of a delimited text.",
    "E212": "A JSON file is malformed, or does not hold records or columns.",
    "E213": "An ARFF file is malformed, or uses a form that is not read.",
    "E214": "A column holds labels that training never saw, so that rows with them cannot be judged.",
    "E215": "An IDX file is malformed, or its pictures and labels do not belong together.",
    "E216": "A folder or an archive does not hold pictures, or sounds, in one folder a class, or named as the recipe says.",
    "E217": "A Parquet file cannot be read, or the files of a folder have different columns.",
    "E218": "A workbook cannot be read, or has no sheet of that name.",
    "E219": "A database cannot be opened, its query fails, or the table to read is not named.",
    "E220": "Values cannot be converted to the type of their column.",
    "E221": "Numbers are infinite, or beyond what a 64-bit float holds.",
    "E222": "Values are no dates of one format, or day and month cannot be told apart.",
    "E223": "What was given is not a table.",
    "E224": "A value is a list of lists or of objects, which no column holds.",
    "E225": "A file of tagged texts is malformed: its lines have different fields, or no token.",
    "E226": "Rows have another number of labels than of tokens.",
    "E227": "Spans or answers do not fit their text: they lie outside, overlap, cut a token, are empty, or of no known form.",
    "E230": "The declared cleaning drops every training row.",
    "E231": "There are too few rows, groups or times for the sides of the split.",
    "E232": "The column that names the sides of the split holds other names than train, validation and test.",
    "E233": "The column to split by time holds no time.",
    "E234": "Rows do not tell their time or their series, or two rows of one series have the same time.",
    "E235": "The rows are of another step, from one time to the next, than those that a model learnt from.",
    "E236": "There are too few rows for the windows and the horizon of a forecast.",
    "E237": "Columns that are known ahead are missing in the rows that are foretold.",
    "E240": "The encoded rows do not fit on the disk that holds the cache.",
    "E241": "The data cannot be streamed from disk, or the recipe asks for what needs the whole table in memory.",
    "E260": "A column has no value in the training rows, so that there is nothing to learn.",
    "E261": "A binary column holds more than two values.",
    "E262": "The recipe names the values of a column (`positive`, `order`), and they do not agree with the training rows.",
    "E263": "The order of an ordinal column's values cannot be inferred and must be declared.",
    "E264": "An output has more classes than `max_size` allows.",
    "E265": "Pictures cannot be read: the files are missing, damaged, or no pictures.",
    "E266": "Sounds cannot be read: the files are missing, damaged, empty, or no sounds.",
    "E267": "A text that is to be continued is longer than the model takes.",
    "E268": "Masks, or other pictures to predict, have another size than their pictures.",
    "E269": "Masks hold values that no class has, or so many that they are no classes.",
    "E270": "A .ts file of series is malformed, or uses a form that is not read.",
    "E271": "Places of a series differ in their number of channels.",
    "E275": "Users or items to recommend cannot be told: no column names them, or a column of the model is with both.",
    "E276": "Weights do not fit the network: names, shapes or values are wrong, or the file is not the one that the recipe knows.",
    "E277": "A file of word vectors is malformed, not whole, or its vectors have another width than the recipe declares.",
    "E278": "A text that should be a tree in brackets is none: its brackets do not match, or hold nothing.",
    "E280": "Predictions and targets do not fit each other: their shapes or class indices differ.",
    "E281": "A prediction is NaN or infinite, so that it cannot be evaluated.",
    "E286": "Vectors to compare do not fit each other: their widths or numbers differ, or values are missing.",
    "E290": "The header of a delimited text stands again among its rows, as where files were put one below another.",
    # E3xx bundles
    "E301": "The path is not a bundle: the directory or its manifest.json is missing.",
    "E302": "A file of the bundle is missing or was changed: its SHA-256 differs from the manifest's.",
    "E303": "The output directory already exists. A bundle is never overwritten without being asked.",
    "E304": "The bundle was written by a newer format than this version reads.",
    "E305": "The bundle holds no exported graph, so that it predicts with PyTorch only.",
    "E306": "The bundle has no encoder that can be taken from it, or several of which one must be named.",
    # E4xx training
    "E401": "The loss became NaN or infinite.",
    "E402": "There are too few rows to train on.",
    "E403": "An output column holds one value only; there is nothing to learn.",
    "E404": "The checkpoint is damaged; its hash does not match.",
    "E405": "Not even the smallest batch fits into the device's memory.",
    "E406": "A process of a run of several ended, or cannot be reached.",
    "E407": "A test of learning rates saw the loss fall at none of them: too few steps to tell, or nothing that can be learnt.",
    # E5xx export
    "E501": "The exported graph disagrees with the trained model by more than the tolerance.",
    "E502": "The model cannot be exported to ONNX.",
    # E6xx environment
    "E601": "An optional dependency is not installed.",
    # E7xx usage
    "E701": "A command-line option or argument is missing, unknown or contradictory.",
    "E702": "A name that the package does not offer was asked for.",
    "E703": "A file cannot be written: the directory is missing, or permission is denied.",
    "E704": "The ending of an output file is not one that is written.",
    "E705": "The bundle's first output ranks nothing: it is neither a number, binary, ordinal nor a match.",
    "E706": "The bundle's network has no vector of that input, or none at all.",
    "E707": "The bundle makes no forecasts, or has no calibration, so that it cannot tell unusual rows.",
}
"""Every code and what it means; ``deepwright explain-error CODE`` and docs/reference/errors.md show it."""

REMEDIES: Mapping[str, str] = {
    "E101": "write the recipe as YAML or JSON in UTF-8; deepwright init DATA --target COLUMN writes one",
    "E102": "correct or remove the key; deepwright parts FAMILY TYPE lists the keys of a part",
    "E103": "correct the value; deepwright schema tells the type and the bounds of every key",
    "E104": "correct the type or the path; deepwright parts lists the types of every family",
    "E105": "add the key",
    "E106": "keep one of the two",
    "E107": "correct the name, or check that this is the right file",
    "E108": "take another encoder, fusion, head or loss; deepwright parts lists them",
    "E109": "write --set KEY.PATH=VALUE, such as --set training.epochs=3",
    "E120": "correct the expression; its signs are those of arithmetic and comparison, and functions are written name(column)",
    "E121": "correct the call; deepwright explain-error E121 tells more",
    "E122": "write it with columns, numbers, texts, operators and the listed functions only",
    "E123": "convert one of the columns:  data: {clean: {COLUMN: {convert: number}}}",
    "E124": "give the constructed column another name",
    "E205": "name the file to read",
    "E206": "check that the file was written completely; it needs at least one row",
    "E210": "give every column one name of its own and as many values as the others",
    "E212": "mend the file there, or write it again",
    "E213": "mend the line, or declare the value in the header",
    "E215": "fetch the files again, and keep pictures and labels of one set together",
    "E216": "put each file into the folder of its class: CLASS/NAME",
    "E217": "write the file again, all files of a folder with the same columns",
    "E218": "save it again as .xlsx, or export the sheet as CSV",
    "E219": "check the file, the table and the query",
    "E223": "give a path, a table, {column: values} or [{column: value}, …]",
    "E224": "write one column for each value, or lists of plain values",
    "E225": "write a token and its label on every line, with a tab between, and an empty line behind each text",
    "E226": "write one label for each token of a text",
    "E227": "mend the spans: [start, end, type], in characters from 0, the end behind the last one",
    "E231": "bring more rows, or set aside fewer",
    "E234": "give every row the time, and one row of a series each",
    "E235": "bring rows of the step that was learnt from",
    "E236": "bring more rows, or train with a shorter window or horizon",
    "E237": "fill the columns in, in rows behind the last one that is known otherwise",
    "E270": "mend the line, or the header that it contradicts",
    "E402": "bring more rows",
    "E403": "choose another output, or bring rows with other values of it",
    "E407": "take more steps, --steps 200, or larger batches",
    "E275": "name the columns with --user and --item",
    "E286": "write both with deepwright embed and the same bundle, row N beside row N where they are paired",
    "E706": "ask for the vector of one of these inputs, --of INPUT; a bundle of an earlier version must be trained again",
    "E301": "check the path; deepwright train writes bundles",
    "E302": "copy the bundle again from where it is whole, or train it again",
    "E703": "choose a path in a folder that exists and can be written to",
}
"""The usual remedy of a code, for problems that know no better one."""
