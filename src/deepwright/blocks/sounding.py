"""What encoders of sounds declare alike. Importing this file does not import torch, so that parts can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from deepwright.blocks.sequencing import PoolName
from deepwright.blocks.shapes import expect
from deepwright.facts import Facts, Shape, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.soundmaps import SoundMaps


class SoundEncoder(Encoder):
    """From a sound to a vector, by convolutions over its spectrogram."""

    accepts: ClassVar[tuple[Wire, ...]] = ("sound",)
    produces: ClassVar[tuple[Shape, ...]] = ("vector", "sequence")
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field((24, 48, 96), min_length=1, max_length=8)
    """Channels of each stage; each stage halves the bands."""
    halvings: int = Field(2, ge=0, le=8)
    """How many stages, from the first on, halve the frames, too."""
    depth: int = Field(1, ge=1, le=8)
    """Convolutions of each stage."""
    separable: bool = False
    """Whether convolutions are depthwise separable (arXiv 1704.04861): an eighth of the parameters."""
    mask_frames: float = Field(0.2, ge=0, le=1)
    """The longest run of frames that training covers, as a fraction of the sound (SpecAugment, arXiv 1904.08779)."""
    mask_bands: float = Field(0.2, ge=0, le=1)
    """The widest run of bands that training covers, likewise."""
    pool: PoolName = "max"
    """How the frames become a vector: the ``last`` one, their ``mean`` or ``max``, or ``attention``, a learnt weighted mean."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """The fraction of the vector's values dropped in training."""

    @property
    def pace(self) -> int:
        """How many frames of the spectrogram one of its own stands for."""
        return int(2 ** min(self.halvings, len(self.channels)))

    def maps(self, facts: Facts) -> SoundMaps:
        """Return what turns the arrays of the wire into a sequence of frames.

        Raises:
            RecipeError: The input is not a sound (E108).
        """
        sound = expect(self.type_name(), facts, facts.sound, "sound")
        from deepwright.blocks.soundmaps import SoundMaps

        return SoundMaps(
            sound,
            self.channels,
            self.depth,
            separable=self.separable,
            halvings=self.halvings,
            mask_frames=self.mask_frames,
            mask_bands=self.mask_bands,
        )
