# SPDX-License-Identifier: BSD-3-Clause
"""Which formatter a short key means.

A repository stores keys such as ``json`` or ``fits_image?hdu=3``.  A key is looked
up in the table below and among the entry points of the group
``lakebutler.formatters``; it is never imported.  Class names that repositories of
``lsst.daf.butler`` use are known as texts and mean the formatter of ours that reads
the same files.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode

from lakebutler.errors import FileFormatError, TrustError, known_names
from lakebutler.formatters.formatter import Formatter

__all__ = [
    "formatter_class",
    "formatter_for_file",
    "formatter_keys",
    "get_formatter",
    "key_of",
    "parse_key",
    "register_formatter",
]

ENTRY_POINT_GROUP = "lakebutler.formatters"

_BUILTIN = {
    "bytes": "BytesFormatter",
    "camera": "CameraFormatter",
    "ecsv": "EcsvFormatter",
    "figure": "FigureFormatter",
    "file": "FileFormatter",
    "fits_hdulist": "FitsHduListFormatter",
    "fits_image": "FitsImageFormatter",
    "fits_table": "FitsTableFormatter",
    "fits_uncertainty": "FitsUncertaintyFormatter",
    "json": "JsonFormatter",
    "numpy": "NumpyFormatter",
    "parquet": "ParquetFormatter",
    "pickle": "PickleFormatter",
    "text": "TextFormatter",
    "yaml": "YamlFormatter",
}

_ELSEWHERE = {"camera": "lakebutler.instruments.cameras.stored"}
"""Modules of our own formatters that lie above this package, imported when one is read or written."""

_FOREIGN = {
    "lsst.daf.butler.formatters.astropyTable.AstropyTableFormatter": "ecsv",
    "lsst.daf.butler.formatters.file.FileFormatter": "file",
    "lsst.daf.butler.formatters.json.JsonFormatter": "json",
    "lsst.daf.butler.formatters.matplotlib.MatplotlibFormatter": "figure",
    "lsst.daf.butler.formatters.packages.PackagesFormatter": "yaml",
    "lsst.daf.butler.formatters.parquet.ParquetFormatter": "parquet",
    "lsst.daf.butler.formatters.pickle.PickleFormatter": "pickle",
    "lsst.daf.butler.formatters.yaml.YamlFormatter": "yaml",
    "lsst.obs.base.formatters.fitsExposure.FitsExposureFormatter": "fits_image",
    "lsst.obs.base.formatters.fitsExposure.FitsImageFormatter": "fits_image",
    "lsst.obs.base.formatters.fitsExposure.FitsMaskFormatter": "fits_image",
    "lsst.obs.base.formatters.fitsExposure.FitsMaskedImageFormatter": "fits_image",
    "lsst.obs.base.formatters.fitsGeneric.FitsGenericFormatter": "fits_hdulist",
    "lsst.obs.base.fitsRawFormatterBase.FitsRawFormatterBase": "fits_image",
    "lsst.obs.decam.rawFormatter.DarkEnergyCameraRawFormatter": "fits_image",
    "lsst.obs.lsst.rawFormatter.LsstCamRawFormatter": "fits_image",
    "lsst.obs.lsst.rawFormatter.LatissRawFormatter": "fits_image",
    "lsst.obs.lsst.rawFormatter.LsstComCamRawFormatter": "fits_image",
    "lsst.obs.subaru.rawFormatter.HyperSuprimeCamRawFormatter": "fits_image",
}

_registered: dict[str, type[Formatter]] = {}
_plugins_loaded: list[bool] = []


def register_formatter(formatter: type[Formatter]) -> None:
    """Make a formatter of the running program known under its key.

    Parameters
    ----------
    formatter : `type`
        A subclass of `Formatter`.

    Raises
    ------
    FileFormatError
        Raised if the key is malformed or means another formatter.
    """
    key = formatter.key
    if not key.replace("_", "").isalnum() or not key.isascii():
        raise FileFormatError(f"{key!r} cannot be the key of a formatter: letters, digits and _ only")
    if key in _BUILTIN or _registered.get(key, formatter) is not formatter:
        raise FileFormatError(f"formatter key {key!r} is taken")
    _registered[key] = formatter


def formatter_keys() -> list[str]:
    """Keys of all formatters.

    Returns
    -------
    keys : `list` [`str`]
        Sorted.
    """
    _load_plugins()
    return sorted([*_BUILTIN, *_registered])


def _load_plugins() -> None:
    if _plugins_loaded:
        return
    _plugins_loaded.append(True)
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            register_formatter(entry.load())
        except Exception as exc:
            raise FileFormatError(f"the plug-in {entry.name!r} ({entry.value}) does not load: {exc}") from exc


def formatter_class(name: str) -> type[Formatter]:
    """Find the formatter that a short name means.

    Parameters
    ----------
    name : `str`
        A key without options.

    Returns
    -------
    formatter : `type`
        A subclass of `Formatter`.

    Raises
    ------
    FileFormatError
        Raised if there is none; nothing was imported in looking.
    """
    name = _FOREIGN.get(name, name)
    builtin = _BUILTIN.get(name)
    if builtin is not None:
        home = _ELSEWHERE.get(name, f"lakebutler.formatters.{name}")
        found: type[Formatter] = getattr(import_module(home), builtin)
        return found
    if name not in _registered:
        _load_plugins()
    if name not in _registered:
        raise FileFormatError(
            f"unknown formatter {name!r}",
            hint=f"{known_names(name, formatter_keys(), what='formatters')}\n"
            "storageClass='Bytes' or 'Path' gives the file as it is",
        )
    return _registered[name]


def parse_key(key: str) -> tuple[str, dict[str, str]]:
    """Part a key into the formatter's name and its options.

    Parameters
    ----------
    key : `str`
        As stored: ``name`` or ``name?option=value&option=value``.

    Returns
    -------
    name : `str`
        The formatter's name.
    options : `dict` [`str`, `str`]
        Values as text.
    """
    name, question, query = key.partition("?")
    return name, dict(parse_qsl(query, keep_blank_values=True)) if question else {}


def key_of(formatter: Any) -> str:
    """Key that a repository stores for a formatter.

    Parameters
    ----------
    formatter : `str` or `Formatter` or `type`
        A key, or a formatter of the running program.

    Returns
    -------
    key : `str`
        With options where there are any.  Dotted names, which other butlers use,
        are kept as they are: they mean something, or nothing, when they are read.

    Raises
    ------
    FileFormatError
        Raised if a short key is unknown.
    """
    if isinstance(formatter, str):
        if "." in formatter.partition("?")[0]:
            return formatter
        get_formatter(formatter, trust=True)
        return formatter
    if isinstance(formatter, Formatter):
        options = urlencode({name: str(value) for name, value in formatter.chosen.items()})
        return f"{formatter.key}?{options}" if options else formatter.key
    if isinstance(formatter, type) and issubclass(formatter, Formatter):
        return formatter.key
    raise FileFormatError(f"a formatter is given by its key, not by {formatter!r}")


@lru_cache(maxsize=4096)
def get_formatter(key: str, *, trust: bool = False) -> Formatter:
    """Make the formatter that a stored key means.

    Parameters
    ----------
    key : `str`
        As stored.
    trust : `bool`, optional
        The caller trusts the files: needed for formats that run code.

    Returns
    -------
    formatter : `Formatter`
        Shared; it has no state but its options.

    Raises
    ------
    FileFormatError
        Raised if the formatter or an option of it is unknown.
    TrustError
        Raised if reading would run code and the caller has not said so.
    """
    name, texts = parse_key(key)
    cls = formatter_class(name)
    if cls.needs_trust and not trust:
        raise TrustError(
            f"formatter {cls.key!r} runs code from the file",
            hint="if you trust whoever wrote this repository, open it with trust=True",
        )
    options = {}
    for option, text in texts.items():
        parse = cls.options.get(option)
        try:
            options[option] = parse(text) if parse is not None else text
        except ValueError:
            raise FileFormatError(f"formatter {cls.key!r}: bad value {text!r} of option {option!r}") from None
    return cls(**options)


def formatter_for_file(keys: Iterable[str], path: str) -> str | None:
    """Choose among formatters by how a file's name ends.

    Parameters
    ----------
    keys : iterable of `str`
        Candidates, the preferred first.
    path : `str`
        Name of the file.

    Returns
    -------
    key : `str` or `None`
        The first that reads such files; the preferred one if the ending says
        nothing; `None` if there are no candidates.
    """
    candidates = list(keys)
    for key in candidates:
        if formatter_class(parse_key(key)[0])().can_read(path):
            return key
    return candidates[0] if candidates else None
