-- The state of the controller. The same text for SQLite and for MariaDB: what stands in /*! */ is a comment for SQLite.
-- Times are milliseconds since 1970 (UTC).

CREATE TABLE pushes (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    status VARCHAR(16) NOT NULL,
    reason MEDIUMTEXT,
    profile VARCHAR(64) NOT NULL,
    priority BIGINT NOT NULL,
    cancelled BIGINT NOT NULL,
    interruptions BIGINT NOT NULL,
    crashes BIGINT NOT NULL,
    last_event BIGINT NOT NULL,
    request MEDIUMTEXT NOT NULL,
    policy VARCHAR(64),
    user_id VARCHAR(255) NOT NULL,
    user_name VARCHAR(255) NOT NULL,
    project_id VARCHAR(64),
    request_id VARCHAR(64) NOT NULL,
    idempotency_key VARCHAR(255),
    request_digest VARCHAR(64),
    UNIQUE (user_id, idempotency_key)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX pushes_by_creation ON pushes (created_at, id);
CREATE INDEX pushes_by_change ON pushes (updated_at, id);
CREATE INDEX pushes_by_status ON pushes (status, profile);

CREATE TABLE push_items (
    push_id VARCHAR(36) NOT NULL,
    position BIGINT NOT NULL,
    reference MEDIUMTEXT NOT NULL,
    image_id VARCHAR(64),
    name MEDIUMTEXT,
    bytes BIGINT,
    status VARCHAR(16) NOT NULL,
    reason MEDIUMTEXT,
    session VARCHAR(64),
    root VARCHAR(64),
    wire_bytes BIGINT,
    expected BIGINT,
    holding BIGINT,
    exit_code BIGINT,
    started_at BIGINT,
    finished_at BIGINT,
    progress MEDIUMTEXT,
    PRIMARY KEY (push_id, position)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX push_items_by_image ON push_items (image_id);

CREATE TABLE push_hosts (
    push_id VARCHAR(36) NOT NULL,
    position BIGINT NOT NULL,
    host VARCHAR(128) NOT NULL,
    state VARCHAR(32) NOT NULL,
    reason MEDIUMTEXT,
    millis BIGINT,
    PRIMARY KEY (push_id, position, host)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE push_events (
    push_id VARCHAR(36) NOT NULL,
    seq BIGINT NOT NULL,
    kind VARCHAR(32) NOT NULL,
    body MEDIUMTEXT NOT NULL,
    PRIMARY KEY (push_id, seq)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE jobs (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    kind VARCHAR(16) NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    status VARCHAR(16) NOT NULL,
    reason MEDIUMTEXT,
    cancelled BIGINT NOT NULL,
    interruptions BIGINT NOT NULL,
    exit_code BIGINT,
    profile VARCHAR(64) NOT NULL,
    request MEDIUMTEXT NOT NULL,
    report MEDIUMTEXT,
    user_id VARCHAR(255) NOT NULL,
    user_name VARCHAR(255) NOT NULL,
    project_id VARCHAR(64),
    request_id VARCHAR(64) NOT NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX jobs_by_creation ON jobs (kind, created_at, id);
CREATE INDEX jobs_by_status ON jobs (status);

CREATE TABLE policies (
    name VARCHAR(64) NOT NULL PRIMARY KEY,
    body MEDIUMTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE hosts (
    profile VARCHAR(64) NOT NULL,
    host VARCHAR(128) NOT NULL,
    asked_at BIGINT NOT NULL,
    answered_at BIGINT,
    state VARCHAR(32) NOT NULL,
    reason MEDIUMTEXT,
    software MEDIUMTEXT,
    free_bytes BIGINT,
    digest VARCHAR(128),
    delivered_at BIGINT,
    PRIMARY KEY (profile, host)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE copies (
    profile VARCHAR(64) NOT NULL,
    host VARCHAR(128) NOT NULL,
    number BIGINT NOT NULL,
    name MEDIUMTEXT NOT NULL,
    image_id VARCHAR(64),
    bytes BIGINT NOT NULL,
    root VARCHAR(64) NOT NULL,
    pinned BIGINT NOT NULL,
    PRIMARY KEY (profile, host, number)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
CREATE INDEX copies_by_image ON copies (image_id);

CREATE TABLE placements (
    profile VARCHAR(64) NOT NULL,
    image_id VARCHAR(64) NOT NULL,
    host VARCHAR(128) NOT NULL,
    policies MEDIUMTEXT NOT NULL,
    name MEDIUMTEXT,
    root VARCHAR(64) NOT NULL,
    PRIMARY KEY (profile, image_id, host)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE failures (
    task VARCHAR(16) NOT NULL,
    profile VARCHAR(64) NOT NULL,
    image_id VARCHAR(64) NOT NULL,
    host VARCHAR(128) NOT NULL,
    times BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    reason MEDIUMTEXT NOT NULL,
    PRIMARY KEY (task, profile, image_id, host)
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE approvals (
    policy VARCHAR(64) NOT NULL PRIMARY KEY,
    approved_at BIGINT NOT NULL,
    approved_by VARCHAR(255) NOT NULL,
    pending MEDIUMTEXT NOT NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;

CREATE TABLE leases (
    name VARCHAR(64) NOT NULL PRIMARY KEY,
    holder VARCHAR(255) NOT NULL,
    expires_at BIGINT NOT NULL
) /*! CHARACTER SET utf8mb4 COLLATE utf8mb4_bin */;
