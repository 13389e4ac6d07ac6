# SPDX-License-Identifier: BSD-3-Clause
"""FITS headers as plain dictionaries, read without touching the data.

Ingest reads many headers and no pixels.  This module walks the header/data units of
a file (FITS Standard 4.0, sections 3 and 4), turns the cards into Python values and
checks that the file is as long as its headers say.  Cards that are anything but a
plain value (``CONTINUE``, ``HIERARCH``, odd spellings) go through
`astropy.io.fits.Card`, so that the values are those astropy gives.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO

from lakebutler.errors import FileFormatError

__all__ = ["BLOCK", "HeaderUnit", "data_size", "parse_cards", "read_units"]

BLOCK = 2880
"""Bytes in a FITS block."""

_CARD = 80
_MAX_HEADER = 4096 * BLOCK
_GZIP_MAGIC = b"\x1f\x8b"

_KEY = re.compile(r"[A-Z0-9_\-]{1,8} *")
_TEXT = re.compile(r" *'([^']*(?:''[^']*)*)' *(?:/.*)?$")
_NUMBER = re.compile(r"[+-]?(?:(\d{1,18})|(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?)")
_COMMENTARY = frozenset({"COMMENT", "HISTORY", ""})
_STRUCTURE = 24 * _CARD  # mandatory keywords come first (FITS Standard 4.0, section 4.4.1)


@dataclass(frozen=True)
class HeaderUnit:
    """Header of one header/data unit.

    Attributes
    ----------
    index : `int`
        Number of the unit in its file; 0 is the primary one.
    text : `str`
        The header as it stands in the file.
    size : `int`
        Bytes of its data, without padding.
    offset : `int`
        Where its data begin in the (decompressed) file.
    """

    index: int
    text: str = field(repr=False)
    size: int
    offset: int

    @cached_property
    def cards(self) -> dict[str, object]:
        """Keyword to value; of repeated keywords the first; undefined values are left out."""
        return parse_cards(self.text)

    def values(self, key: str) -> list[object]:
        """Give the values of all cards of a name, of which some are there twice.

        Parameters
        ----------
        key : `str`
            The name, of at most eight characters.

        Returns
        -------
        values : `list`
            In the order of the header.
        """
        marker = f"{key:<8}="
        lines = (self.text[i : i + _CARD] for i in range(0, len(self.text), _CARD))
        return [value for line in lines if line.startswith(marker) for value in parse_cards(line).values()]

    @cached_property
    def has_image(self) -> bool:
        """Whether the unit holds an image, tile-compressed or not."""
        if self.size == 0:
            return False
        if self.text.startswith(("SIMPLE", "XTENSION= 'IMAGE")):
            return True
        return "ZIMAGE  =" in self.text and self.cards.get("ZIMAGE") is True


def parse_cards(text: str) -> dict[str, object]:
    """Turn the cards of one header into a dictionary.

    Parameters
    ----------
    text : `str`
        Cards of 80 characters each, with or without the ``END`` card.

    Returns
    -------
    cards : `dict`
        Keyword to `str`, `bool`, `int`, `float` or `complex`.  Commentary and
        undefined values are left out; of repeated keywords the first one counts.
    """
    cards: dict[str, object] = {}
    position = 0
    while position < len(text):
        card = text[position : position + _CARD]
        position += _CARD
        if card.startswith("END") and not card[3:].strip():
            break
        while text.startswith("CONTINUE", position):
            card += text[position : position + _CARD]
            position += _CARD
        _take_card(card, cards)
    return cards


def _take_card(card: str, cards: dict[str, object]) -> None:
    if card[8:10] != "= " or len(card) != _CARD or not _KEY.fullmatch(card, 0, 8):
        _take_odd_card(card, cards)
        return
    key = card[:8].rstrip()
    if key in cards or key in _COMMENTARY:
        return
    text = _TEXT.match(card, 10)
    if text is not None:
        cards[key] = text[1].replace("''", "'").rstrip(" ")
        return
    word = card[10:].partition("/")[0].strip()
    number = _NUMBER.fullmatch(word)
    if number is not None:
        cards[key] = int(word) if number[1] else float(word.replace("D", "E").replace("d", "e"))
    elif word in ("T", "F"):
        cards[key] = word == "T"
    elif word:
        _take_odd_card(card, cards)


def _take_odd_card(card: str, cards: dict[str, object]) -> None:
    hierarchical = card.startswith("HIERARCH") and "=" in card
    if card[:8].strip() in _COMMENTARY or not (hierarchical or card[8:9] == "="):
        return
    import warnings

    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parsed = fits.Card.fromstring(card)
            key, value = parsed.keyword, parsed.value
        except (fits.VerifyError, ValueError, TypeError):
            return
    if key not in _COMMENTARY and key not in cards and not isinstance(value, fits.card.Undefined):
        cards[key] = value


def data_size(cards: dict[str, object]) -> int:
    """Compute how many bytes of data follow a header.

    Parameters
    ----------
    cards : `dict`
        The header.

    Returns
    -------
    size : `int`
        Bytes without padding (FITS Standard 4.0, equations 1 and 2).

    Raises
    ------
    FileFormatError
        Raised if a structural keyword is missing or makes no sense.
    """
    bitpix, naxis = _structural(cards, "BITPIX"), _structural(cards, "NAXIS")
    if bitpix not in (8, 16, 32, 64, -32, -64) or not 0 <= naxis <= 999:
        raise FileFormatError(f"not a valid FITS header: BITPIX = {bitpix}, NAXIS = {naxis}")
    if naxis == 0:
        return 0
    axes = [_structural(cards, f"NAXIS{i}") for i in range(1, naxis + 1)]
    if any(n < 0 for n in axes):
        raise FileFormatError(f"not a valid FITS header: axes of length {axes}")
    pcount = _structural(cards, "PCOUNT", 0)
    gcount = _structural(cards, "GCOUNT", 1)
    if axes[0] == 0 and cards.get("GROUPS") is True:
        axes = axes[1:]
    pixels = 1
    for n in axes:
        pixels *= n
    return abs(bitpix) // 8 * gcount * (pcount + pixels)


def _structural(cards: dict[str, object], key: str, default: int | None = None) -> int:
    value = cards.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        shown = "missing" if value is None else repr(value)
        raise FileFormatError(f"not a valid FITS header: {key} is {shown}")
    return value


def read_units(stream: IO[bytes], size: int | None = None) -> Iterator[HeaderUnit]:
    """Read the headers of a FITS file one after the other.

    Parameters
    ----------
    stream : binary file
        At its beginning; gzip is recognised by its first bytes.
    size : `int`, optional
        Length of the file in bytes, to tell a truncated file without reading it.
        A gzip stream has to be read to its end for that.

    Yields
    ------
    unit : `HeaderUnit`
        In the order of the file.

    Raises
    ------
    FileFormatError
        Raised if the file is no FITS file, is damaged or is shorter than its headers
        say.
    """
    magic = stream.read(2)
    stream.seek(0)
    if magic == _GZIP_MAGIC:
        with gzip.open(stream, "rb") as plain:
            try:
                yield from _walk(plain, None)  # type: ignore[arg-type]
                _drain(plain)  # type: ignore[arg-type]
            except (EOFError, gzip.BadGzipFile, zlib.error) as err:
                raise FileFormatError(f"truncated or damaged gzip file ({err})") from err
    else:
        yield from _walk(stream, size)


def _walk(stream: IO[bytes], size: int | None) -> Iterator[HeaderUnit]:
    position, index = 0, 0
    while True:
        text = _read_header(stream, first=index == 0)
        if text is None:
            return
        start = position + len(text)
        needed = _needed(text)
        if size is not None and start + needed > size:
            raise FileFormatError(
                f"truncated: unit {index} needs {start + needed:,} bytes, the file has {size:,}"
            )
        yield HeaderUnit(index, text, needed, start)
        position = start + -(-needed // BLOCK) * BLOCK
        if size is None:
            missing = needed - _drain(stream, needed)
            if missing:
                raise FileFormatError(f"truncated: unit {index} lacks {missing:,} of its {needed:,} bytes")
            _drain(stream, position - start - needed)
        elif position >= size:
            return
        else:
            stream.seek(position)
        index += 1


def _needed(text: str) -> int:
    """Compute the size of the data from the keywords at the beginning of a header."""
    head = parse_cards(text[:_STRUCTURE])
    if "GROUPS  =" in text or "NAXIS13 =" in text:
        head = parse_cards(text)
    return data_size(head)


def _read_header(stream: IO[bytes], *, first: bool) -> str | None:
    parts: list[bytes] = []
    total = 0
    while total < _MAX_HEADER:
        block = stream.read(BLOCK)
        if not parts:
            if first and not block.startswith(b"SIMPLE  ="):
                raise FileFormatError("empty file" if not block else "not a FITS file")
            if not first and not block.startswith(b"XTENSION="):
                return None  # special records or padding at the end: allowed by the standard
        if len(block) < BLOCK:
            raise FileFormatError("truncated in a header")
        parts.append(block)
        total += BLOCK
        if _has_end(block):
            return b"".join(parts).decode("ascii", "replace")
    raise FileFormatError(f"header without END in its first {_MAX_HEADER:,} bytes")


def _has_end(block: bytes) -> bool:
    at = block.find(b"END     ")
    while at >= 0:
        if at % _CARD == 0 and not block[at + 3 : at + _CARD].strip():
            return True
        at = block.find(b"END     ", at + 1)
    return False


def _drain(stream: IO[bytes], count: int | None = None) -> int:
    """Read and forget up to ``count`` bytes (default: all); return how many there were."""
    done = 0
    while count is None or done < count:
        chunk = stream.read(1 << 20 if count is None else min(1 << 20, count - done))
        if not chunk:
            break
        done += len(chunk)
    return done
