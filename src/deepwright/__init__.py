"""Deepwright: raw data to a deep-learning model in service, and kept good.

::

    import deepwright as dw

    model = dw.train("adult.csv", target="income", budget="5m")
    model.predict({"age": [39], "education": ["Bachelors"]})

Every name is loaded when it is first used, so that importing the package costs nothing. Part classes go by their name:
``dw.ResNet`` is the class of the type ``resnet``; where two families share a type, the first of :data:`_FAMILIES` has it and
the others take their family's suffix (``dw.ConcatFusion``).
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "train": "api",
    "load": "api",
    "find_lr": "api",
    "find_batch": "api",
    "Model": "api",
    "inspect": "steps.inspect",
    "Recipe": "recipe",
    "Table": "table",
    "Problem": "errors",
    "DeepwrightError": "errors",
    "RecipeError": "errors",
    "DataError": "errors",
    "BundleError": "errors",
    "TrainingError": "errors",
    "ExportError": "errors",
    "MissingExtra": "errors",
    "UsageError": "errors",
}
"""The public names and the modules that hold them."""

_FAMILIES = {
    "features": "Feature",
    "encoders": "Encoder",
    "fusions": "Fusion",
    "heads": "Head",
    "losses": "Loss",
    "layers": "Layer",
    "optimizers": "Optimizer",
    "schedules": "Schedule",
    "augmentations": "Augmentation",
    "sources": "Source",
    "averages": "Average",
    "loggers": "Logger",
}
"""The families in the order in which a part's name is looked up, and the suffix that names one."""


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    elif name[:1].isupper():
        value = _part(name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _part(name: str) -> Any:
    families = importlib.import_module(f"{__name__}.families")
    wanted = name.lower()
    for suffixed in (False, True):
        for suffix in _FAMILIES.values():
            base = getattr(families, suffix)
            for kind in base.types():
                if kind.replace("_", "") + (suffix.lower() if suffixed else "") == wanted:
                    return base.resolve(kind)
    errors = importlib.import_module(f"{__name__}.errors")
    hint = errors.nearest(name, __dir__())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def _part_names() -> dict[str, tuple[str, str]]:
    """Return ``{public name: (module, class)}`` of every part of the package, plugins included."""
    families = importlib.import_module(f"{__name__}.families")
    names: dict[str, tuple[str, str]] = {}
    for suffix in _FAMILIES.values():
        for kind, part in getattr(families, suffix).all().items():
            own, plain = part.__name__, kind.replace("_", "")
            short = own[: -len(suffix)] if own.lower() == plain + suffix.lower() else own
            name = short if short.lower() == plain else kind.title().replace("_", "")
            names[f"{name}{suffix}" if name in names or name in _PLACES else name] = (part.__module__, own)
    return names


def __dir__() -> list[str]:
    return sorted({"__version__", *_PLACES, *_part_names()})
