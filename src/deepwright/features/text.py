"""Texts, of any language."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepwright import textscores, words
from deepwright.encoding import no_values
from deepwright.errors import RecipeError
from deepwright.facts import Dtype, Facts, TargetFacts, TokensFacts
from deepwright.families import Feature, State
from deepwright.spans import Places
from deepwright.trees import HIGHEST, Tree, balanced_rows, levels, merged, read_trees

_MOST = 512
"""The most tokens of a text unless the recipe says otherwise."""
_COVERED = 0.995
"""The share of the training texts that stay whole, up to :data:`_MOST` tokens."""
_JUDGED = 2
"""Texts that are outputs are cut at so many times the length only: what is found is compared with the whole."""


class TextState(State):
    """What a text column taught."""

    tokens: tuple[str, ...]
    """The known tokens; their ids begin at 2."""
    length: int
    """Tokens of a text at most; what is longer is cut."""
    idf: str
    """The inverse document frequencies of all ids of tokens; see :func:`deepwright.words.idf_codes`."""
    gram_idf: str = ""
    """Those of runs of tokens, if there are any."""
    letters: tuple[str, ...] = ()
    """The known characters of tokens, if they are inputs."""
    height: int = 0
    """Levels of the highest tree, if there are trees."""
    runs: int = 0
    """Runs of characters of a text at most, if they are inputs."""
    tokenizer: str = ""
    """Subwords only: the tokenizer, in the format of the tokenizers library."""
    ready: bool = False
    """Whether that tokenizer came as it is, and brings all that a text needs."""
    given: bool = False
    """Whether its texts were given as lists of words, of which the first subwords are told."""

    @cached_property
    def index(self) -> pl.DataFrame:
        """The id of each token."""
        return words.index_of(self.tokens)


class Text(Feature):
    """A text of any language, as a sequence of tokens.

    Texts are brought to Unicode's form NFKC first. Tokens that training saw fewer than ``min_count`` times share one id; a missing
    and an empty text are the same: no token at all. Chinese and other scripts that put no blanks between words are split into
    characters by ``word`` already. A column of lists holds texts whose tokens are given; of longer ones the start stays.

    As an output it is a text that is written: a translation, a title, what was said. An empty text counts as a missing one there.
    """

    dtype: ClassVar[Dtype] = "words"
    state: ClassVar[type[State]] = TextState
    usual_encoder: ClassVar[str] = "bag"

    tokens: words.Splitter = "word"
    """What a text is split into: words and signs, characters, or subwords learnt from the training texts (byte-level BPE, WordPiece
    or unigram; extra ``text``), of which texts are made whatever words they hold."""
    tokenizer: str | None = None
    """A ``tokenizer.json`` of Hugging Face's tokenizers (extra ``text``), which splits texts as they are, with the tokens that it
    sets around them, instead of ``tokens``; of longer texts the start stays. Its content goes into the bundle."""
    lower: bool | None = None
    """Whether upper and lower case are the same; by default they are, unless a text is an output of the recipe."""
    form: words.Form | None = None
    """Unicode's form (UAX #15): ``NFKC`` makes full-width letters and ligatures plain ones, ``NFC`` does not; by default NFKC,
    unless a text is an output of the recipe."""
    blanks: bool | None = None
    """Characters: whether runs of blanks and line ends stay as they are; by default each is one blank, unless a text is an output
    of the recipe."""
    max_size: int = Field(50_000, ge=1)
    """The most tokens that are known; the most frequent stay. Subwords: the size of the vocabulary, 8,000 being usual."""
    min_count: int = Field(2, ge=1)
    """Tokens that occur fewer times share the id of unknown ones."""
    max_length: int | None = Field(None, ge=1, le=1_000_000)
    """The most tokens of a text. By default as many as 99.5 % of the training texts have at most, but no more than 512."""
    keep: words.Keep = "both"
    """What stays of a longer text: its start, its end, or the halves of both (arXiv 1905.05583)."""
    ngrams: int = Field(1, ge=1, le=5)
    """Runs of up to so many tokens are inputs, too, for the encoder ``bag``."""
    letters: bool = False
    """Whether the characters of each token are inputs, too, which tell what an unknown word is like; not for subwords. Those of
    words keep their case whatever ``lower`` says."""
    subwords: tuple[Annotated[int, Field(ge=1, le=16)], Annotated[int, Field(ge=1, le=16)]] | None = None
    """The shortest and the longest runs of characters within words that are inputs, too, for the encoder ``bag``: (3, 5) tells what
    a word is like that training did not see (arXiv 1607.04606)."""
    trees: Literal["none", "given", "balanced"] = "none"
    """The tree over each text's tokens, for the encoder ``tree_lstm``: ``given`` in the brackets of the Penn Treebank, or
    ``balanced``, which halves texts again and again, as those without a bracket and those that are too long or too high are."""
    buckets: int = Field(2**18, ge=1, le=2**24)
    """The ids that those runs are hashed to."""

    @model_validator(mode="after")
    def _letters_of_words(self) -> Self:
        if self.letters and self.tokens not in ("word", "char"):
            raise ValueError(f"letters are those of words, and tokens is {self.tokens}")
        if self.tokenizer is not None and (self.letters or self.subwords or self.trees != "none" or self.tokens != "word"):
            raise ValueError("tokenizer splits texts by itself; leave tokens, letters, subwords and trees out")
        if self.tokenizer is not None and self.max_length is not None and self.max_length < 8:
            raise ValueError("a tokenizer sets tokens around texts: max_length is at least 8")
        if self.trees == "given" and self.tokens != "word":
            raise ValueError(f"given trees bring their tokens, and tokens is {self.tokens}")
        if self.subwords is not None and self.tokens != "word":
            raise ValueError(f"subwords are runs of characters within words, and tokens is {self.tokens}")
        if self.subwords is not None and self.subwords[0] > self.subwords[1]:
            raise ValueError(f"the shortest run of characters, {self.subwords[0]}, is longer than the longest, {self.subwords[1]}")
        return self

    def fit(self, column: pl.Series) -> TextState:
        """Learn the vocabulary and the length.

        Raises:
            DataError: There is no text (E260), or one is no tree in brackets, and trees are given (E278).
        """
        known = column.drop_nulls()
        if known.is_empty():
            raise no_values(column, "text")
        if self.tokenizer is not None:
            return self._fit_ready(known)
        trees = self._trees(known)
        known = known if trees is None else _tokens_of(trees, known.name)
        given = known.dtype == pl.List(pl.String)
        letters: tuple[str, ...] = ()
        if self.letters:
            characters = words.split_characters(self._written(known).explode().drop_nulls())
            letters = words.vocabulary(characters, size=words.MOST_LETTERS, min_count=1)
        if given or self.tokens in ("word", "char"):
            pieces = self._split(known)
            tokens, tokenizer = words.vocabulary(pieces, size=self.max_size, min_count=self.min_count), ""
            flat, counts = words.look_up(pieces, words.index_of(tokens))
        else:
            texts = self._plain(known)
            tokenizer = words.train_subwords(texts.to_list(), self.tokens, self.max_size, self.min_count)
            table = words.subwords(tokenizer).get_vocab()
            tokens = tuple(sorted(table, key=lambda token: table[token])[len(words.SPECIAL) :])
            flat, counts = words.split_subwords(tokenizer, texts.to_list())
        length = self.max_length or min(_MOST, int(np.quantile(counts, _COVERED, method="higher")))
        ids = words.padded(flat, counts, max(1, length), self._keeps(known))
        seen = words.document_frequencies(ids, len(words.SPECIAL) + len(tokens))
        gram_idf, runs = "", 0
        if self.subwords is not None:
            within = words.subword_grams(words.kept(pieces, max(1, length), self._keeps(known)), *self.subwords, self.buckets)
            runs = max(1, int(np.quantile(within[1], _COVERED, method="higher")))
        if self.ngrams > 1 or self.subwords is not None:
            found = self._grams(ids, None if self.subwords is None else within, runs)
            gram_idf = words.idf_codes(words.document_frequencies(found, self.buckets + 1), len(known))
        return TextState(
            tokens=tokens,
            length=max(1, length),
            idf=words.idf_codes(seen, len(known)),
            gram_idf=gram_idf,
            letters=letters,
            height=self._height(max(1, length), trees),
            runs=runs,
            tokenizer=tokenizer,
        )

    def _fit_ready(self, known: pl.Series) -> TextState:
        """Learn the length and the frequencies of tokens that a given tokenizer makes."""
        text, tokens = words.read_tokenizer(str(self.tokenizer), f"column {known.name}: {self.tokenizer}")
        given = known.dtype == pl.List(pl.String)
        flat, counts = words.split_ready(text, _spaced(known).to_list(), 0)
        length = self.max_length or max(8, min(_MOST, int(np.quantile(counts, _COVERED, method="higher"))))
        size = len(words.SPECIAL) + len(tokens)
        seen = words.document_frequencies(words.padded(flat, counts, max(1, int(counts.max(initial=1)))), size)
        return TextState(
            tokens=tokens, length=length, idf=words.idf_codes(seen, len(known)), tokenizer=text, ready=True, given=given
        )

    def _keeps(self, column: pl.Series) -> words.Keep:
        """Return what stays of a longer text of a column."""
        return "start" if column.dtype == pl.List(pl.String) else self.keep

    def _grams(self, tokens: words.Ids, within: tuple[words.Ids, NDArray[np.int64]] | None, runs: int) -> words.Ids:
        """Return the hashed runs of tokens (B, T), and behind them those of characters within tokens."""
        found = words.grams(tokens, self.ngrams, self.buckets)
        return found if within is None else words.beside(found, *within, found.shape[1] + runs)

    def _plain(self, column: pl.Series, *, lower: bool | None = None) -> pl.Series:
        """Return texts in the form and case of this feature."""
        return words.normalized(column, lower=self._lower if lower is None else lower, form=self.form or "NFKC")

    @property
    def _lower(self) -> bool:
        return self.lower is not False

    def _trees(self, column: pl.Series) -> list[Tree] | None:
        """Return the trees of a column of texts in brackets, if there are any; texts without a bracket are halved.

        Raises:
            DataError: Brackets do not match, or hold nothing (E278).
        """
        if self.trees != "given" or column.dtype == pl.List(pl.String):
            return None
        texts = column.fill_null("").str.slice(0, words.LONGEST)
        return read_trees(texts.to_list(), words.split_words(texts).to_list(), f"column {column.name}")

    def _height(self, length: int, trees: list[Tree] | None) -> int:
        """Return the levels of the highest tree over texts of at most so many tokens."""
        if self.trees == "none":
            return 0
        usual = [tree.height for tree in trees or () if tree.height <= HIGHEST and len(tree.tokens) <= length]
        return max(1, levels(length), *usual)

    def _split(self, column: pl.Series, *, lower: bool | None = None) -> pl.Series:
        """Return the tokens of each text, List(String)."""
        lower = self._lower if lower is None else lower
        if column.dtype == pl.List(pl.String):
            return words.normalized_tokens(column, lower=lower, form=self.form or "NFKC")
        texts = self._plain(column, lower=lower)
        return words.split_characters(texts, blanks=self.blanks is True) if self.tokens == "char" else words.split_words(texts)

    def _written(self, column: pl.Series) -> pl.Series:
        """Return the same tokens in the case that they are written in; a character may become several in lower case, a word not."""
        return self._split(column, lower=self._lower and self.tokens == "char")

    def encode(self, column: pl.Series, state: TextState) -> dict[str, NDArray[np.generic]]:
        """Return ``tokens`` (B, T), and as declared ``grams`` (B, G), ``letters`` (B, T, 16) and ``tree`` (B, T - 1, 3).

        Of lists of words that a tokenizer splits further, ``words`` (B, W) tells where each begins.

        Raises:
            DataError: A text is no tree in brackets, and trees are given (E278).
            MissingExtra: The library of subwords is not installed (E601).
        """
        trees = self._trees(column)
        column = column if trees is None else _tokens_of(trees, column.name)
        keep = self._keeps(column)
        if state.ready:
            flat, counts = words.split_ready(state.tokenizer, _spaced(column).to_list(), state.length)
        elif state.tokenizer and column.dtype == pl.String:
            flat, counts = words.split_subwords(state.tokenizer, self._plain(column).fill_null("").to_list())
        else:
            pieces = self._split(column)
            flat, counts = words.look_up(pieces, state.index)
        arrays: dict[str, NDArray[np.generic]] = {"tokens": words.padded(flat, counts, state.length, keep)}
        if state.given:
            lists = words.split_words(column) if column.dtype == pl.String else column
            rows = lists.fill_null(pl.lit([], pl.List(pl.String))).list.eval(pl.element().fill_null("")).to_list()
            arrays["words"] = words.padded(*words.first_subwords(state.tokenizer, rows, state.length), state.length)
        if self.ngrams > 1 or self.subwords is not None:
            within = None
            if self.subwords is not None:
                within = words.subword_grams(words.kept(pieces, state.length, keep), *self.subwords, self.buckets)
            arrays["grams"] = self._grams(arrays["tokens"].astype(np.int32), within, state.runs)
        if self.letters:
            arrays["letters"] = self._letters(self._written(column), state, keep)
        if self.trees != "none":
            places = max(1, state.length - 1)
            arrays["tree"] = balanced_rows(np.minimum(counts, state.length), places)
            for row, tree in enumerate(trees or ()):
                if len(tree.tokens) <= state.length and tree.height <= state.height:
                    arrays["tree"][row] = merged([tree.merges], places)[0]
        return arrays

    def _letters(self, pieces: pl.Series, state: TextState, keep: words.Keep) -> NDArray[np.uint8]:
        """Return the characters of each token of List(String), (B, T, 16)."""
        distinct = pieces.explode().drop_nulls().unique(maintain_order=True)
        index = pl.DataFrame({"token": distinct, "id": pl.Series(np.arange(1, len(distinct) + 1), dtype=pl.Int32)})
        flat, counts = words.look_up(pieces, index)
        table = np.concatenate([np.zeros((1, words.LETTERS), np.uint8), words.letter_table(distinct, state.letters)])
        found: NDArray[np.uint8] = table[words.padded(flat, counts, state.length, keep)]
        return found

    def places(self, column: pl.Series, state: TextState | None = None) -> Places:
        """Return where the words, the characters or a given tokenizer's tokens stand in texts.

        Raises:
            RecipeError: The tokens are subwords learnt from the training rows, or those of trees in brackets (E106).
        """
        if self.tokenizer is not None:
            held = state if state is not None or self.encoder is None else self.encoder.state()
            where = f"column {column.name}: {self.tokenizer}"
            text = held.tokenizer if isinstance(held, TextState) else words.read_tokenizer(self.tokenizer, where)[0]
            return words.subword_places(text, column.fill_null("").to_list())
        if self.tokens not in ("word", "char") or self.trees == "given":
            fix = f"inputs: {{{column.name}: {{type: text, tokens: word}}}}"
            wrong = "an output that is told by a text's characters needs words or characters as tokens, or a tokenizer"
            got = "trees in brackets" if self.trees == "given" else self.tokens
            raise RecipeError("E106", wrong, where=f"inputs.{column.name}.tokens", got=got, fix=fix)
        characters, form = self.tokens == "char", self.form or "NFKC"
        return words.places(column, characters=characters, lower=self._lower, form=form, blanks=self.blanks is True)

    def facts(self, name: str, state: TextState) -> Facts:
        """Return the text's facts."""
        vocabulary, idf = (*words.SPECIAL, *state.tokens), words.idf_of(state.idf)
        grams = self.buckets + 1 if self.ngrams > 1 or self.subwords is not None else 0
        gram_idf = words.idf_of(state.gram_idf) if grams else ()
        letters = len(words.SPECIAL) + len(state.letters) if self.letters else 0
        return Facts(name, tokens=TokensFacts(vocabulary, state.length, grams, idf, gram_idf, letters, state.height, state.given))

    def target(self, column: pl.Series, state: TextState) -> NDArray[np.int32]:
        """Return the ids of each text's tokens (B, U), 1 where unknown, -1 behind its end, and throughout if missing or empty.

        U is that of the longest, at most twice the length that was learnt.

        Raises:
            MissingExtra: The library of subwords is not installed (E601).
        """
        if state.tokenizer and column.dtype == pl.String:
            flat, counts = words.split_subwords(state.tokenizer, self._plain(column).fill_null("").to_list())
        else:
            flat, counts = words.look_up(self._split(column), state.index)
        width = max(1, min(_JUDGED * state.length, int(counts.max(initial=0))))
        ids = words.padded(flat, counts, width)
        return np.where(ids == words.PADDING, np.int32(-1), ids)

    def target_facts(self, name: str, state: TextState) -> TargetFacts:
        """Return the tokens.

        Raises:
            RecipeError: The tokenizer is that of another network, or the texts are trees (E106).
        """
        if state.ready or self.trees == "given":
            raise RecipeError(
                "E106",
                "a text that is written has tokens of its own, and no trees",
                where=f"outputs.{name}",
                got="trees: given" if self.trees == "given" else f"tokenizer: {self.tokenizer}",
                fix=f"outputs: {{{name}: {{type: text, tokens: bpe, max_size: 8000}}}}",
            )
        return TargetFacts(name, "text", tokens=self.facts(name, state).tokens)

    def counts(
        self, outputs: NDArray[Any], target: NDArray[Any], state: TextState, likelihood: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the counts of :func:`deepwright.textscores.counts`.

        Args:
            outputs: (B, T) the ids that were found, -1 behind their end; (B, 0) if none were sought.
            target: (B, U) the true ids.
            state: The learnt state.
            likelihood: (B, 2) -log p of the target and its tokens, if the head tells it.
        """
        true = self.decode("", target, state).to_series()
        found = self.decode("", outputs, state).to_series() if outputs.shape[1] else None
        return textscores.counts(found, true, np.asarray((target >= 0).any(1)), likelihood)

    def decode(self, name: str, outputs: NDArray[Any], state: TextState) -> pl.DataFrame:
        """Return the text of each row as String.

        Args:
            name: The output's name.
            outputs: (B, T) the ids of its tokens, -1 behind their end; an unknown one becomes ``�``.
            state: The learnt state.
        """
        there = outputs > words.PADDING
        flat, counts = outputs[there].astype(np.int32), there.sum(1).astype(np.int64)
        if state.tokenizer:
            texts = words.joined_subwords(state.tokenizer, flat, counts) if len(outputs) else []
        else:
            texts = (words.joined_characters if self.tokens == "char" else words.joined_words)(flat, counts, state.tokens)
        return pl.DataFrame({name: pl.Series(texts, dtype=pl.String)})

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return texts in several scripts, empty, missing, very short and long."""
        return {
            "english": ["A good film.", "It's not a good film!", None, "", "good good good"],
            "chinese": ["这部电影很好看", "不好看。", None, "这部 film 不好"],
            "mixed": ["naïve ﬁne Ａ", "🙂🙂 ok", "ok", " ", "x " * 700],
            "all distinct": ["one", "two", "three"],
        }


def _tokens_of(trees: list[Tree], name: str) -> pl.Series:
    """Return the tokens of trees, List(String)."""
    return pl.Series(name, [list(tree.tokens) for tree in trees], pl.List(pl.String))


def _spaced(column: pl.Series) -> pl.Series:
    """Return texts as they are, and lists of words with blanks between them; what is missing is empty."""
    lists = column.dtype == pl.List(pl.String)
    return (column.list.eval(pl.element().fill_null("")).list.join(" ") if lists else column).fill_null("")
