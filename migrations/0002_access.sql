-- API keys and what they have used. Of a key only the SHA-256 is here.
CREATE TABLE access_keys (
    name TEXT NOT NULL PRIMARY KEY,
    -- 64 hexadecimal digits.
    sha256 TEXT NOT NULL UNIQUE,
    -- JSON array of scopes.
    scopes TEXT NOT NULL,
    -- Seconds since 1970-01-01, as all times here.
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    requests_per_minute BIGINT,
    samples_per_day BIGINT
);

-- People whose expression was predicted, by key and day. A key of a file is here, too: by its digest.
CREATE TABLE access_use (
    sha256 TEXT NOT NULL,
    -- Days since 1970-01-01, UTC.
    day BIGINT NOT NULL,
    samples BIGINT NOT NULL,
    PRIMARY KEY (sha256, day)
);
