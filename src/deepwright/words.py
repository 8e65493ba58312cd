"""From texts to tokens and their ids, vectorised (floor 2, free of torch).

Words follow Unicode: a run of letters, marks and digits, with an apostrophe inside, is a word; every Chinese, Japanese or Korean
character that stands for a syllable or a word is one, too; every other sign is a token of its own.
"""

from __future__ import annotations

import base64
import json
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.errors import DataError, MissingExtra, need
from deepwright.spans import Ints, Places

Ids = NDArray[np.int32]
Splitter = Literal["word", "char", "bpe", "wordpiece", "unigram"]
Keep = Literal["start", "end", "both"]
Form = Literal["NFKC", "NFC"]

PADDING, UNKNOWN = 0, 1
"""The ids of what stands behind a text's end, and of a token that training did not see often enough."""
SPECIAL = ("<pad>", "<unk>")
"""Their names; the known tokens follow."""

LETTERS = 16
"""Characters of a token that are told."""
MOST_LETTERS = 254
"""The most characters that are known: an id is a byte."""

_SYLLABLES = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}"
_WORDS = rf"[{_SYLLABLES}]|[\p{{L}}\p{{M}}\p{{N}}_--[{_SYLLABLES}]]+(?:['’][\p{{L}}]+)?|[^\s\p{{L}}\p{{M}}\p{{N}}_]"
LONGEST = 100_000
"""Characters of one text that are read; what follows is cut, as what is beyond ``max_length`` tokens is."""
_LONGEST_TOKEN = 64
"""A longer word is cut: it is a URL, a hash or a mistake, and would bloat the vocabulary."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


def normalized(texts: pl.Series, *, lower: bool, form: Form = "NFKC") -> pl.Series:
    """Return texts in a composed form of Unicode (UAX #15), on demand in lower case.

    NFKC is the compatibility form, whose ``Ａ`` is A and ``ﬁ`` is fi; NFC leaves them as they are.
    """
    texts = texts.str.slice(0, LONGEST).str.normalize(form)
    return texts.str.to_lowercase() if lower else texts


def split_words(texts: pl.Series) -> pl.Series:
    """Return the words of each text, List(String)."""
    return texts.str.extract_all(_WORDS).list.eval(pl.element().str.slice(0, _LONGEST_TOKEN))


def split_characters(texts: pl.Series, *, blanks: bool = False) -> pl.Series:
    """Return the characters of each text, List(String); runs of blanks and line ends are one blank unless they are to stay."""
    if not blanks:
        texts = texts.str.replace_all(r"\s+", " ").str.strip_chars()
    return texts.str.split("").list.eval(pl.element().filter(pl.element() != ""))


def places(texts: pl.Series, *, characters: bool, lower: bool, form: Form = "NFKC", blanks: bool = False) -> Places:
    """Return where the tokens of texts, split into words or characters, stand in the texts as they were given.

    Args:
        texts: String; a missing one has no token.
        characters: Whether they are split into characters.
        lower: Whether they are brought to lower case.
        form: Unicode's form, as of :func:`normalized`.
        blanks: Whether each blank is a character of its own, as of :func:`split_characters`.
    """
    given = texts.fill_null("").str.slice(0, LONGEST)
    simple = normalized(given, lower=lower, form=form)
    sizes = simple.str.len_chars().to_numpy().astype(np.int64)
    first = np.cumsum(sizes) - sizes
    plain = simple.str.replace_all(r"\s", " ")
    blank = np.frombuffer("".join(plain.to_list()).encode("utf-32-le"), np.uint32) == ord(" ")
    row = np.repeat(np.arange(len(given)), sizes)
    if characters and blanks:
        starts = np.arange(len(blank))
        stops = starts + 1
    elif characters:
        starts, stops = _characters(blank, row)
    else:
        # A token and the next hold every character but blanks, so that their lengths tell their places.
        width = simple.str.extract_all(_WORDS).explode().drop_nulls().str.len_chars().to_numpy().astype(np.int64)
        ink, end = np.flatnonzero(~blank), np.cumsum(width)
        starts, stops = ink[end - width], ink[end - 1] + 1
    owner = row[starts]
    starts, stops = starts - first[owner], stops - first[owner]
    moved = ((given.str.normalize(form) != given) | (simple.str.len_chars() != given.str.len_chars())).arg_true()
    for index in moved.to_list():
        mine = owner == index
        begin, end = _origins(given[index], simple[index], lower=lower, form=form)
        starts[mine], stops[mine] = begin[starts[mine]], end[stops[mine] - 1]
    return Places(starts, stops, np.bincount(owner, minlength=len(given)).astype(np.int64))


def _characters(blank: NDArray[np.bool_], row: Ints) -> tuple[Ints, Ints]:
    """Return the tokens of :func:`split_characters` among all characters: blanks count once, and not at a text's ends."""
    place = np.arange(len(blank))
    before = np.maximum.accumulate(np.where(blank, -1, place)) if len(blank) else place
    after = np.minimum.accumulate(np.where(blank, len(blank), place)[::-1])[::-1] if len(blank) else place
    inner = np.zeros(len(blank), bool)
    inside = np.flatnonzero(blank & (before >= 0) & (after < len(blank)))
    inner[inside] = (row[before[inside]] == row[inside]) & (row[after[inside]] == row[inside]) & (before[inside] == inside - 1)
    starts = np.flatnonzero(~blank | inner)
    return starts, np.where(blank[starts], after[starts], starts + 1) if len(starts) else starts


def _origins(given: str, simple: str, *, lower: bool, form: Form) -> tuple[Ints, Ints]:
    """Return the first character of a text, and the one behind the last, that each character of its normal form is made of."""

    def normal(piece: str) -> str:
        piece = unicodedata.normalize(form, piece)
        return piece.lower() if lower else piece

    # Characters that join the one before them: marks, and the vowels and final consonants of Hangul.
    joins = [unicodedata.combining(char) > 0 or "\u1160" <= char <= "\u11ff" for char in given]
    words = [place > 0 and not (char.isspace() or given[place - 1].isspace()) for place, char in enumerate(given)]
    for glued in (joins, words, [place > 0 for place in range(len(given))]):
        cuts = [place for place, joined in enumerate(glued) if not joined or not place]
        pieces = [normal(given[start:stop]) for start, stop in zip(cuts, [*cuts[1:], len(given)], strict=True)]
        if sum(map(len, pieces)) == len(simple) and "".join(pieces).casefold() == simple.casefold():
            break
    else:
        return np.zeros(len(simple), np.int64), np.full(len(simple), len(given), np.int64)
    counts = [len(piece) for piece in pieces]
    return np.repeat(cuts, counts).astype(np.int64), np.repeat([*cuts[1:], len(given)], counts).astype(np.int64)


def normalized_tokens(pieces: pl.Series, *, lower: bool, form: Form = "NFKC") -> pl.Series:
    """Return given tokens, List(String), in the form of :func:`normalized`; a missing one is an unknown one."""
    token = pl.element().fill_null("").str.slice(0, _LONGEST_TOKEN).str.normalize(form)
    return pieces.list.eval(token.str.to_lowercase() if lower else token)


def vocabulary(pieces: pl.Series, *, size: int, min_count: int) -> tuple[str, ...]:
    """Return the most frequent tokens of List(String), at most ``size``, the frequent ones first and equal ones by name."""
    flat = pieces.explode().drop_nulls().alias("token")
    counts = flat.to_frame().group_by("token").len().filter(pl.col("len") >= min_count)
    ranked = counts.sort([-pl.col("len").cast(pl.Int64), pl.col("token")]).head(size)
    return tuple(ranked["token"].to_list())


def look_up(pieces: pl.Series, index: pl.DataFrame) -> tuple[Ids, NDArray[np.int64]]:
    """Return the ids of all tokens of List(String), one row behind the other, and the number of each row's tokens (B,)."""
    counts = pieces.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = pieces.filter(pl.Series(counts > 0)).explode().alias("token").to_frame()
    ids = flat.join(index, on="token", how="left", maintain_order="left")["id"].fill_null(UNKNOWN)
    return ids.to_numpy().astype(np.int32), counts


def index_of(tokens: Sequence[str]) -> pl.DataFrame:
    """Return the table that :func:`look_up` takes: the id of each token, from 2 on."""
    ids = np.arange(len(SPECIAL), len(SPECIAL) + len(tokens), dtype=np.int32)
    return pl.DataFrame({"token": pl.Series(list(tokens), dtype=pl.String), "id": ids})


def padded(flat: Ids, counts: NDArray[np.int64], length: int, keep: Keep = "start") -> Ids:
    """Return rows of ``length`` ids (B, length), 0 behind their end; of longer rows the start, the end, or both stay.

    Args:
        flat: The ids of all rows, one row behind the other.
        counts: The ids of each row (B,).
        length: Places of a row.
        keep: What stays of a longer row; ``both``: its first and its last half (arXiv 1905.05583, section 5.3.1).
    """
    rows = np.zeros((len(counts), length), np.int32)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(flat)) - np.repeat(starts, counts)
    if (counts > length).any():
        over = np.repeat(np.maximum(counts - length, 0), counts)
        head = {"start": length, "end": 0, "both": length - length // 2}[keep]
        gone = (over > 0) & (place >= head) & (place < head + over)
        place = np.where(place >= head, place - over, place)
        flat, place = flat[~gone], place[~gone]
    rows[np.repeat(np.arange(len(counts)), np.minimum(counts, length)), place] = flat
    return rows


def kept(pieces: pl.Series, length: int, keep: Keep) -> pl.Series:
    """Return what :func:`padded` leaves of the tokens of each text, List(String)."""
    head = {"start": length, "end": 0, "both": length - length // 2}[keep]
    if not (pieces.list.len() > length).any():
        return pieces
    short = pl.col("x").list.len() <= length
    cut = pl.concat_list(pl.col("x").list.head(head), pl.col("x").list.tail(length - head))
    return pieces.alias("x").to_frame().select(pl.when(short).then(pl.col("x")).otherwise(cut)).to_series().alias(pieces.name)


def letter_table(tokens: pl.Series, letters: Sequence[str]) -> NDArray[np.uint8]:
    """Return the ids of the first :data:`LETTERS` characters of tokens, (N, 16): 0 padding, 1 unknown, 2… known."""
    index = {letter: number for number, letter in enumerate(letters, len(SPECIAL))}
    table = np.zeros((len(tokens), LETTERS), np.uint8)
    for row, token in enumerate(tokens.to_list()):
        ids = [index.get(letter, UNKNOWN) for letter in (token or "")[:LETTERS]]
        table[row, : len(ids)] = ids
    return table


def grams(tokens: Ids, longest: int, buckets: int) -> Ids:
    """Return hashed runs of 2 to ``longest`` tokens (B, (longest - 1) T), ids 1 to ``buckets``, 0 behind their end.

    Args:
        tokens: (B, T) ids, 0 behind their end.
        longest: The longest run.
        buckets: How many ids the runs are spread over.
    """
    rows, places = tokens.shape
    counts = (tokens != 0).sum(1)
    found = np.zeros((rows, (longest - 1) * places), np.int32)
    code, used = tokens.astype(np.uint64), np.zeros(rows, np.int64)
    for size in range(2, longest + 1):
        code = _mixed(code[:, :-1] * _MIX + tokens[:, size - 1 :].astype(np.uint64))
        each = np.maximum(counts - size + 1, 0)
        row, place = np.nonzero(np.arange(code.shape[1]) < each[:, None])
        found[row, used[row] + place] = code[row, place] % np.uint64(buckets) + np.uint64(1)
        used += each
    return found


def document_frequencies(ids: Ids, size: int) -> NDArray[np.int64]:
    """Return in how many rows (B, T) each of ``size`` ids stands; padding stands in none."""
    rows = np.sort(ids, axis=1)
    first = np.ones(rows.shape, bool)
    first[:, 1:] = rows[:, 1:] != rows[:, :-1]
    counts = np.bincount(rows[first], minlength=size)
    counts[PADDING] = 0
    return counts


def subword_grams(pieces: pl.Series, shortest: int, longest: int, buckets: int) -> tuple[Ids, NDArray[np.int64]]:
    """Return hashed runs of ``shortest`` to ``longest`` characters of each token, whose ends are characters of it, too.

    They tell what a word is like that training did not see (fastText, arXiv 1607.04606).

    Args:
        pieces: The tokens of each text, List(String).
        shortest: The shortest run.
        longest: The longest run.
        buckets: How many ids the runs are spread over, 1 to ``buckets``.

    Returns:
        The ids of all rows, one row behind the other, and how many each row has (B,).
    """
    distinct = pieces.explode().drop_nulls().unique(maintain_order=True)
    index = pl.DataFrame({"token": distinct, "id": pl.Series(np.arange(len(distinct)), dtype=pl.Int32)})
    tokens, counts = look_up(pieces, index)
    runs, sizes = _runs_of(distinct, shortest, longest, buckets)
    each = sizes[tokens]  # runs of every token of every row
    starts = np.repeat((np.cumsum(sizes) - sizes)[tokens] - (np.cumsum(each) - each), each)
    rows = np.repeat(np.arange(len(counts)), counts)
    return runs[starts + np.arange(len(starts))], np.bincount(rows, each, len(counts)).astype(np.int64)


def _runs_of(tokens: pl.Series, shortest: int, longest: int, buckets: int) -> tuple[Ids, NDArray[np.int64]]:
    """Return the hashed runs of characters of distinct tokens, one token behind the other, and how many each has."""
    marked = ("<" + tokens + ">").to_list()
    sizes = np.array([len(token) for token in marked], np.int64)
    letters = np.zeros((len(marked), int(sizes.max(initial=0))), np.uint64)
    flat = np.frombuffer("".join(marked).encode("utf-32-le", "surrogatepass"), np.uint32)
    letters[np.arange(letters.shape[1]) < sizes[:, None]] = flat
    code, found = letters + np.uint64(1 << 32), []
    for size in range(1, longest + 1):
        if size > 1:
            code = _mixed(code[:, :-1] * _MIX + letters[:, size - 1 :])
        if size >= shortest and code.shape[1]:
            row, place = np.nonzero(np.arange(code.shape[1]) < (sizes - size + 1)[:, None])
            found.append((row, code[row, place]))
    rows = np.concatenate([row for row, _ in found] or [np.zeros(0, np.int64)])
    codes = np.concatenate([codes for _, codes in found] or [np.zeros(0, np.uint64)])
    order = np.argsort(rows, kind="stable")
    return (codes[order] % np.uint64(buckets)).astype(np.int32) + 1, np.bincount(rows, minlength=len(marked))


def beside(first: Ids, flat: Ids, counts: NDArray[np.int64], length: int) -> Ids:
    """Return rows (B, ``length``) of the ids of ``first`` (B, N), 0 behind their end, and of a second list of ids each.

    Args:
        first: Ids that come first.
        flat: The other ids of all rows, one row behind the other.
        counts: How many each row has (B,).
        length: Places of a row; what is beyond is cut.
    """
    known = (first != 0).sum(1)
    rows = np.zeros((len(first), length), np.int32)
    wide = min(length, first.shape[1])
    rows[:, :wide] = first[:, :wide]
    place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts - known, counts)
    there = place < length
    rows[np.repeat(np.arange(len(counts)), counts)[there], place[there]] = flat[there]
    return rows


def class_ratios(ids: Ids, classes: NDArray[Any], count: int, size: int) -> NDArray[np.float32]:
    """Return the log-count ratios ln((p / |p|) / (q / |q|)) of every id in every class, (size, count), 0 where training has no id.

    p counts the texts of the class that hold the id, one added, and q those of all other classes (Wang & Manning 2012,
    "Baselines and Bigrams", equation 2 for counts that are 0 or 1).

    Args:
        ids: (B, T) ids, 0 behind their end.
        classes: The class of each row (B,), -1 if unknown.
        count: How many classes there are.
        size: How many ids there are.
    """
    held = np.stack([document_frequencies(ids[classes == each], size) for each in range(count)], 1).astype(np.float64)
    held[0] = 0
    whole = held.sum(1, keepdims=True)
    inside, outside = held + 1, whole - held + 1
    ratios = np.log(inside / inside[1:].sum(0)) - np.log(outside / outside[1:].sum(0))
    return np.where(whole > 0, ratios, 0.0).astype(np.float32)


def idf_codes(frequencies: NDArray[np.int64], rows: int) -> str:
    """Return the inverse document frequencies ln((1 + n) / (1 + f)) + 1 as text: sixteenths, a byte each, compressed, base 85."""
    idf = np.log((1 + rows) / (1 + frequencies)) + 1
    return base64.b85encode(zlib.compress(np.rint(16 * idf).clip(0, 255).astype(np.uint8).tobytes(), 9)).decode()


def idf_of(codes: str) -> tuple[float, ...]:
    """Return what :func:`idf_codes` wrote, 0 for padding."""
    idf = np.frombuffer(zlib.decompress(base64.b85decode(codes)), np.uint8) / 16
    return (0.0, *idf[1:].tolist())


def _mixed(code: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return codes whose bits all depend on all bits (the finaliser of SplitMix64)."""
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code ^ (code >> np.uint64(31))


# From tokens to a text ----------------------------------------------------------------------------------------------------

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""What an unknown token is written as."""
_CLOSING = r"^[,.;:!?%)\]}…»”’。，、；：！？）】》」』]$"
_OPENING = r"^[(\[{«“‘¿¡#$（【《「『]$"
_TIGHT = r"^[-/@_·]$"


def joined_words(flat: Ids, counts: NDArray[np.int64], tokens: Sequence[str]) -> list[str]:
    """Return texts of words and signs with blanks where they are usually written, so that they are split into the same tokens.

    Args:
        flat: The ids of all texts, one behind the other.
        counts: The tokens of each (B,).
        tokens: The known tokens, whose ids begin at 2.
    """
    names = pl.Series(["", UNREADABLE, *tokens], dtype=pl.String)

    def told(pattern: str) -> NDArray[np.bool_]:
        return np.asarray(names.str.contains(pattern).to_numpy(), bool)[flat]

    closing, opening, tight = told(_CLOSING), told(_OPENING), told(_TIGHT)
    syllable, digits, point, quote = told(rf"^[{_SYLLABLES}]"), told(r"^\p{N}+$"), told(r"^[.,:]$"), told(r'^"$')
    first = np.zeros(len(flat), bool)
    starts = (np.cumsum(counts) - counts)[counts > 0]
    first[starts] = True
    # The first, third … quotation mark of a text opens.
    before: NDArray[np.int64] = np.cumsum(quote) - quote
    odd = (before - np.repeat(before[starts], counts[counts > 0])) % 2 == 1 if len(flat) else quote
    opening, closing = opening | (quote & ~odd), closing | (quote & odd)
    left = {name: np.roll(each, 1) for name, each in (("open", opening), ("tight", tight), ("syllable", syllable))}
    inner = np.roll(point, 1) & digits & np.roll(digits, 2) & ~np.roll(first, 1)
    close = first | closing | tight | left["open"] | left["tight"] | inner | syllable | left["syllable"]
    pieces = np.where(close, "", " ").astype(object) + names.gather(flat.astype(np.int64)).to_numpy().astype(object)
    ends = np.cumsum(counts)
    return ["".join(pieces[end - size : end]) for end, size in zip(ends.tolist(), counts.tolist(), strict=True)]


def joined_characters(flat: Ids, counts: NDArray[np.int64], tokens: Sequence[str]) -> list[str]:
    """Return texts of characters."""
    names = np.array(["", UNREADABLE, *tokens], object)[flat]
    return ["".join(names[end - size : end]) for end, size in zip(np.cumsum(counts).tolist(), counts.tolist(), strict=True)]


# Subwords, by the tokenizers library --------------------------------------------------------------------------------------


def train_subwords(texts: Iterable[str], kind: Splitter, size: int, min_count: int) -> str:
    """Learn a vocabulary of subwords and return the tokenizer as JSON, in the format of the tokenizers library.

    ``bpe`` is byte-level, so that it knows every text (Sennrich et al., arXiv 1508.07909); ``wordpiece`` splits words at blanks
    and signs (Schuster & Nakajima 2012); ``unigram`` is a language model over subwords (Kudo, arXiv 1804.10959).

    Raises:
        MissingExtra: The library is not installed (E601).
    """
    need("tokenizers", extra="text")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    special = list(SPECIAL)
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=min_count,
            special_tokens=special,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=size, min_frequency=min_count, special_tokens=special, show_progress=False)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token=SPECIAL[UNKNOWN], show_progress=False)
    # In an order that does not depend on that of the rows.
    tokenizer.train_from_iterator(sorted(texts), trainer)
    learnt = json.loads(tokenizer.to_str())
    vocab = learnt["model"]["vocab"]
    # The library numbers subwords in the order of a hash table, another in each run; nothing but bpe depends on the numbers.
    if kind == "wordpiece":
        learnt["model"]["vocab"] = {token: number for number, token in enumerate([*special, *sorted(set(vocab) - {*special})])}
    elif kind == "unigram":
        # Characters that are known only so that every text can be split come with scores in an order of chance, too.
        scores = {token: round(score, 4 if len(token) > 1 else 1) for token, score in vocab if token not in special}
        ranked = sorted(scores.items(), key=lambda piece: (-piece[1], piece[0]))
        learnt["model"]["vocab"] = [*([token, 0.0] for token in special), *map(list, ranked)]
        learnt["model"]["unk_id"] = UNKNOWN
    return json.dumps(learnt, sort_keys=True, ensure_ascii=False)


@lru_cache(maxsize=16)
def subwords(tokenizer: str) -> Any:
    """Return the tokenizer that :func:`train_subwords` wrote.

    Raises:
        MissingExtra: The library is not installed (E601).
    """
    need("tokenizers", extra="text")
    from tokenizers import Tokenizer

    return Tokenizer.from_str(tokenizer)


def split_subwords(tokenizer: str, texts: Sequence[str]) -> tuple[Ids, NDArray[np.int64]]:
    """Return the ids of all texts, one behind the other, and how many each has (B,)."""
    encodings = subwords(tokenizer).encode_batch_fast(list(texts), add_special_tokens=False)
    ids = [each.ids for each in encodings]
    counts = np.array([len(each) for each in ids], np.int64)
    return np.fromiter((i for each in ids for i in each), np.int32, int(counts.sum())), counts


def joined_subwords(tokenizer: str, flat: Ids, counts: NDArray[np.int64]) -> list[str]:
    """Return the texts that subwords are pieces of."""
    ids = np.split(flat, np.cumsum(counts)[:-1])
    texts: list[str] = subwords(tokenizer).decode_batch([each.tolist() for each in ids], skip_special_tokens=False)
    return [text.replace(SPECIAL[UNKNOWN], UNREADABLE).removeprefix(" ") for text in texts]


# Tokenizers that come ready ------------------------------------------------------------------------------------------------


def read_tokenizer(path: str, where: str) -> tuple[str, tuple[str, ...]]:
    """Return a ``tokenizer.json`` as it is, and the token of each of its ids.

    Raises:
        DataError: The file is missing (E200), or no tokenizer (E202).
        MissingExtra: The library is not installed (E601).
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise DataError(
            "E200",
            "no such file",
            where=where,
            got=path,
            expected="a tokenizer.json, which tells how texts are split",
            fix="correct the path; of a folder with a vocab.txt, transformers writes it: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    try:
        text = place.read_text(encoding="utf-8")
        table = _ready(text, 0).get_vocab(with_added_tokens=True)
    except MissingExtra:
        raise
    except Exception as error:  # noqa: BLE001  the library raises nothing narrower
        raise DataError("E202", "the tokenizer cannot be read", where=where, got=str(error)[:200], fix="save it again") from None
    names = {number: token for token, number in table.items()}
    return text, tuple(names.get(number, f"<{number}>") for number in range(max(names, default=0) + 1))


@lru_cache(maxsize=16)
def _ready(tokenizer: str, length: int) -> Any:
    """Return a tokenizer that cuts texts at ``length`` tokens, those around them included; 0: nowhere."""
    need("tokenizers", extra="text")
    from tokenizers import Tokenizer

    found = Tokenizer.from_str(tokenizer)
    found.no_padding()
    if length:
        found.enable_truncation(length)
    else:
        found.no_truncation()
    return found


def split_ready(tokenizer: str, texts: Sequence[str], length: int) -> tuple[Ids, NDArray[np.int64]]:
    """Return the ids of all texts, from 2 on, one behind the other, and how many each has (B,); an empty text has none.

    Args:
        tokenizer: The content of a ``tokenizer.json``.
        texts: The texts.
        length: The most tokens of a text; 0: any number.
    """
    return _behind([each.ids for each in _encoded(tokenizer, texts, length)], len(SPECIAL))


def first_subwords(tokenizer: str, rows: Sequence[Sequence[str]], length: int) -> tuple[Ids, NDArray[np.int64]]:
    """Return the place, from 1 on, of the first token of each word, one row behind the other, and how many words each row has (B,).

    Words whose tokens were all cut are not told; one without a token of its own is told by the next.

    Args:
        tokenizer: The content of a ``tokenizer.json``.
        rows: The words, which the texts of :func:`split_ready` are, blanks between them.
        length: The most tokens of a text; 0: any number.
    """
    found = []
    for row, each in zip(rows, _encoded(tokenizer, [" ".join(row) for row in rows], length), strict=True):
        own = [
            (place, end)
            for place, ((_, end), set_) in enumerate(zip(each.offsets, each.special_tokens_mask, strict=True), 1)
            if not set_
        ]
        sizes = np.array([len(word) + 1 for word in row], np.int64)
        # A token may hold the blank before its word: its end tells which word it belongs to.
        index = np.searchsorted([end for _, end in own], np.cumsum(sizes) - sizes, "right")
        found.append([own[int(i)][0] for i in index[index < len(own)]])
    return _behind(found, 0)


def subword_places(tokenizer: str, texts: Sequence[str]) -> Places:
    """Return where the tokens of texts stand in them, of those around a text included, which hold no character.

    A blank before a word, which some tokenizers count to its first token, does not count. Of texts that are cut, the tokens behind
    are told, too.

    Args:
        tokenizer: The content of a ``tokenizer.json``.
        texts: The texts.
    """
    starts, stops, counts = [], [], []
    for text, each in zip(texts, _encoded(tokenizer, texts, 0), strict=True):
        behind = 0
        for (start, stop), special in zip(each.offsets, each.special_tokens_mask, strict=True):
            if special:
                start = stop = behind
            while start < stop and text[start].isspace():
                start += 1
            starts.append(start)
            stops.append(max(stop, start))
            behind = max(behind, stop)
        counts.append(len(each.offsets))
    return Places(np.array(starts, np.int64), np.array(stops, np.int64), np.array(counts, np.int64))


def _encoded(tokenizer: str, texts: Sequence[str], length: int) -> list[Any]:
    """Return what the library makes of texts; an empty one has no token, not even those that are set around others."""
    cut = [text[:LONGEST] for text in texts]
    ready = _ready(tokenizer, length)
    nothing = ready.encode("", add_special_tokens=False)
    return [each if text.strip() else nothing for each, text in zip(ready.encode_batch(cut), cut, strict=True)]


def _behind(rows: Sequence[Sequence[int]], add: int) -> tuple[Ids, NDArray[np.int64]]:
    """Return the values of all rows, one behind the other, with ``add`` added, and how many each has."""
    counts = np.array([len(each) for each in rows], np.int64)
    return np.fromiter((i for each in rows for i in each), np.int32, int(counts.sum())) + np.int32(add), counts
