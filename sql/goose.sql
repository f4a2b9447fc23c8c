-- What goose keeps in the database, for the queries that read it. Goose creates it itself.
CREATE TABLE goose_db_version (
    id         integer   PRIMARY KEY,
    version_id bigint    NOT NULL,
    is_applied boolean   NOT NULL,
    tstamp     timestamp NOT NULL
);
