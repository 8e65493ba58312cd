"""The only assembler: a recipe and what was learnt become one ``nn.Module`` (floor 5).

    arrays ── encoders ── fusion ── one output layer a head ── raw predictions ── loss | values and probabilities

Shapes: B rows, K parallel members (1 for ordinary networks), D the fused width, O an output's raw size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import (
    EncoderModule,
    FusionModule,
    HeadModule,
    MapEncoderModule,
    Raw,
    ReaderModule,
    SequenceEncoderModule,
    WriterModule,
)
from deepwright.blocks.heads import ForecastHead, expect_no_loss
from deepwright.blocks.members import output_layer
from deepwright.blocks.targets import weight
from deepwright.blocks.views import Views, ViewsName
from deepwright.blocks.windows import ForecastLayer, Path
from deepwright.datapath import TABULAR, DataPath
from deepwright.errors import Problem, RecipeError
from deepwright.families import Encoder, Examples, Facts, Feature, Writer
from deepwright.recipe import Recipe

VECTOR = "vector"
"""The array of the wire that stands for all others of a group: what its encoder has made of them, ahead of the steps."""


@dataclass
class Encoded:
    """What the encoders make of a batch.

    Args:
        arrays: The batch; what is known of texts that are written is told to their heads.
        vectors: The vector of each group of inputs, (B, D) or (B, K, D).
        states: The states (B, T, D) and the mask (B, T) of the groups that outputs of sequences are made of.
        maps: The maps (B, D, H, W) of the groups that outputs of pixels are made of.
        fused: The vector of all of them.
        same: Which tokens an output that asks finds in what it asks, (B, T, J); see :meth:`ReaderModule.read`.
        told: What each window foretells, of forecasts.
        ahead: The states (B, H, D) of what is known ahead of each row that is foretold.
    """

    arrays: Mapping[str, Tensor]
    vectors: dict[str, Tensor] = field(default_factory=dict)
    states: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    maps: dict[str, Tensor] = field(default_factory=dict)
    fused: Tensor | None = None
    same: dict[str, Tensor] = field(default_factory=dict)
    told: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    ahead: list[Tensor] = field(default_factory=list)


class Model(nn.Module):
    """Encoders, fusion and heads in one module.

    Args:
        encoders: One for each group of inputs.
        fusion: What joins their vectors; ``None`` for a single encoder.
        heads: One for each output.
        weights: The weight of each output's loss.
        uncertainty: Whether the weights are learnt instead (Kendall et al., arXiv 1705.07115): each loss is scaled by
            exp(-s) and s is added.
        reads: The group whose states or maps an output is made of, for outputs of sequences and of pixels; others are made of the
            fused vector, or are forecasts, each of them made of all inputs, which are windows.
        pairs: The two groups whose vectors an output compares, for outputs of pairs.
        crossed: The groups whose states the fusion reads, instead of their vectors.
        asks: The group whose states it has in mind when it reads those.
    """

    def __init__(
        self,
        encoders: Mapping[str, EncoderModule],
        fusion: FusionModule | None,
        heads: Mapping[str, HeadModule],
        weights: Mapping[str, float],
        *,
        uncertainty: bool = False,
        reads: Mapping[str, str] | None = None,
        pairs: Mapping[str, tuple[str, str]] | None = None,
        crossed: tuple[str, ...] = (),
        asks: Mapping[str, str] | None = None,
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
        self.members = max((encoder.members for encoder in encoders.values()), default=1)
        width = fusion.width if fusion is not None else next((encoder.width for encoder in encoders.values()), 0)
        self.reads, self.asks = dict(reads or {}), dict(asks or {})
        self.pairs = dict(pairs or {})
        self.crossed = crossed
        self.foretells = any(isinstance(head, ForecastHead) for head in heads.values())
        self.writers = tuple(name for name, head in heads.items() if isinstance(head, WriterModule))
        self._vectors = any(name not in self.reads and name not in self.writers for name in heads)
        self._fuses = not self.foretells and any(name not in {*self.reads, *self.writers, *self.pairs} for name in heads)
        self.layers = nn.ModuleList(
            nn.Identity()  # what writes has all that it needs
            if name in self.writers
            else _forecast_layer(encoders, head)
            if isinstance(head, ForecastHead)
            else _pair_layer([encoders[group].width for group in self.pairs[name]], head.size)
            if name in self.pairs
            else _reading_layer(encoders[self.reads[name]], head)
            if name in self.reads
            else _output_layer(width, head, self.members)
            for name, head in heads.items()
        )
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
                found.vectors[group] = arrays[prefix + VECTOR]
                continue
            own = {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}
            if isinstance(encoder, Path):
                found.told.append(encoder.read(own))
                continue
            if self.foretells:
                found.ahead.append(cast(SequenceEncoderModule, encoder).states(own)[0])
                continue
            if group in self.reads.values() and isinstance(encoder, MapEncoderModule):
                found.maps[group] = encoder.maps(own)
            elif group in (*self.reads.values(), *self.asks.values(), *self.crossed):
                found.states[group] = cast(SequenceEncoderModule, encoder).states(own)
            if self._vectors and (group not in self.crossed or self.pairs):
                found.vectors[group] = encoder(own)
        if self._fuses:
            given = [found.states[group] if group in self.crossed else found.vectors[group] for group in self.groups]
            found.fused = found.vectors[self.groups[0]] if self.fusion is None else self.fusion(given)
        found.same = {name: self._same(self.reads[name], asked, arrays, found.states) for name, asked in self.asks.items()}
        return found

    def raw(self, encoded: Encoded) -> dict[str, Raw]:
        """Return each output's raw prediction of what :meth:`encoded` returned; see :meth:`forward`."""
        if self.foretells:
            return {name: layer(encoded.told, encoded.ahead) for name, layer in zip(self.outputs, self.layers, strict=True)}
        raw: dict[str, Raw] = {}
        for (name, head), layer in zip(self._heads(), self.layers, strict=True):
            if isinstance(head, WriterModule):
                raw[name] = _written(head, encoded.states.get(self.reads.get(name, "")), encoded.arrays, name)
            elif name in self.pairs:
                raw[name] = self._pair(name, layer, encoded)
            elif self.reads.get(name) in encoded.maps:
                raw[name] = layer(encoded.maps[self.reads[name]])
            elif name in self.reads:
                values, mask = encoded.states[self.reads[name]]
                if name in self.asks:
                    asked, same = encoded.states[self.asks[name]], encoded.same[name]
                    values, mask = cast(ReaderModule, head).read((values, mask), asked, same)
                raw[name] = (layer(values), mask)
            else:
                raw[name] = layer(encoded.fused)
        return raw

    def _pair(self, name: str, layer: nn.Module, encoded: Encoded) -> tuple[Tensor, Tensor]:
        """Return the two vectors (B, D) that an output compares."""
        one, other = (encoded.vectors[group] for group in self.pairs[name])
        first, second = layer.children()
        return first(one), second(other)

    def embeddings(self, encoded: Encoded) -> dict[str, Tensor]:
        """Return the vector (B, D) of each group of inputs, and of all of them as ``""`` if a fusion joins them; members averaged.

        What an output compares is given as it is compared.
        """
        vectors = dict(encoded.vectors)
        for name, layer in zip(self.outputs, self.layers, strict=True):
            if name in self.pairs:
                vectors |= zip(self.pairs[name], self._pair(name, layer, encoded), strict=True)
        if self.fusion is not None and encoded.fused is not None:
            vectors[""] = encoded.fused
        return {name: (vector.mean(1) if vector.ndim == 3 else vector).float() for name, vector in vectors.items()}

    def _same(self, one: str, other: str, arrays: Mapping[str, Tensor], states: Mapping[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Return which known tokens of two texts are the same, (B, T, J) of 0 and 1; none if they do not share an encoder."""
        tokens = [arrays.get(f"{group}.tokens") for group in (one, other)]
        shared = len({self._encoder[self.groups.index(group)] for group in (one, other)}) == 1
        if tokens[0] is None or tokens[1] is None or not shared:
            (x, _), (asked, _) = states[one], states[other]
            return x.new_zeros(()).expand(x.shape[0], x.shape[1], asked.shape[1])
        return ((tokens[0].unsqueeze(2) == tokens[1].unsqueeze(1)) & (tokens[0] > 1).unsqueeze(2)).float()

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
                predictions[name] = head.outputs(given if isinstance(given, tuple) else given.float())
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
    pairs = _pairs(recipe, encoders)
    reads = _reads(recipe, facts)
    joins = recipe.fusion is not None and len(encoders) > 1 and len(pairs) + len(reads) < len(recipe.outputs)
    crossed = _crossed(recipe, encoders) if joins else ()
    widths = [cast(SequenceEncoderModule, e).states_width if group in crossed else e.width for group, e in encoders.items()]
    fusion = recipe.fusion.build(widths) if recipe.fusion is not None and joins else None
    heads: dict[str, HeadModule] = {}
    asks = {name: recipe.outputs[name].asks or "" for name in reads if getattr(recipe.outputs[name].head, "asks", False)}
    for name, target in targets.items():
        feature = recipe.outputs[name]
        if feature.head is None:
            raise RecipeError("E105", "the output has no head", where=f"outputs.{name}.head")
        if target.kind not in feature.head.kinds:
            raise RecipeError(
                "E108",
                f"the head {feature.head.type_name()} does not fit a {target.kind} output",
                where=f"outputs.{name}.head",
                expected="a head for " + ", ".join(feature.head.kinds),
            )
        if name in asks:
            one, other = (cast(SequenceEncoderModule, encoders[group]).states_width for group in (reads[name], asks[name]))
            heads[name] = feature.head.build_reader(target, one, other)
        elif isinstance(feature.head, Writer):
            expect_no_loss(feature.head, target, feature.loss)
            read = reads.get(name)
            width = cast(SequenceEncoderModule, encoders[read]).states_width if read is not None else None
            vectors = _embedding(encoders[read]) if read is not None and feature.same_as == read else None
            heads[name] = feature.head.build_writer(target, width, vectors)
        else:
            heads[name] = feature.head.build(target, feature.loss)
    weights = {name: feature.weight for name, feature in recipe.outputs.items()}
    uncertain = recipe.training.multitask == "uncertainty"
    return Model(encoders, fusion, heads, weights, uncertainty=uncertain, reads=reads, asks=asks, pairs=pairs, crossed=crossed)


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
        able = [group for group in facts if group != TABULAR and shape in getattr(recipe.inputs[group].encoder, "produces", ())]
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


def _read_width(head: HeadModule, encoder: EncoderModule) -> int:
    """Return the width of what the output layer of a sequence reads."""
    return head.states_width if isinstance(head, ReaderModule) else cast(SequenceEncoderModule, encoder).states_width


def _embedding(encoder: EncoderModule) -> nn.Embedding | None:
    """Return the embedding of an encoder of tokens."""
    found = getattr(getattr(encoder, "entrance", None), "embedding", None)
    return found if isinstance(found, nn.Embedding) else None


def _written(head: WriterModule, states: tuple[Tensor, Tensor] | None, arrays: Mapping[str, Tensor], name: str) -> Raw:
    """Return the raw prediction of a text that is known, or the memory that one is written from."""
    written = arrays.get(f"{name}.written")
    if written is not None:
        values, mask = states if states is not None else (None, None)
        raw: tuple[Tensor, Tensor] = head(values, mask, written)
        return raw
    if states is not None:
        return head.remember(*states)
    # Nothing was read: a memory of no place, for each row that is to be continued.
    return torch.full_like(arrays[f"{name}.prompt"][:, :1, None], torch.nan, dtype=torch.float32)


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
    if isinstance(raw, tuple):
        return head.loss(raw, target)
    if raw.ndim == 4:
        return head.loss(raw.float(), target)
    if raw.ndim == 3:
        target = target.repeat_interleave(raw.shape[1], dim=0)
    flat = raw.flatten(0, -2).float()
    each = head.loss(flat.squeeze(1) if head.size == 1 else flat, target)
    return each.view(len(raw), -1).mean(1) if raw.ndim == 3 else each


def _views(recipe: Recipe, facts: Facts, encoder: EncoderModule) -> EncoderModule:
    """Let a picture's encoder see several views of it in evaluation, if its input asks for that."""
    kind: ViewsName | Literal["none"] = getattr(recipe.inputs.get(facts.name), "tta", "none")
    if facts.image is None or kind == "none":
        return encoder
    return Views(encoder, facts.image.height, facts.image.width, kind)


def _forecast_layer(encoders: Mapping[str, EncoderModule], head: ForecastHead) -> ForecastLayer:
    paths = [each for each in encoders.values() if isinstance(each, Path)]
    ahead = [cast(SequenceEncoderModule, each).states_width for each in encoders.values() if not isinstance(each, Path)]
    return ForecastLayer(paths, *head.facts.shape, ahead)


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


def _pair_layer(widths: list[int], size: int) -> nn.ModuleList:
    """Return what brings each of two vectors to ``size`` values; 0: they stay."""
    return nn.ModuleList(nn.Linear(width, size, bias=False) if size else nn.Identity() for width in widths)


def _reading_layer(encoder: EncoderModule, head: HeadModule) -> nn.Module:
    """Return the output layer on states (B, T, D) or on maps (B, D, H, W)."""
    if isinstance(encoder, MapEncoderModule):
        return _with_bias(nn.Conv2d(encoder.maps_width, head.size, 1), head)
    return _output_layer(_read_width(head, encoder), head, 1)


def _output_layer(width: int, head: HeadModule, members: int) -> nn.Module:
    return _with_bias(output_layer(width, head.size, members), head)


def _with_bias(layer: nn.Module, head: HeadModule) -> nn.Module:
    """Let the bias of an output layer start where its head says."""
    bias = getattr(head, "initial_bias", None)
    if bias is not None:
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                if name.endswith("bias"):
                    parameter.copy_(torch.as_tensor(bias).expand_as(parameter))
    return layer
