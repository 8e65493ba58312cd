"""What every augmentation keeps: ``from deepwright.testing.augmentations import *`` in a test file runs it over the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deepwright.facts import ImageFacts, SeriesFacts, SoundFacts
from deepwright.families import Augmentation, Draw

if TYPE_CHECKING:
    import torch

__all__ = [
    "test_augmentation_changes_each_row_on_its_own",
    "test_augmentation_keeps_shape_type_and_range",
    "test_augmentation_moves_what_lies_on_pictures_along",
    "test_augmentation_never_happens_at_zero",
    "test_augmentation_of_series",
    "test_augmentation_of_sounds_changes_each_row_on_its_own",
    "test_augmentation_of_sounds_keeps_type_and_range",
    "test_augmentation_of_sounds_never_happens_at_zero",
    "test_augmentation_of_sounds_takes_its_randomness_from_the_generator",
    "test_augmentation_round_trips",
    "test_augmentation_takes_its_randomness_from_the_generator",
]

AUGMENTATIONS = {name: part for name, part in Augmentation.all().items() if part.accepts == "image"}
SOUNDS = {name: part for name, part in Augmentation.all().items() if part.accepts == "sound"}
SERIES = {name: part for name, part in Augmentation.all().items() if part.accepts == "series"}
SIZES = ((1, 28, 28), (3, 9, 14), (3, 2, 5), (1, 1, 1))


def _facts(channels: int, height: int, width: int) -> ImageFacts:
    return ImageFacts(height, width, channels, (120.0,) * channels, (60.0,) * channels)


def _pictures(rows: int, channels: int, height: int, width: int) -> torch.Tensor:
    """Return pictures in the layout in which they come off the wire: (B, H, W, C) in memory."""
    import torch

    made = torch.rand(rows, height, width, channels, generator=torch.Generator().manual_seed(1)) * 255
    return made.round().permute(0, 3, 1, 2)


def draw_of(rows: int, seed: int = 0) -> Draw:
    """Return what the first batch of a training of ``rows`` pictures draws from."""
    import torch

    return Draw(torch.Generator().manual_seed(seed), torch.arange(rows))


@pytest.mark.parametrize("name", [*AUGMENTATIONS, *SOUNDS, *SERIES])
def test_augmentation_round_trips(name: str) -> None:
    """Dumping and parsing an augmentation gives it back."""
    part = Augmentation.resolve(name).example()
    assert Augmentation.parse(part.dump()) == part
    assert Augmentation.parse(part.dump(defaults=False)) == part


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_keeps_shape_type_and_range(name: str, size: tuple[int, int, int]) -> None:
    """Pictures of any size stay pictures in 0…255, and the batch that came in is not written to."""
    import torch

    augment = AUGMENTATIONS[name].example().build(_facts(*size))
    for rows in (1, 17):
        pictures = _pictures(rows, *size)
        kept = pictures.clone()
        changed = augment(pictures, draw_of(rows))
        assert changed.shape == pictures.shape
        assert changed.dtype == pictures.dtype
        assert torch.isfinite(changed).all()
        assert changed.min() >= 0
        assert changed.max() <= 255 + 1e-3
        assert torch.equal(pictures, kept)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_takes_its_randomness_from_the_generator(name: str) -> None:
    """The same generator state gives the same pictures; PyTorch's own generator is neither read nor moved."""
    import torch

    augment = AUGMENTATIONS[name].example().build(_facts(3, 12, 12))
    pictures = _pictures(8, 3, 12, 12)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    generator = torch.Generator().manual_seed(3)
    draw = Draw(generator, torch.arange(8))
    first, second = augment(pictures, draw), augment(pictures, draw)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    generator.manual_seed(3)
    assert torch.equal(augment(pictures, draw), first)
    assert torch.equal(augment(pictures, draw), second)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_changes_each_row_on_its_own(name: str) -> None:
    """Copies of one picture come out differently."""
    import torch

    pictures = _pictures(1, 3, 12, 12).expand(32, -1, -1, -1).contiguous()
    changed = AUGMENTATIONS[name].example().build(_facts(3, 12, 12))(pictures, draw_of(32))
    assert any(not torch.equal(changed[0], row) for row in changed[1:])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_never_happens_at_zero(name: str) -> None:
    """With the probability 0 pictures come back as they were."""
    import torch

    part = AUGMENTATIONS[name].example()
    if "p" not in type(part).model_fields:
        pytest.skip("has no probability")
    pictures = _pictures(16, 3, 12, 12)
    changed = part.model_copy(update={"p": 0.0}).build(_facts(3, 12, 12))(pictures, draw_of(16))
    assert torch.equal(changed, pictures)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_moves_what_lies_on_pictures_along(name: str) -> None:
    """What moves pictures moves the colours and classes of their pixels, drawing the same numbers; other changes move nothing."""
    import torch

    facts = _facts(1, 24, 32)
    classes = torch.zeros(8, 1, 24, 32)
    classes[:, :, 4:14, 6:20] = 1.0
    classes[:, :, 10:20, 14:28] = 2.0
    pictures = classes * 100
    part = AUGMENTATIONS[name].example()
    for edge in ("zero", "border", "reflect") if "edge" in type(part).model_fields else ("",):
        part = part.model_copy(update={"edge": edge}) if edge else part
        draw = draw_of(8)
        changed = part.build(facts)(pictures, draw)
        colours, ids = part.build_along(facts, classes=False), part.build_along(facts, classes=True)
        if ids is None:
            assert colours is None
            # Where things stay, the middle of a large one keeps what it has, at least in most pictures.
            assert ((changed - pictures)[:, 0, 8, 10].abs() < 75).float().mean() >= 0.5
            continue
        assert colours is not None
        again = draw_of(8)
        assert torch.equal(colours(pictures, again), changed)
        assert torch.equal(again.generator.get_state(), draw.generator.get_state())
        again = draw_of(8)
        moved = ids(classes, again)
        assert torch.equal(again.generator.get_state(), draw.generator.get_state())
        assert set(moved.unique().tolist()) <= {0.0, 1.0, 2.0}, "a mean of two classes was taken"
        for kind in (1, 2):
            seen = part.build(facts)((classes == kind) * 100.0, draw_of(8)) > 50
            assert ((moved == kind) == seen).float().mean() > 0.98, "classes and pictures moved differently"


def _sounds(rows: int, samples: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sounds and their lengths; the second has no sample, and behind the ends stands what must not count."""
    import torch

    generator = torch.Generator().manual_seed(1)
    sound = torch.randint(-32768, 32768, (rows, samples), generator=generator).float()
    lengths = torch.randint(1, samples + 1, (rows,), generator=generator, dtype=torch.int32)
    lengths[1:2] = 0
    return sound, lengths


def _heard(sound: torch.Tensor, lengths: torch.Tensor) -> list[torch.Tensor]:
    return [row[: int(length)] for row, length in zip(sound, lengths, strict=True)]


SOUND_FACTS = SoundFacts(1000, 200, 8, 32, 16, -5.0, 3.0)


@pytest.mark.parametrize("name", SOUNDS)
def test_augmentation_of_sounds_keeps_type_and_range(name: str) -> None:
    """Sounds stay sounds, one without a sample stays so, and neither the batch nor what stands behind the ends counts."""
    import torch

    augment = SOUNDS[name].example().build(SOUND_FACTS)
    for rows in (1, 17):
        sound, lengths = _sounds(rows)
        kept = sound.clone(), lengths.clone()
        changed, counts = augment(sound, lengths, draw_of(rows))
        assert (changed.ndim, len(changed), changed.dtype) == (2, rows, sound.dtype)
        assert (counts.shape, counts.dtype) == (lengths.shape, lengths.dtype)
        assert bool((counts <= changed.shape[1]).all())
        assert torch.equal(counts == 0, lengths == 0)
        for row in _heard(changed, counts):
            assert bool(torch.isfinite(row).all())
            assert bool((row.abs() <= 32768).all())
        assert torch.equal(sound, kept[0])
        assert torch.equal(lengths, kept[1])
        behind = torch.where(torch.arange(sound.shape[1]) < lengths[:, None], sound, -sound)
        again = augment(behind, lengths, draw_of(rows))
        for one, two in zip(_heard(changed, counts), _heard(*again), strict=True):
            torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name", SOUNDS)
def test_augmentation_of_sounds_takes_its_randomness_from_the_generator(name: str) -> None:
    """The same generator state gives the same sounds; PyTorch's own generator is neither read nor moved."""
    import torch

    augment = SOUNDS[name].example().build(SOUND_FACTS)
    sound, lengths = _sounds(8)
    state = torch.get_rng_state()
    first, again, other = (_heard(*augment(sound, lengths, draw_of(8, seed))) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert any(one.shape != two.shape or not torch.equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("name", SOUNDS)
def test_augmentation_of_sounds_changes_each_row_on_its_own(name: str) -> None:
    """Copies of one sound come out differently."""
    sound, lengths = _sounds(1)
    changed = _heard(*SOUNDS[name].example().build(SOUND_FACTS)(sound.expand(32, -1), lengths.expand(32), draw_of(32)))
    assert any(changed[0].shape != row.shape or bool((changed[0] != row).any()) for row in changed[1:])


@pytest.mark.parametrize("name", SOUNDS)
def test_augmentation_of_sounds_never_happens_at_zero(name: str) -> None:
    """With the probability 0 sounds come back as they were."""
    import torch

    part = SOUNDS[name].example()
    if "p" not in type(part).model_fields:
        pytest.skip("has no probability")
    sound, lengths = _sounds(16)
    changed, counts = part.model_copy(update={"p": 0.0}).build(SOUND_FACTS)(sound, lengths, draw_of(16))
    assert torch.equal(changed, sound)
    assert torch.equal(counts, lengths)


SERIES_FACTS = SeriesFacts(2, 40, (0.0, 5.0), (1.0, 2.0), missing=True)


@pytest.mark.parametrize("name", SERIES)
def test_augmentation_of_series(name: str) -> None:
    """Series stay series whose gaps are gaps, each is changed on its own as the generator says, and not at all at probability 0."""
    import torch

    part = SERIES[name].example().model_copy(update={"p": 1.0})
    one = torch.randn(1, 40, 2, generator=torch.Generator().manual_seed(1)).cumsum(1)
    series = one.expand(16, -1, -1).clone()
    lengths = torch.full((16,), 40, dtype=torch.int32)
    lengths[1:4] = torch.tensor([0, 1, 25])
    series[5, 10:14, 0] = torch.nan
    kept = series.clone()
    augment = part.build(SERIES_FACTS)
    state = torch.get_rng_state()
    changed, counts = augment(series, lengths, draw_of(16, 3))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(series.nan_to_num(99), kept.nan_to_num(99)), "the batch that came in is written to"
    assert changed.ndim == 3
    assert counts.dtype == lengths.dtype
    assert bool((counts <= changed.shape[1]).all())
    assert torch.equal(counts == 0, lengths == 0)
    for row, count in enumerate(counts.tolist()):
        assert bool(torch.isfinite(changed[row, :count]).all()) or row == 5
    again, _ = augment(series, lengths, draw_of(16, 3))
    assert torch.equal(changed.nan_to_num(99), again.nan_to_num(99))
    other, _ = augment(series, lengths, draw_of(16, 4))
    assert not torch.equal(changed.nan_to_num(99), other.nan_to_num(99))
    assert not torch.equal(changed[6], changed[7])
    behind = torch.where(torch.arange(40)[:, None] < lengths[:, None, None], series, torch.full_like(series, 77.0))
    apart, _ = augment(behind, lengths, draw_of(16, 3))
    for row, count in enumerate(counts.tolist()):
        torch.testing.assert_close(apart[row, :count], changed[row, :count], equal_nan=True)
    still, same = part.model_copy(update={"p": 0.0}).build(SERIES_FACTS)(series, lengths, draw_of(16))
    assert torch.equal(still.nan_to_num(99), series.nan_to_num(99))
    assert torch.equal(same, lengths)
