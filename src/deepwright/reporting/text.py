"""Markup that is safe by construction, and numbers as people read them (floor 7).

A plain ``str`` is text and is escaped wherever it enters a page; only :class:`Markup` passes as it is, and only :func:`tag` and
:func:`join` make one. So nothing from the data can become an element, an attribute or a script.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable

_VOID = frozenset({"br", "hr", "img", "meta"})
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """HTML or SVG that needs no escaping."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Return ``value`` as markup: escaped, unless it is markup already; characters that XML forbids become ``�``."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(_CONTROL.sub("\ufffd", str(value)), quote=True))


def join(parts: Iterable[object], separator: str = "") -> Markup:
    """Return the parts one after the other, each escaped."""
    return Markup(separator.join(escape(part) for part in parts))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: The element's name; a constant of the program, never data.
        *children: Text (escaped) or markup.
        **attributes: ``stroke_width`` becomes ``stroke-width``, ``class_`` and ``name_`` become ``class`` and ``name``; None
            leaves one out. Floats are rounded to two places: what is drawn needs no more.
    """
    listed = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"' for key, value in attributes.items() if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{listed}>")
    return Markup(f"<{name}{listed}>{join(children)}</{name}>")


def _plain(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def number(value: object, digits: int = 4) -> str:
    """Return a number for people: thousands separated, ``digits`` significant digits; an en dash for None and NaN.

    >>> number(32561), number(0.870249), number(3.1e-7), number(None)
    ('32,561', '0.8702', '3.1e-7', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < 1e-12 or math.isinf(value):  # below it, figures of a report are rounding
        return "0" if abs(value) < 1 else "∞" if value > 0 else "−∞"
    if not 1e-4 <= abs(value) < 1e9:
        mantissa, _, power = f"{value:.{max(0, digits - 2)}e}".partition("e")
        return f"{_trim(mantissa)}e{int(power)}".replace("-", "−", 1) if value < 0 else f"{_trim(mantissa)}e{int(power)}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 8)}f}"
    return (text if abs(value) < 1 else _trim(text)).replace("-", "−")


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """Return a share in [0, 1] as a percentage: ``"0 %"``, ``"0.04 %"``, ``"5.6 %"``, ``"76 %"``."""
    value = 100 * share
    places = 0 if value == 0 or value >= 10 else 1 if value >= 1 else 2
    return f"{value:.{places}f} %"


def duration(seconds: float) -> str:
    """Return a time for people: ``"0.42 s"``, ``"3 min 12 s"``, ``"2 h 5 min"``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def width(text: str) -> float:
    """Return the rough width of a text in em: a wide (CJK) character is 1, others about 0.56."""

    def one(c: str) -> float:
        if unicodedata.east_asian_width(c) in "WF" or c in "→←…—mwMW@%":
            return 1.0
        return 0.36 if c in "ijlI.,:;'| ()[]" else 0.6

    return sum(map(one, text))


def shorten(text: str, room: float) -> str:
    """Cut a text to ``room`` em, with an ellipsis."""
    if width(text) <= room:
        return text
    while text and width(text) + 0.8 > room:
        text = text[:-1]
    return text.rstrip() + "…"
