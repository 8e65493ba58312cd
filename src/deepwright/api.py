"""Deepwright from Python: ``dw.train``, ``dw.load`` and the model that they return (floor 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepwright.bundle import Bundle
from deepwright.console import Console
from deepwright.errors import UsageError, nearest, need
from deepwright.families import Encoder, Source
from deepwright.mappings import override, read_mapping
from deepwright.opening import Engine
from deepwright.progress import Listener
from deepwright.recipe import Recipe
from deepwright.retrieval import Measure
from deepwright.steps.detect import detect as detect_step
from deepwright.steps.embed import embed as embed_step
from deepwright.steps.embed import neighbours as neighbours_step
from deepwright.steps.evaluate import Evaluation
from deepwright.steps.evaluate import evaluate as evaluate_step
from deepwright.steps.predict import predict as predict_step
from deepwright.steps.recommend import TopReport
from deepwright.steps.recommend import evaluate_top as evaluate_top_step
from deepwright.steps.recommend import recommend as recommend_step
from deepwright.table import Table, unused

if TYPE_CHECKING:
    from deepwright.engine.finders import BatchTest, RateTest

RECIPES = (".yaml", ".yml")
"""What a path ends in that names a recipe, not data."""


class Model:
    """A trained model: a bundle, opened.

    Args:
        path: The bundle's directory.

    Raises:
        BundleError: It is not a bundle, or was changed.
    """

    def __init__(self, path: str | Path) -> None:
        self.bundle = Bundle.open(path)

    @property
    def path(self) -> Path:
        """The bundle's directory."""
        return self.bundle.path

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.bundle.recipe

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """What training measured: ``{output: {metric: {"value", "low", "high"}}}``."""
        found: dict[str, dict[str, Any]] = self.bundle.manifest.get("metrics", {})
        return found

    @property
    def report(self) -> Path:
        """The HTML report of the training."""
        return self.bundle.file("report.html")

    def predict(self, data: Any, *, engine: Engine = "auto") -> Any:
        """Predict every row of ``data``.

        Args:
            data: A path, or a pandas, Polars or Arrow table, a dict of lists or a list of dicts.
            engine: ``onnx`` runs the exported graph, ``torch`` the network itself, ``auto`` the graph if there is one.

        Returns:
            One row for each of ``data``: a column for each output and one for each class's probability. A pandas table for
            pandas data, otherwise a Polars one.

        Raises:
            DataError: The rows do not fit the model's inputs.
        """
        frame = predict_step(self.path, as_rows(data), engine=engine, listener=Console())
        return frame.to_pandas() if _is_pandas(data) else frame

    def recommend(
        self,
        users: Any,
        items: Any,
        *,
        seen: Any = None,
        top: int = 10,
        user: str | None = None,
        item: str | None = None,
        engine: Engine = "auto",
    ) -> Any:
        """Return the ``top`` items of each user, the best first.

        Args:
            users: The users, with the model's columns of them; a path or a table as for :meth:`predict`.
            items: The items to choose from, with the model's columns of them.
            seen: Pairs of a user and an item that are left out, such as the training rows.
            top: Items a user.
            user: The column that tells users apart; by default the first of ``users`` that is a category of the model.
            item: The column that tells items apart; by default the first other one of ``items``.
            engine: As for :meth:`predict`.

        Returns:
            A row for each recommendation: user, ``rank``, item, ``score``. A pandas table for pandas users, otherwise a Polars one.

        Raises:
            DataError: Users or items cannot be told, or do not fit the model's inputs.
            UsageError: The model's first output ranks nothing.
        """
        known = None if seen is None else as_rows(seen)
        told: dict[str, Any] = {"seen": known, "top": top, "user": user, "item": item, "engine": engine, "listener": Console()}
        frame = recommend_step(self.path, as_rows(users), as_rows(items), **told)
        return frame.to_pandas() if _is_pandas(users) else frame

    def embed(self, data: Any, *, of: str | None = None) -> Any:
        """Return the vector that the network makes of each row.

        Args:
            data: As for :meth:`predict`; columns of other inputs may be missing.
            of: The input whose vector is wanted, ``tabular`` for columns without an encoder of their own; by default the first of
                two inputs that are compared, else the vector of all inputs together.

        Returns:
            The rows, and their vectors in the column ``vector``. A pandas table for pandas data, otherwise a Polars one.

        Raises:
            DataError: The rows do not fit the model's inputs.
            UsageError: The network has no such vector.
        """
        frame = embed_step(self.path, as_rows(data), of=of, listener=Console())
        return frame.to_pandas() if _is_pandas(data) else frame

    def neighbours(
        self,
        data: Any,
        index: Any,
        *,
        top: int = 10,
        of: str | None = None,
        index_of: str | None = None,
        measure: Measure = "cosine",
    ) -> Any:
        """Return the rows of ``index`` that are most like each row, compared with all of them.

        Args:
            data: The rows that look, as for :meth:`predict`, or what :meth:`embed` returned for them.
            index: The rows that are looked among, likewise.
            top: The most rows for each.
            of: The input that the rows are; see :meth:`embed`.
            index_of: The input that the index's rows are; by default the other one of two that are compared, if the index has it.
            measure: ``cosine`` or ``dot``.

        Returns:
            A row for each neighbour: ``row``, ``rank``, ``neighbour`` (rows from 1), ``score``, and the columns of the index. A
            pandas table for pandas data, otherwise a Polars one.

        Raises:
            DataError: The rows do not fit the model's inputs.
            UsageError: The network has no such vector.
        """
        told: dict[str, Any] = {"top": top, "of": of, "index_of": index_of, "measure": measure, "listener": Console()}
        frame = neighbours_step(self.path, as_rows(data), as_rows(index), **told)
        return frame.to_pandas() if _is_pandas(data) else frame

    def evaluate_top(
        self,
        users: Any,
        items: Any,
        relevant: Any,
        *,
        seen: Any = None,
        top: int = 10,
        user: str | None = None,
        item: str | None = None,
        engine: Engine = "auto",
    ) -> TopReport:
        """Measure what :meth:`recommend` returns: recall and NDCG of the first ``top``, over all items but those seen.

        Args:
            users: As for :meth:`recommend`; users without a relevant item do not count.
            items: As there.
            relevant: Pairs that should be recommended, such as held-out rows; those that are in ``seen`` do not count.
            seen: As there.
            top: As there.
            user: As there.
            item: As there.
            engine: As there.

        Raises:
            DataError: As for :meth:`recommend`, or no user has a relevant item.
        """
        known = None if seen is None else as_rows(seen)
        told: dict[str, Any] = {"seen": known, "top": top, "user": user, "item": item, "engine": engine, "listener": Console()}
        return evaluate_top_step(self.path, as_rows(users), as_rows(items), as_rows(relevant), **told)[0]

    def detect(self, data: Any, *, alarms: float = 0.001, engine: Engine = "auto") -> Any:
        """Score rows in order of time by how far they are from what a model with a forecast says of them.

        Args:
            data: As for :meth:`predict`; rows with a time.
            alarms: The share of usual rows that are alarms nonetheless, at most 0.02.
            engine: As for :meth:`predict`.

        Returns:
            A row for each of ``data`` in order of time: the time, ``score``, ``alarm``, the ``column`` that errs most, what was
            ``told`` of it and its ``value``. A pandas table for pandas data, otherwise a Polars one.

        Raises:
            DataError: The rows do not fit, or there are too few.
            UsageError: The model makes no forecasts.
        """
        frame, _ = detect_step(self.path, as_rows(data), alarms=alarms, engine=engine, listener=Console())
        return frame.to_pandas() if _is_pandas(data) else frame

    def evaluate(self, data: Any = None, *, report: str | Path | None = None, engine: Engine = "auto") -> Evaluation:
        """Measure the model on rows whose outputs are known.

        Args:
            data: As for :meth:`predict`; by default the test file of the recipe.
            report: Where to write the HTML page, if anywhere.
            engine: As for :meth:`predict`.

        Raises:
            DataError: The rows do not fit, or hold labels that training never saw.
        """
        rows = None if data is None else as_rows(data)
        return evaluate_step(self.path, rows, out=Path(report) if report else None, engine=engine, listener=Console())

    def __repr__(self) -> str:
        outputs = ", ".join(f"{name} ({entry['kind']})" for name, entry in self.bundle.manifest.get("outputs", {}).items())
        return f"Model({str(self.path)!r}, predicts {outputs})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td>{metric}</td><td>{entry['value']:.4f}</td></tr>"
            for name, measures in self.metrics.items()
            for metric, entry in measures.items()
            if entry["value"] is not None
        )
        return f"<p><b>{self!r}</b></p><table><tr><th>output</th><th>metric</th><th>value</th></tr>{rows}</table>"


def train(
    data: Any = None,
    *,
    target: str | Iterable[str] | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    test: Any = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    budget: str | float | None = None,
    seed: int | None = None,
    settings: Iterable[str] = (),
    time: str | None = None,
    horizon: int | None = None,
    on: str | None = None,
    restarts: int = 3,
    modules: Mapping[str, Any] | None = None,
    listener: Listener | None = None,
) -> Model:
    """Train a model and return it.

    Args:
        data: A path to data or to a recipe (``.yaml``), or a pandas, Polars or Arrow table, a dict of lists.
        target: The column or columns to predict, if the recipe names none.
        recipe: A recipe, its mapping or its file.
        test: A path to test rows, which are never trained on.
        out: The bundle's directory; by default the first output's name, numbered if taken.
        overwrite: Whether a bundle at ``out`` is replaced.
        budget: Time for training, such as ``"5m"`` or seconds.
        seed: The seed.
        settings: ``KEY.PATH=VALUE`` overrides of the recipe.
        time: The column of the rows' time: the next rows of the targets, or of all columns of numbers, are foretold.
        horizon: With ``time``: how many rows.
        on: Where to train in several processes: ``local:N``, ``ray:N``, ``ray://HOST:PORT/N``; by default in this one.
        restarts: With ``on``: how often the processes start again, from the last checkpoint, when one is lost.
        modules: A ``torch.nn.Module`` by the name of the input that it encodes, which the recipe declares without an encoder, or
            ``tabular``; see the encoder ``custom``.
        listener: Hears of progress; by default lines on standard error.

    Raises:
        RecipeError: The recipe is wrong or does not fit the data.
        DataError: The data are wrong.
        TrainingError: Training failed.

    Example:
        ``dw.train("adult.csv", target="income", budget="5m").evaluate("adult-test.csv")``
    """
    from deepwright.steps.launch import launch
    from deepwright.steps.places import Place
    from deepwright.steps.train import train as train_step

    declared, rows = _declared(data, recipe, test, budget, seed, settings, time)
    targets = [target] if isinstance(target, str) else list(target or [])
    if time is not None:
        declared, targets = _foretelling(declared, horizon, targets), []
    elif horizon is not None:
        raise UsageError("E701", "a horizon needs the column of the rows' time", got=f"horizon {horizon}", fix="--time COLUMN")
    place = Place.parse(on) if on is not None else None
    where = Path(out) if out else None
    told = listener or Console()
    if modules and place is not None:
        raise UsageError("E701", "modules cannot be sent to other processes", got=f"on={on!r}", fix="leave out on=, or modules=")
    if place is None:
        with _given(modules):
            declared = _with_modules(declared, modules or {})
            path = train_step(declared, table=rows, target=targets, out=where, overwrite=overwrite, listener=told)
    else:
        path = launch(declared, place, table=rows, target=targets, out=where, overwrite=overwrite, restarts=restarts, listener=told)
    return Model(path)


def find_lr(
    data: Any = None,
    *,
    target: str | Iterable[str] | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    steps: int = 100,
    settings: Iterable[str] = (),
    listener: Listener | None = None,
) -> RateTest:
    """Suggest a peak learning rate by a range test (L. Smith, arXiv 1506.01186); nothing is written.

    Args:
        data: As for :func:`train`.
        target: The column or columns to predict, if the recipe names none.
        recipe: A recipe, its mapping or its file.
        steps: Steps of the test.
        settings: ``KEY.PATH=VALUE`` overrides of the recipe.
        listener: Hears of progress; by default lines on standard error.

    Raises:
        RecipeError: The recipe is wrong or does not fit the data.
        DataError: The data are wrong.
        TrainingError: The loss is never finite (E401).

    Example:
        ``dw.find_lr("adult.csv", target="income").suggestion``
    """
    from deepwright.steps.find import find_lr as step

    declared, rows = _declared(data, recipe, None, None, None, settings)
    targets = [target] if isinstance(target, str) else list(target or [])
    return step(declared, table=rows, target=targets, steps=steps, listener=listener or Console())[0]


def find_batch(
    data: Any = None,
    *,
    target: str | Iterable[str] | None = None,
    recipe: Recipe | Mapping[str, Any] | str | Path | None = None,
    settings: Iterable[str] = (),
    listener: Listener | None = None,
) -> BatchTest:
    """Suggest a batch size: the smallest whose rate is within 5 % of the best, and the largest that fits; nothing is written.

    Arguments are those of :func:`find_lr`.

    Raises:
        RecipeError: The recipe is wrong or does not fit the data.
        DataError: The data are wrong.
        TrainingError: Not even the smallest batch fits (E405).
    """
    from deepwright.steps.find import find_batch as step

    declared, rows = _declared(data, recipe, None, None, None, settings)
    targets = [target] if isinstance(target, str) else list(target or [])
    return step(declared, table=rows, target=targets, listener=listener or Console())[0]


def load(path: str | Path) -> Model:
    """Open a bundle.

    Raises:
        BundleError: It is not a bundle, or was changed.
    """
    return Model(path)


def as_rows(data: Any) -> Source | Table | str:
    """Return what steps take: a path as it is, anything else as a table."""
    return str(data) if isinstance(data, str | Path) else data if isinstance(data, Source | Table) else Table.of(data)


def _declared(
    data: Any,
    recipe: Recipe | Mapping[str, Any] | str | Path | None,
    test: Any,
    budget: str | float | None,
    seed: int | None,
    settings: Iterable[str],
    time: str | None = None,
) -> tuple[Recipe, Table | None]:
    """Return the recipe that a call declares, and its rows if they come from memory."""
    if isinstance(data, str | Path) and str(data).endswith(RECIPES):
        if recipe is not None:
            raise UsageError("E701", "two recipes are given", got=f"{data} and recipe=", fix="give one of them")
        data, recipe = None, data
    rows = None if data is None or isinstance(data, str | Path) else Table.of(data)
    return _recipe(recipe, data if rows is None else None, test, budget, seed, settings, time), rows


def _foretelling(recipe: Recipe, horizon: int | None, targets: list[str]) -> Recipe:
    """Return the recipe with a forecast of the targets, or of all columns of numbers, if it declares no output.

    Raises:
        UsageError: It declares outputs (E701).
    """
    if recipe.outputs:
        raise UsageError(
            "E701", "the recipe has outputs already", got=", ".join(recipe.outputs), fix="write data.time into the recipe"
        )
    forecast: dict[str, Any] = {"type": "forecast"}
    forecast |= {"channels": targets} if targets else {}
    forecast |= {"horizon": horizon} if horizon is not None else {}
    name = unused("future", targets)
    return Recipe.parse({**recipe.dump(defaults=False), "outputs": {name: forecast}})


def _given(modules: Mapping[str, Any] | None) -> AbstractContextManager[None]:
    """Return the context in which modules are found; without any, torch is not imported here."""
    if not modules:
        return nullcontext()
    need("torch", extra="train")
    from deepwright.blocks.custom import supplied

    return supplied(modules)


def _with_modules(recipe: Recipe, modules: Mapping[str, Any]) -> Recipe:
    """Return the recipe with the modules as the encoders of their inputs.

    Raises:
        UsageError: The recipe declares no such input (E701).
    """
    inputs, tabular = dict(recipe.inputs), recipe.tabular
    for name in modules:
        given = Encoder.parse({"type": "custom", "module": name})
        if name == "tabular" and name not in inputs:
            tabular = given if tabular is None else tabular
            continue
        if name not in inputs:
            raise UsageError(
                "E701",
                f"modules[{name!r}]: the recipe declares no such input{nearest(name, inputs)}",
                got=", ".join(inputs) or "no input is declared",
                fix=f"recipe={{'inputs': {{{name!r}: 'image'}}}}",
            )
        if inputs[name].encoder is None:
            inputs[name] = inputs[name].model_copy(update={"encoder": given})
    return recipe.replace(inputs=inputs, tabular=tabular) if modules else recipe


def _recipe(
    recipe: Recipe | Mapping[str, Any] | str | Path | None,
    data: Any,
    test: Any,
    budget: str | float | None,
    seed: int | None,
    settings: Iterable[str],
    time: str | None,
) -> Recipe:
    """Merge what the call says into the recipe."""
    where = str(recipe) if isinstance(recipe, str | Path) else "recipe"
    if recipe is None:
        value: dict[str, Any] = {}
    elif isinstance(recipe, Recipe):
        value = recipe.dump(defaults=False)
    else:
        value = dict(recipe) if isinstance(recipe, Mapping) else read_mapping(Path(recipe))
    extra: list[tuple[str, Any]] = [
        ("data.source", data),
        ("data.test", test),
        ("data.time", time),
        ("training.budget", budget),
        ("training.seed", seed),
    ]
    for path, entry in extra:
        if entry is not None:
            section, key = path.split(".")
            held = value.get(section)
            value[section] = {
                **({"source": held} if isinstance(held, str) else held or {}),
                key: str(entry) if section == "data" else entry,
            }
    return Recipe.parse(override(value, settings), where=where)  # last, since settings may be of what the call names


def _is_pandas(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "pandas"


__all__ = ["Evaluation", "Model", "find_batch", "find_lr", "load", "train"]
