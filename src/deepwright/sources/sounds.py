"""Sounds in one folder a class, or named for what is in them."""

from __future__ import annotations

from typing import ClassVar

from deepwright.files import SOUNDS
from deepwright.folders import FolderSource, Kind


class Sounds(FolderSource):
    """Sounds in one folder a class: ``CLASS/*.wav`` or ``{train,test}/CLASS/*.wav``, in a folder, a zip or a tar.

    A folder ``val`` counts as the test where there is no other, else as training rows, which are divided anew.
    The table has the columns ``sound`` (the file's path for a folder, its bytes for an archive) and ``label``, in the order of
    the files' paths. A single folder around everything is skipped, and files that are no sounds are left out with a note.
    """

    kind: ClassVar[Kind] = Kind("sounds", "sound", "sounds", SOUNDS, "sound.wav")
