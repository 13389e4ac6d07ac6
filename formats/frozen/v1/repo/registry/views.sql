-- The current state of this lakebutler repository for plain DuckDB (1.5 or later).
-- Run it in the folder above "registry", or after:  SET file_search_path = '<that folder>';
-- Run it again to see later commits.  Times are UTC.
-- Written by lakebutler; the format is described in formats/README.md of its source.

SET VARIABLE lake_checkpoint = (SELECT max(file) FROM glob('registry/checkpoint/*.json'));
SET VARIABLE lake_version = coalesce(
  CAST(regexp_extract(getvariable('lake_checkpoint'), '(\d{20})-[^/]*$', 1) AS BIGINT), -1);
SET VARIABLE lake_files = list_concat(
  list_filter([getvariable('lake_checkpoint')], lambda f: f IS NOT NULL),
  coalesce((SELECT list(file ORDER BY file) FROM glob('registry/log/*.json')
            WHERE TRY_CAST(regexp_extract(file, '(\d{20})\.json$', 1) AS BIGINT)
                  > getvariable('lake_version')), []));

CREATE OR REPLACE TEMP TABLE lake_line AS
  SELECT json FROM read_json_objects(getvariable('lake_files'), format = 'newline_delimited',
                                     maximum_object_size = 1073741824);

-- What every entry after the checkpoint does, in order.
CREATE OR REPLACE TEMP TABLE lake_action AS
  SELECT version, row_number() OVER (ORDER BY version, place) AS place, kind, json_extract(action, kind) AS body
  FROM (SELECT version, place, action, json_keys(action)[1] AS kind
        FROM (SELECT CAST(json->>'$.version' AS BIGINT) AS version,
                     unnest(CAST(json->'$.actions' AS JSON[])) AS action,
                     generate_subscripts(CAST(json->'$.actions' AS JSON[]), 1) AS place
              FROM lake_line WHERE json_exists(json, '$.actions')));
CREATE OR REPLACE TEMP TABLE lake_head AS
  SELECT unnest(CAST(json->'$.tables' AS JSON[])) AS body FROM lake_line WHERE json_exists(json, '$.tables');

-- Named values: collections, dataset types, configuration.
CREATE OR REPLACE TEMP TABLE lake_state AS
  SELECT kind, name, value
  FROM (SELECT kind, name, value, row_number() OVER (PARTITION BY kind, name ORDER BY place DESC) AS nth
        FROM (SELECT v->>'$[0]' AS kind, v->>'$[1]' AS name, v->'$[2]' AS value, 0 AS place
              FROM (SELECT unnest(CAST(json->'$.state' AS JSON[])) AS v FROM lake_line
                    WHERE json_exists(json, '$.tables'))
              UNION ALL
              SELECT body->>'$.kind', body->>'$.name', body->'$.value', place FROM lake_action WHERE kind = 'set'))
  WHERE nth = 1 AND json_type(value) <> 'NULL'
  ORDER BY kind, name;

-- The columns of each table.
CREATE OR REPLACE TEMP TABLE lake_column AS
  SELECT tbl, nth, c->>'$.name' AS name, c->>'$.type' AS type,
         '"' || (c->>'$.name') || '"' AS quoted
  FROM (SELECT body->>'$.name' AS tbl, unnest(CAST(body->'$.columns' AS JSON[])) AS c,
               generate_subscripts(CAST(body->'$.columns' AS JSON[]), 1) - 1 AS nth
        FROM (SELECT body->'$.schema' AS body FROM lake_head
              UNION ALL SELECT body FROM lake_action WHERE kind = 'create_table'));

-- The files of each table; deletes of later versions hit their rows.
CREATE OR REPLACE TEMP TABLE lake_file AS
  SELECT tbl, path, CAST(version AS BIGINT) AS version
  FROM (SELECT tbl, f->>'$.path' AS path, f->>'$.version' AS version
        FROM (SELECT body->>'$.schema.name' AS tbl, unnest(CAST(body->'$.files' AS JSON[])) AS f FROM lake_head)
        UNION ALL
        SELECT body->>'$.table', body->>'$.path', coalesce(body->>'$.version', CAST(version AS VARCHAR))
        FROM lake_action WHERE kind = 'add'
        UNION ALL
        SELECT body->>'$.name', body->>'$.empty.path', CAST(version AS VARCHAR)
        FROM lake_action WHERE kind = 'create_table')
  WHERE path NOT IN (SELECT body->>'$.path' FROM lake_action WHERE kind = 'remove');

-- Rows that lie in no file.
CREATE OR REPLACE TEMP TABLE lake_row AS
  SELECT r.tbl, r.version, r.data
  FROM (SELECT tbl, CAST(part->>'$[0]' AS BIGINT) AS version, unnest(CAST(part->'$[1]' AS JSON[])) AS data
        FROM (SELECT json->>'$.table' AS tbl, unnest(CAST(json->'$.rows' AS JSON[])) AS part
              FROM lake_line WHERE json_exists(json, '$.rows'))
        UNION ALL
        SELECT body->>'$.table', version, unnest(CAST(body->'$.rows' AS JSON[]))
        FROM lake_action WHERE kind = 'rows') r
  LEFT JOIN (SELECT body->>'$.table' AS tbl, max(CAST(body->>'$.through' AS BIGINT)) AS through
             FROM lake_action WHERE kind = 'fold' GROUP BY ALL) f ON f.tbl = r.tbl
  WHERE r.version > coalesce(f.through, -1);

-- Keys whose rows of earlier versions are gone, one by one or in files.
CREATE OR REPLACE TEMP TABLE lake_delete AS
  SELECT tbl, CAST(body->'$.columns' AS VARCHAR[]) AS columns, version, data
  FROM (SELECT tbl, body, unnest(CAST(body->'$.versions' AS BIGINT[])) AS version,
               unnest(CAST(body->'$.keys' AS JSON[])) AS data
        FROM (SELECT body->>'$.schema.name' AS tbl, unnest(CAST(body->'$.tombstones' AS JSON[])) AS body
              FROM lake_head)
        UNION ALL
        SELECT body->>'$.table', body, version, unnest(CAST(body->'$.keys' AS JSON[]))
        FROM lake_action WHERE kind = 'delete');
CREATE OR REPLACE TEMP TABLE lake_delete_file AS
  SELECT tbl, CAST(body->'$.columns' AS VARCHAR[]) AS columns, CAST(version AS BIGINT) AS version,
         body->>'$.path' AS path
  FROM (SELECT tbl, body, body->>'$.version' AS version
        FROM (SELECT body->>'$.schema.name' AS tbl, unnest(CAST(body->'$.deletes' AS JSON[])) AS body FROM lake_head)
        UNION ALL
        SELECT body->>'$.table', body, CAST(version AS VARCHAR) FROM lake_action WHERE kind = 'delete_file');

-- How a value of each type is read from JSON, and what it is shown as.
CREATE OR REPLACE TEMP MACRO lake_read(type, nth) AS
  CASE type
    WHEN 'string' THEN 'json_extract_string(data, ''$[' || nth || ']'')'
    WHEN 'binary' THEN 'from_base64(json_extract_string(data, ''$[' || nth || ']''))'
    WHEN 'timestamp' THEN 'CAST(rtrim(json_extract_string(data, ''$[' || nth || ']''), ''Z'') AS TIMESTAMP)'
    ELSE 'CAST(json_extract_string(data, ''$[' || nth || ']'') AS '
         || CASE type WHEN 'int64' THEN 'BIGINT' WHEN 'float64' THEN 'DOUBLE' WHEN 'bool' THEN 'BOOLEAN'
                      ELSE 'UUID' END || ')'
  END;
CREATE OR REPLACE TEMP MACRO lake_show(type, quoted) AS
  CASE type WHEN 'timestamp' THEN 'make_timestamp(epoch_us(' || quoted || '))' ELSE quoted END;
CREATE OR REPLACE TEMP MACRO lake_text(t) AS '''' || replace(t, '''', '''''') || '''';

-- The text of a query for each table.
CREATE OR REPLACE TEMP TABLE lake_anti AS
  SELECT tbl, ' WHERE NOT EXISTS (' || string_agg(clause, ') AND NOT EXISTS (') || ')' AS clause
  FROM (SELECT d.tbl, 'SELECT 1 FROM (SELECT max(version) AS gone, '
                      || string_agg(lake_read(c.type, list_position(d.columns, c.name) - 1) || ' AS ' || c.quoted, ', ')
                      || ' FROM lake_delete WHERE tbl = ' || lake_text(d.tbl) || ' AND columns = '
                      || '[' || array_to_string(list_transform(d.columns, lambda n: lake_text(n)), ', ') || ']'
                      || ' GROUP BY ALL) d WHERE d.gone > r.came AND '
                      || string_agg('d.' || c.quoted || ' IS NOT DISTINCT FROM r.' || c.quoted, ' AND ') AS clause
        FROM (SELECT DISTINCT tbl, columns FROM lake_delete) d
        JOIN lake_column c ON c.tbl = d.tbl AND list_contains(d.columns, c.name)
        GROUP BY d.tbl, d.columns
        UNION ALL
        SELECT d.tbl, 'SELECT 1 FROM read_parquet(' || lake_text(d.path) || ') d WHERE ' || d.version
                      || ' > r.came AND '
                      || string_agg(lake_show(c.type, 'd.' || c.quoted) || ' IS NOT DISTINCT FROM r.' || c.quoted, ' AND ')
        FROM lake_delete_file d
        JOIN lake_column c ON c.tbl = d.tbl AND list_contains(d.columns, c.name)
        GROUP BY d.tbl, d.path, d.version)
  GROUP BY tbl;
SET VARIABLE lake_sql = (
  SELECT map(list(tbl), list(sql))
  FROM (SELECT c.tbl,
          'SELECT ' || c.names || ' FROM (SELECT ' || c.shown
          || CASE WHEN a.clause IS NULL THEN ' FROM read_parquet(' || f.paths || ')'
             ELSE ', came FROM read_parquet(' || f.paths || ', filename = true) p JOIN (SELECT '
                  || 'parse_filename(path) AS base, version AS came FROM lake_file WHERE tbl = ' || lake_text(c.tbl)
                  || ') v ON v.base = parse_filename(p.filename)' END
          || CASE WHEN n.rows IS NULL THEN '' ELSE ' UNION ALL SELECT ' || c.read
                  || CASE WHEN a.clause IS NULL THEN '' ELSE ', version' END
                  || ' FROM lake_row WHERE tbl = ' || lake_text(c.tbl) END
          || ') r' || coalesce(a.clause, '') AS sql
        FROM (SELECT tbl, string_agg(quoted, ', ' ORDER BY nth) AS names,
                     string_agg(lake_show(type, quoted) || ' AS ' || quoted, ', ' ORDER BY nth) AS shown,
                     string_agg(lake_read(type, nth) || ' AS ' || quoted, ', ' ORDER BY nth) AS read
              FROM lake_column GROUP BY tbl) c
        JOIN (SELECT tbl, '[' || string_agg(lake_text(path), ', ') || ']' AS paths
              FROM lake_file GROUP BY tbl) f ON f.tbl = c.tbl
        LEFT JOIN (SELECT tbl, count(*) AS rows FROM lake_row GROUP BY tbl) n ON n.tbl = c.tbl
        LEFT JOIN lake_anti a ON a.tbl = c.tbl));

-- The tables.
CREATE OR REPLACE TEMP VIEW "dataset_global" AS FROM query(getvariable('lake_sql')['dataset_global']);
CREATE OR REPLACE TEMP VIEW "dataset_instrument" AS FROM query(getvariable('lake_sql')['dataset_instrument']);
CREATE OR REPLACE TEMP VIEW "dataset_instrument_detector" AS FROM query(getvariable('lake_sql')['dataset_instrument_detector']);
CREATE OR REPLACE TEMP VIEW "dataset_instrument_detector_physical_filter" AS FROM query(getvariable('lake_sql')['dataset_instrument_detector_physical_filter']);
CREATE OR REPLACE TEMP VIEW "dimension_detector" AS FROM query(getvariable('lake_sql')['dimension_detector']);
CREATE OR REPLACE TEMP VIEW "dimension_instrument" AS FROM query(getvariable('lake_sql')['dimension_instrument']);
CREATE OR REPLACE TEMP VIEW "dimension_physical_filter" AS FROM query(getvariable('lake_sql')['dimension_physical_filter']);

-- Named views.
-- collection: collections: RUN, TAGGED, CALIBRATION, CHAINED
CREATE OR REPLACE TEMP VIEW "collection" AS SELECT name, value->>'type' AS type, value->>'doc' AS doc FROM "lake_state" WHERE kind = 'collection';
-- collection_chain: members of chains, in search order
CREATE OR REPLACE TEMP VIEW "collection_chain" AS SELECT name AS parent, unnest(range(1, CAST(json_array_length(value, '$.children') AS BIGINT) + 1)) AS position, unnest(CAST(value->'children' AS VARCHAR[])) AS child FROM "lake_state" WHERE kind = 'collection' AND value->>'type' = 'CHAINED';
-- dataset_type: dataset types and their required dimensions
CREATE OR REPLACE TEMP VIEW "dataset_type" AS SELECT name, CAST(value->'dimensions' AS VARCHAR[]) AS dimensions, value->>'storage_class' AS storage_class, CAST(value->'is_calibration' AS BOOLEAN) AS is_calibration FROM "lake_state" WHERE kind = 'dataset_type';
-- detector: records of the dimension detector; times are TAI
CREATE OR REPLACE TEMP VIEW "detector" AS SELECT * FROM "dimension_detector";
-- instrument: records of the dimension instrument; times are TAI
CREATE OR REPLACE TEMP VIEW "instrument" AS SELECT * FROM "dimension_instrument";
-- physical_filter: records of the dimension physical_filter; times are TAI
CREATE OR REPLACE TEMP VIEW "physical_filter" AS SELECT * FROM "dimension_physical_filter";
-- band: values of band of all physical_filter records
CREATE OR REPLACE TEMP VIEW "band" AS SELECT DISTINCT "band" FROM "dimension_physical_filter" WHERE "band" IS NOT NULL;
-- skymap: records of the dimension skymap; times are TAI
CREATE OR REPLACE TEMP VIEW "skymap" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "skymap", CAST(NULL AS BLOB) AS "hash", CAST(NULL AS BIGINT) AS "tract_max", CAST(NULL AS BIGINT) AS "patch_nx_max", CAST(NULL AS BIGINT) AS "patch_ny_max" WHERE false);
-- ssp_hypothesis_table: records of the dimension ssp_hypothesis_table; times are TAI
CREATE OR REPLACE TEMP VIEW "ssp_hypothesis_table" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "ssp_hypothesis_table" WHERE false);
-- day_obs: records of the dimension day_obs; times are TAI
CREATE OR REPLACE TEMP VIEW "day_obs" AS SELECT *, make_timestamp_ns(timespan_begin) AS begin_tai, make_timestamp_ns(timespan_end) AS end_tai FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS BIGINT) AS "day_obs", CAST(NULL AS BIGINT) AS "timespan_begin", CAST(NULL AS BIGINT) AS "timespan_end" WHERE false);
-- group: records of the dimension group; times are TAI
CREATE OR REPLACE TEMP VIEW "group" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS VARCHAR) AS "group" WHERE false);
-- ssp_balanced_index: records of the dimension ssp_balanced_index; times are TAI
CREATE OR REPLACE TEMP VIEW "ssp_balanced_index" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "ssp_hypothesis_table", CAST(NULL AS BIGINT) AS "ssp_balanced_index" WHERE false);
-- ssp_hypothesis_bundle: records of the dimension ssp_hypothesis_bundle; times are TAI
CREATE OR REPLACE TEMP VIEW "ssp_hypothesis_bundle" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "ssp_hypothesis_table", CAST(NULL AS BIGINT) AS "ssp_hypothesis_bundle" WHERE false);
-- subfilter: records of the dimension subfilter; times are TAI
CREATE OR REPLACE TEMP VIEW "subfilter" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "band", CAST(NULL AS BIGINT) AS "subfilter" WHERE false);
-- tract: records of the dimension tract; times are TAI
CREATE OR REPLACE TEMP VIEW "tract" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "skymap", CAST(NULL AS BIGINT) AS "tract", CAST(NULL AS BLOB) AS "region" WHERE false);
-- visit_system: records of the dimension visit_system; times are TAI
CREATE OR REPLACE TEMP VIEW "visit_system" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS BIGINT) AS "visit_system", CAST(NULL AS VARCHAR) AS "name" WHERE false);
-- exposure: records of the dimension exposure; times are TAI
CREATE OR REPLACE TEMP VIEW "exposure" AS SELECT *, make_timestamp_ns(timespan_begin) AS begin_tai, make_timestamp_ns(timespan_end) AS end_tai FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS BIGINT) AS "exposure", CAST(NULL AS BIGINT) AS "day_obs", CAST(NULL AS VARCHAR) AS "group", CAST(NULL AS VARCHAR) AS "physical_filter", CAST(NULL AS VARCHAR) AS "obs_id", CAST(NULL AS DOUBLE) AS "exposure_time", CAST(NULL AS DOUBLE) AS "dark_time", CAST(NULL AS VARCHAR) AS "observation_type", CAST(NULL AS VARCHAR) AS "observation_reason", CAST(NULL AS BIGINT) AS "seq_num", CAST(NULL AS BIGINT) AS "seq_start", CAST(NULL AS BIGINT) AS "seq_end", CAST(NULL AS VARCHAR) AS "target_name", CAST(NULL AS VARCHAR) AS "science_program", CAST(NULL AS DOUBLE) AS "tracking_ra", CAST(NULL AS DOUBLE) AS "tracking_dec", CAST(NULL AS DOUBLE) AS "sky_angle", CAST(NULL AS DOUBLE) AS "azimuth", CAST(NULL AS DOUBLE) AS "zenith_angle", CAST(NULL AS BOOLEAN) AS "has_simulated", CAST(NULL AS BOOLEAN) AS "can_see_sky", CAST(NULL AS BIGINT) AS "timespan_begin", CAST(NULL AS BIGINT) AS "timespan_end" WHERE false);
-- patch: records of the dimension patch; times are TAI
CREATE OR REPLACE TEMP VIEW "patch" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "skymap", CAST(NULL AS BIGINT) AS "tract", CAST(NULL AS BIGINT) AS "patch", CAST(NULL AS BIGINT) AS "cell_x", CAST(NULL AS BIGINT) AS "cell_y", CAST(NULL AS BLOB) AS "region" WHERE false);
-- visit: records of the dimension visit; times are TAI
CREATE OR REPLACE TEMP VIEW "visit" AS SELECT *, make_timestamp_ns(timespan_begin) AS begin_tai, make_timestamp_ns(timespan_end) AS end_tai FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS BIGINT) AS "visit", CAST(NULL AS BIGINT) AS "day_obs", CAST(NULL AS VARCHAR) AS "physical_filter", CAST(NULL AS VARCHAR) AS "name", CAST(NULL AS BIGINT) AS "seq_num", CAST(NULL AS DOUBLE) AS "exposure_time", CAST(NULL AS VARCHAR) AS "target_name", CAST(NULL AS VARCHAR) AS "observation_reason", CAST(NULL AS VARCHAR) AS "science_program", CAST(NULL AS DOUBLE) AS "azimuth", CAST(NULL AS DOUBLE) AS "zenith_angle", CAST(NULL AS BLOB) AS "region", CAST(NULL AS BIGINT) AS "timespan_begin", CAST(NULL AS BIGINT) AS "timespan_end" WHERE false);
-- visit_definition: records of the dimension visit_definition; times are TAI
CREATE OR REPLACE TEMP VIEW "visit_definition" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS BIGINT) AS "exposure", CAST(NULL AS BIGINT) AS "visit" WHERE false);
-- visit_detector_region: records of the dimension visit_detector_region; times are TAI
CREATE OR REPLACE TEMP VIEW "visit_detector_region" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS BIGINT) AS "detector", CAST(NULL AS BIGINT) AS "visit", CAST(NULL AS BLOB) AS "region" WHERE false);
-- visit_system_membership: records of the dimension visit_system_membership; times are TAI
CREATE OR REPLACE TEMP VIEW "visit_system_membership" AS SELECT * FROM (SELECT CAST(NULL AS VARCHAR) AS "instrument", CAST(NULL AS BIGINT) AS "visit_system", CAST(NULL AS BIGINT) AS "visit" WHERE false);
-- dataset: datasets of all types
CREATE OR REPLACE TEMP VIEW "dataset" AS SELECT id, dataset_type, run, ingest_date, path, uri, size, checksum FROM "dataset_global" WHERE collection = run UNION ALL SELECT id, dataset_type, run, ingest_date, path, uri, size, checksum FROM "dataset_instrument" WHERE collection = run UNION ALL SELECT id, dataset_type, run, ingest_date, path, uri, size, checksum FROM "dataset_instrument_detector" WHERE collection = run UNION ALL SELECT id, dataset_type, run, ingest_date, path, uri, size, checksum FROM "dataset_instrument_detector_physical_filter" WHERE collection = run;
-- membership: which dataset is in which collection; validity in TAI nanoseconds
CREATE OR REPLACE TEMP VIEW "membership" AS SELECT collection, dataset_type, id, run, valid_begin, valid_end FROM "dataset_global" UNION ALL SELECT collection, dataset_type, id, run, valid_begin, valid_end FROM "dataset_instrument" UNION ALL SELECT collection, dataset_type, id, run, valid_begin, valid_end FROM "dataset_instrument_detector" UNION ALL SELECT collection, dataset_type, id, run, valid_begin, valid_end FROM "dataset_instrument_detector_physical_filter";
-- bias: datasets of type bias, one row each
CREATE OR REPLACE TEMP VIEW "bias" AS SELECT id, run, "instrument", "detector", ingest_date, path, uri, formatter, storage_class, size, checksum FROM "dataset_instrument_detector" WHERE dataset_type = 'bias' AND collection = run;
-- flat: datasets of type flat, one row each
CREATE OR REPLACE TEMP VIEW "flat" AS SELECT id, run, "instrument", "detector", "physical_filter", ingest_date, path, uri, formatter, storage_class, size, checksum FROM "dataset_instrument_detector_physical_filter" WHERE dataset_type = 'flat' AND collection = run;
-- label: datasets of type label, one row each
CREATE OR REPLACE TEMP VIEW "label" AS SELECT id, run, ingest_date, path, uri, formatter, storage_class, size, checksum FROM "dataset_global" WHERE dataset_type = 'label' AND collection = run;
-- table: datasets of type table, one row each
CREATE OR REPLACE TEMP VIEW "table" AS SELECT id, run, "instrument", ingest_date, path, uri, formatter, storage_class, size, checksum FROM "dataset_instrument" WHERE dataset_type = 'table' AND collection = run;
