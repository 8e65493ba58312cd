"""The only assembler: a recipe and what was learnt become one ``nn.Module`` (floor 5).

    arrays ── encoders ── fusion ── one output layer a head ── raw predictions ── loss | values and probabilities

Shapes: B rows, K parallel members (1 for ordinary networks), D the fused width, O an output's raw size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import EncoderModule, FusionModule, HeadModule, Raw, SequenceEncoderModule, WriterModule
from deepwright.blocks.heads import expect_no_loss
from deepwright.blocks.routes import (
    MADE,
    AnswerRoute,
    Encoded,
    Encoders,
    ForecastRoute,
    FusedRoute,
    Made,
    MapRoute,
    PairRoute,
    Route,
    SequenceRoute,
    WriterRoute,
    make,
)
from deepwright.blocks.targets import weight
from deepwright.blocks.views import Views, ViewsName
from deepwright.blocks.windows import Path
from deepwright.datapath import TABULAR, DataPath
from deepwright.errors import Problem, RecipeError
from deepwright.facts import Examples, Facts, TargetFacts
from deepwright.families import Encoder, Feature, Writer
from deepwright.recipe import Recipe

VECTOR = "vector"
"""The array of the wire that stands for all others of a group: what its encoder has made of them, ahead of the steps."""


class Model(nn.Module):
    """Encoders, fusion and heads in one module.

    Args:
        encoders: One for each group of inputs.
        fusion: What joins their vectors; ``None`` for a single encoder.
        heads: One for each output.
        weights: The weight of each output's loss.
        uncertainty: Whether the weights are learnt instead (Kendall et al., arXiv 1705.07115): each loss is scaled by
            exp(-s) and s is added.
        routes: What each output is made of.
        joined: What the fusion, or the only encoder, gives the fused vector from; nothing if no output is made of it.
    """

    def __init__(
        self,
        encoders: Mapping[str, EncoderModule],
        fusion: FusionModule | None,
        heads: Mapping[str, HeadModule],
        weights: Mapping[str, float],
        *,
        routes: Mapping[str, Route],
        joined: Mapping[str, Made],
        uncertainty: bool = False,
    ) -> None:
        super().__init__()
        # Column names may hold characters that module names may not: modules go by position, names by these tuples.
        self.groups = tuple(encoders)
        self.outputs = tuple(heads)
        self.weights = dict(weights)
        # Inputs that share an encoder name the same module.
        self.encoders = nn.ModuleList(dict.fromkeys(encoders.values()))
        self._encoder = [list(self.encoders).index(encoder) for encoder in encoders.values()]
        self.fusion = fusion
        self.heads = nn.ModuleList(heads.values())
        self.members = _members(encoders)
        self.routes, self.joined = dict(routes), dict(joined)
        self.writers = tuple(name for name, head in heads.items() if isinstance(head, WriterModule))
        wanted = [*self.joined.items(), *(each for route in routes.values() for each in route.wants().items())]
        self.wants = {group: tuple(what for what in MADE if (group, what) in wanted) for group in encoders}
        self.layers = nn.ModuleList(routes[name].layer(head, encoders) for name, head in heads.items())
        self.log_variances = nn.Parameter(torch.zeros(len(heads))) if uncertainty else None

    def _heads(self) -> Iterator[tuple[str, HeadModule]]:
        for name, head in zip(self.outputs, self.heads, strict=True):
            yield name, cast(HeadModule, head)

    def parts(self) -> dict[str, nn.Module]:
        """Return the parts by the names that a recipe has for them: groups of inputs, ``fusion``, and outputs (layer and head)."""
        found: dict[str, nn.Module] = {
            group: encoder.encoder if isinstance(encoder, Views | Path) else encoder for group, encoder in self.grouped(once=True)
        }
        if self.fusion is not None:
            found["fusion"] = self.fusion
        tops = zip(self.outputs, self.layers, self.heads, strict=True)
        return found | {name: nn.Sequential(layer, head) for name, layer, head in tops}

    def writer(self, name: str) -> WriterModule:
        """Return the module that an output which is a text is written with."""
        return cast(WriterModule, self.heads[self.outputs.index(name)])

    def grouped(self, *, once: bool = False) -> Iterator[tuple[str, EncoderModule]]:
        """Yield every group of inputs and its encoder; ``once``: an encoder that several share only with the first of them."""
        for place, (group, index) in enumerate(zip(self.groups, self._encoder, strict=True)):
            if not once or index not in self._encoder[:place]:
                yield group, cast(EncoderModule, self.encoders[index])

    def forward(self, arrays: Mapping[str, Tensor]) -> dict[str, Raw]:
        """Return each output's raw prediction, (B, O) or (B, K, O); of others see :data:`blocks.contract.Raw`."""
        return self.raw(self.encoded(arrays))

    def encoded(self, arrays: Mapping[str, Tensor]) -> Encoded:
        """Return what the encoders make of a batch, and the fusion of that."""
        found = Encoded(arrays)
        for group, encoder in self.grouped():
            prefix = f"{group}."
            if prefix + VECTOR in arrays:
                found.made[group, "vector"] = arrays[prefix + VECTOR]
                continue
            own = {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}
            for what in self.wants[group]:
                found.made[group, what] = make(encoder, what, own)
        if self.joined:
            given = [found.made[each] for each in self.joined.items()]
            found.fused = given[0] if self.fusion is None else self.fusion(given)
        return found

    def raw(self, encoded: Encoded) -> dict[str, Raw]:
        """Return each output's raw prediction of what :meth:`encoded` returned; see :meth:`forward`."""
        tops = zip(self._heads(), self.layers, strict=True)
        return {name: self.routes[name].raw(layer, head, encoded) for (name, head), layer in tops}

    def embeddings(self, encoded: Encoded) -> dict[str, Tensor]:
        """Return the vector (B, D) of each group of inputs, and of all of them as ``""`` if a fusion joins them; members averaged.

        What an output compares is given as it is compared.
        """
        vectors = encoded.vectors()
        for (name, head), layer in zip(self._heads(), self.layers, strict=True):
            route = self.routes[name]
            if isinstance(route, PairRoute):
                vectors |= zip(route.groups, route.raw(layer, head, encoded), strict=True)
        if self.fusion is not None and encoded.fused is not None:
            vectors[""] = encoded.fused
        return {name: (vector.mean(1) if vector.ndim == 3 else vector).float() for name, vector in vectors.items()}

    def loss(
        self,
        raw: Mapping[str, Raw],
        targets: Mapping[str, Tensor],
        rows: Tensor | None = None,
        *,
        complete: bool = False,
        totals: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return each output's mean loss over the rows whose target is known, the members' losses averaged.

        Args:
            raw: What :meth:`forward` returned.
            targets: As :meth:`deepwright.families.Feature.target` encodes them, classes in int64.
            rows: Row weights (B,).
            complete: Whether every target is known, which saves looking.
            totals: For each output what the sum over rows is divided by, where these rows are a part of a batch; by default
                the weight of the rows themselves.
        """
        losses = {}
        for name, head in self._heads():
            target = targets[name]
            if complete and rows is None:
                each = _row_losses(head, raw[name], target)
                losses[name] = each.mean() if totals is None else each.sum() / totals[name]
                continue
            counts = weight(target, rows)
            # An unknown target becomes a harmless value first: a NaN would survive a multiplication by zero.
            safe = target
            if not head.masks:
                safe = target.nan_to_num() if target.is_floating_point() else target.clamp_min(0) if target.ndim == 1 else target
            each = _row_losses(head, raw[name], safe)
            losses[name] = (each * counts).sum() / (counts.sum() if totals is None else totals[name]).clamp_min(1e-12)
        return losses

    def total(self, losses: Mapping[str, Tensor], share: float = 1.0) -> Tensor:
        """Return the weighted sum of the outputs' losses.

        Args:
            losses: What :meth:`loss` returned.
            share: Of a part of a batch: its share of what does not depend on rows.
        """
        terms = []
        for index, name in enumerate(self.outputs):
            term = losses[name] if self.weights[name] == 1.0 else self.weights[name] * losses[name]
            if self.log_variances is not None:
                term = term * torch.exp(-self.log_variances[index]) + share * self.log_variances[index]
            terms.append(term)
        return terms[0] if len(terms) == 1 else torch.stack(terms).sum()

    def predict(self, raw: Mapping[str, Raw]) -> dict[str, Tensor]:
        """Return values (B,) in the target's own units or probabilities (B, classes), averaged over the members.

        Of a sequence or a map: what its head's search starts from, (B, T, O) or what the head gives, and the head's extras, as
        ``OUTPUT.NAME``.
        """
        predictions = {}
        for name, head in self._heads():
            given = raw[name]
            if isinstance(head, WriterModule):
                predictions[name] = head.outputs(given)
                continue
            if isinstance(given, tuple) or given.ndim == 4:
                predictions[name] = _mean([head.outputs(one) for one in _by_member(given)])
                predictions |= {f"{name}.{key}": value for key, value in head.extras().items()}
                continue
            prediction = given.float()
            flat = prediction.flatten(0, -2)
            values = head.outputs(flat.squeeze(1) if head.size == 1 else flat)
            if prediction.ndim == 3:
                values = values.view(-1, prediction.shape[1], *values.shape[1:]).mean(1)
            predictions[name] = values
        return predictions


def build_model(recipe: Recipe, data: DataPath) -> Model:
    """Assemble the network that a resolved recipe declares.

    Raises:
        RecipeError: An encoder does not accept its input (E108); all of them are listed.
    """
    shared = {name for name, feature in recipe.inputs.items() if feature.same_as is not None}
    shared |= {feature.same_as for feature in recipe.inputs.values() if feature.same_as is not None}
    # What is compared comes first.
    facts = dict(sorted(data.facts().items(), key=lambda item: item[0] not in shared))
    parts = {group: recipe.tabular if group == TABULAR else recipe.inputs[group].encoder for group in facts}
    _check_wires(parts, facts)
    encoders: dict[str, EncoderModule] = {}
    targets = data.target_facts()
    for group, part in parts.items():
        if part is None or (group != TABULAR and recipe.inputs[group].same_as is not None):
            continue
        forecasts = [each.forecast for each in targets.values() if each.forecast is not None]
        if forecasts and hasattr(recipe.inputs[group], "mix"):
            encoders[group] = _path(recipe.inputs[group], part, facts[group], forecasts[0].channels)
        else:
            encoders[group] = _views(recipe, facts[group], part.build(facts[group]))
    # In the order of the inputs, whichever of two that share an encoder comes first.
    encoders = {group: encoders[group if group in encoders else recipe.inputs[group].same_as or group] for group in parts}
    pairs, reads = _pairs(recipe, encoders), _reads(recipe, facts)
    joined = _joined(recipe, encoders)
    widths = [
        cast(SequenceEncoderModule, encoders[group]).states_width if what == "sequence" else encoders[group].width
        for group, what in joined.items()
    ]
    fusion = recipe.fusion.build(widths) if recipe.fusion is not None and len(joined) > 1 else None
    fused = FusedRoute(fusion.width if fusion is not None else next(iter(widths), 0), _members(encoders))
    routes: dict[str, Route] = {}
    heads: dict[str, HeadModule] = {}
    for name, target in targets.items():
        routes[name] = _route(recipe, name, encoders, reads.get(name), pairs.get(name)) or fused
        heads[name] = _head(recipe, target, encoders, routes[name])
    weights = {name: feature.weight for name, feature in recipe.outputs.items()}
    uncertain = recipe.training.multitask == "uncertainty"
    return Model(encoders, fusion, heads, weights, routes=routes, joined=joined, uncertainty=uncertain)


def _route(recipe: Recipe, name: str, encoders: Encoders, read: str | None, pair: tuple[str, str] | None) -> Route | None:
    """Return what an output is made of; nothing if that is the fused vector.

    Args:
        recipe: The recipe.
        name: The output.
        encoders: The encoders.
        read: The input whose states or maps it is made of, if any.
        pair: The two groups of inputs that it compares, if it does.
    """
    feature = recipe.outputs[name]
    head = feature.head
    if isinstance(head, Writer):
        return WriterRoute(name, read)
    if pair is not None:
        return PairRoute(pair)
    if head is not None and head.reads == "window":
        windows = tuple(group for group, encoder in encoders.items() if isinstance(encoder, Path))
        return ForecastRoute(windows, tuple(group for group in encoders if group not in windows))
    if read is None or head is None:
        return None
    if head.reads == "map":
        return MapRoute(read)
    if head.asks and feature.asks is not None:
        return AnswerRoute(read, feature.asks, alike=encoders[read] is encoders[feature.asks])
    return SequenceRoute(read)


def _head(recipe: Recipe, target: TargetFacts, encoders: Encoders, route: Route) -> HeadModule:
    """Build the head of an output.

    Raises:
        RecipeError: There is none (E105); it does not fit the output, or its loss does not (E108).
    """
    feature = recipe.outputs[target.name]
    head = feature.head
    if head is None:
        raise RecipeError("E105", "the output has no head", where=f"outputs.{target.name}.head")
    if target.kind not in head.kinds:
        raise RecipeError(
            "E108",
            f"the head {head.type_name()} does not fit a {target.kind} output",
            where=f"outputs.{target.name}.head",
            expected="a head for " + ", ".join(head.kinds),
        )
    if isinstance(route, AnswerRoute | WriterRoute) and route.group is not None and encoders[route.group].members > 1:
        raise RecipeError(
            "E108",
            f"the head {head.type_name()} reads the states of one network",
            where=f"inputs.{route.group}.encoder",
            got=f"{encoders[route.group].members} of them",
            expected="an encoder such as lstm or transformer; an ensemble is for labels of texts and of their tokens",
        )
    if isinstance(route, AnswerRoute):
        one, other = (cast(SequenceEncoderModule, encoders[group]).states_width for group in (route.group, route.asked))
        return head.build_reader(target, one, other)
    if isinstance(head, Writer) and isinstance(route, WriterRoute):
        expect_no_loss(head, target, feature.loss)
        read = None if route.group is None else encoders[route.group]
        width = None if read is None else cast(SequenceEncoderModule, read).states_width
        return head.build_writer(target, width, _embedding(read) if read is not None and feature.same_as == route.group else None)
    return head.build(target, feature.loss)


def _members(encoders: Encoders) -> int:
    return max((encoder.members for encoder in encoders.values()), default=1)


def _joined(recipe: Recipe, encoders: Encoders) -> dict[str, Made]:
    """Return what of each group of inputs the fused vector is made of; nothing if no output is made of it.

    Raises:
        RecipeError: The fusion reads states that there are none of (E108).
    """
    if not any(feature.head is not None and feature.head.reads == "vector" for feature in recipe.outputs.values()):
        return {}
    crossed = _crossed(recipe, encoders) if len(encoders) > 1 else ()
    return {group: "sequence" if group in crossed else "vector" for group in encoders}


def _crossed(recipe: Recipe, encoders: Mapping[str, EncoderModule]) -> tuple[str, ...]:
    """Return the two groups of inputs whose states the fusion reads; none if it reads vectors.

    Raises:
        RecipeError: Their encoders have no states, or others have members (E108).
    """
    if recipe.fusion is None or recipe.fusion.reads != "sequence":
        return ()
    first = tuple(encoders)[:2]
    if all(isinstance(encoders[group], SequenceEncoderModule) for group in first) and all(
        encoder.members == 1 for encoder in encoders.values()
    ):
        return first
    raise RecipeError(
        "E108",
        f"the fusion {recipe.fusion.type_name()} reads the states of two inputs, and vectors without members of others",
        where="fusion",
        got=", ".join(f"{group}: {recipe.inputs[group].encoder if group != TABULAR else recipe.tabular}" for group in encoders),
        expected="two texts, series or sounds whose encoder has states, such as lstm or transformer; mlp for columns beside them",
        fix="inputs: {first: {type: text, encoder: lstm}, second: {type: text, same_as: first}}",
    )


def _pairs(recipe: Recipe, encoders: Mapping[str, EncoderModule]) -> dict[str, tuple[str, str]]:
    """Return the two groups of inputs that each output of a pair compares.

    Raises:
        RecipeError: There are not two, or their vectors are not of one width, or have members (E108).
    """
    names = [name for name, feature in recipe.outputs.items() if feature.head is not None and feature.head.reads == "pair"]
    if not names:
        return {}
    groups = list(encoders)
    widths = [encoder.width for encoder in encoders.values()]
    alike = len(set(widths)) == 1 or all(getattr(recipe.outputs[name].head, "width", None) for name in names)
    if len(groups) != 2 or not alike or any(encoder.members > 1 for encoder in encoders.values()):
        got = ", ".join(f"{group}: {encoder.width} values" for group, encoder in encoders.items())
        raise RecipeError(
            "E108",
            f"the output {names[0]} compares two inputs whose encoders give vectors of one width",
            where=f"outputs.{names[0]}",
            got=got + (", in members" if any(encoder.members > 1 for encoder in encoders.values()) else ""),
            expected="two inputs, such as two texts; columns without an encoder of their own are one",
            fix="inputs: {first: {type: text, encoder: lstm}, second: {type: text, same_as: first}}, or head: {width: 128}",
        )
    return dict.fromkeys(names, (groups[0], groups[1]))


def _reads(recipe: Recipe, facts: Mapping[str, Facts]) -> dict[str, str]:
    """Return the input that each output of a sequence or of pixels is made of.

    Raises:
        RecipeError: There is none, or several, or its encoder has no states or maps (E108); an input has no effect on any output,
            or is seen in several views (E106).
    """
    found, problems = {}, []
    for name, feature in recipe.outputs.items():
        if feature.head is None or feature.head.reads not in ("sequence", "map"):
            continue
        if isinstance(feature.head, Writer) and not recipe.inputs:
            continue
        shape = feature.head.reads
        encoders = {group: recipe.inputs[group].encoder for group in facts if group != TABULAR}
        able = [group for group, encoder in encoders.items() if encoder is not None and shape in encoder.shapes()]
        chosen = [group for group in able if feature.of in (None, group) and (feature.of or group != feature.asks)]
        if feature.head.asks and feature.asks not in able:
            chosen = []
        if len(chosen) == 1:
            found[name] = chosen[0]
            continue
        have, place = ("maps", "pixel of a picture") if shape == "map" else ("states", "place of an input")
        problems.append(
            Problem(
                "E108",
                f"the output {name} has a value for each {place}, and "
                + ("there is no such input" if not chosen else "there are several"),
                where=f"outputs.{name}.of",
                got=", ".join(able) or ", ".join(f"{group}: {recipe.inputs[group].encoder}" for group in facts if group != TABULAR),
                expected=f"one input whose encoder has {have}: "
                + ", ".join(key for key, part in Encoder.all().items() if shape in part.produces),
            )
        )
    unread = [group for group in facts if group not in (*found.values(), *(feature.asks for feature in recipe.outputs.values()))]
    if len(found) == len(recipe.outputs) and unread and not problems:
        names = ", ".join(unread)
        problems.append(
            Problem(
                "E106",
                f"no output is made of {names}: every output has a value for each place of {', '.join(set(found.values()))}",
                where="inputs",
                fix=f"data: {{drop: [{', '.join(name for group in unread for name in _columns(recipe, group))}]}}",
            )
        )
    problems += [
        Problem("E106", "where each pixel has a value, a picture is seen in one view", f"inputs.{group}.tta", fix="tta: none")
        for group in dict.fromkeys(found.values())
        if getattr(recipe.inputs[group], "tta", "none") != "none"
    ]
    if problems:
        raise RecipeError.of(problems)
    return found


def _embedding(encoder: EncoderModule) -> nn.Embedding | None:
    """Return the embedding of an encoder of tokens."""
    found = getattr(getattr(encoder, "entrance", None), "embedding", None)
    return found if isinstance(found, nn.Embedding) else None


def _columns(recipe: Recipe, group: str) -> list[str]:
    """Return the inputs of a group."""
    return [name for name, feature in recipe.inputs.items() if feature.encoder is None] if group == TABULAR else [group]


def start_model(model: Model, recipe: Recipe, examples: Mapping[str, Examples]) -> list[str]:
    """Give each encoder what training starts from, and return what there is to tell; see :meth:`deepwright.families.Encoder.start`.

    Raises:
        DataError: Weights cannot be read, or do not fit.
    """
    parts, told = model.parts(), []
    for group, _ in model.grouped(once=True):
        encoder = recipe.tabular if group == TABULAR else recipe.inputs[group].encoder
        if encoder is not None:
            where = "tabular" if group == TABULAR else f"inputs.{group}.encoder"
            told.append(encoder.start(cast(EncoderModule, parts[group]), where, examples.get(group)))
    return [text for text in told if text]


def _row_losses(head: HeadModule, raw: Raw, target: Tensor) -> Tensor:
    """Return the loss of each row (B,), its members' losses averaged."""
    if isinstance(raw, tuple) or raw.ndim == 4:
        return _mean([head.loss(one, target) for one in _by_member(raw)])
    if raw.ndim == 3:
        target = target.repeat_interleave(raw.shape[1], dim=0)
    flat = raw.flatten(0, -2).float()
    each = head.loss(flat.squeeze(1) if head.size == 1 else flat, target)
    return each.view(len(raw), -1).mean(1) if raw.ndim == 3 else each


def _by_member(raw: Raw) -> list[Raw]:
    """Return what each member predicts of a sequence, (B, T, O) and the mask; of anything else what is given."""
    if not isinstance(raw, tuple):
        return [raw.float()]
    values, mask = raw
    return [(one, mask) for one in values.unbind(1)] if values.ndim == 4 else [raw]


def _mean(each: list[Tensor]) -> Tensor:
    return each[0] if len(each) == 1 else torch.stack(each).mean(0)


def _views(recipe: Recipe, facts: Facts, encoder: EncoderModule) -> EncoderModule:
    """Let a picture's encoder see several views of it in evaluation, if its input asks for that."""
    kind: ViewsName | Literal["none"] = getattr(recipe.inputs.get(facts.name), "tta", "none")
    if facts.image is None or kind == "none":
        return encoder
    return Views(encoder, facts.image.height, facts.image.width, kind)


def _path(feature: Feature, part: Encoder, facts: Facts, channels: tuple[str, ...]) -> EncoderModule:
    """Build what a window foretells: the encoder of one column, or of all together."""
    mix, own = getattr(feature, "mix", False), getattr(feature, "channels", ())
    window = facts.window
    if window is not None and not mix:
        facts = replace(facts, window=replace(window, channels=1))
    order = tuple(own.index(channel) if channel in own else -1 for channel in channels)
    encoder = part.build(facts)
    return Path(encoder, getattr(feature, "normalize", None) or part.normalized_by, order, mix=mix)


def _check_wires(parts: Mapping[str, Encoder | None], facts: Mapping[str, Facts]) -> None:
    problems = []
    for group, part in parts.items():
        where = "tabular" if group == TABULAR else f"inputs.{group}.encoder"
        if part is None:
            problems.append(Problem("E105", "the inputs have no encoder", where=where))
        elif facts[group].wire not in part.accepts:
            problems.append(
                Problem(
                    "E108",
                    f"the encoder {part.type_name()} does not accept a {facts[group].wire} input",
                    where=where,
                    expected="an encoder for " + facts[group].wire,
                )
            )
    if problems:
        raise RecipeError.of(problems)
