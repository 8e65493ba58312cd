"""Write questions and the answers that they have, of machines that do not exist: answers.csv, answers-later.csv and pairs.csv.

    python make_answers.py [FOLDER]

A question and its answer speak of one of 24 machines and of one of 15 matters, each in words of its own. A pair of questions is one
of the same machine and matter, or of the same machine or the same matter alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

MACHINES = (
    "kettle/water boiler",
    "oven/baking stove",
    "fridge/refrigerator",
    "toaster/bread roaster",
    "mixer/blender",
    "dishwasher/plate cleaner",
    "washing machine/laundry washer",
    "dryer/laundry dryer",
    "vacuum cleaner/hoover",
    "iron/steam iron",
    "radio/receiver",
    "television/screen",
    "printer/paper printer",
    "scanner/picture reader",
    "router/network box",
    "telephone/phone",
    "tablet/slate",
    "camera/photo machine",
    "bicycle/bike",
    "scooter/kick board",
    "drill/boring machine",
    "saw/wood cutter",
    "mower/grass cutter",
    "heater/radiator",
)
DEEDS = {
    "clean": (
        "How do I clean the {}?",
        "Is there a way to get the {} free of dirt?",
        "Wipe the {} with a damp cloth and mild soap.",
    ),
    "start": ("How is the {} turned on?", "My {} does not start, what now?", "Hold the green key until the {} wakes up."),
    "stop": ("How do I switch the {} off?", "What stops the {}?", "Press the red key, and the {} goes to sleep."),
    "repair": ("Who repairs a broken {}?", "My {} is damaged.", "Send the {} to our workshop; mending takes a week."),
    "price": ("What does the {} cost?", "How expensive is a {}?", "The {} sells for eighty, with a discount for students."),
    "colour": ("Which colours does the {} come in?", "Is there a blue {}?", "Our {} is painted in white, blue or black."),
    "return": ("Can I send the {} back?", "I do not want the {} any more.", "Within a month we take the {} again and refund you."),
    "noise": ("Why is the {} so loud?", "My {} makes strange sounds.", "A humming {} stands uneven: level its feet."),
    "power": ("How much electricity does the {} need?", "Does the {} use a lot of energy?", "The {} draws some two hundred watts."),
    "weight": ("How heavy is the {}?", "Can one person carry the {}?", "Nine kilograms is what the {} weighs."),
    "warranty": (
        "How long is the guarantee of the {}?",
        "Is my {} still insured?",
        "For three years faults of the {} are our affair.",
    ),
    "delivery": ("When does my {} arrive?", "Where is the {} that I ordered?", "The courier brings the {} in two or three days."),
    "battery": (
        "How do I charge the {}?",
        "How long does the accumulator of the {} last?",
        "Plug the {} in over night; it runs ten hours.",
    ),
    "parts": (
        "Where do I get spare parts of the {}?",
        "I lost a piece of the {}.",
        "Replacement pieces for the {} are in our shop.",
    ),
    "manual": ("Where is the handbook of the {}?", "I need instructions for the {}.", "Guides to the {} can be downloaded as PDF."),
}


def main(folder: Path) -> None:
    """Draw and write."""
    draw = np.random.default_rng(0)
    rows = []
    for machine in MACHINES:
        names = machine.split("/")
        for *questions, answer in DEEDS.values():
            said = answer.format(names[draw.integers(len(names))])
            rows += [(question.format(name), said) for question in questions for name in names]
    order = draw.permutation(len(rows))
    frame = pl.DataFrame([rows[i] for i in order], schema=["question", "answer"], orient="row")
    frame.head(1200).write_csv(folder / "answers.csv")
    frame.tail(-1200).write_csv(folder / "answers-later.csv")
    pairs(np.random.default_rng(1)).write_csv(folder / "pairs.csv")


def pairs(draw: np.random.Generator) -> pl.DataFrame:
    """Return pairs of questions, and whether both ask for the same."""

    def asked(machine: int, deed: int, which: int) -> str:
        names = MACHINES[machine].split("/")
        return list(DEEDS.values())[deed][which].format(names[draw.integers(len(names))])

    rows = []
    for machine in range(len(MACHINES)):
        for deed in range(len(DEEDS)):
            which = int(draw.integers(2))
            rows.append((asked(machine, deed, which), asked(machine, deed, 1 - which), "yes"))
            other = (machine + int(draw.integers(1, len(MACHINES)))) % len(MACHINES)
            another = (deed + int(draw.integers(1, len(DEEDS)))) % len(DEEDS)
            near = (other, deed) if draw.integers(2) else (machine, another)
            rows.append((asked(machine, deed, which), asked(*near, 1 - which), "no"))
    return pl.DataFrame([rows[i] for i in draw.permutation(len(rows))], schema=["first", "second", "same"], orient="row")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
