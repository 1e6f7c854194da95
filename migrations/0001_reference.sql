-- Reference datasets and imputed profiles: one dialect for PostgreSQL and SQLite.

-- One row a dataset: its current content. An earlier version's rows go in the transaction that brings the new ones.
CREATE TABLE datasets (
    name TEXT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL,
    assembly TEXT NOT NULL,
    unit TEXT NOT NULL,
    -- JSON array of tissue names, in order.
    tissues TEXT NOT NULL,
    -- How many rows `genes` has for the dataset: a reader checks it to see one version whole.
    gene_count BIGINT NOT NULL,
    -- JSON object of what the ingest found.
    counts TEXT NOT NULL,
    -- Seconds since 1970-01-01.
    created_at BIGINT NOT NULL
);

CREATE TABLE genes (
    dataset TEXT NOT NULL REFERENCES datasets (name),
    gene_id TEXT NOT NULL,
    id_version BIGINT,
    symbol TEXT NOT NULL,
    biotype TEXT,
    -- The place: all of it or none. Positions count from 1, both ends included.
    chromosome TEXT,
    start_position BIGINT,
    end_position BIGINT,
    strand TEXT,
    tss BIGINT,
    PRIMARY KEY (dataset, gene_id),
    CHECK (
        (chromosome IS NULL AND start_position IS NULL AND end_position IS NULL AND strand IS NULL AND tss IS NULL)
        OR (chromosome IS NOT NULL AND start_position > 0 AND end_position >= start_position
            AND strand IN ('+', '-') AND tss > 0)
    )
);

CREATE TABLE expression (
    dataset TEXT NOT NULL,
    gene_id TEXT NOT NULL,
    -- JSON array, one number a tissue in the dataset's order; null where nothing was measured.
    tissue_values TEXT NOT NULL,
    PRIMARY KEY (dataset, gene_id),
    FOREIGN KEY (dataset, gene_id) REFERENCES genes (dataset, gene_id)
);

CREATE TABLE promoters (
    dataset TEXT NOT NULL,
    gene_id TEXT NOT NULL,
    bases TEXT NOT NULL,
    PRIMARY KEY (dataset, gene_id),
    FOREIGN KEY (dataset, gene_id) REFERENCES genes (dataset, gene_id)
);

-- Profiles that a model computed for a dataset's genes; both keys are digests, so that a row never goes stale.
CREATE TABLE imputed (
    dataset_version TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    gene_id TEXT NOT NULL,
    profile TEXT NOT NULL,
    PRIMARY KEY (dataset_version, model_digest, gene_id)
);
