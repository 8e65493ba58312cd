"""Pictures and their masks, or other pictures, in folders beside each other."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from deepwright.families import Source
from deepwright.paired import files_of, read_pairs, recognised
from deepwright.table import Table


class Pairs(Source):
    """Pictures that belong together by their names: ``images/NAME.jpg`` and ``masks/NAME.png``, or ``noisy/…`` and ``clean/…``.

    The path is a folder, a zip or a tar. Folders ``train``, ``test`` and ``val`` may lie above or below; a folder ``val`` counts as
    the test where there is no other. The table has a column for each folder (the file's path, or of an archive its bytes):
    ``image`` and ``mask`` for the usual names of such folders, else the folder's own name. A mask may be named
    ``NAME_mask``. A picture without its mask has a missing value there.
    """

    split: Literal["train", "test"] | None = None
    """Where there are folders ``train`` and ``test``: which is read; by default the training rows."""
    folders: dict[str, str] | None = Field(None, min_length=2)
    """The folder of each column, what is seen first: ``{image: photos, mask: drawn}``; by default folders of the usual names."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is an existing folder or archive of two such folders."""
        return recognised(path)

    def read(self) -> Table:
        """Read the list of files, and from an archive their bytes.

        Raises:
            DataError: The path is missing or damaged (E20x), or holds no pictures that belong together (E216).
        """
        return read_pairs(self.path, "pairs", self.split, self.folders)[0]

    def files(self) -> list[str]:
        """Return the path of each row's picture inside the folder or archive."""
        return files_of(self.path, "pairs", self.split, self.folders)

    def held_out(self) -> Self | None:
        """Return the source of the pictures in the folder ``test`` beside ``train``, if there is one."""
        if self.split is None and read_pairs(self.path, "pairs", None, self.folders)[1]:
            return self.model_copy(update={"split": "test"})
        return None

    @classmethod
    def example(cls) -> Self:
        """Return a source of a folder that need not exist."""
        return cls(path="pictures")
