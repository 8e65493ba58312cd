"""Trees over the tokens of texts: read from brackets, or built (floor 2, free of torch).

A tree is a list of merges, two nodes each, the lower ones first. Node ``i + 1`` is the token at place i, node ``-(j + 1)`` what the
merge j made. In an array (B, M, 3) a merge is its two nodes and its height, 1 for two tokens; 0 is padding.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepwright.errors import DataError

HIGHEST = 64
"""The most levels of a tree; one that is higher is built anew, balanced."""
_SIGNS = re.compile(r"[()]|[^\s()]+")
_ESCAPED = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
"""How the Penn Treebank writes brackets that are tokens."""

Merges = tuple[tuple[int, int, int], ...]
"""``(left, right, height)`` of each."""


@dataclass(frozen=True)
class Tree:
    """A text with its tree.

    Args:
        tokens: The tokens, in order.
        merges: The merges, one fewer than the tokens.
    """

    tokens: tuple[str, ...]
    merges: Merges

    @property
    def height(self) -> int:
        """How many levels of merges there are."""
        return self.merges[-1][2] if self.merges else 0


def read_tree(text: str) -> Tree:
    """Read a tree in the brackets of the Penn Treebank, ``(3 (2 It) (4 (2 is) (4 good)))``.

    The first word behind a bracket is a label, unless the bracket closes after it. Labels are left out, nodes of one child are that
    child, and of more than two children the first two are joined first.

    Raises:
        ValueError: Brackets do not match, or hold nothing; the message says at which sign.
    """
    tokens: list[str] = []
    merges: list[tuple[int, int, int]] = []
    open_: list[list[int | str]] = [[]]

    def height(node: int) -> int:
        return merges[-node - 1][2] if node < 0 else 0

    for match in _SIGNS.finditer(text):
        sign = match[0]
        if sign == "(":
            open_.append([])
        elif sign != ")" and (len(open_) == 1 or not open_[-1]):
            open_[-1].append(sign)  # a label, unless the bracket closes after it
        elif sign != ")":
            tokens.append(_ESCAPED.get(sign, sign))
            open_[-1].append(len(tokens))
        else:
            inside = open_.pop()
            if not open_:
                raise ValueError(f"a bracket closes at character {match.start() + 1} that was never opened")
            if not inside:
                raise ValueError(f"the brackets that close at character {match.start() + 1} hold nothing")
            nodes = [child for child in inside if not isinstance(child, str)]
            if not nodes:
                tokens.append(_ESCAPED.get(str(inside[0]), str(inside[0])))
                nodes = [len(tokens)]
            joined = nodes[0]
            for node in nodes[1:]:
                merges.append((joined, node, 1 + max(height(joined), height(node))))
                joined = -len(merges)
            open_[-1].append(joined)
    if len(open_) > 1:
        raise ValueError(f"{len(open_) - 1} brackets are never closed")
    if len(open_[0]) != 1 or isinstance(open_[0][0], str):
        raise ValueError(f"{len(open_[0])} trees or words stand side by side, where one tree is expected")
    return Tree(tuple(tokens), _sorted(merges))


def read_trees(texts: Sequence[str], plain: Sequence[Sequence[str]], where: str) -> list[Tree]:
    """Read the trees of texts; one without a bracket has the tokens of ``plain``, and a balanced tree.

    Raises:
        DataError: Brackets do not match, or hold nothing (E278).
    """
    found, wrong = [], []
    for row, (text, tokens) in enumerate(zip(texts, plain, strict=True)):
        try:
            found.append(read_tree(text) if "(" in text or ")" in text else Tree(tuple(tokens), balanced(len(tokens))))
        except ValueError as error:
            wrong.append(f"row {row + 1}: {error}")
    if wrong:
        raise DataError(
            "E278",
            f"{len(wrong):,} texts are no trees in brackets",
            where=where,
            got="; ".join(wrong[:10]),
            expected="(S (NP It) (VP (V is) (ADJP good)))",
            fix="mend them, or write -LRB- and -RRB- for brackets that are tokens",
        )
    return found


def _sorted(merges: Sequence[tuple[int, int, int]]) -> Merges:
    """Return merges with the lower ones first."""
    order = sorted(range(len(merges)), key=lambda index: merges[index][2])
    place = {-old - 1: -new - 1 for new, old in enumerate(order)}
    return tuple((place.get(merges[i][0], merges[i][0]), place.get(merges[i][1], merges[i][1]), merges[i][2]) for i in order)


@lru_cache(maxsize=4096)
def balanced(count: int) -> Merges:
    """Return the tree over ``count`` tokens that halves them again and again."""
    nodes, merges, height = list(range(1, count + 1)), list[tuple[int, int, int]](), 0
    while len(nodes) > 1:
        height += 1
        higher = []
        for left, right in zip(nodes[::2], nodes[1::2], strict=False):
            merges.append((left, right, height))
            higher.append(-len(merges))
        nodes = higher + ([nodes[-1]] if len(nodes) % 2 else [])
    return tuple(merges)


def levels(count: int) -> int:
    """Return the height of :func:`balanced`."""
    return max(0, count - 1).bit_length()


def merged(trees: Sequence[Merges], places: int) -> NDArray[np.int32]:
    """Return trees as an array (B, ``places``, 3)."""
    found = np.zeros((len(trees), places, 3), np.int32)
    for row, merges in enumerate(trees):
        if merges:
            found[row, : len(merges)] = merges
    return found


def balanced_rows(counts: NDArray[np.integer], places: int) -> NDArray[np.int32]:
    """Return balanced trees over ``counts`` (B,) tokens as an array (B, ``places``, 3)."""
    distinct, which = np.unique(counts, return_inverse=True)
    found: NDArray[np.int32] = merged([balanced(int(count)) for count in distinct], places)[which]
    return found
