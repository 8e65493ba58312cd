"""Write examples/questions.json: questions about passages of made-up facts, in the form of SQuAD.

    python scripts/questions.py

Every passage tells several facts about several people in a random order, so that neither the name nor the kind of fact alone tells
the answer. The passages are made here and belong to nobody: they are in the public domain (CC0).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "examples" / "questions.json"
FIRST = ("Ann", "Bo", "Chloé", "Dai", "Eve", "Finn", "Gül", "Hugo", "Ida", "Jan")
LAST = ("Smith", "Li", "van Dam", "Åberg", "Costa", "Novak", "Okoro", "Reyes", "Sato", "Weber")
CITIES = ("New York", "Rome", "Kyoto", "São Paulo", "Oslo", "Lima", "Cape Town", "Vienna", "Porto", "Lagos")
JOBS = ("nurse", "tram driver", "painter", "baker", "judge", "pilot", "maths teacher", "cook")
PETS = ("cat", "dog", "parrot", "tortoise", "grey pony")
FACTS = {
    "home": (("{n} lives in {v}.", "The home of {n} is in {v}."), ("Where does {n} live?", "In which city is the home of {n}?")),
    "job": (("{n} works as a {v}.", "{n} earns a living as a {v}."), ("What is the job of {n}?", "What does {n} work as?")),
    "born": (("{n} was born in {v}.", "In {v}, {n} came into the world."), ("When was {n} born?", "What year was {n} born in?")),
    "pet": (("{n} keeps a {v}.", "A {v} belongs to {n}."), ("What animal does {n} keep?", "Which pet belongs to {n}?")),
}


def value(kind: str, draw: np.random.Generator) -> str:
    """Return what a fact tells."""
    if kind == "born":
        return str(draw.integers(1930, 2010))
    return str(draw.choice({"home": CITIES, "job": JOBS, "pet": PETS}[kind]))


def paragraph(number: int, draw: np.random.Generator) -> dict[str, object]:
    """Return a passage of two to three people and two to three facts of each, and three questions."""
    names = [f"{first} {last}" for first, last in zip(draw.choice(FIRST, 3, replace=False), draw.choice(LAST, 3), strict=True)]
    told = [
        (name, kind) for name in names[: draw.integers(2, 4)] for kind in draw.choice([*FACTS], draw.integers(2, 4), replace=False)
    ]
    passage, places = "", []
    for index in draw.permutation(len(told)):
        name, kind = told[index]
        answer = value(str(kind), draw)
        form = str(draw.choice(FACTS[str(kind)][0]))
        start = len(passage) + form.partition("{v}")[0].replace("{n}", name).__len__()
        passage += form.format(n=name, v=answer) + " "
        places.append((name, str(kind), answer, start))
    questions = []
    for asked, index in enumerate(draw.permutation(len(places))[:3]):
        name, kind, answer, start = places[index]
        question = str(draw.choice(FACTS[kind][1])).format(n=name)
        answers = [{"text": answer, "answer_start": start}]
        questions.append({"id": f"{number}-{asked}", "question": question, "answers": answers})
    return {"context": passage.strip(), "qas": questions}


def main() -> None:
    """Write the passages."""
    draw = np.random.default_rng(0)
    paragraphs = [paragraph(number, draw) for number in range(500)]
    text = json.dumps({"version": "1.1", "data": [{"title": "made up", "paragraphs": paragraphs}]}, ensure_ascii=False)
    TARGET.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
