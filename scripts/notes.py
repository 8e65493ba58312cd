"""Write examples/notes.jsonl: made-up notes, in English and in Chinese, with spans of people, places and dates.

    python scripts/notes.py

The notes are made here and belong to nobody: they are in the public domain (CC0).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "examples" / "notes.jsonl"
FORMS = (
    "{PER} flew to {LOC} on {DATE}.",
    "On {DATE}, {PER} and {PER} met in {LOC}.",
    "Call {PER} before {DATE}!",
    "{LOC} is closed until {DATE}.",
    "Nothing happened.",
    "{PER}在{DATE}去了{LOC}。",
    "{LOC}的天气很好。",
    "请给{PER}打电话。",
)
FIRST, LAST = ("Ann", "Bo", "Chloé", "Dai", "Eve", "Finn", "Gül"), ("Smith", "O'Neil", "van Dam", "Ито", "Li", "Åberg", "Costa")
PLACES = ("New York", "Rome", "Kyoto", "São Paulo", "Oslo", "Lima", "Port-au-Prince", "Cape Town")
FAMILY, GIVEN, CITIES = "王李张刘陈杨", "伟芳娜敏静强磊", ("北京", "上海", "西安", "广州", "哈尔滨")
MONTHS = ("January", "March", "May", "July", "October")


def name(kind: str, chinese: bool, draw: np.random.Generator) -> str:
    """Return a name of a kind."""
    if kind == "DATE":
        day, month = int(draw.integers(1, 29)), int(draw.integers(1, 13))
        return f"{month}月{day}日" if chinese else f"{draw.choice(MONTHS)} {day}"
    if kind == "LOC":
        return str(draw.choice(CITIES if chinese else PLACES))
    if chinese:
        return str(draw.choice([*FAMILY])) + "".join(draw.choice([*GIVEN], draw.integers(1, 3)))
    return f"{draw.choice(FIRST)} {draw.choice(LAST)}"


def main() -> None:
    """Write the notes."""
    draw, lines = np.random.default_rng(0), []
    for _ in range(300):
        form = str(draw.choice(FORMS))
        text, spans = "", []
        for piece in form.replace("{", "}").split("}"):
            if piece in ("PER", "LOC", "DATE"):
                start = len(text)
                text += name(piece, not form.isascii(), draw)
                spans.append([start, len(text), piece])
            else:
                text += piece
        lines.append(json.dumps({"text": text, "label": spans}, ensure_ascii=False) + "\n")
    TARGET.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
