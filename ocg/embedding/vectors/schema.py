"""What vectors.db looks like, and how an older one becomes that."""

MIGRATIONS = (
    """
    CREATE TABLE collections (name TEXT PRIMARY KEY, model TEXT NOT NULL, dim INTEGER NOT NULL) STRICT;
    CREATE TABLE vectors (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        collection TEXT NOT NULL REFERENCES collections (name),
        id TEXT NOT NULL,
        vector BLOB NOT NULL,
        metadata TEXT NOT NULL,
        UNIQUE (collection, id)
    ) STRICT;
    """,
    """
    ALTER TABLE collections RENAME TO collections_1;
    ALTER TABLE vectors RENAME TO vectors_1;
    CREATE TABLE collections (
        -- A snapshot lies in a folder of this number, so none is given out twice.
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        model TEXT, -- NULL: the client brings the vectors
        dim INTEGER NOT NULL,
        metric TEXT NOT NULL CHECK (metric IN ('cosine', 'dot', 'l2')),
        created_at REAL NOT NULL,
        since INTEGER NOT NULL DEFAULT 0, -- rows up to this one are another model's
        reindexing INTEGER NOT NULL DEFAULT 0, -- whether they are being embedded anew,
        cursor INTEGER NOT NULL DEFAULT 0, -- and up to which row that was tried
        total INTEGER NOT NULL DEFAULT 0 -- of so many
    ) STRICT;
    -- A row never changes: an upsert deletes the old one and adds another, whose number was never used before. So two
    -- lists of row numbers tell all that an index and this table do not have in common.
    CREATE TABLE vectors (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        collection INTEGER NOT NULL REFERENCES collections (number),
        id TEXT NOT NULL,
        vector BLOB NOT NULL, -- float32, little-endian
        text TEXT,
        metadata TEXT NOT NULL,
        UNIQUE (collection, id)
    ) STRICT;
    CREATE INDEX vectors_of ON vectors (collection);
    CREATE INDEX vectors_without_text ON vectors (collection) WHERE text IS NULL;
    -- A filter reads nothing but this. `type` is null, bool, number or string: to SQLite alone true is 1.
    CREATE TABLE fields (
        collection INTEGER NOT NULL,
        key TEXT NOT NULL,
        type TEXT NOT NULL,
        value ANY,
        row INTEGER NOT NULL,
        PRIMARY KEY (collection, key, type, value, row)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO collections (name, model, dim, metric, created_at)
        SELECT name, model, dim, 'cosine', 0 FROM collections_1;
    INSERT INTO vectors (row, collection, id, vector, metadata)
        SELECT row, number, id, vector, metadata FROM vectors_1
        JOIN collections ON collections.name = vectors_1.collection ORDER BY row;
    -- What was given out before is not given out again, even if all of it was deleted.
    DELETE FROM sqlite_sequence WHERE name = 'vectors';
    INSERT INTO sqlite_sequence SELECT 'vectors', coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'vectors_1';
    INSERT INTO fields SELECT collection, key, CASE type
            WHEN 'null' THEN 'null' WHEN 'text' THEN 'string' WHEN 'true' THEN 'bool' WHEN 'false' THEN 'bool'
            ELSE 'number' END,
        coalesce(value, 0), row
        FROM (SELECT collection, row, json_each.* FROM vectors, json_each(vectors.metadata));
    DROP TABLE vectors_1;
    DROP TABLE collections_1;
    """,
)
