"""Pictures in one folder a class."""

from __future__ import annotations

from typing import ClassVar

from deepwright.files import PICTURES
from deepwright.folders import FolderSource, Kind
from deepwright.paired import recognised


class Images(FolderSource):
    """Pictures in one folder a class: ``CLASS/*.jpg`` or ``{train,test}/CLASS/*.jpg``, in a folder, a zip or a tar.

    A folder ``val`` counts as the test where there is no other, else as training rows, which are divided anew.
    The table has the columns ``image`` (the file's path for a folder, its bytes for an archive) and ``label``, in the order of
    the files' paths. A single folder around everything is skipped, and files that are no pictures are left out with a note.
    """

    kind: ClassVar[Kind] = Kind("images", "image", "pictures", PICTURES, "picture.jpg")

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path holds pictures in folders, and these are not pictures and their masks."""
        return super().recognises(path) and not recognised(path)
