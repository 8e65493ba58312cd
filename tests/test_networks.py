"""Tabular networks, fusions, heads and losses: the conformance suites over the folders, and what is special."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from deepwright.blocks.attention import TransformerBlock
from deepwright.blocks.categories import CategoryEmbeddings, CategoryOneHot, CategoryViews, UnseenDropout
from deepwright.blocks.decay import weight_decay_groups
from deepwright.blocks.dropout import Dropout
from deepwright.blocks.members import BatchEnsembleLinear, MemberLinear, MemberScale, align_members, output_layer
from deepwright.blocks.norms import MapBatchNorm, VectorBatchNorm
from deepwright.blocks.numbers import (
    OPEN_REACH,
    RANK_REACH,
    NumberViews,
    PeriodicEmbeddings,
    PiecewiseLinearEmbeddings,
    PiecewiseLinearEncoding,
)
from deepwright.encoders.ft_transformer import FTTransformer
from deepwright.encoders.mlp import MLP
from deepwright.encoders.tabm import TabM
from deepwright.errors import RecipeError
from deepwright.facts import CategoryFacts, Facts, NumberFacts, TargetFacts
from deepwright.families import Encoder, Fusion, Head, Loss
from deepwright.fusions.concat import Concat
from deepwright.heads.multilabel import Multilabel
from deepwright.heads.ordinal import Ordinal
from deepwright.losses.binary_cross_entropy import BinaryCrossEntropy
from deepwright.losses.cross_entropy import CrossEntropy
from deepwright.losses.focal import Focal
from deepwright.losses.huber import Huber
from deepwright.losses.kl import KL
from deepwright.losses.mse import MSE
from deepwright.testing import encoders, fusions, heads, losses
from deepwright.testing.losses import target_facts, targets

SUITES = ((Encoder, encoders), (Fusion, fusions), (Head, heads), (Loss, losses))


def _name(check):
    return check.__name__.removeprefix("check_")


@pytest.mark.parametrize(
    ("part", "check"),
    [
        pytest.param(part, check, id=f"{family.family}-{name}-{_name(check)}")
        for family, suite in SUITES
        for name, part in family.all().items()
        for check in suite.CHECKS
    ],
)
def test_conformance(part, check):
    check(part.example())


VARIANTS = {
    "tabm-all": TabM(k=3, width=8, adapters="all", number_embedding="none", one_hot=0, category_width=4),
    "tabm-periodic": TabM(k=2, width=8, depth=1, dropout=0, number_embedding="periodic", frequencies=3, unseen_dropout=0.2),
    "mlp-batch": MLP(hidden=[8], normalization="batch", number_embedding="linear", embedding_width=4),
    "mlp-rms": MLP(hidden=[8, 8], normalization="rms", number_embedding="piecewise", residual=True, one_hot=20),
    "mlp-silu": MLP(hidden=[8], activation="silu", number_embedding="periodic", frequencies=2),
    "ft-periodic": FTTransformer(width=8, heads=1, depth=1, number_embedding="periodic", residual_dropout=0.1),
    "ft-linear": FTTransformer(width=8, heads=4, depth=2, number_embedding="linear", dropout=0, attention_dropout=0),
}


@pytest.mark.parametrize("check", [c for c in encoders.CHECKS if c is not encoders.check_export], ids=_name)
@pytest.mark.parametrize("part", VARIANTS.values(), ids=VARIANTS)
def test_variants_conform(part, check):
    check(part)


def test_exports_other_embeddings():
    encoders.check_export(VARIANTS["tabm-periodic"])


def test_plain_concat_needs_no_parameters():
    fusion = Concat().build([3, 5])
    assert fusion.width == 8
    assert not list(fusion.parameters())
    vectors = [torch.randn(2, 3), torch.randn(2, 4, 5)]
    assert torch.equal(fusion(vectors)[:, 1], torch.cat([vectors[0], vectors[1][:, 1]], 1))


# Numbers --------------------------------------------------------------------------------------------------------------------


def _reference_encoding(x, edges, least, most):
    """Return eq. 1 of arXiv 2203.05556, written as a loop."""
    result = []
    for t, (low, high) in enumerate(pairwise(edges)):
        value = (x - low) / (high - low)
        bottom = least if t == 0 else 0.0
        top = most if t == len(edges) - 2 else 1.0
        result.append(min(max(value, bottom), top))
    return result


@st.composite
def _edges(draw):
    widths = draw(st.lists(st.floats(0.01, 10), min_size=1, max_size=6))
    start = draw(st.floats(-20, 20))
    return tuple(float(e) for e in np.cumsum([start, *widths]))


@settings(max_examples=60, deadline=None)
@given(columns=st.lists(_edges(), min_size=1, max_size=4), values=st.lists(st.floats(-100, 100), min_size=1, max_size=5))
def test_piecewise_linear_encoding_is_that_of_the_paper(columns, values):
    module = PiecewiseLinearEncoding([NumberFacts(str(i), "piecewise", edges) for i, edges in enumerate(columns)])
    x = torch.tensor(values)[:, None].repeat(1, len(columns))
    encoded = module(x)
    assert encoded.shape == (len(values), len(columns), max(len(e) for e in columns) - 1)
    for i, edges in enumerate(columns):
        for row, value in enumerate(values):
            wanted = _reference_encoding(value, edges, -OPEN_REACH, 1 + OPEN_REACH)
            np.testing.assert_allclose(encoded[row, i, : len(wanted)], wanted, atol=2e-3)
            assert not encoded[row, i, len(wanted) :].any(), "padding is zero"


def test_missing_values_take_the_baseline_and_infinite_ones_the_ends():
    facts = [NumberFacts("a", "piecewise", (0.0, 1.0, 3.0), baseline=0.5), NumberFacts("b", "quantile", (0.0, 1.0), baseline=0.25)]
    encoded = PiecewiseLinearEncoding(facts)(torch.tensor([[math.nan, math.nan], [math.inf, -math.inf]]))
    assert encoded[0].tolist() == [[0.5, 0.0], [0.25, 0.0]]
    assert encoded[1].tolist() == [[1.0, 1 + OPEN_REACH], [0.0, 0.0]]


def test_edges_as_near_as_floats_can_be_stay_finite():
    near = (0.0, float(np.nextafter(np.float32(0), np.float32(1))), 1.0)
    encoded = PiecewiseLinearEncoding([NumberFacts("a", "piecewise", near)])(torch.tensor([[0.0], [1e-45], [1.0], [-1e4]]))
    assert torch.isfinite(encoded).all()
    assert encoded[0, 0].tolist() == [0.0, 0.0]
    assert encoded[2, 0, 1] == 1.0


@settings(max_examples=60, deadline=None)
@given(edges=_edges(), value=st.floats(-100, 100))
def test_quantile_view_is_the_interpolated_rank(edges, value):
    view = NumberViews([NumberFacts("a", "quantile", edges)])
    wanted = np.interp(value, edges, np.linspace(-RANK_REACH, RANK_REACH, len(edges)))
    assert float(view(torch.tensor([[value]]))) == pytest.approx(wanted, abs=2e-3)


def test_views_stand_side_by_side():
    facts = [
        NumberFacts("bins", "piecewise", (0.0, 1.0, 2.0, 4.0), missing=True),
        NumberFacts("plain"),
        NumberFacts("rank", "quantile", (0.0, 1.0, 3.0)),
        NumberFacts("other", missing=True, baseline=7.0),
    ]
    views = NumberViews(facts)
    assert views.sections == [1, 1, 1, 3, 1, 1]
    seen = views(torch.tensor([[3.0, -1234.5, 3.0, math.nan], [math.nan, 5.0, 1.0, 2.0]]))
    assert seen.shape == (2, views.width)
    assert seen[0].tolist() == pytest.approx([-1234.5, RANK_REACH, 7.0, 1.0, 1.0, 0.5, 0.0, 1.0])
    assert seen[1].tolist() == pytest.approx([5.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0, 0.0])


def test_number_embeddings_start_linear_and_learn_what_missing_means():
    facts = [NumberFacts("a", "piecewise", (0.0, 1.0, 5.0), missing=True), NumberFacts("b")]
    module = PiecewiseLinearEmbeddings(facts, 3)
    x = torch.tensor([[0.5, 2.0], [math.nan, math.nan], [0.0, 0.0]])
    embedded = module(x)
    assert embedded.shape == (3, 2, 3)
    assert torch.allclose(embedded[0, 1], 2.0 * module.slope[1] + module.offset[1])
    assert torch.equal(embedded[1], embedded[2]), "before training, missing is the baseline"
    with torch.no_grad():
        module.columns.weight[:, -1] += 1.0
    moved = module(x) - embedded
    assert torch.allclose(moved[1, 0], torch.ones(3)), "a flagged column's missing value has a vector of its own"
    assert not moved[1, 1].any(), "an unflagged column has none"
    assert not moved[0].any()


def test_periodic_embeddings_are_those_of_the_paper():
    torch.manual_seed(0)
    module = PeriodicEmbeddings([NumberFacts("a"), NumberFacts("b")], 4, frequencies=3, sigma=0.5)
    x = torch.tensor([[0.3, -1.2]])
    for column in range(2):
        angle = 2 * math.pi * module.frequency[column] * x[0, column]
        waves = torch.cat([angle.cos(), angle.sin()])
        wanted = F.relu(waves @ module.mix.weight[column, :-1] + module.bias[column])
        assert torch.allclose(module(x)[0, column], wanted, atol=1e-6)


# Categories -----------------------------------------------------------------------------------------------------------------


def test_every_column_has_its_own_embeddings_and_unseen_values_are_neutral():
    module = CategoryEmbeddings([CategoryFacts("a", 4), CategoryFacts("b", 3)], 5)
    assert module.embedding.num_embeddings == 7
    embedded = module(torch.tensor([[2, 2], [1, 0], [3, 1]], dtype=torch.int32))
    assert embedded.shape == (3, 2, 5)
    assert torch.equal(embedded[0], module.embedding.weight[[2, 6]])
    assert not embedded[1].any()
    assert not embedded[2, 1].any()


def test_one_hot_knows_missing_and_leaves_unseen_out():
    module = CategoryOneHot([CategoryFacts("a", 4), CategoryFacts("b", 3)])
    seen = module(torch.tensor([[0, 2], [1, 1], [3, 0]], dtype=torch.int32))
    assert module.sections == [3, 2]
    assert seen.tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 1, 1, 0]]


def test_columns_of_few_values_go_one_hot_and_others_are_embedded():
    module = CategoryViews([CategoryFacts("many", 50), CategoryFacts("few", 5)], embedding=4, one_hot=3)
    assert module.sections == [4, 4]
    seen = module(torch.tensor([[30, 2]], dtype=torch.int32))
    assert seen[0, :4].tolist() == [0, 1, 0, 0]
    assert torch.equal(seen[0, 4:], module.embeddings.embedding.weight[30])


def test_unseen_dropout():
    module = UnseenDropout(0.25)
    ids = torch.full((400, 50), 7, dtype=torch.int32)
    torch.manual_seed(1)
    dropped = module(ids)
    assert set(dropped.unique().tolist()) == {1, 7}
    assert float((dropped == 1).float().mean()) == pytest.approx(0.25, abs=0.02)
    torch.manual_seed(1)
    assert torch.equal(module(ids), dropped)
    assert torch.equal(module.eval()(ids), ids)


# Members --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 3])
def test_member_layers_are_separate_linear_layers(outputs):
    layer = MemberLinear(4, 6, outputs)
    x = torch.randn(5, 4, 6)
    for k in range(4):
        assert torch.allclose(layer(x)[:, k], F.linear(x[:, k], layer.weight[k].T, layer.bias[k]), atol=1e-6)


def test_batch_ensemble_is_that_of_the_paper():
    layer = BatchEnsembleLinear(3, 4, 2)
    assert torch.equal(layer.bias[0], layer.bias[2])
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(5, 3, 4)
    for k in range(3):
        weight = layer.after.weight[k][:, None] * layer.linear.weight * layer.before.weight[k]
        assert torch.allclose(layer(x)[:, k], F.linear(x[:, k], weight, layer.bias[k]), atol=1e-5)


def test_members_scale_whole_columns():
    scale = MemberScale(8, 7, "normal", [1, 2, 4]).weight
    assert torch.equal(scale[:, 1], scale[:, 2])
    assert torch.equal(scale[:, 3], scale[:, 6])
    assert not torch.equal(scale[:, 0], scale[:, 1])
    signs = MemberScale(8, 7, "signs").weight
    assert set(signs.unique().tolist()) == {-1.0, 1.0}


def test_tabm_members_are_networks_of_their_own():
    facts = Facts("t", (NumberFacts("a"), NumberFacts("b")))
    torch.manual_seed(0)
    module = TabM(k=3, width=8, number_embedding="none", dropout=0).build(facts)
    numbers = torch.randn(6, 2)
    together = module({"numbers": numbers})
    assert together.shape == (6, 3, 8)
    for k in range(3):
        x = numbers * module.scale.weight[k]
        for block in module.layers:
            x = F.relu(F.linear(x, block.linear.weight, block.linear.bias))
        assert torch.allclose(together[:, k], x, atol=1e-6)
    assert not torch.allclose(together[:, 0], together[:, 1])


def test_output_layer_and_alignment():
    assert output_layer(8, 3, 1)(torch.randn(5, 8)).shape == (5, 3)
    assert output_layer(8, 3, 4)(torch.randn(5, 4, 8)).shape == (5, 4, 3)
    plain, members = torch.randn(5, 2), torch.randn(5, 4, 3)
    assert [tuple(v.shape) for v in align_members([plain, members])] == [(5, 4, 2), (5, 4, 3)]
    assert align_members([plain])[0] is plain


# Layers ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.001, 0.9])
def test_dropout_keeps_the_mean_and_repeats(rate):
    module = Dropout(rate)
    x = torch.ones(333, 301, requires_grad=True)
    torch.manual_seed(5)
    y = module(x)
    assert float((y == 0).float().mean()) == pytest.approx(rate, abs=0.01)
    assert float(y.detach().mean()) == pytest.approx(1.0, abs=0.02)
    y.sum().backward()
    assert torch.equal(x.grad, y), "the gradient passes where the value does"
    torch.manual_seed(5)
    assert torch.equal(module(x), y)
    assert module.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_batch_normalisation_takes_a_lone_row():
    norm = VectorBatchNorm(3)
    norm(torch.randn(20, 3) + 5.0)
    running = norm.running_mean.clone()
    row = torch.randn(1, 3)
    assert torch.equal(norm.train()(row), norm.eval()(row))
    assert torch.equal(norm.running_mean, running)
    assert torch.isfinite(MapBatchNorm(3)(torch.randn(1, 3, 1, 1))).all()
    batch = torch.randn(8, 3)
    assert torch.equal(VectorBatchNorm(3)(batch), torch.nn.BatchNorm1d(3)(batch))


def test_reading_one_token_computes_one_token():
    torch.manual_seed(0)
    block = TransformerBlock(8, 2, 12).eval()
    x = torch.randn(3, 5, 8)
    assert torch.allclose(block(x, 1), block(x)[:, :1], atol=1e-6)


def test_weight_decay_spares_biases_embeddings_and_scales():
    model = torch.nn.ModuleDict(
        {"encoder": TabM(k=2, width=8, one_hot=0).build(Facts("t", (NumberFacts("a"),), (CategoryFacts("c", 9),)))}
    )
    model["out"] = output_layer(8, 1, 2)
    groups = weight_decay_groups(model, 0.1)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed = {names[id(parameter)] for parameter in groups[0]["params"]}
    assert decayed == {"encoder.layers.0.linear.weight", "encoder.layers.1.linear.weight", "out.weight"}
    assert sum(len(group["params"]) for group in groups) == len(names)


LEARNERS = [
    MLP(hidden=[32, 32], dropout=0),
    TabM(k=4, width=32, dropout=0),
    FTTransformer(width=16, depth=2, dropout=0, attention_dropout=0),
]


@pytest.mark.parametrize("part", LEARNERS, ids=lambda part: part.type_name())
def test_encoders_learn_an_interaction(part):
    torch.manual_seed(0)
    edges = tuple(float(e) for e in np.linspace(-1, 1, 9))
    facts = Facts("t", tuple(NumberFacts(name, "piecewise", edges) for name in "ab"), (CategoryFacts("c", 4),))
    arrays = {"numbers": torch.rand(256, 2) * 2 - 1, "categories": torch.randint(2, 4, (256, 1), dtype=torch.int32)}
    target = (arrays["numbers"].prod(1) > 0).logical_xor(arrays["categories"][:, 0] == 3).float()
    encoder = part.build(facts)
    layer = output_layer(encoder.width, 1, encoder.members)
    optimizer = torch.optim.Adam([*encoder.parameters(), *layer.parameters()], lr=1e-2)
    for _ in range(90):
        optimizer.zero_grad()
        raw = layer(encoder(arrays)).squeeze(-1).view(256, -1)
        loss = F.binary_cross_entropy_with_logits(raw, target[:, None].expand_as(raw))
        loss.backward()
        optimizer.step()
    encoder.eval()
    raw = layer(encoder(arrays)).squeeze(-1).view(256, -1).mean(1)
    assert float(((raw > 0) == (target > 0)).float().mean()) > 0.9


def test_transformer_refuses_a_width_that_its_heads_do_not_divide():
    with pytest.raises(RecipeError, match=r"E106.*multiple of the heads[\s\S]*width: 12"):
        FTTransformer(width=10, heads=4).build(Facts("t", (NumberFacts("a"),)))


# Losses ---------------------------------------------------------------------------------------------------------------------


def test_losses_agree_with_torch():
    raw, number = torch.randn(7), torch.randn(7)
    assert torch.allclose(MSE().build(target_facts("number"))(raw, number), (raw - number) ** 2)
    wanted = F.huber_loss(raw, number, reduction="none", delta=0.3)
    assert torch.allclose(Huber(delta=0.3).build(target_facts("number"))(raw, number), wanted)
    hit = targets("binary", 7)
    wanted = F.binary_cross_entropy_with_logits(raw, hit.float(), reduction="none")
    for part in (CrossEntropy(), BinaryCrossEntropy()):
        assert torch.allclose(part.build(target_facts("binary"))(raw, hit), wanted)
    logits, index = torch.randn(7, 4), targets("multiclass", 7)
    smooth = CrossEntropy(label_smoothing=0.1).build(target_facts("multiclass"))(logits, index)
    assert torch.allclose(smooth, F.cross_entropy(logits, index, reduction="none", label_smoothing=0.1))
    tags = targets("multilabel", 7)
    wanted = F.binary_cross_entropy_with_logits(logits, tags, reduction="none").mean(1)
    assert torch.allclose(BinaryCrossEntropy().build(target_facts("multilabel"))(logits, tags), wanted)


def test_binary_label_smoothing_is_that_of_two_classes():
    raw, hit = torch.randn(7), targets("binary", 7)
    two = torch.stack([torch.zeros(7), raw], 1)
    wanted = F.cross_entropy(two, hit, reduction="none", label_smoothing=0.2)
    assert torch.allclose(CrossEntropy(label_smoothing=0.2).build(target_facts("binary"))(raw, hit), wanted, atol=1e-6)


def test_focal_loss_is_that_of_the_paper():
    raw, hit = torch.randn(9), targets("binary", 9)
    p = torch.where(hit == 1, torch.sigmoid(raw), 1 - torch.sigmoid(raw))
    alpha = torch.where(hit == 1, 0.25, 0.75)
    focal = Focal(gamma=2.0, alpha=0.25).build(target_facts("binary"))
    assert torch.allclose(focal(raw, hit), -alpha * (1 - p) ** 2 * p.log(), atol=1e-6)
    logits, index = torch.randn(9, 4), targets("multiclass", 9)
    p = torch.softmax(logits, 1).gather(1, index[:, None])[:, 0]
    weights = [1.0, 2.0, 3.0, 4.0]
    focal = Focal(gamma=1.5, alpha=weights).build(target_facts("multiclass"))
    assert torch.allclose(focal(logits, index), -torch.tensor(weights)[index] * (1 - p) ** 1.5 * p.log(), atol=1e-6)
    for kind, inputs in (("multiclass", logits), ("multilabel", logits), ("binary", raw)):
        target = targets(kind, 9)
        usual = "cross_entropy" if kind == "multiclass" else "binary_cross_entropy"
        plain = Loss.parse(usual).build(target_facts(kind))(inputs, target)
        assert torch.allclose(Focal(gamma=0.0).build(target_facts(kind))(inputs, target), plain, atol=1e-6)


@pytest.mark.parametrize(("kind", "alpha"), [("binary", [0.2, 0.8]), ("multiclass", 0.5), ("multiclass", [1.0, 2.0])])
def test_focal_loss_refuses_an_alpha_that_does_not_fit(kind, alpha):
    with pytest.raises(RecipeError, match="E106"):
        Focal(alpha=alpha).build(target_facts(kind))


def test_kl_divergence():
    logits = torch.randn(6, 4)
    wanted = torch.softmax(torch.randn(6, 4), 1)
    kl = KL().build(target_facts("multiclass"))
    reference = (wanted * (wanted.log() - torch.log_softmax(logits, 1))).sum(1)
    assert torch.allclose(kl(logits, wanted), reference, atol=1e-6)
    assert torch.allclose(kl(wanted.log(), wanted), torch.zeros(6), atol=1e-6)
    index = targets("multiclass", 6)
    assert torch.allclose(kl(logits, index), F.cross_entropy(logits, index, reduction="none"), atol=1e-6)
    smooth = KL(smoothing=0.2).build(target_facts("multiclass"))
    best = torch.log(F.one_hot(index, 4) * 0.8 + 0.05)
    assert torch.allclose(smooth(best, index), torch.zeros(6), atol=1e-6)


# Heads ----------------------------------------------------------------------------------------------------------------------


def test_ordinal_probabilities():
    head = Ordinal().build(target_facts("ordinal"), None)
    ordered = torch.tensor([[2.0, 0.5, -1.0]])
    above = torch.sigmoid(ordered[0])
    assert torch.allclose(head.outputs(ordered)[0], torch.stack([1 - above[0], above[0] - above[1], above[1] - above[2], above[2]]))
    crossed = head.outputs(torch.tensor([[-1.0, 3.0, 0.0]]))[0]
    least = 1 / (1 + math.e)
    assert crossed.tolist() == pytest.approx([1 - least, 0, 0, least])


def test_ordinal_loss_counts_how_far():
    loss = BinaryCrossEntropy().build(target_facts("ordinal"))
    raw = torch.tensor([[6.0, 6.0, 6.0]] * 4)  # says: the highest
    assert loss(raw, torch.tensor([0, 1, 2, 3])).diff().lt(0).all()


def test_one_decision_comes_without_an_axis():
    two = TargetFacts("o", "ordinal", ("low", "high"), (3, 1), 4)
    head = Ordinal().build(two, None)
    assert head.size == 1
    raw = torch.tensor([-1.0, 2.0, 0.0])
    assert torch.allclose(head.outputs(raw)[:, 1], torch.sigmoid(raw))
    assert torch.allclose(
        head.loss(raw, torch.tensor([0, 1, 1])),
        F.binary_cross_entropy_with_logits(raw, torch.tensor([0.0, 1, 1]), reduction="none"),
    )
    tag = TargetFacts("t", "multilabel", ("only",), (1,), 4)
    head = Multilabel().build(tag, Focal())
    assert head.outputs(raw).shape == (3, 1)
    assert head.loss(raw, torch.ones(3, 1)).shape == (3,)
    assert head.initial_bias.shape == (1,)


def test_a_misfit_names_what_fits():
    with pytest.raises(RecipeError) as refused:
        Ordinal().build(target_facts("number"), CrossEntropy())
    text = str(refused.value)
    assert [problem.code for problem in refused.value.problems] == ["E108", "E108"]
    assert "regression" in text
    assert "huber, mae, mse" in text
    assert "outputs.output.loss" in text
