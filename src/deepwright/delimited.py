"""Read delimited text (CSV and its kin) strictly: no row is lost or invented (floor 2).

The text is laid out first: NumPy finds, in one pass over the bytes, where each record starts and how many fields it has, with
quoted fields (RFC 4180) taken into account. Only a text whose records are all of one width goes to the fast parser of Polars,
and the shape that comes back is compared with the layout. A text with quotes in unusual places goes through a slower exact
tokeniser instead; what that one cannot read is an error that names the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from deepwright.errors import DataError, Problem
from deepwright.files import source_line
from deepwright.frames import Note, check_names
from deepwright.layout import Layout, UnclosedError, lay_out, lay_out_exactly, tokens

SEPARATORS = (",", ";", "\t", "|")
"""The separators that are tried where none is declared."""

_SNIFF = 1 << 18
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_BLANKS = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-"})


@dataclass(frozen=True)
class Dialect:
    """How a delimited text is written; ``None`` is found out from the text.

    Args:
        separator: The sign between fields.
        quote: The sign around fields that hold separators or line ends; empty: quotes are plain signs.
        header: Whether the first record holds the column names.
        names: The column names, instead of those of the header.
        comment: Lines that start so are left out.
        decimal: The decimal sign, ``.`` or ``,``.
    """

    separator: str | None = None
    quote: str | None = None
    header: bool | None = None
    names: tuple[str, ...] | None = None
    comment: str | None = None
    decimal: str | None = None


@dataclass
class _Reader:
    """One text on its way to a frame."""

    data: bytes
    where: str
    notes: list[Note] = field(default_factory=list)

    @property
    def lines(self) -> int:
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))

    def line(self, offset: int) -> int:
        return self.data.count(b"\n", 0, offset) + 1

    def text(self, layout: Layout, record: int) -> str:
        return self.data[layout.starts[record] : layout.ends[record]].decode()


def read_delimited(data: bytes, dialect: Dialect, where: str) -> tuple[pl.DataFrame, list[Note]]:
    r"""Return the frame of a delimited text, every column String (an empty field is an empty text), and what was assumed.

    Args:
        data: UTF-8 with ``\n`` line ends (see :func:`deepwright.text.to_utf8`).
        dialect: How the text is written.
        where: The file's path.

    Raises:
        DataError: The text is empty (E206), rows differ in their number of fields (E208), a quote is not closed (E209),
            column names are blank or given twice (E210), or the separator is not that of the text (E211).
    """
    reader = _Reader(data, where)
    if not data.strip():
        raise DataError("E206", "the file is empty", where=where, fix="check that it was written completely")
    separator = dialect.separator or _sniff(reader, dialect)
    quote, layout, regular = _laid_out(reader, dialect, separator)
    layout = _without_blank(reader, layout)
    _check_width(reader, dialect, separator, layout)
    first = next(tokens(data, separator, quote, int(layout.starts[0]), int(layout.ends[0])))
    frame = _parsed(reader, layout, separator, quote) if regular else None
    if frame is None:
        starts = set(layout.starts.tolist())
        kept = [cells for at, cells in tokens(data, separator, quote) if at in starts]
        frame = pl.DataFrame(kept, schema={f"column_{i + 1}": pl.String for i in range(layout.width)}, orient="row")
    frame = _named(reader, dialect, frame, first[1], layout)
    return _decimals(reader, dialect, separator, frame), reader.notes


def _sniff(reader: _Reader, dialect: Dialect) -> str:
    """Return the separator that divides the records most evenly, and of those into the most fields.

    Blanks are tried last, and only if they divide every line alike: texts hold blanks too.
    """
    sample = reader.data[:_SNIFF]
    if len(sample) < len(reader.data):
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    best, found = (0.0, 0), ","
    for separator in SEPARATORS:
        for quote in ('"', "") if dialect.quote is None else (dialect.quote,):
            layout = lay_out(sample, separator, quote) or lay_out_exactly(sample, separator, quote)
            if layout is None:
                continue
            layout = layout.keep(layout.ends > layout.starts)
            if layout.width > 1 and (round(layout.even, 2), layout.width) > best:
                best, found = (round(layout.even, 2), layout.width), separator
    if best[1] == 0:
        blanks = lay_out(sample, " ", "")
        if blanks is not None and len(blanks.starts) > 2 and blanks.width > 1 and blanks.even == 1.0:
            reader.notes.append(Note("separator", "fields are separated by single blanks"))
            return " "
        first = sample.lstrip(b"\n").partition(b"\n")[0].decode(errors="ignore")
        if any(sign in first for sign in SEPARATORS):
            return max(SEPARATORS, key=first.count)  # a header of several names above rows that are cut short: to be refused
        reader.notes.append(Note("separator", "one column: none of , ; tab | divides the lines"))
        return next((sign for sign in SEPARATORS if sign.encode() not in reader.data), found)
    if found != ",":
        reader.notes.append(Note("separator", f"fields are separated by {_sign(found)}"))
    return found


def _sign(separator: str) -> str:
    return "tab" if separator == "\t" else repr(separator)


def _laid_out(reader: _Reader, dialect: Dialect, separator: str) -> tuple[str, Layout, bool]:
    """Return the quote sign, the layout, and whether the text is regular, so that the fast parser reads it.

    Between tabs, quotes are often plain signs: they are taken so if all lines are complete rows that way and only that way.

    Raises:
        DataError: A quote is not closed, or quotes can be read in two ways that both fit (E209).
    """
    quote = '"' if dialect.quote is None else dialect.quote
    quoted = lay_out(reader.data, separator, quote)
    if dialect.quote is not None or quote.encode() not in reader.data:
        layout = quoted or lay_out_exactly(reader.data, separator, quote)
        if layout is None:
            raise _unclosed(reader, separator, quote)
        return quote, _commented(reader, dialect, layout), quoted is not None
    layout = quoted or lay_out_exactly(reader.data, separator, quote)
    kept = _commented(reader, dialect, layout) if layout is not None else None
    quoted_fits = kept is not None and _without_blank(reader, kept, say=False).even == 1.0
    doubtful = layout is None or not quoted_fits or len(layout.starts) < reader.lines
    plain = lay_out(reader.data, separator, "") if separator == "\t" and doubtful else None
    literal = _commented(reader, dialect, plain) if plain is not None else None
    if literal is not None and literal.width > 1 and _without_blank(reader, literal, say=False).even == 1.0:
        if quoted_fits and layout is not None:
            raise _ambiguous(reader, layout)
        reader.notes.append(Note("quote", 'the quotes (") are plain signs of the texts', reader.data.count(b'"')))
        return "", literal, True
    if kept is None:
        raise _unclosed(reader, separator, quote)
    return quote, kept, quoted is not None


def _ambiguous(reader: _Reader, layout: Layout) -> DataError:
    """Return the error for quotes that swallow line ends in a text whose lines are complete rows without them."""
    lines = np.array([reader.data.count(b"\n", s, e) for s, e in zip(layout.starts, layout.ends, strict=True)])
    at = int(layout.starts[np.flatnonzero(lines)[0]])
    return DataError(
        "E209",
        "the quotes can be read in two ways: as signs around fields with line ends, or as plain signs of the texts",
        where=f"{reader.where}: line {reader.line(at)}",
        got=f"{int(lines.sum()):,} line ends inside quotes; without quotes all lines have the same number of fields",
        fix=source_line("csv", reader.where, quote="") + "   (or quote: '\"')",
    )


def _unclosed(reader: _Reader, separator: str, quote: str) -> DataError:
    offset = 0
    try:
        for _ in tokens(reader.data, separator, quote):
            pass
    except UnclosedError as error:
        offset = error.offset
    lines = reader.data[offset : offset + 60].decode(errors="ignore").splitlines()
    return DataError(
        "E209",
        f"a quote ({quote}) opens a field and is never closed, or text follows its closing quote",
        where=f"{reader.where}: line {reader.line(offset)}",
        got=lines[0] if lines else "",
        expected=f"{quote}…{quote} around the whole field, inner quotes doubled",
        fix=source_line("csv", reader.where, quote="") + "   if quotes are plain signs of the texts",
    )


def _commented(reader: _Reader, dialect: Dialect, layout: Layout) -> Layout:
    """Leave out comment lines: those that start with the declared sign, or # lines above the table that are no header."""
    if dialect.comment:
        sign = dialect.comment.encode()
        mask = np.array([not reader.data.startswith(sign, start) for start in layout.starts.tolist()], bool)
    else:
        mask = np.ones(len(layout.starts), bool)
        for record in range(min(len(mask) - 1, 1000)):
            if not reader.data.startswith(b"#", int(layout.starts[record])):
                break
            mask[record] = layout.fields[record] == layout.width > 1
    count = int((~mask).sum())
    if count and not any(note.what == "comment" for note in reader.notes):
        reader.notes.append(Note("comment", f"{count:,} comment lines left out", count))
    return layout.keep(mask)


def _without_blank(reader: _Reader, layout: Layout, *, say: bool = True) -> Layout:
    """Leave out blank lines; those at the end are no news."""
    first = np.frombuffer(reader.data, np.uint8)[np.minimum(layout.starts, len(reader.data) - 1)]
    mask = np.ones(len(layout.starts), bool)
    for record in np.flatnonzero((layout.fields == 1) & np.isin(first, list(b" \t\n"))).tolist():
        mask[record] = bool(reader.data[layout.starts[record] : layout.ends[record]].strip())
    last = int(np.flatnonzero(mask)[-1]) if mask.any() else 0
    inner = int((~mask[:last]).sum())
    if say and inner:
        reader.notes.append(Note("blank_lines", f"{inner:,} blank lines left out", inner))
    return layout.keep(mask)


def _check_width(reader: _Reader, dialect: Dialect, separator: str, layout: Layout) -> None:
    """Refuse rows that have more or fewer fields than the header.

    Raises:
        DataError: E206 (nothing but comments), E208 or E211.
    """
    if not len(layout.starts):
        raise DataError("E206", "the file holds nothing but comments and blank lines", where=reader.where)
    expected = int(layout.fields[0])
    if expected == 1 and layout.width == 1 and dialect.separator:
        for other in SEPARATORS:
            again = lay_out(reader.data[:_SNIFF], other, '"') if other != separator else None
            if again is not None and again.width > 1 and again.even > 0.9:
                raise DataError(
                    "E211",
                    f"{_sign(separator)} does not divide the lines, and {_sign(other)} does",
                    where=reader.where,
                    got=reader.text(layout, 0)[:80],
                    fix=source_line("csv", reader.where, separator=other),
                )
    bad = np.flatnonzero(layout.fields != expected)
    if not bad.size:
        return
    if bad.size >= len(layout.fields) - 1 and layout.width != expected:
        every = f"the rows have {layout.width} fields"
        raise DataError(
            "E208",
            f"the first line has {expected} fields, and {every}",
            where=reader.where,
            got=reader.text(layout, 0)[:80],
            expected="as many names as fields",
            fix="if lines above the table are comments, declare them: " + source_line("csv", reader.where, comment="#")
            if layout.width - expected != 1
            else "name the first column too; tables of R often leave out its name",
        )
    shown = [
        Problem(
            "E208",
            f"{layout.fields[i]} fields, {'more' if layout.fields[i] > expected else 'fewer'} than the {expected} of the first",
            f"{reader.where}: line {reader.line(int(layout.starts[i]))}",
            reader.text(layout, i)[:80],
            fix=f"quote the fields that hold {_sign(separator)}"
            if layout.fields[i] > expected
            else 'write the fields that are lacking, or declare another separator ("\\t" if every line is one text)',
        )
        for i in bad[:10].tolist()
    ]
    if bad.size > 10:
        shown.append(Problem("E208", f"{bad.size - 10:,} more rows have another number of fields than the first", reader.where))
    raise DataError.of(shown)


def _parsed(reader: _Reader, layout: Layout, separator: str, quote: str) -> pl.DataFrame | None:
    """Parse with Polars; None if what comes back is not of the shape that the layout tells."""
    data = reader.data
    gaps = np.flatnonzero(layout.starts[1:] != layout.ends[:-1] + 1)
    edges = [int(layout.starts[0])]
    for gap in gaps.tolist():
        edges += [int(layout.ends[gap]) + 1, int(layout.starts[gap + 1])]
    edges.append(int(layout.ends[-1]))
    body = b"".join(data[a:b] for a, b in zip(edges[0::2], edges[1::2], strict=True)) + b"\n"
    if layout.width == 1 and (b"\n\n" in body or body.startswith(b"\n")):
        return None
    try:
        frame = pl.read_csv(
            body,
            has_header=False,
            infer_schema=False,
            separator=separator,
            quote_char=quote if quote and quote.encode() in body else None,
        )
    except pl.exceptions.PolarsError:
        return None
    if frame.shape != (len(layout.starts), layout.width):
        return None
    return frame.with_columns(pl.all().fill_null(""))


def _named(reader: _Reader, dialect: Dialect, frame: pl.DataFrame, first: list[str], layout: Layout) -> pl.DataFrame:
    """Name the columns by the header or ``names``, and take the header off."""
    told = _has_header(frame) if dialect.header is None else dialect.header
    header = dialect.names is None if told is None else told
    if header:
        names = [name.strip() for name in first]
        if dialect.header is None:
            _refuse_repeated(reader, frame, layout)
        frame = frame.slice(1)
        if told is None:
            text = "the first line is taken for the column names; `header: false` if it is a row"
            reader.notes.append(Note("header", text))
        elif dialect.names is not None:
            reader.notes.append(Note("header", f"the names of the first line ({', '.join(names)[:60]}) are replaced"))
    else:
        names = [f"column_{i + 1}" for i in range(frame.width)]
    if dialect.names is not None:
        if len(dialect.names) != frame.width:
            raise DataError(
                "E210",
                f"{len(dialect.names)} names are declared for {frame.width} columns",
                where=reader.where,
                got=", ".join(first)[:80],
            )
        names = list(dialect.names)
    elif not header:
        text = (
            f"no header: columns named column_1 … column_{frame.width}; `names:` gives them names, `header: true` if there is one"
        )
        reader.notes.append(Note("header", text))
    filled = [name or f"column_{i + 1}" for i, name in enumerate(names)]
    line = reader.line(int(layout.starts[0]))
    check_names(names, where=f"{reader.where}: line {line}", fix=source_line("csv", reader.where, names=_distinct(filled)))
    frame.columns = names
    if frame.is_empty():
        raise DataError("E206", "the file holds a header and no rows", where=reader.where, got=", ".join(names)[:80])
    return frame


def _refuse_repeated(reader: _Reader, frame: pl.DataFrame, layout: Layout) -> None:
    """Refuse a text whose header stands again among its rows: files were put one below another.

    Raises:
        DataError: E290, with the lines.
    """
    if frame.width == 1 or not (frame.to_series(0).slice(1) == frame.item(0, 0)).any():
        return
    again = np.flatnonzero(_repeats(frame).to_numpy())
    if again.size:
        lines = ", ".join(f"line {reader.line(int(layout.starts[record]))}" for record in again[:10].tolist())
        raise DataError(
            "E290",
            f"the header stands again among the rows, {again.size:,} times",
            where=f"{reader.where}: {lines}" + (", …" if again.size > 10 else ""),
            got=reader.text(layout, 0)[:80],
            fix="remove these lines, or keep them as rows: " + source_line("csv", reader.where, header=True),
        )


def _repeats(frame: pl.DataFrame) -> pl.Series:
    """Return which records are equal to the first, that one left aside."""
    equal = pl.all_horizontal(pl.col(name) == cell for name, cell in zip(frame.columns, frame.row(0), strict=True))
    mask = frame.select(equal.alias("equal")).to_series()
    mask[0] = False
    return mask


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result


def _has_header(frame: pl.DataFrame) -> bool | None:
    """Tell whether the first record names the columns, by votes of the columns.

    A word above nothing but numbers says yes. If none says so, a number above numbers, or a word that occurs again below
    (a value, then), says no. None: no column tells. Records equal to the first vote for nothing: a header may be repeated.
    """
    if frame.height == 1:
        return False if any(_NUMBER.fullmatch(cell.strip()) for cell in frame.row(0)) else None
    head, data_votes = frame.head(2001), 0
    repeated = _repeats(head)
    for column in head.get_columns():
        first, rest = column[0].strip(), column.filter(~repeated).slice(1).str.strip_chars()
        rest = rest.filter(~rest.is_in(list(_BLANKS)))
        if first in _BLANKS or rest.is_empty():
            continue
        numeric = bool(rest.str.contains(rf"^(?:{_NUMBER.pattern})$").all())
        if _NUMBER.fullmatch(first):
            data_votes += numeric
        elif numeric:
            return True
        else:
            data_votes += bool((rest == first).any() or repeated.any())
    return False if data_votes else None


def _decimals(reader: _Reader, dialect: Dialect, separator: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Write numbers with a decimal point in the columns that use a decimal comma throughout."""
    if dialect.decimal == "." or (dialect.decimal is None and separator == ","):
        return frame
    changed = []
    for column in frame.get_columns():
        bare = column.str.strip_chars()
        known = bare.filter(~bare.is_in(list(_BLANKS)))
        if known.str.contains(",", literal=True).any() and known.str.contains(r"^[+-]?\d*(,\d+)?([eE][+-]?\d+)?$").all():
            changed.append(column.str.replace(",", ".", literal=True))
    if changed:
        names = ", ".join(column.name for column in changed)
        reader.notes.append(Note("decimal", f"decimal commas read as points in {names}", len(changed) * frame.height))
    return frame.with_columns(changed)
