# SPDX-License-Identifier: BSD-3-Clause
"""Repositories to try things on: in a local directory and on a real S3 server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebutler import Butler
from tests.butler.world import Place, fill
from tests.s3server import S3Server, s3_server  # noqa: F401

BOTH = ["local", pytest.param("s3", marks=pytest.mark.s3)]
RUN = "u/test"


@pytest.fixture(autouse=True)
def own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test lets be read is not let be read by the next."""
    monkeypatch.setenv("LAKEBUTLER_CONFIG_DIR", str(tmp_path / "settings"))


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place."""
    if request.param == "local":
        return Place(str(tmp_path / "repo"))
    server: S3Server = request.getfixturevalue("s3_server")
    root = server.root()
    return Place(root.url, root.storage_options)


@pytest.fixture(scope="session")
def observatory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the small observatory, to be copied."""
    made = Place(str(tmp_path_factory.mktemp("observatory") / "repo"))
    made.make()
    with made.open(run=RUN) as butler:
        fill(butler)
    return Path(made.url)


def copy_repository(observatory: Path, place: Place) -> None:
    """Copy a repository to another place, file by file."""
    if not place.remote:
        shutil.copytree(observatory, place.url)
        return
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(place.url, **place.storage_options)
    files = [path for path in observatory.rglob("*") if path.is_file()]
    filesystem.pipe({f"{root}/{path.relative_to(observatory)}": path.read_bytes() for path in files})


@pytest.fixture
def butler(place: Place, observatory: Path) -> Iterator[Butler]:
    """A writeable butler on a new repository that is filled with the small observatory."""
    copy_repository(observatory, place)
    with place.open(run=RUN) as butler:
        yield butler


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """An empty local directory."""
    return Place(str(tmp_path / "repo"))


@pytest.fixture
def local_butler(local: Place, observatory: Path) -> Iterator[Butler]:
    """As `butler`, on the local disk only."""
    copy_repository(observatory, local)
    with local.open(run=RUN) as butler:
        yield butler
