"""Pictures in one folder a class."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from deepwright import folders
from deepwright.families import Source
from deepwright.files import PICTURES
from deepwright.table import Table

_KIND = folders.Kind("images", "image", "pictures", PICTURES, "picture.jpg")


class Images(Source):
    """Pictures in one folder a class: ``CLASS/*.jpg`` or ``{train,test}/CLASS/*.jpg``, in a folder, a zip or a tar.

    A folder ``val`` counts as the test where there is no other, else as training rows, which are divided anew.
    The table has the columns ``image`` (the file's path for a folder, its bytes for an archive) and ``label``, in the order of
    the files' paths. A single folder around everything is skipped, and files that are no pictures are left out with a note.
    """

    split: Literal["train", "test"] | None = None
    """Where there are folders ``train`` and ``test``: which is read; by default the training rows."""
    names: str | None = None
    """How files are named, their suffix left aside, where the name tells what is in them: ``{label}_{number}`` makes a column of
    each word in braces; by default the folder is the column ``label``."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.names is not None:
            folders.check_names(self.names, _KIND)
        return self

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is an existing folder or archive that holds pictures, some of them in folders."""
        return folders.holds_classes(path, _KIND)

    def read(self) -> Table:
        """Read the list of pictures, and from an archive their bytes.

        Raises:
            DataError: The path is missing or damaged (E20x), or does not hold pictures in folders of classes or so named (E216).
        """
        return folders.read(self.path, _KIND, self.split, self.names)

    def held_out(self) -> Images | None:
        """Return the source of the pictures in the folder ``test`` beside ``train``, if there is one."""
        if self.split is None and folders.has_test(self.path, _KIND, self.names):
            return self.model_copy(update={"split": "test"})
        return None

    @classmethod
    def example(cls) -> Images:
        """Return a source of a folder that need not exist."""
        return cls(path="pictures")
