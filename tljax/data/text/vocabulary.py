"""A vocabulary: what turns texts into whole numbers, stored with the weights that know them."""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import Array

from tljax.errors import InputError
from tljax.tree import Json

PADDING, UNKNOWN, END = "[PAD]", "[UNK]", "[END]"  # of our own vocabularies, in this order
STRANGE = "a \U0001f600"  # has a word that hardly any vocabulary knows
LONGEST = 200  # characters of a word
_LONG = re.compile(rf"\S{{{LONGEST}}}")
INSTALL = "pip install 'tljax[text]'"


@dataclass(frozen=True, repr=False)
class Vocabulary:
    """A tokenizer of the `tokenizers` library as its file holds it; token 0 is padding.

    It is the preprocessing of a network of tokens, and is stored in its place.
    """

    text: str  # of tokenizer.json

    def __call__(self, ids: Array) -> Array:
        """Give the network its tokens as they are: texts were turned when they were read."""
        return ids

    @functools.cached_property
    def digest(self) -> str:
        """Digest the vocabulary: sha256 in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @functools.cached_property
    def size(self) -> int:
        """Return the number of tokens."""
        return self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Turn texts into tokens, with those that the vocabulary puts before and behind them."""
        try:
            return [each.ids for each in self._tokenizer.encode_batch(list(texts))]
        except Exception as error:  # a WordPiece without a token for unknown words, for one
            raise InputError(f"{self!r}: expected tokens of every text: {error}") from None

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Return the place of each token in its text: first and last character; 0, 0 for none."""
        return [(int(first), int(last)) for first, last in self._tokenizer.encode(text).offsets]

    def padded(self, rows: Sequence[Sequence[int]], *, length: int) -> np.ndarray:
        """Cut and pad rows of tokens to int32 `[N, length]`.

        A row that is cut keeps its last token, where each ends in the same one.
        """
        ends = {row[-1] for row in rows if len(row)}
        out = np.zeros((len(rows), length), np.int32)
        for place, row in enumerate(rows):
            kept = list(row[:length])
            if len(row) > length and len(ends) == 1:
                kept[-1] = row[-1]
            out[place, : len(kept)] = kept
        return out

    @property
    def identity(self) -> Json:
        """Return what distinguishes it from any other, in plain JSON."""
        return {"vocabulary": self.digest}

    def to_dict(self) -> Json:
        """Convert to plain JSON, to be stored with the weights."""
        return {"tokenizer": self.text}

    def __repr__(self) -> str:
        return f"Vocabulary({words(self)})"

    @functools.cached_property
    def _tokenizer(self) -> Any:
        tokenizer = _library().Tokenizer.from_str(self.text)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer


# Of weights whose vocabulary lies in a file beside them.
BESIDE = Vocabulary("")


def read(text: str | bytes, *, where: str) -> Vocabulary:
    """Read the text of a tokenizer.json; InputError for one that is none, or pads otherwise."""
    try:
        document = json.loads(text)
        found = Vocabulary(text.decode() if isinstance(text, bytes) else text)
        padding = found._tokenizer.id_to_token(0)
        tokens = [*found._tokenizer.get_vocab().values(), *found._tokenizer.encode(STRANGE).ids]
    except (InputError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # its own kind, Exception itself, a panic of its Rust
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{where}: expected a tokenizer.json: {reason}") from None
    if not isinstance(document, dict) or padding != PADDING:
        raise InputError(f"{where}: expected token 0 to be {PADDING}, found {padding!r}")
    if max(tokens) >= found.size:
        expected = f"{found.size} tokens to be numbered without gaps"
        raise InputError(f"{where}: expected {expected}, found token {max(tokens)}")
    return found


def trained(texts: Iterable[str], *, size: int) -> Vocabulary:
    """Train a byte-pair vocabulary of at most `size` tokens on texts, without capitals.

    Sennrich et al. 2015, arXiv 1508.07909, on bytes as GPT-2: no text has an unknown character.
    Each text ends in `[END]`. The same texts give the same vocabulary. What has no space for
    `LONGEST` characters is learnt from in pieces: the time of one long word grows as its square.
    """
    library = _library()
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = library.Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PADDING, UNKNOWN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_LONG.sub(r"\g<0> ", text) for text in texts), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return Vocabulary(tokenizer.to_str())


def words(vocabulary: Vocabulary) -> str:
    """Describe a vocabulary, for people to check: its kind, size and digest."""
    kind = json.loads(vocabulary.text)["model"]["type"]
    return f"{kind} vocabulary of {vocabulary.size:,} tokens, {vocabulary.digest[:8]}"


def _library() -> Any:
    try:
        import tokenizers
    except ModuleNotFoundError:
        raise InputError(f"texts: expected the package tokenizers, found none: {INSTALL}") from None
    return tokenizers
