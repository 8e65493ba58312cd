"""A self-contained page: one HTML file that opens offline, needs no script, and prints (floor 7).

All that comes from data is escaped (see :mod:`deepwright.reporting.text`), pictures are decoded and written anew, and a content
security policy in the page forbids scripts and the network.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from deepwright.reporting.style import STYLE
from deepwright.reporting.text import Markup, escape, join, number, tag

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_PIXELS = 160
_TINY = 64


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading.

    Args:
        title: The heading.
        body: What it holds.
        id: The anchor, such as ``machine`` for ``report.html#machine``.
    """

    title: str
    body: Markup
    id: str

    def render(self) -> Markup:
        """Return the section."""
        return tag("section", tag("h2", self.title), self.body, id=self.id)


class Page:
    """A page that is filled section by section.

    Args:
        title: The heading, and the title of the window.
        subtitle: A line below it.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self._title, self._subtitle = title, subtitle
        self._sections: list[Section] = []

    def add(self, *sections: Section | None) -> Self:
        """Append sections; None and empty ones are left out."""
        self._sections += [section for section in sections if section is not None and section.body]
        return self

    def render(self) -> str:
        """Return the whole page."""
        links = join(tag("a", section.title, href=f"#{section.id}") for section in self._sections)
        subtitle = tag("p", self._subtitle, class_="soft") if self._subtitle else ""
        header = tag("header", tag("h1", self._title), subtitle, tag("nav", links, aria_label="Contents"))
        footer = tag("footer", "Made by Deepwright. This page holds everything it shows and loads nothing.")
        main = tag("main", header, *(section.render() for section in self._sections), footer, class_="dw")
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name_="color-scheme", content="light dark"),
            tag("title", self._title),
            tag("style", Markup(STYLE)),
        )
        return f"<!doctype html>\n{tag('html', head, tag('body', main, class_='dw-page'), lang='en')}\n"


def embedded(*parts: object) -> str:
    """Return parts for a notebook: the same look, nothing outside them touched."""
    return tag("div", tag("style", Markup(STYLE)), *parts, class_="dw part")


def section(title: str, *parts: object, id: str = "") -> Section:  # noqa: A002  the attribute's name
    """Return a section; empty parts vanish, and its anchor is by default its title in small letters."""
    anchor = id or "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    return Section(title, join(parts), anchor or "section")


def paragraph(*parts: object, soft: bool = False) -> Markup:
    """Return a paragraph."""
    return tag("p", *parts, class_="soft" if soft else None)


def heading(text: str) -> Markup:
    """Return a heading below a section's."""
    return tag("h3", text)


def tiles(entries: Iterable[tuple[str, object, str]], *, first: bool = True) -> Markup:
    """Return figures to be seen at once.

    Args:
        entries: What, the figure, and a remark.
        first: Whether the first one is set off.
    """
    made = []
    for i, (what, value, remark) in enumerate(entries):
        remark_line = tag("span", remark) if remark else ""
        made.append(
            tag("div", tag("span", what), tag("b", _cell(value)), remark_line, class_="tile main" if first and not i else "tile")
        )
    return tag("div", *made, class_="tiles") if made else Markup("")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "", strong: Iterable[int] = (), most: int = 500
) -> Markup:
    """Return a table; columns of numbers are set to the right.

    Args:
        headers: The columns.
        rows: Cells: numbers, texts, None, or markup.
        caption: A line above.
        strong: The rows to set off, by index.
        most: The most rows shown; how many more there are is said below.
    """
    listed = [list(row) for row in rows]
    if not listed:
        return Markup("")
    numeric = [all(_is_number(row[j]) for row in listed) and any(row[j] is not None for row in listed) for j in range(len(headers))]
    sides = ["n" if flag else None for flag in numeric]
    chosen = set(strong)
    body = [
        tag(
            "tr",
            *(tag("td", _cell(v), class_=side) for v, side in zip(row, sides, strict=True)),
            class_="set" if i in chosen else None,
        )
        for i, row in enumerate(listed[:most])
    ]
    head = tag("tr", *(tag("th", text, class_=side, scope="col") for text, side in zip(headers, sides, strict=True)))
    title = tag("caption", caption) if caption else ""
    rest = paragraph(f"… and {len(listed) - most:,} more", soft=True) if len(listed) > most else ""
    return join([tag("div", tag("table", title, tag("thead", head), tag("tbody", *body)), class_="scroll"), rest])


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float | np.number) and not isinstance(value, bool))


def _cell(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if value is None or isinstance(value, int | float) else value


def mapping(entries: Mapping[str, object]) -> Markup:
    """Return names and values in lines."""
    if not entries:
        return Markup("")
    return tag("dl", *(join([tag("dt", key), tag("dd", _cell(value))]) for key, value in entries.items()))


def figures(*charts: Markup | None) -> Markup:
    """Return charts side by side; those drawn on a wide ground get a line of their own and can be scrolled."""
    drawn = [tag("figure", chart, class_="wide" if _is_wide(chart) else None) for chart in charts if chart]
    return tag("div", *drawn, class_="figures") if drawn else Markup("")


def _is_wide(chart: Markup) -> bool:
    _, _, rest = chart.partition('viewBox="0 0 ')
    return float(rest.partition(" ")[0] or 0) > 560


def items(entries: Iterable[tuple[str, object]]) -> Markup:
    """Return a list.

    Args:
        entries: The kind of each entry (``info``, ``warn``, ``error``, or empty) and what it says.
    """
    made = [tag("li", text, class_=kind or None) for kind, text in entries]
    return tag("ul", *made, class_="items") if made else Markup("")


def badge(text: str, kind: str = "") -> Markup:
    """Return a word in a frame; ``kind`` is ``good``, ``warn``, ``error`` or empty."""
    return tag("span", text, class_=f"badge {kind}".strip())


def code(text: str) -> Markup:
    """Return text as it would be written into a file."""
    return tag("pre", text) if text else Markup("")


def inline_code(text: str) -> Markup:
    """Return a word of code within a line."""
    return tag("code", text)


def details(summary: str, *parts: object) -> Markup:
    """Return parts that open at a click."""
    return tag("details", tag("summary", summary), *parts)


def cards(*parts: object) -> Markup:
    """Return boxes side by side."""
    made = [tag("div", part, class_="card") for part in parts if part]
    return tag("div", *made, class_="cards") if made else Markup("")


def shots(entries: Iterable[tuple[Markup, object]]) -> Markup:
    """Return pictures side by side, each with words below."""
    made = [tag("div", shot, words, class_="shot") for shot, words in entries]
    return tag("div", *made, class_="shots") if made else Markup("")


def strips(entries: Iterable[tuple[Sequence[tuple[Markup, str]], object]]) -> Markup:
    """Return boxes of a few pictures each that belong together, every one with a word below, and words for all of them."""
    made = [
        tag(
            "div", tag("div", *(tag("div", shot, tag("small", word)) for shot, word in shown), class_="strip"), words, class_="card"
        )
        for shown, words in entries
    ]
    return tag("div", *made, class_="cards") if made else Markup("")


def legend(entries: Iterable[tuple[str, str]]) -> Markup:
    """Return names with the colours (``#rrggbb``) that they have in pictures."""
    made = [tag("span", tag("i", style=f"background:{colour}"), name) for name, colour in entries]
    return tag("p", *made, class_="legend") if made else Markup("")


def picture(value: Any, *, alt: str = "") -> Markup:
    """Return a picture as part of the page, scaled down to 160 pixels; what is no picture becomes words that say so.

    Args:
        value: The bytes of a picture file, or uint8 (H, W), (H, W, 1) or (H, W, 3).
        alt: What it shows, for those who do not see it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = _open(value)
            image.thumbnail((_PIXELS, _PIXELS))
            buffer = io.BytesIO()
            # written anew, so that nothing but pixels gets from the data into the page
            image.save(buffer, format="PNG")
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return tag("span", "no readable picture", class_="soft")
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return tag("img", src=source, alt=alt, class_="tiny" if max(image.size) <= _TINY else None)


def _open(value: Any) -> Image.Image:
    if isinstance(value, bytes | bytearray | memoryview):
        opened = Image.open(io.BytesIO(bytes(value)))
        opened.draft("RGB", (_PIXELS * 2, _PIXELS * 2))
        mode = "L" if opened.mode in ("1", "L") else "RGBA" if "A" in opened.mode or "transparency" in opened.info else "RGB"
        return opened.convert(mode)
    array = np.asarray(value)
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise ValueError("not uint8 (H, W) or (H, W, C)")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(array)


__all__ = [
    "Markup",
    "Page",
    "Section",
    "badge",
    "cards",
    "code",
    "details",
    "embedded",
    "escape",
    "figures",
    "heading",
    "inline_code",
    "items",
    "legend",
    "mapping",
    "paragraph",
    "picture",
    "section",
    "shots",
    "strips",
    "table",
    "tiles",
]
