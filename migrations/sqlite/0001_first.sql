-- Times are Unix milliseconds. Ids of players, items and guilds are never used again.

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    secret_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ban_reason TEXT,
    banned_at INTEGER,
    CHECK ((ban_reason IS NULL) = (banned_at IS NULL))
) STRICT;
CREATE INDEX accounts_banned_at ON accounts (banned_at) WHERE banned_at IS NOT NULL;

-- One row per player: whoever holds `owner` under `epoch` may write it.
CREATE TABLE players (
    id INTEGER PRIMARY KEY REFERENCES accounts (id),
    epoch INTEGER NOT NULL DEFAULT 0,
    owner INTEGER,
    last_seen_at INTEGER,
    zone INTEGER NOT NULL,
    x REAL NOT NULL,
    y REAL NOT NULL,
    rotation REAL NOT NULL,
    level INTEGER NOT NULL DEFAULT 1,
    experience INTEGER NOT NULL DEFAULT 0,
    health INTEGER NOT NULL,
    power INTEGER NOT NULL,
    gold INTEGER NOT NULL DEFAULT 0 CHECK (gold >= 0)
) STRICT;

CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    player_id INTEGER NOT NULL REFERENCES players (id),
    kind TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0)
) STRICT;
CREATE INDEX items_player_id ON items (player_id);

-- `done` is how much of each goal is done, in the quest's order, joined by commas.
CREATE TABLE quests (
    player_id INTEGER NOT NULL REFERENCES players (id),
    quest TEXT NOT NULL,
    done TEXT NOT NULL,
    completed INTEGER NOT NULL CHECK (completed IN (0, 1)),
    PRIMARY KEY (player_id, quest)
) STRICT, WITHOUT ROWID;

-- The outcome of each change of value, so that a retry finds it. Pruned after 30 days.
CREATE TABLE operations (
    id BLOB PRIMARY KEY,
    player_id INTEGER,
    made_at INTEGER NOT NULL,
    outcome TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX operations_made_at ON operations (made_at);

CREATE TABLE used_tickets (
    id BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_tickets_expires_at ON used_tickets (expires_at);

CREATE TABLE resume_tokens (
    hash BLOB PRIMARY KEY,
    player_id INTEGER NOT NULL REFERENCES accounts (id),
    session_id BLOB NOT NULL,
    gateway INTEGER NOT NULL,
    session_key INTEGER NOT NULL,
    device TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX resume_tokens_session ON resume_tokens (gateway, session_key);
CREATE INDEX resume_tokens_player_id ON resume_tokens (player_id);
CREATE INDEX resume_tokens_expires_at ON resume_tokens (expires_at);

-- A disbanded guild keeps its row, so that the wars it fought keep its name.
CREATE TABLE guilds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    disbanded_at INTEGER
) STRICT;
CREATE UNIQUE INDEX guilds_name ON guilds (name_folded) WHERE disbanded_at IS NULL;

CREATE TABLE guild_members (
    player_id INTEGER PRIMARY KEY REFERENCES accounts (id),
    guild_id INTEGER NOT NULL REFERENCES guilds (id),
    rank TEXT NOT NULL CHECK (rank IN ('member', 'officer', 'leader')),
    joined_at INTEGER NOT NULL
) STRICT;
CREATE INDEX guild_members_guild_id ON guild_members (guild_id);

CREATE TABLE wars (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first_guild INTEGER NOT NULL REFERENCES guilds (id),
    second_guild INTEGER NOT NULL REFERENCES guilds (id),
    attacker INTEGER NOT NULL,
    first_kills INTEGER NOT NULL DEFAULT 0,
    second_kills INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    CHECK (first_guild < second_guild)
) STRICT;
CREATE UNIQUE INDEX wars_fought ON wars (first_guild, second_guild) WHERE ended_at IS NULL;

CREATE TABLE statistics (
    player_id INTEGER NOT NULL REFERENCES players (id),
    counter TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (player_id, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    owner INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
