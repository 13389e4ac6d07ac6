# SPDX-License-Identifier: BSD-3-Clause
"""Rules for the paths and URIs that a stranger's repository may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebutler.datastore.paths import (
    Allowed,
    check_stored_path,
    file_uri,
    local_path_of_uri,
    normalise_prefix,
    stored_path_problem,
)
from lakebutler.errors import ExternalFileError, NameRuleError, RepositoryCorruptError


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../../x", "a/..", "./a", "a/./b", "a//b", "a/", "a\\b", "..\\x",
        "C:/x", "c:x",
        "file:///etc/passwd", "s3://bucket/x", "a\0b", "a\nb", "a\x7f", "\u202ea", "a\ud800",
        "registry/log/1.json",
        "Registry/x", "butler.yaml", "BUTLER.YAML", "views.sql", "x" * 256, "/".join(["y" * 100] * 11),
        "é" * 128,
    ],
)  # fmt: skip
def test_a_path_that_could_lead_elsewhere_is_refused(path: str) -> None:
    assert stored_path_problem(path)
    with pytest.raises(RepositoryCorruptError, match="names the file"):
        check_stored_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "datastore/a/b-1.fits",
        "a",
        "raws/Night 1/ä (2).fits",
        "a..b/..c/d..",
        "registry2/x",
        "a/registry/b",
        "xx:y",
    ],
)
def test_a_plain_path_is_accepted(path: str) -> None:
    assert check_stored_path(path) == path


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_a_local_path_survives_its_uri(name: str) -> None:
    path = "/" + "/".join(part if part not in {".", ".."} else "x" for part in name.split("/") if part)
    assert local_path_of_uri(file_uri(path)) == path


@pytest.mark.parametrize(
    "uri", ["file:///a/../b", "file:///a/%2e%2e/b", "file://host/a", "file:///a//b", "file:///a/./b"]
)
def test_a_file_uri_that_is_not_normal_is_refused(uri: str) -> None:
    with pytest.raises(RepositoryCorruptError):
        local_path_of_uri(uri)


@pytest.mark.parametrize(
    ("allow", "uri", "permitted"),
    [
        ((), "file:///data/x", False),
        (False, "file:///data/x", False),
        (True, "http://anywhere/x", True),
        (["/data"], "file:///data/x.fits", True),
        (["/data/"], "file:///data/deep/x.fits", True),
        ("/data", "file:///data/x.fits", True),
        (["/data"], "file:///database/x", False),
        (["/data"], "file:///dat", False),
        (["/data"], "s3://data/x", False),
        (["file:///my%20data"], "file:///my%20data/x", True),
        (["/my data"], "file:///my%20data/x", True),
        (["/"], "file:///etc/passwd", True),
        (["s3://bucket/raw"], "s3://bucket/raw/x", True),
        (["s3://bucket/raw"], "s3://bucket/raw/../secret", False),
        (["s3://bucket/raw"], "s3://bucket/raw/%2e%2e/secret", False),
        (["s3://bucket/raw"], "s3://bucket/rawest/x", False),
        (["https://host"], "https://host.evil/x", False),
        (["https://host"], "https://host/x?y=../..", True),
    ],
)  # fmt: skip
def test_only_what_lies_below_an_allowed_prefix_is_permitted(
    allow: object, uri: str, permitted: bool
) -> None:
    allowed = Allowed(allow)  # type: ignore[arg-type]
    assert allowed.permits(uri) is permitted
    if not permitted:
        with pytest.raises(ExternalFileError, match="allow_external="):
            allowed.require(uri, "this dataset")


def test_a_relative_place_cannot_be_allowed() -> None:
    with pytest.raises(NameRuleError, match="relative/place"):
        normalise_prefix("relative/place")
