# SPDX-License-Identifier: BSD-3-Clause
"""Wrong input: never a traceback, one to four lines, the input named, nothing changed.

Each case is the command line as typed, the exit code, and what the message must name;
``REPO`` stands for the repository, ``TMP`` for a directory with the files below.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.running import call

CASES = """
query-datasets REPO bais                                          | 2 | 'bais' 'bias'
query-datasets REPO BIAS                                          | 2 | 'BIAS' 'bias'
query-datasets REPO nosuch                                        | 2 | 'nosuch'
query-datasets REPO bias.level                                    | 2 | 'bias.level'
query-datasets REPO bias --collections nosuch                     | 2 | 'nosuch' u/one
query-datasets REPO bias --collections u/on                       | 2 | 'u/on' 'u/one'
query-datasets REPO bias --collections u/one,nosuch               | 2 | 'nosuch'
query-datasets REPO bias --collections U/ONE                      | 2 | 'U/ONE' 'u/one'
query-datasets REPO bias --find-first                             | 2 | --find-first --collections
query-datasets REPO bias --find-first --collections 'u/*'         | 2 | --find-first
query-datasets REPO bias --where 'detctor = 1'                    | 2 | detctor detector
query-datasets REPO bias --where 'detector.purpos = 1'            | 2 | purpos purpose
query-datasets REPO bias --where 'detector >'                     | 2 | detector
query-datasets REPO bias --where '(detector = 1'                  | 2 | detector
query-datasets REPO bias --where 'detector = 1)'                  | 2 | )
query-datasets REPO bias --where "detector = 'one'"               | 2 | detector
query-datasets REPO bias --where 'detector = 1 AND'               | 2 | AND
query-datasets REPO bias --where 'detector == '                   | 2 | detector
query-datasets REPO bias --where "instrument = 'Cam"              | 2 | Cam
query-datasets REPO bias --where 'instrument = 5'                 | 2 | instrument
query-datasets REPO bias --where 'detector IN (1, )'              | 2 | detector
query-datasets REPO bias --where 'detector = :unbound'            | 2 | unbound
query-datasets REPO bias --where "detector < T'yesterday'"        | 2 | yesterday
query-datasets REPO bias --where 'visit = 1; DROP TABLE x'        | 2 | ;
query-datasets REPO bias --where 'detector'                       | 2 | detector
query-datasets REPO bias --where '1 + 1'                          | 2 | 1
query-datasets REPO bias --order-by nosuch                        | 2 | nosuch
query-datasets REPO bias --order-by detector.nosuch               | 2 | nosuch
query-datasets REPO bias --limit ten                              | 2 | ten
query-datasets REPO bias --as-of 99999                            | 2 | 99999
query-datasets REPO bias --as-of tomorrow                         | 2 | tomorrow
query-datasets REPO bias -@ TMP/nosuch.yaml                       | 2 | nosuch.yaml
query-datasets REPO bias -@ TMP/broken.yaml                       | 2 | broken.yaml
query-datasets REPO bias -@ TMP/list.yaml                         | 2 | list.yaml mapping
query-datasets REPO bias -@ TMP/options.yaml                      | 2 | options.yaml 'wher' 'where'
query-datasets TMP/nosuch bias                                    | 2 | nosuch
query-datasets TMP bias                                           | 2 | TMP
query-datasets TMP/plain.txt bias                                 | 2 | plain.txt
query-datasets TMP/incumbent bias                                 | 2 | incumbent lsst.daf.butler
query-datasets -R '' bias                                         | 2 | -R
query-datasets -R nosuch bias                                     | 2 | nosuch
query-datasets bias                                               | 2 | -R LAKEBUTLER_REPO
query-datasets nosuch:///x bias                                   | 2 | nosuch
query-collections REPO nosuch                                     | 2 | 'nosuch'
query-collections REPO u/oen                                      | 2 | 'u/oen' 'u/one'
query-collections REPO --where 'size > 5'                         | 2 | size name
query-collections REPO --where 'name ='                           | 2 | 'name ='
query-collections REPO --order-by nmae                            | 2 | 'nmae' 'name'
query-dataset-types REPO nosuch                                   | 2 | 'nosuch'
query-dataset-types REPO --collections nosuch                     | 2 | 'nosuch'
query-dataset-types REPO --where "name LIKE"                      | 2 | LIKE
query-data-ids REPO vist                                          | 2 | 'vist' 'visit'
query-data-ids REPO detector,vist                                 | 2 | 'vist' 'visit'
query-data-ids REPO detector --datasets nosuch --collections u/one | 2 | 'nosuch'
query-data-ids REPO detector --datasets bias --collections nosuch | 2 | 'nosuch'
query-data-ids REPO detector --where 'patch.nosuch = 1'           | 2 | nosuch
query-dimension-records REPO detctor                              | 2 | 'detctor' 'detector'
query-dimension-records REPO htm7                                 | 2 | 'htm7'
query-dimension-records REPO detector --where 'full_nam = 1'      | 2 | full_nam
query-dimension-records REPO detector --order-by colour           | 2 | colour
query-dimension-records REPO detector extra more                  | 2 | more
sql REPO 'SELEC 1'                                                | 2 | SELEC
sql REPO 'SELECT * FROM nosuch'                                   | 2 | nosuch
sql REPO 'SELECT nosuch FROM bias'                                | 2 | nosuch
sql REPO ''                                                       | 2 | empty
sql REPO '   '                                                    | 2 | empty
sql REPO 'DROP VIEW bias'                                         | 2 | DROP|read
sql REPO "COPY (SELECT 1) TO 'TMP/out.csv'"                       | 2 | COPY|read
sql REPO "SELECT * FROM read_text('TMP/plain.txt')"               | 2 | plain.txt|read
sql REPO "SELECT * FROM 'TMP/plain.txt'"                          | 2 | plain.txt|read
sql REPO "ATTACH 'TMP/x.db'"                                      | 2 | ATTACH|read
sql REPO 'SELECT 1; SELECT 2'                                     | 2 | one|statement|;
sql REPO 'INSTALL httpfs'                                         | 2 | INSTALL|read
sql REPO 'SELECT 1' 'SELECT 2'                                    | 2 | SELECT 2
log REPO extra                                                    | 2 | extra
log REPO --order-by when                                          | 2 | 'when' time
log TMP/nosuch                                                    | 2 | nosuch
register-dataset-type REPO bias StructuredDataDict                | 3 | bias
register-dataset-type REPO bias StructuredDataList detector       | 3 | bias
register-dataset-type REPO dark NoSuchClass detector              | 2 | 'NoSuchClass'
register-dataset-type REPO dark StructuredDataDct detector | 2 | Dct' 'StructuredDataDict'
register-dataset-type REPO dark StructuredDataDict detctor        | 2 | 'detctor' 'detector'
register-dataset-type REPO 'da rk' StructuredDataDict             | 2 | 'da rk'
register-dataset-type REPO ../dark StructuredDataDict             | 2 | ../dark
register-dataset-type REPO dark.part StructuredDataDict           | 2 | dark.part
register-dataset-type REPO '' StructuredDataDict                  | 2 | ''
register-instrument REPO HCS                                      | 2 | HCS 'HSC'
register-instrument REPO os.system                                | 2 | os.system
register-instrument REPO TMP/broken.yaml                          | 2 | broken.yaml
register-instrument REPO TMP/nosuch.yaml                          | 2 | nosuch.yaml
ingest-raws REPO TMP/nosuch.fits                                  | 2 | nosuch.fits|registered
ingest-raws REPO TMP/plain.txt --instrument HCS                   | 2 | HCS HSC
ingest-files REPO nosuch u/x TMP/files.csv                        | 2 | 'nosuch'
ingest-files REPO 'b*' u/x TMP/files.csv                          | 2 | 'b*'
ingest-files REPO bias u/x TMP/nosuch.csv                         | 2 | nosuch.csv
ingest-files REPO bias u/x TMP/empty.csv                          | 2 | empty.csv
ingest-files REPO bias u/x TMP/binary.csv                         | 2 | binary.csv
ingest-files REPO bias u/x TMP/files.csv                          | 2 | instrument
ingest-files REPO bias u/x TMP/good.csv --data-id instrument=Cma | 2 | Cma
ingest-files REPO bias u/x TMP/files.csv --data-id instrment=Cam  | 2 | instrment
ingest-files REPO bias u/x TMP/files.csv --data-id instrument=Cam | 2 | missing.yaml
ingest-files REPO bias u/x TMP/files.csv --data-id =Cam           | 2 | =Cam
ingest-files REPO bias u/x TMP/files.csv --data-id a=1,a=2        | 2 | 'a'
ingest-files REPO bias u/x TMP/far.csv --data-id instrument=Cam   | 2 | 77
ingest-files REPO bias /abs TMP/good.csv --data-id instrument=Cam | 2 | /abs
ingest-files REPO bias u/../x TMP/good.csv --data-id instrument=Cam | 2 | u/../x
ingest-files REPO bias u/one TMP/good.csv --data-id instrument=Cam | 3 | bias
ingest-files REPO bias u/x TMP/good.csv --data-id instrument=Cam --formatter nosuch | 2 | nosuch
collection-chain REPO c nosuch                                    | 2 | 'nosuch'
collection-chain REPO c u/one nosuch                              | 2 | 'nosuch'
collection-chain REPO u/one u/two                                 | 2 | 'u/one' RUN
collection-chain REPO c u/one --mode pop                          | 2 | 'c'
collection-chain REPO nosuch --mode pop                           | 2 | 'nosuch'
collection-chain REPO nosuch u/one --mode remove                  | 2 | 'nosuch'
collection-chain REPO c c                                         | 2 | 'c'
collection-chain REPO 'a//b' u/one                                | 2 | a//b
associate REPO tag -d nosuch                                      | 2 | 'nosuch'
associate REPO u/one -d bias                                      | 3 | u/one RUN
associate REPO tag -d bias --collections nosuch                   | 2 | 'nosuch'
associate REPO tag -d bias --where 'detctor = 1'                  | 2 | detctor
associate REPO '../tag' -d bias                                   | 2 | ../tag
associate REPO tag -d bias --find-first                           | 2 | --find-first
certify-calibrations REPO nosuch calib bias                       | 2 | 'nosuch'
certify-calibrations REPO u/one calib nosuch                      | 2 | 'nosuch'
certify-calibrations REPO u/two calib note                        | 2 | note
certify-calibrations REPO u/one u/two bias                        | 3 | u/two RUN
certify-calibrations REPO u/one calib flat                        | 2 | flat u/one
certify-calibrations REPO u/one calib bias --begin-date yesterday | 2 | yesterday
certify-calibrations REPO u/one calib bias --begin-date 2024-13-01 | 2 | 2024-13-01
certify-calibrations REPO u/one calib bias --begin-date 2025-01-01 --end-date 2024-01-01 | 2 | empty
retrieve-artifacts REPO TMP/out -d nosuch                         | 2 | 'nosuch'
retrieve-artifacts REPO TMP/plain.txt -d note                     | 2 | plain.txt
retrieve-artifacts REPO TMP/out -d note --collections nosuch      | 2 | 'nosuch'
retrieve-artifacts REPO TMP/out -d note -t move                   | 2 | move
create REPO                                                       | 3 | REPO
create TMP/plain.txt                                              | 2 | plain.txt
create TMP/new --dimension-config TMP/nosuch.yaml                 | 2 | nosuch.yaml
create TMP/new --dimension-config TMP/broken.yaml                 | 2 | broken.yaml
create TMP/new --dimension-config TMP/list.yaml                   | 2 | list.yaml
create TMP/new --dimension-config TMP/options.yaml                | 2 | dimension|universe|version
create TMP/new --seed-config TMP/options.yaml                     | 2 | query-datasets
create nosuch://x/y                                               | 2 | nosuch
"""

FILES = {
    "plain.txt": b"hello\n",
    "broken.yaml": b"a: [1,\nb: }",
    "list.yaml": b"- 1\n- 2\n",
    "options.yaml": b"query-datasets:\n  wher: detector = 1\n",
    "empty.csv": b"",
    "binary.csv": bytes(range(256)),
    "files.csv": b"file,detector\nmissing.yaml,1\n",
    "far.csv": b"file,detector\nTMP/b.yaml,77\n",
    "good.csv": b"file,detector\nTMP/b.yaml,1\n",
    "b.yaml": b"level: 1\n",
}


def parse(line: str) -> tuple[str, int, list[str]]:
    command, code, names = (part.strip() for part in re.split(r" \| ", line))
    return command, int(code), shlex.split(names.replace("'", "\\'"))


PARSED = [parse(line) for line in CASES.strip().splitlines()]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    place = tmp_path / "files"
    place.mkdir()
    for name, content in FILES.items():
        (place / name).write_bytes(content.replace(b"TMP", str(place).encode()))
    (place / "incumbent").mkdir()
    (place / "incumbent" / "gen3.sqlite3").touch()
    return place


def state(place: Path) -> dict[str, int]:
    return {str(path.relative_to(place)): path.stat().st_size for path in place.rglob("*") if path.is_file()}


def test_the_table_is_as_large_as_promised() -> None:
    assert len(PARSED) >= 120
    assert len({command for command, _, _ in PARSED}) == len(PARSED)


@pytest.mark.parametrize(("command", "code", "names"), PARSED, ids=[command for command, _, _ in PARSED])
def test_wrong_input_is_named_in_a_few_lines_and_changes_nothing(
    command: str, code: int, names: list[str], repo: Path, files: Path
) -> None:
    def real(text: str) -> str:
        return (
            text.replace("REPO", str(repo))
            .replace("TMP", str(files))
            .replace(f"LAKEBUTLER_{repo}", "LAKEBUTLER_REPO")
        )

    before, beside = state(repo), state(files)
    result = call(*(real(word) for word in shlex.split(command)))
    assert "Traceback" not in result.err
    assert "this may be a fault in lakebutler" not in result.err, result.err
    assert result.code == code, result.err
    shown = [line for line in result.err.splitlines() if not line.startswith("no dataset type matches")]
    assert shown[0].startswith("error: ") or "ingest-raws" in command, result.err
    assert len(shown) <= 5, result.err
    for name in names:
        assert any(real(part) in result.err for part in name.split("|")), (name, result.err)
    assert state(repo) == before
    assert state(files) == beside
