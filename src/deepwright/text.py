"""From bytes to UTF-8 text, strictly: nothing is guessed in silence and no byte is lost (floor 2)."""

from __future__ import annotations

import codecs
from itertools import pairwise

from deepwright.errors import DataError
from deepwright.files import source_line
from deepwright.frames import Note

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def to_utf8(data: bytes, encoding: str | None, *, kind: str, where: str) -> tuple[bytes, list[Note]]:
    r"""Return ``data`` as valid UTF-8 without a byte-order mark and with ``\n`` line ends, and what was done.

    Args:
        data: The bytes of the file.
        encoding: The encoding that the recipe declares; by default UTF-8, or what a byte-order mark says.
        kind: The source's type, for the line that mends an error.
        where: The file's path.

    Raises:
        DataError: The bytes are not in that encoding, the encoding is unknown, or the text holds NUL bytes (E207).
    """
    notes: list[Note] = []
    for mark, name in _BOMS:
        if data.startswith(mark):
            data = data[len(mark) :]
            encoding = encoding if encoding and not encoding.lower().replace("_", "-").startswith("utf") else name
            notes.append(Note("bom", f"byte-order mark of {name.upper()} removed"))
            break
    if encoding is None and b"\0" in data:
        _refuse_nul(data, kind, where)
    text = _decoded(data, encoding or "utf-8", declared=encoding is not None, kind=kind, where=where)
    if encoding is not None and codecs.lookup(encoding).name != "utf-8":
        data = text.encode("utf-8")
        notes.append(Note("encoding", f"read as {encoding}"))
    if b"\0" in data:
        _refuse_nul(data, kind, where)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
        if b"\n" not in data:
            data = data.replace(b"\r", b"\n")  # the line ends of old Macintosh files
    return data, notes


def _decoded(data: bytes, encoding: str, *, declared: bool, kind: str, where: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise DataError(
            "E207", f"the encoding {encoding!r} is unknown", where=where, expected="utf-8, latin-1, gb18030, …"
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        likely = _likely(data)
        raise DataError(
            "E207",
            f"the file is not {encoding.upper()}{'' if declared else ', and no other encoding is declared'}",
            where=f"{where}: line {line}, byte {error.start}",
            got=repr(data[max(0, error.start - 12) : error.start + 12]),
            expected=f"probably {likely}: {data[max(0, error.start - 12) : error.start + 12].decode(likely, 'replace')!r}",
            fix=source_line(kind, where, encoding=likely),
        ) from None


def _likely(data: bytes) -> str:
    """Return GB18030 if the bytes are valid in it and most of the text beyond ASCII is Chinese, else Latin-1."""
    sample = data[: 1 << 18]
    try:
        text = codecs.getincrementaldecoder("gb18030")().decode(sample)
    except UnicodeDecodeError:
        return "latin-1"
    beyond = [char for char in text if char > "\x7f"]
    chinese = sum("\u4e00" <= char <= "\u9fff" or "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uffef" for char in beyond)
    # a European letter pairs up with the ASCII letter behind it; the common Chinese characters have two bytes beyond ASCII
    pairs = sum(byte > 0x80 and after > 0xA0 for byte, after in pairwise(sample))
    return "gb18030" if chinese > 0.8 * len(beyond) and pairs >= chinese else "latin-1"


def _refuse_nul(data: bytes, kind: str, where: str) -> None:
    at, count = data.index(b"\0"), data.count(b"\0")
    line = data.count(b"\n", 0, at) + 1
    wide = count > 0.3 * len(data)
    raise DataError(
        "E207",
        "the text holds NUL bytes" + (": it looks like UTF-16 without a byte-order mark" if wide else ""),
        where=f"{where}: line {line}, byte {at}",
        got=f"{count:,} NUL bytes",
        fix=source_line(kind, where, encoding="utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
        if wide
        else "the file is damaged or not text; write it again",
    )
