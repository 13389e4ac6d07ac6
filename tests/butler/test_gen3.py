# SPDX-License-Identifier: BSD-3-Clause
"""Repositories of the field, converted: SQLite and PostgreSQL, real and made for the test."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakebutler import Butler, Timespan
from lakebutler.butler.gen3.auth import find_credentials
from lakebutler.butler.gen3.convert import convert_gen3
from lakebutler.errors import (
    ConflictingDefinitionError,
    ExternalFileError,
    NotARepositoryError,
    RepositoryFormatError,
    StorageError,
    TrustError,
)
from tests.butler import incumbent
from tests.butler.test_import_export import content, export_all

MAKE = """
import astropy.time
def make(root, config=None):
    Butler.makeRepo(root, config=config)
    b = Butler.from_config(root, run="run/one", writeable=True)
    i = b.registry.insertDimensionData
    i("instrument", {"name": "I", "detector_max": 9})
    i("detector", *({"instrument": "I", "id": n, "full_name": f"d{n}"} for n in range(4)))
    i("physical_filter", {"instrument": "I", "name": "f", "band": "r"})
    i("day_obs", {"instrument": "I", "id": 20250101, "timespan": Timespan.from_day_obs(20250101)})
    i("visit_system", {"instrument": "I", "id": 0, "name": "one"})
    import lsst.sphgeom as g
    region = g.ConvexPolygon([g.UnitVector3d(g.LonLat.fromDegrees(*p)) for p in ((0, 0), (1, 0), (1, 1))])
    i("visit", {"instrument": "I", "id": 7, "name": "seven", "physical_filter": "f", "day_obs": 20250101,
                "region": region, "exposure_time": 30.0})
    i("visit_system_membership", {"instrument": "I", "visit": 7, "visit_system": 0})
    i("visit_detector_region", {"instrument": "I", "visit": 7, "detector": 1, "region": region})
    i("skymap", {"name": "S", "hash": b"\\x00\\xff" * 10})
    D = lambda n, d, c=False: b.registry.registerDatasetType(
        DatasetType(n, d, "StructuredDataDict", universe=b.dimensions, isCalibration=c))
    D("bias", ["instrument", "detector"], True)
    D("calexp", ["visit", "detector"])
    D("globe", [])
    D("unused", ["htm7"])
    biases = [b.put({"n": n}, "bias", instrument="I", detector=n) for n in range(4)]
    b.put({"v": 7}, "calexp", instrument="I", visit=7, detector=1)
    b.put({"g": 0}, "globe")
    two = Butler.from_config(root, run="run/two", writeable=True)
    two.put({"n": -1}, "bias", instrument="I", detector=0)
    c = b.collections
    c.register("tag", CollectionType.TAGGED, doc="a tag")
    b.registry.associate("tag", biases[1:])
    c.register("cal", CollectionType.CALIBRATION)
    T = lambda s: astropy.time.Time(s, scale="tai")
    b.registry.certify("cal", biases[:2], Timespan(None, T("2020-01-01T00:00:00.123456789")))
    b.registry.certify("cal", biases[:1], Timespan(T("2020-01-01T00:00:00.123456789"), T("2021-01-01")))
    b.registry.certify("cal", biases[2:], Timespan(None, None))
    for n, children in (("inner", ["cal", "tag"]), ("outer", ["run/two", "inner", "run/one"])):
        c.register(n, CollectionType.CHAINED)
        b.registry.setCollectionChain(n, children)
    b.close()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A repository that the field's own program made, and what that program says of it."""
    place = tmp_path_factory.mktemp("field")
    state = incumbent.run(MAKE + "make('repo')\nprint(json.dumps(state('repo')))", where=place)
    return place / "repo", state


def tree(root: Path) -> dict[str, tuple[str, int]]:
    return {
        str(p.relative_to(root)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


def agrees(butler: Butler, state: dict[str, Any]) -> None:
    """What we say is what the field says: IDs, data IDs, runs, memberships, validity, chains, bytes."""
    ours = content(butler)
    for one, (kind, run, data, digest) in state["datasets"].items():
        name, where, values = ours["datasets"][one]
        assert (name, where) == (kind, run)
        assert sorted(values, key=str) == sorted((v for _, v in data), key=str)
        if digest is not None:
            ref = butler.get_dataset(one)
            assert ref is not None
            assert hashlib.sha256(butler.get(ref, storageClass="Bytes")).hexdigest() == digest
    assert len(ours["datasets"]) == len(state["datasets"])
    assert sorted(([a, b, c] for a, b, c in ours["members"]), key=str) == sorted(
        state["associations"], key=str
    )
    found = {k: [v[0].name, list(v[1]), v[2]] for k, v in ours["collections"].items()}
    assert found == state["collections"]


@pytest.mark.parametrize("transfer", ["direct", "copy", "hardlink", "relsymlink"])
def test_a_repository_of_the_field_is_converted(
    made: tuple[Path, dict[str, Any]], tmp_path: Path, transfer: str
) -> None:
    source, state = made
    before = tree(source)
    done = convert_gen3(source, tmp_path / "ours", transfer=transfer, batch=2)
    assert tree(source) == before
    assert (done.datasets, done.files, done.missing, done.disassembled) == (7, 7, (), 0)
    with Butler.from_config(tmp_path / "ours") as butler:
        agrees(butler, state)
        [visit] = butler.query_dimension_records("visit")
        assert visit.region.getVertices()[1].y() > 0
        [day] = butler.query_dimension_records("day_obs")
        assert day.timespan == Timespan.from_day_obs(20250101)
        [skymap] = butler.query_dimension_records("skymap")
        assert skymap.hash == b"\x00\xff" * 10
        assert butler.get("bias", instrument="I", detector=0, collections="outer") == {"n": -1}
        version = butler.version
        assert version == (1 if transfer == "direct" else 6)
    convert_gen3(source, tmp_path / "ours", transfer=transfer)
    with Butler.from_config(tmp_path / "ours") as butler:
        assert butler.version == version


def test_a_conversion_that_was_broken_off_goes_on(
    made: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakebutler.datastore.datastore import Datastore

    source, state = made
    whole, calls = Datastore.ingest, []

    def breaks(self: Datastore, files: Any, transfer: Any) -> Any:
        calls.append(len(files))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, files, transfer)

    with monkeypatch.context() as patch:
        patch.setattr(Datastore, "ingest", breaks)
        with pytest.raises(KeyboardInterrupt):
            convert_gen3(source, tmp_path / "ours", transfer="copy", batch=2)
    assert calls == [2, 2, 2]
    calls.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Datastore, "ingest", lambda s, f, t: (calls.append(len(f)), whole(s, f, t))[1])
        convert_gen3(source, tmp_path / "ours", transfer="copy", batch=2)
    assert sum(calls) == 3  # four were there
    with Butler.from_config(tmp_path / "ours") as butler:
        agrees(butler, state)


def test_files_that_are_missing_are_told_and_come_later(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(made[0], source)
    [lost] = source.glob("run/one/globe/*")
    kept = lost.read_bytes()
    lost.unlink()
    done = convert_gen3(source, tmp_path / "ours", transfer="copy")
    assert done.missing == (str(lost),)
    lost.write_bytes(kept)
    assert convert_gen3(source, tmp_path / "ours", transfer="copy").missing == ()
    with Butler.from_config(tmp_path / "ours") as butler:
        agrees(butler, made[1])


def test_real_repositories_go_to_ours_and_back_to_the_field(shared_data: Path, tmp_path: Path) -> None:
    for name in ("latiss", "lsstCam"):
        source = tmp_path / name
        shutil.copytree(shared_data / "gen3_repos" / name, source)
        subprocess.run(["chmod", "-R", "u+w", str(source)], check=True)
        _fill_in(source)
        before = tree(source)
        theirs = incumbent.run("print(json.dumps(state(sys.argv[1])))", source, where=tmp_path)
        done = convert_gen3(source, tmp_path / f"{name}-ours")
        assert done.universe_version == 1
        assert not done.missing
        with Butler.from_config(tmp_path / f"{name}-ours") as butler:
            agrees(butler, theirs)
            export_all(butler, tmp_path / f"{name}-export", transfer="copy")
        script = """
Butler.makeRepo(sys.argv[2])
Butler.from_config(sys.argv[2], writeable=True).import_(
    directory=sys.argv[1], filename="export.yaml", transfer="copy")
print(json.dumps(state(sys.argv[2])))
"""
        back = incumbent.run(script, tmp_path / f"{name}-export", tmp_path / f"{name}-back", where=tmp_path)
        assert back == theirs
        assert all(found[3] for found in back["datasets"].values())
        assert tree(source) == before


def _fill_in(source: Path) -> None:
    """Files that the registry names but that were not copied with it: of their size, each different."""
    with sqlite3.connect(source / "gen3.sqlite3") as connection:
        for path, size in connection.execute("SELECT path, file_size FROM file_datastore_records"):
            place = source / path
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes((path.encode() * (size // len(path) + 1))[:size])
    connection.close()


def test_files_inside_of_zips_get_files_of_their_own(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    script = """
import os
b = Butler.from_config(sys.argv[1])
os.mkdir("zips")
refs = b.query_datasets("bias", "run/one", with_dimension_records=True)
made = b.retrieve_artifacts_zip(refs, "zips").ospath
Butler.makeRepo("zipped")
z = Butler.from_config("zipped", writeable=True)
z.registry.registerDatasetType(b.get_dataset_type("bias"))
z.ingest_zip(made, transfer="copy", transfer_dimensions=True)
print(json.dumps(state("zipped")))
"""
    state = incumbent.run(script, made[0], where=tmp_path)
    for transfer in ("direct", "copy"):
        done = convert_gen3(tmp_path / "zipped", tmp_path / transfer, transfer=transfer)
        assert (done.datasets, done.files, done.missing) == (4, 4, ())
        with Butler.from_config(tmp_path / transfer) as butler:
            agrees(butler, state)
            for ref in butler.query_datasets("bias", "run/one"):
                assert butler.get(ref) == {"n": ref.dataId["detector"]}
            version = butler.version
        convert_gen3(tmp_path / "zipped", tmp_path / transfer, transfer=transfer)
        with Butler.from_config(tmp_path / transfer) as butler:
            assert butler.version == version


# ---------------------------------------------------------------------- bad input


def test_what_is_no_repository_of_the_field_is_refused(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    def changed(name: str, *statements: str) -> Path:
        source = tmp_path / name
        shutil.copytree(made[0], source)
        with sqlite3.connect(source / "gen3.sqlite3") as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        return source

    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "butler.yaml").write_text("registry:\n  db: sqlite:///<butlerRoot>/gen3.sqlite3\n")
    (tmp_path / "text" / "gen3.sqlite3").write_text(
        "this is no database, but it is long enough to be one" * 9
    )
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "butler.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    newer = (
        """UPDATE butler_attributes SET value = replace(value, '"version": 8', '"version": 99')"""
        " WHERE name = 'config:dimensions.json'"
    )
    in_use = changed("in use")
    (in_use / "gen3.sqlite3-journal").write_text("x")
    cases: list[tuple[Any, type[BaseException], str]] = [
        (tmp_path / "nothing", NotARepositoryError, "nothing"),
        (tmp_path / "text", StorageError, "gen3.sqlite3"),
        (tmp_path / "python", RepositoryFormatError, "butler.yaml"),
        (in_use, StorageError, "in use"),
        (changed("newer", newer), RepositoryFormatError, "99"),
        (
            changed("no tags", "ALTER TABLE collection_chain RENAME TO x"),
            RepositoryFormatError,
            "collection_chain",
        ),
        (changed("odd type", "UPDATE collection SET type = 9"), RepositoryFormatError, "unknown type 9"),
        (
            changed("outside", "UPDATE file_datastore_records SET path = '../../secret'"),
            ExternalFileError,
            "../../secret",
        ),
        (
            changed("absolute", "UPDATE file_datastore_records SET path = 'file:///etc/passwd'"),
            ExternalFileError,
            "/etc/passwd",
        ),
        ("postgresql://user:secret@host/db", NotARepositoryError, "host/db"),
    ]
    for i, (source, error, word) in enumerate(cases):
        with pytest.raises(error) as caught:
            convert_gen3(source, tmp_path / f"out{i}")
        assert word in str(caught.value)
        assert "secret@" not in str(caught.value)
        if (tmp_path / f"out{i}").exists():
            with Butler.from_config(tmp_path / f"out{i}") as butler:
                assert butler.version == 0
    with pytest.raises(StorageError, match="move"):
        convert_gen3(made[0], tmp_path / "out", transfer="move")


def test_a_conversion_into_another_repository_refuses_conflicts(
    made: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    Butler.makeRepo(tmp_path / "ours")
    with Butler.from_config(tmp_path / "ours", run="tag"):
        pass
    with pytest.raises(ConflictingDefinitionError, match="tag"):
        convert_gen3(made[0], tmp_path / "ours")
    with Butler.from_config(tmp_path / "ours") as butler:
        assert butler.collections.query("*") == ["tag"]


# --------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server on a socket of its own, as an ordinary user; gives the URL of an empty database."""
    pytest.importorskip("psycopg", reason="psycopg is needed to read PostgreSQL")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("PostgreSQL is not installed")
    place = tmp_path_factory.mktemp("pg")
    sockets = Path("/tmp") / f"lakebutler-pg-{os.getpid()}"  # a socket's path must be short
    sockets.mkdir()
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        import pwd

        entry = pwd.getpwnam("postgres")
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        for folder in (place, sockets):
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        for folder in place.parents:
            if os.stat(folder).st_uid == 0 and len(folder.parts) > 2:
                os.chmod(folder, 0o755)
    data, binaries = place / "data", folders[-1]
    command = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "tester",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "-N",
    ]
    subprocess.run(command, check=True, capture_output=True, cwd="/", **user)
    options = f"-c listen_addresses='' -c unix_socket_directories={sockets} -c fsync=off"
    start = [binaries / "pg_ctl", "-D", data, "-w", "-l", place / "log", "-o", options]
    subprocess.run([*start, "start"], check=True, capture_output=True, cwd="/", **user)
    try:
        import psycopg

        with psycopg.connect(f"host={sockets} user=tester dbname=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE field")
        with psycopg.connect(f"host={sockets} user=tester dbname=field", autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        yield f"postgresql://tester@/field?host={sockets}"
    finally:
        stop = [binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, capture_output=True, cwd="/", **user)
        shutil.rmtree(sockets, ignore_errors=True)


def test_a_registry_in_postgresql_is_read_the_same_way(postgres: str, tmp_path: Path) -> None:
    script = (
        MAKE
        + """
config = Config({"registry": {"db": sys.argv[1].replace("postgresql", "postgresql+psycopg2"),
                              "namespace": "some_schema"}})
make("repo", config)
print(json.dumps(state("repo")))
"""
    )
    try:
        state = incumbent.run(script, postgres, where=tmp_path)
    except AssertionError as error:
        if "No module named 'psycopg2'" in str(error):
            pytest.skip("the field's environment has no psycopg2")
        raise
    done = convert_gen3(tmp_path / "repo", tmp_path / "ours", transfer="copy")
    assert (done.datasets, done.missing) == (7, ())
    with Butler.from_config(tmp_path / "ours") as butler:
        agrees(butler, state)
        [day] = butler.query_dimension_records("day_obs")
        assert day.timespan == Timespan.from_day_obs(20250101)


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is needed to read PostgreSQL")
    with pytest.raises(StorageError, match="nowhere") as caught:
        convert_gen3("postgresql://u:secret@/db?host=/nowhere", tmp_path / "ours", root=str(tmp_path))
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "ours").exists()


def test_passwords_come_from_a_file_that_only_its_owner_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db-auth.yaml"
    monkeypatch.setenv("LSST_DB_AUTH", str(path))
    assert find_credentials("postgresql://h/d") == (None, None)
    path.write_text(
        "- {url: 'postgresql://*.org:5433/one', username: a, password: A}\n"
        "- {url: 'postgresql://db.org', username: b, password: B}\n"
        "- {url: 'postgresql://db.org', username: c, password: C}\n"
    )
    path.chmod(0o644)
    with pytest.raises(TrustError, match="chmod 600"):
        find_credentials("postgresql://db.org/d")
    path.chmod(0o600)
    assert find_credentials("postgresql://db.org:5433/one") == ("a", "A")
    assert find_credentials("postgresql://db.org/two") == ("b", "B")
    assert find_credentials("postgresql://c@db.org/two") == ("c", "C")
    assert find_credentials("postgresql://db.com/two") == (None, None)
    path.write_text("just: a mapping\n")
    with pytest.raises(RepositoryFormatError):
        find_credentials("postgresql://db.org/two")
