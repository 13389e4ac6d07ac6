# SPDX-License-Identifier: BSD-3-Clause
"""Making a repository and opening one."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lakebutler import (
    Butler,
    ButlerError,
    DatasetType,
    DimensionNameError,
    DimensionValueError,
    MissingCollectionError,
    NotARepositoryError,
    ReadOnlyButlerError,
    RepositoryCorruptError,
    RepositoryExistsError,
    RepositoryFormatError,
    StorageError,
)
from lakebutler.errors import ConflictingDefinitionError
from lakebutler.lake.naming import seal
from tests.butler.world import CAM, Place, check_message, fill, note_id


def test_a_new_repository_is_empty_and_says_where_it_is(place: Place) -> None:
    assert place.make() == place.url
    with place.open(writeable=True) as butler:
        assert butler.root == place.url
        assert butler.isWriteable()
        assert list(butler.collections.query("*")) == []
        assert butler.registry.queryDatasetTypes() == []
        assert butler.dimensions.version == 8
        assert butler.version == 0


def test_there_is_one_repository_at_a_place(place: Place) -> None:
    place.make()
    before = place.tree()
    with pytest.raises(RepositoryExistsError) as caught:
        place.make()
    check_message(caught.value, place.url, "open it")
    assert isinstance(caught.value, FileExistsError)
    assert place.tree() == before


def test_a_place_without_a_repository_is_named(place: Place) -> None:
    with pytest.raises(NotARepositoryError) as caught:
        place.open()
    check_message(caught.value, place.url, "lakebutler create")
    assert isinstance(caught.value, FileNotFoundError)
    assert place.tree() == {}


def test_a_directory_that_is_no_repository_is_named_and_left_alone(local: Place) -> None:
    Path(local.url).mkdir()
    (Path(local.url) / "notes.txt").write_text("mine")
    before = local.tree()
    for writeable in (False, True):
        with pytest.raises(NotARepositoryError) as caught:
            local.open(writeable=writeable)
        check_message(caught.value, local.url, "create")
    assert local.tree() == before


def test_a_repository_can_be_made_beside_other_files(local: Place) -> None:
    Path(local.url).mkdir()
    (Path(local.url) / "notes.txt").write_text("mine")
    local.make()
    with local.open() as butler:
        assert butler.version == 0
    assert (Path(local.url) / "notes.txt").read_text() == "mine"


def incumbent(directory: Path) -> None:
    directory.mkdir()
    (directory / "butler.yaml").write_text(
        "datastore:\n  cls: lsst.daf.butler.datastores.fileDatastore.FileDatastore\n"
    )
    with sqlite3.connect(directory / "gen3.sqlite3") as database:
        database.execute("CREATE TABLE butler_attributes (name TEXT, value TEXT)")
    database.close()


def test_a_repository_of_the_incumbent_is_told_apart(local: Place) -> None:
    incumbent(Path(local.url))
    before = local.tree()
    with pytest.raises(NotARepositoryError) as caught:
        local.open()
    check_message(caught.value, local.url, "lsst.daf.butler", "convert")
    with pytest.raises(RepositoryExistsError) as refused:
        local.make()
    check_message(refused.value, local.url, "lsst.daf.butler")
    assert local.tree() == before


def test_a_foreign_configuration_is_not_written_over(place: Place, tmp_path: Path) -> None:
    if place.remote:
        import fsspec

        filesystem, root = fsspec.core.url_to_fs(place.url, **place.storage_options)
        filesystem.pipe_file(f"{root}/butler.yaml", b"server: {}\n")
    else:
        Path(place.url).mkdir()
        (Path(place.url) / "butler.yaml").write_text("server: {}\n")
    before = place.tree()
    with pytest.raises(RepositoryExistsError) as caught:
        place.make(config={"description": "ours"})
    check_message(caught.value, place.url, "butler.yaml")
    assert place.tree() == before


def test_a_file_is_no_place_for_a_repository(local: Place) -> None:
    Path(local.url).write_text("a file")
    with pytest.raises(StorageError) as caught:
        local.make()
    check_message(caught.value, local.url, "directory")
    with pytest.raises(NotARepositoryError):
        local.open()
    with pytest.raises(StorageError) as inside:
        Place(local.url + "/below").make()
    check_message(inside.value, local.url)
    assert Path(local.url).read_text() == "a file"


def test_the_path_can_be_written_in_several_ways(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    local.make(config={"description": "for tests"})
    path = Path(local.url)
    monkeypatch.chdir(path.parent)
    for way in (
        path,
        str(path) + "/",
        path.as_uri(),
        str(path / "butler.yaml"),
        "repo",
        "./repo",
        "../" + path.parent.name + "/repo",
    ):
        with Butler(way) as butler:
            assert butler.root == str(path)


def test_blanks_and_other_characters_in_the_path_are_no_problem(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "a b'c\"d %41#?ü[x]{y}$HOME"))
    place.make()
    with place.open(run="u/me") as butler:
        fill(butler)
        ref = butler.put({"a": 1}, "note", note_id())
        assert butler.get(ref) == {"a": 1}
        assert Path(butler.getURI(ref).ospath).is_file()
        assert butler.sql("SELECT count(*) AS n FROM note").to_arrow_table().to_pylist() == [{"n": 1}]
    with Butler(Path(place.url).as_uri(), collections="u/me") as butler:
        assert butler.get(ref) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir() if p.name != "settings"] == [Path(place.url).name]


def change_format(place: Place, **changes: Any) -> None:
    path = Path(place.url) / "registry" / "format.json"
    content = json.loads(path.read_text())
    content.pop("sha256")
    path.write_bytes(seal(json.dumps({**content, **changes})))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 99, "min_reader": 99, "min_writer": 99}, ("version 99", "upgrade")),
        ({"features": ["time-travel"]}, ("time-travel", "upgrade")),
    ],
)
def test_a_newer_format_is_refused_and_left_alone(
    local: Place, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    local.make()
    change_format(local, **changes)
    before = local.tree()
    for writeable in (False, True):
        with pytest.raises(RepositoryFormatError) as caught:
            local.open(writeable=writeable)
        check_message(caught.value, local.url, *words)
    with pytest.raises(RepositoryExistsError):
        local.make()
    assert local.tree() == before


def test_a_newer_format_that_can_be_read_is_read_and_not_written(local_butler: Butler, local: Place) -> None:
    local_butler.put({"a": 1}, "note", note_id())
    change_format(local, version=99, min_writer=99)
    with local.open(collections="u/test") as butler:
        assert butler.get("note", note_id()) == {"a": 1}
    before = local.tree()
    with local.open(collections="u/test", writeable=True) as butler:
        with pytest.raises(RepositoryFormatError) as caught:
            butler.put({}, "note", note_id(102), run="u/test")
        check_message(caught.value, local.url, "version 99", "upgrade")
    assert local.tree() == before


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"not json", b'{"sha256":"00"}\n', b"\xff\xfe", b"[]", b"null\n"]
)
def test_a_damaged_format_file_is_named(local: Place, content: bytes) -> None:
    local.make()
    (Path(local.url) / "registry" / "format.json").write_bytes(content)
    with pytest.raises((RepositoryCorruptError, RepositoryFormatError)) as caught:
        local.open()
    check_message(caught.value, "format.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("datastore: [", ("butler.yaml", "YAML")),
        ("!!python/object/apply:os.system ['true']", ("butler.yaml",)),
        ("registry: {db: x}", ("registry", "butler.yaml")),
        ("datastore: {root: /etc}", ("root",)),
        ("datastore: {formatters: {note: jason}}", ("jason", "json")),
        ("datastore: {templates: {note: '{run}/../../x'}}", ("{run}/../../x",)),
        ("- a list", ("butler.yaml",)),
        ("datastore: 5", ("datastore",)),
    ],
)
def test_a_configuration_that_makes_no_sense_is_named(
    local: Place, text: str, words: tuple[str, ...]
) -> None:
    local.make(config={"description": "x"})
    (Path(local.url) / "butler.yaml").write_text(text)
    with pytest.raises(ButlerError) as caught:
        local.open()
    check_message(caught.value, *words)


def test_settings_of_the_datastore_are_checked_when_the_repository_is_made(local: Place) -> None:
    with pytest.raises(RepositoryFormatError, match="rooot"):
        local.make(config={"datastore": {"rooot": 1}})
    with pytest.raises(RepositoryFormatError, match="registry"):
        local.make(config={"registry": {}})
    assert local.tree() == {}


def test_a_template_of_the_repository_names_the_files(local: Place) -> None:
    local.make(
        config={"datastore": {"templates": {"note": "{run:/}/mine/{exposure.obs_id}_{detector.full_name}"}}}
    )
    with local.open(run="u/me") as butler:
        fill(butler)
        ref = butler.put({}, "note", note_id())
    name = f"u/me/mine/obs-101_R22_S00-{ref.id.hex[-12:]}.json"
    assert any(path.endswith(name) for path in local.files()), local.files()


def test_an_own_universe_goes_with_the_repository(local: Place) -> None:
    universe = {
        "version": 1,
        "namespace": "zoo",
        "common_skypix": "htm7",
        "skypix": {"htm": {"levels": [1, 10]}},
        "dimensions": {
            "zoo": {"governor": True, "keys": [{"name": "name", "type": "string", "length": 16}]},
            "cage": {"requires": ["zoo"], "keys": [{"name": "id", "type": "int"}]},
        },
    }
    local.make(dimensionConfig=universe)
    with local.open(run="r") as butler:
        assert butler.dimensions.namespace == "zoo"
        butler.registry.insertDimensionData("zoo", {"name": "Berlin"})
        butler.registry.insertDimensionData("cage", {"zoo": "Berlin", "id": 1})
        butler.registry.registerDatasetType(
            DatasetType("animal", ["cage"], "StructuredDataDict", universe=butler.dimensions)
        )
        butler.put({"lion": 2}, "animal", cage=1, zoo="Berlin")
    with local.open(collections="r") as butler:
        assert butler.get("animal", cage=1) == {"lion": 2}
        with pytest.raises(DimensionNameError, match="instrument"):
            butler.query_data_ids("instrument")


def test_a_universe_that_makes_no_sense_leaves_nothing(local: Place) -> None:
    with pytest.raises(ButlerError):
        local.make(dimensionConfig={"version": 1, "elements": {"a": {"requires": ["a"]}}})
    assert local.tree() == {}


# ---------------------------------------------------------------------- opening


def test_a_run_makes_the_butler_writeable_and_is_registered(place: Place, butler: Butler) -> None:
    with place.open(run="u/new") as other:
        assert other.isWriteable()
        assert other.run == "u/new"
        assert list(other.collections) == ["u/new"]
        assert other.collections.get_info("u/new").type.name == "RUN"
    version = butler.version
    with place.open(run="u/new") as other:
        assert other.version == version


def test_a_read_only_butler_gets_no_run(place: Place, butler: Butler) -> None:
    with pytest.raises(ReadOnlyButlerError) as caught:
        place.open(run="u/new", writeable=False)
    check_message(caught.value, "u/new", "writeable")


def test_unknown_default_collections_are_named_when_they_are_searched(place: Place, butler: Butler) -> None:
    before = place.tree()
    with (
        place.open(collections=["u/tset"]) as other,
        pytest.raises(MissingCollectionError) as caught,
    ):
        other.get("note", note_id())
    check_message(caught.value, "u/tset", "'u/test'")
    assert place.tree() == before


def test_a_run_of_another_type_is_refused(place: Place, butler: Butler) -> None:
    butler.registry.registerCollection("tag")
    with pytest.raises(ConflictingDefinitionError) as caught:
        place.open(run="tag")
    check_message(caught.value, "tag", "TAGGED", "RUN")


def test_unknown_arguments_are_named(place: Place, butler: Butler) -> None:
    with pytest.raises(DimensionNameError) as caught:
        place.open(instrment=CAM)
    check_message(caught.value, "instrment", "'instrument'")
    with pytest.raises(DimensionValueError) as wrong:
        place.open(instrument=5)
    check_message(wrong.value, "instrument", "5")


# ----------------------------------------------------------------------- racing


def _make(url: str, barrier: Any, results: Any) -> None:
    barrier.wait()
    try:
        Butler.makeRepo(url, config={"description": "one of many"})
        results.put("made")
    except RepositoryExistsError:
        results.put("exists")
    except BaseException as exc:
        results.put(repr(exc))


def test_of_several_that_make_a_repository_at_once_one_does(local: Place) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_make, args=(local.url, barrier, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    outcomes = sorted(results.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    assert outcomes == ["exists", "exists", "exists", "made"]
    with local.open() as butler:
        assert butler.version == 0


def test_a_butler_without_a_datastore_has_a_registry_only(local_butler: Butler, local: Place) -> None:
    stored = local_butler.put({"a": 1}, "bias", instrument=CAM, detector=0)
    files = local.files()
    with Butler(local.url, run="u/test", without_datastore=True) as butler:
        found = butler.find_dataset("bias", instrument=CAM, detector=0)
        assert found == stored
        with butler.transaction():
            made = butler.registry.insertDatasets("bias", [{"instrument": CAM, "detector": 1}], run="u/test")
        assert butler.query_datasets("bias", "u/test", order_by="detector") == [stored, *made]
        version = butler.version
        for act in (
            lambda: butler.get(stored),
            lambda: butler.put({}, "bias", instrument=CAM, detector=2),
            lambda: butler.getURI(stored),
            lambda: butler.clone().get(stored),
        ):
            with pytest.raises(StorageError) as caught:
                act()
            check_message(caught.value, local.url, "without_datastore")
        assert butler.version == version
        assert local.files() >= files
    assert local_butler.get(stored) == {"a": 1}


def test_arguments_of_the_field_are_taken(local: Place) -> None:
    Butler.makeRepo(local.url, standalone=True, searchPaths=["/nowhere"])
    with Butler.from_config(local.url, searchPaths=["/nowhere"]) as butler:
        assert not butler.isWriteable()


UNREADABLE = {
    "missing": {"DAF_BUTLER_REPOSITORY_INDEX": "/nope.yaml"},
    "no yaml": {"DAF_BUTLER_REPOSITORIES": "{a: ["},
    "no mapping": {"DAF_BUTLER_REPOSITORIES": "[a]"},
    "no such filesystem": {"DAF_BUTLER_REPOSITORY_INDEX": "moon://index.yaml"},
    "both": {"DAF_BUTLER_REPOSITORY_INDEX": "/nope.yaml", "DAF_BUTLER_REPOSITORIES": "{a: b}"},
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_index_stops_nobody_who_does_not_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Butler.makeRepo(tmp_path / "repo")
    monkeypatch.chdir(tmp_path)
    for variable, value in UNREADABLE[name].items():
        monkeypatch.setenv(variable, value)
    for place in (str(tmp_path / "repo"), "repo", "./repo", (tmp_path / "repo").as_uri(), "repo/butler.yaml"):
        with Butler(place) as butler:
            assert butler.root == str(tmp_path / "repo")
    assert Butler.get_known_repos() == set()
    assert Butler.get_repo_uri("label", return_label=True).geturl() == "label"
    with pytest.raises(RepositoryFormatError, match=r"DAF_BUTLER_REPOSITOR|index"):
        Butler.get_repo_uri("label")
    with pytest.raises(NotARepositoryError, match="'label'") as caught:
        Butler("label")
    assert "\n" not in caught.value.message
    with pytest.raises(NotARepositoryError, match="/no/such"):
        Butler("/no/such")


def test_the_index_is_not_read_for_a_path_that_leads_to_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        Butler.makeRepo(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    two = str(tmp_path / "two")
    monkeypatch.setenv("DAF_BUTLER_REPOSITORIES", json.dumps({"one": two, "./one": two, "/repo/two": two}))
    for place, found in (("one", "two"), ("./one", "one"), ("/repo/two", "two")):
        with Butler(place) as butler:
            assert butler.root == str(tmp_path / found)


def test_a_resource_path_is_taken_wherever_a_path_is(tmp_path: Path) -> None:
    from lsst.resources import ResourcePath

    def at(name: str) -> ResourcePath:
        return ResourcePath(str(tmp_path / name))

    assert Butler.makeRepo(at("a repo")) == str(tmp_path / "a repo")
    Butler.makeRepo(at("other"))
    assert Butler.has_repo_config(at("a repo"))
    with (
        Butler.from_config(at("a repo"), run="u/a") as butler,
        Butler(at("other"), writeable=True) as other,
    ):
        butler.registry.registerDatasetType(
            DatasetType("t", [], "StructuredDataDict", universe=butler.dimensions)
        )
        ref = butler.put({"a": 1}, "t")
        [made] = butler.retrieveArtifacts([ref], at("out"))
        assert json.loads(Path(made.ospath).read_text()) == {"a": 1}
        with butler.export(directory=at("export"), filename="e.yaml", transfer="copy") as export:
            export.saveDatasets([ref])
        other.import_(directory=at("export"), filename=at("export").join("e.yaml"), transfer="copy")
        assert other.get(ref) == {"a": 1}
        other.pruneDatasets([ref], purge=True, unstore=True, disassociate=True)
        other.ingest_zip(butler.retrieve_artifacts_zip([ref], at("zips")))
        assert other.get(ref) == {"a": 1}
        for transfer in (None, "fly"):
            with pytest.raises(StorageError, match=str(transfer)) as caught:
                butler.retrieveArtifacts([ref], at("not"), transfer=transfer)
            assert "\n" not in caught.value.message
