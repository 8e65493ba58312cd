"""Optimizers, schedules and augmentations."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deepwright.augmentations.affine import Affine
from deepwright.augmentations.blur import Blur
from deepwright.augmentations.brightness import Brightness
from deepwright.augmentations.color import Color
from deepwright.augmentations.contrast import Contrast
from deepwright.augmentations.crop import Crop
from deepwright.augmentations.erase import Erase
from deepwright.augmentations.flip import Flip
from deepwright.augmentations.noise import Noise
from deepwright.blocks.optimization import advance, orthogonalize, split_matrices
from deepwright.facts import ImageFacts
from deepwright.families import Draw
from deepwright.optimizers.adam import Adam
from deepwright.optimizers.adamw import AdamW
from deepwright.optimizers.muon import Muon
from deepwright.optimizers.sgd import SGD
from deepwright.schedules.cosine import Cosine
from deepwright.schedules.exponential import Exponential
from deepwright.schedules.one_cycle import OneCycle
from deepwright.schedules.plateau import Plateau
from deepwright.schedules.step import Step
from deepwright.testing.augmentations import *  # noqa: F403
from deepwright.testing.optimizers import *  # noqa: F403
from deepwright.testing.schedules import *  # noqa: F403

FACTS = ImageFacts(6, 8, 3, (10.0, 20.0, 30.0), (1.0, 1.0, 1.0))


def pictures(rows=4, facts=FACTS):
    values = torch.rand(rows, facts.height, facts.width, facts.channels, generator=torch.Generator().manual_seed(0)) * 255
    return values.permute(0, 3, 1, 2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn():
    return Draw(seeded(), torch.arange(0))


# optimizers


@pytest.mark.parametrize("shape", [(8, 8), (4, 30), (30, 4), (3, 6, 5)])
def test_newton_schulz_brings_singular_values_near_one(shape):
    matrix = torch.randn(*shape, generator=seeded())
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_newton_schulz_of_zero_is_zero():
    assert torch.equal(orthogonalize(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_muon_takes_matrices_and_leaves_embeddings_and_the_rest():
    shapes = {"conv": (8, 4, 3, 3), "dense": (8, 4), "members": (2, 4, 4), "row": (1, 4)}
    weights = {name: torch.nn.Parameter(torch.ones(*shape)) for name, shape in shapes.items()}
    embedding = torch.nn.Parameter(torch.ones(8, 4))
    groups = [{"params": list(weights.values()), "weight_decay": 0.1}, {"params": [embedding], "weight_decay": 0.0}]
    divided = split_matrices(groups)
    muon = [p for group in divided if group["matrices"] for p in group["params"]]
    assert [id(p) for p in muon] == [id(weights["conv"]), id(weights["dense"])]
    assert sum(len(group["params"]) for group in divided) == 5


def test_muon_steps_adamw_for_vectors_as_torch_does():
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    settings = {"lr": 0.01, "betas": (0.9, 0.95)}
    mine = Muon(**settings).build([{"params": [ours], "weight_decay": 0.1}])
    reference = torch.optim.AdamW([theirs], weight_decay=0.1, **settings)
    for step in range(5):
        gradient = torch.randn(7, generator=seeded(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_muon_matches_torch_on_a_matrix():
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 32).view(8, 4).clone()) for _ in range(2))
    mine = Muon(lr=0.01, weight_decay=0.1).build([{"params": [ours], "weight_decay": 0.1}])
    reference = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(3):
        gradient = torch.randn(8, 4, generator=seeded(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)  # torch iterates in bfloat16


@pytest.mark.parametrize("part", [Adam(), Adam(amsgrad=True, weight_decay=0.1), AdamW(), SGD(), Muon()], ids=str)
def test_an_advance_is_the_optimizers_own_step(part):
    """To the bit, also when a parameter begins to learn later than the others, and after a state was restored."""
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in ((4, 3), (4,), (5, 2))]
    gradients = [[torch.randn(p.shape, generator=generator) for p in start] for _ in range(8)]
    sides = []
    for step in (advance, lambda optimizer: optimizer.step()):
        held = [torch.nn.Parameter(p.clone()) for p in start]
        groups = [{"params": held[:2], "weight_decay": 0.1}, {"params": held[2:], "weight_decay": 0.0}]
        optimizer = part.build(groups)
        for number, found in enumerate(gradients):
            for index, (parameter, gradient) in enumerate(zip(held, found, strict=True)):
                parameter.grad = gradient.clone() if index < 2 or number >= 3 else None  # its group as a whole
            if number == 5:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = part.build(groups)
                optimizer.load_state_dict(state)
            step(optimizer)
        sides.append((held, optimizer.state_dict()))
    for ours, theirs in zip(*(side[0] for side in sides), strict=True):
        assert torch.equal(ours, theirs)
    for key, state in sides[1][1]["state"].items():
        assert all(torch.equal(torch.as_tensor(sides[0][1]["state"][key][name]), torch.as_tensor(v)) for name, v in state.items())


def test_sgd_without_momentum_is_plain_and_adamw_decays_by_default():
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.full((3,), 2.0)
    SGD(lr=0.1, momentum=0.0).build([{"params": [weight], "weight_decay": 0.0}]).step()
    torch.testing.assert_close(weight.detach(), torch.full((3,), 0.8))
    assert AdamW().weight_decay > 0


@pytest.mark.parametrize(("part", "fields"), [(SGD, {"momentum": 1.0}), (AdamW, {"betas": (0.9, 1.0)}), (AdamW, {"lr": 0})])
def test_optimizer_bounds(part, fields):
    with pytest.raises(ValidationError):
        part(**fields)


# schedules


def test_schedule_values():
    assert [Step(milestones=(0.5,), gamma=0.1).factor(p, ()) for p in (0.0, 0.49, 0.5, 1.0)] == [1.0, 1.0, 0.1, 0.1]
    assert Exponential(final=0.01).factor(0.5, ()) == pytest.approx(0.1)
    assert [Cosine().factor(p, ()) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert [Cosine(cycles=2).factor(p, ()) for p in (0.25, 0.5, 1.0)] == pytest.approx([0.5, 1.0, 0.0])
    cycle = OneCycle(peak=0.2, start=0.1, shape="linear")
    assert [cycle.factor(p, ()) for p in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0.1, 0.55, 1.0, 0.5, 0.0])


def test_plateau_counts_evaluations_without_improvement():
    part = Plateau(gamma=0.5, patience=1, final=0.2)
    rising = [0.1, 0.2, 0.3]
    assert part.factor(0.5, rising) == 1.0
    assert part.factor(0.5, [*rising, 0.3]) == 1.0
    assert part.factor(0.5, [*rising, 0.3, 0.29]) == 0.5
    assert part.factor(0.5, [*rising, 0.3, 0.29, 0.4]) == 0.5
    assert part.factor(0.5, [0.3] * 40) == 0.2


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_plateau_never_rises_with_more_scores(scores):
    part = Plateau()
    factors = [part.factor(0.0, scores[:count]) for count in range(len(scores) + 1)]
    assert factors == sorted(factors, reverse=True)
    assert all(math.isfinite(factor) for factor in factors)


# augmentations

NOTHING = [
    Crop(shift=0),
    Affine(degrees=0, shift=0, scale=0, shear=0),
    Erase(size=0, p=1),
    Brightness(amount=0),
    Contrast(amount=0),
    Color(saturation=0, hue=0),
    Blur(sigma=0, p=1),
    Noise(amount=0),
]


@pytest.mark.parametrize("part", NOTHING, ids=lambda part: part.type_name())
def test_no_magnitude_is_no_change(part):
    assert torch.equal(part.build(FACTS)(pictures(), drawn()), pictures())


def test_grey_pictures_have_no_colour_to_change():
    grey = ImageFacts(4, 4, 1, (0.0,), (1.0,))
    assert torch.equal(Color(saturation=1, hue=0.5).build(grey)(pictures(facts=grey), drawn()), pictures(facts=grey))


@pytest.mark.parametrize(("axis", "dim"), [("horizontal", 3), ("vertical", 2)])
def test_flip_mirrors(axis, dim):
    assert torch.equal(Flip(axis=axis, p=1.0).build(FACTS)(pictures(), drawn()), pictures().flip(dim))


def test_alternating_flip_shows_both_forms_in_epochs_that_follow_each_other():
    before = pictures(2000)
    augment = Flip(alternate=True).build(FACTS)

    def mirrored(epoch, rows, seed=0):
        after = augment(before[rows], Draw(seeded(epoch), rows, epoch, seed))
        changed = (after != before[rows]).flatten(1).any(1)
        assert torch.equal(after[changed], before[rows][changed].flip(3))
        return changed

    rows = torch.arange(2000)
    first = mirrored(0, rows)
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.04)
    neighbours = (first[1:] == first[:-1]).float().mean().item()
    assert neighbours == pytest.approx(0.5, abs=0.04)
    assert torch.equal(mirrored(1, rows), ~first)
    assert torch.equal(mirrored(4, rows), first)
    shuffled = torch.randperm(2000, generator=seeded())
    assert torch.equal(mirrored(6, shuffled), first[shuffled])
    other = (mirrored(0, rows, seed=1) == first).float().mean().item()
    assert other == pytest.approx(0.5, abs=0.04)


def test_alternating_flip_has_no_probability():
    with pytest.raises(ValidationError, match="alternate"):
        Flip(alternate=True, p=0.2)


def test_flip_happens_with_its_probability():
    changed = Flip(p=0.3).build(FACTS)(pictures(2000), drawn())
    share = (changed != pictures(2000)).flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("edge", ["zero", "border", "reflect"])
def test_crop_is_a_window_of_the_padded_picture(edge):
    before = pictures(64)
    after = Crop(shift=0.25, edge=edge).build(FACTS)(before, drawn())  # 2 rows (round(1.5)), 2 columns
    mode = {"zero": "constant", "border": "replicate", "reflect": "reflect"}[edge]
    wide = torch.nn.functional.pad(before, (2, 2, 2, 2), mode=mode)
    seen = set()
    for row in range(64):
        places = [(y, x) for y in range(5) for x in range(5) if torch.equal(after[row], wide[row, :, y : y + 6, x : x + 8])]
        assert places
        seen.update(places)
    assert len(seen) > 15


def test_affine_turns_by_the_angle_whatever_the_sides():
    facts = ImageFacts(9, 21, 1, (0.0,), (1.0,))
    picture = torch.zeros(64, 1, 9, 21)
    picture[:, :, 4, 6:15] = 255.0  # a bar through the centre
    turned = Affine(degrees=90, shift=0, scale=0, edge="zero").build(facts)(picture, drawn())
    # A rotation about the centre keeps what it does not push out: the bar of 9 fits the height of 9 at any angle.
    mass = turned.flatten(1).sum(1) / picture.flatten(1).sum(1)
    assert mass.min() > 0.85
    assert mass.max() < 1.15
    assert turned[:, 0, :, 10].sum(1).max() > 0.8 * 9 * 255  # some bar is nearly upright


def test_affine_shift_moves_by_a_fraction_of_the_side():
    column = torch.arange(40.0).view(1, 1, 1, 40).expand(50, 1, 40, 40)
    moved = Affine(degrees=0, shift=0.1, scale=0).build(ImageFacts(40, 40, 1, (0.0,), (1.0,)))(column, drawn())
    shift = (moved - column)[:, 0, 20, 20]
    assert shift.abs().max() <= 4.01
    assert shift.abs().max() > 3.0


def test_erase_covers_a_rectangle_with_the_mean_colour():
    facts = ImageFacts(20, 20, 3, (10.0, 20.0, 30.0), (1.0,) * 3)
    before = torch.full((50, 3, 20, 20), 200.0)
    after = Erase(size=0.5, p=1.0).build(facts)(before, drawn())
    covered = (after != before).any(1)
    assert 0 < covered.float().mean() < 0.26
    assert torch.equal(
        after[:, :, 0, 0][covered[:, 0, 0]], torch.tensor([[10.0, 20.0, 30.0]]).expand(int(covered[:, 0, 0].sum()), 3)
    )
    for mask in covered:
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert mask.sum() == rows * columns
        assert max(rows, columns) <= 11


def test_brightness_and_contrast_do_what_they_say():
    flat = torch.full((100, 3, 6, 8), 128.0)
    lit = Brightness(amount=0.1).build(FACTS)(flat, drawn())
    assert (lit - flat).abs().max() <= 25.5 + 1e-3
    assert torch.equal(lit.flatten(1).std(1), torch.zeros(100))
    strong = Contrast(amount=0.5).build(FACTS)(pictures(100) / 4 + 96, drawn())
    torch.testing.assert_close(strong.mean((1, 2, 3)), (pictures(100) / 4 + 96).mean((1, 2, 3)), rtol=1e-3, atol=0.01)


def test_colour_keeps_grey_and_brightness():
    grey = pictures(20).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(Color(saturation=1, hue=0.5).build(FACTS)(grey, drawn()), grey, rtol=0, atol=0.2)
    soft = pictures(20) / 4 + 96  # stays clear of the ends of the range
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    changed = Color(saturation=0.5, hue=0.1).build(FACTS)(soft, drawn())
    torch.testing.assert_close((changed * luma).sum(1), (soft * luma).sum(1), rtol=0, atol=0.1)
    assert (changed - soft).abs().max() > 1


def test_blur_keeps_the_mean_and_smooths():
    facts = ImageFacts(32, 32, 1, (0.0,), (1.0,))
    before = pictures(30, facts)
    after = Blur(sigma=2.0, p=1.0).build(facts)(before, drawn())
    torch.testing.assert_close(after.mean((1, 2, 3)), before.mean((1, 2, 3)), rtol=0, atol=6.0)
    assert (after.flatten(1).std(1) < before.flatten(1).std(1) + 1e-3).all()
    flat = torch.full((4, 1, 32, 32), 77.0)
    torch.testing.assert_close(Blur(sigma=2.0, p=1.0).build(facts)(flat, drawn()), flat, rtol=1e-5, atol=0)


def test_augmentations_accept_both_memory_layouts():
    for part in (Crop(), Flip(), Affine(), Blur(p=1.0), Color()):
        augment = part.build(FACTS)
        torch.testing.assert_close(augment(pictures(), drawn()), augment(pictures().contiguous(), drawn()))
