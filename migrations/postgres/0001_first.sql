-- Times are Unix milliseconds. Ids of players, items and guilds are never used again.

CREATE TABLE accounts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    secret_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ban_reason TEXT,
    banned_at BIGINT,
    CHECK ((ban_reason IS NULL) = (banned_at IS NULL))
);
CREATE INDEX accounts_banned_at ON accounts (banned_at) WHERE banned_at IS NOT NULL;

-- One row per player: whoever holds `owner` under `epoch` may write it.
CREATE TABLE players (
    id BIGINT PRIMARY KEY REFERENCES accounts (id),
    epoch BIGINT NOT NULL DEFAULT 0,
    owner BIGINT,
    last_seen_at BIGINT,
    zone BIGINT NOT NULL,
    x DOUBLE PRECISION NOT NULL,
    y DOUBLE PRECISION NOT NULL,
    rotation DOUBLE PRECISION NOT NULL,
    level BIGINT NOT NULL DEFAULT 1,
    experience BIGINT NOT NULL DEFAULT 0,
    health BIGINT NOT NULL,
    power BIGINT NOT NULL,
    gold BIGINT NOT NULL DEFAULT 0 CHECK (gold >= 0)
);

CREATE TABLE items (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    player_id BIGINT NOT NULL REFERENCES players (id),
    kind TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0)
);
CREATE INDEX items_player_id ON items (player_id);

-- `done` is how much of each goal is done, in the quest's order, joined by commas.
CREATE TABLE quests (
    player_id BIGINT NOT NULL REFERENCES players (id),
    quest TEXT NOT NULL,
    done TEXT NOT NULL,
    completed BIGINT NOT NULL CHECK (completed IN (0, 1)),
    PRIMARY KEY (player_id, quest)
);

-- The outcome of each change of value, so that a retry finds it. Pruned after 30 days.
CREATE TABLE operations (
    id UUID PRIMARY KEY,
    player_id BIGINT,
    made_at BIGINT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX operations_made_at ON operations (made_at);

CREATE TABLE used_tickets (
    id UUID PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_tickets_expires_at ON used_tickets (expires_at);

CREATE TABLE resume_tokens (
    hash BYTEA PRIMARY KEY,
    player_id BIGINT NOT NULL REFERENCES accounts (id),
    session_id UUID NOT NULL,
    gateway BIGINT NOT NULL,
    session_key BIGINT NOT NULL,
    device TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX resume_tokens_session ON resume_tokens (gateway, session_key);
CREATE INDEX resume_tokens_player_id ON resume_tokens (player_id);
CREATE INDEX resume_tokens_expires_at ON resume_tokens (expires_at);

-- A disbanded guild keeps its row, so that the wars it fought keep its name.
CREATE TABLE guilds (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    disbanded_at BIGINT
);
CREATE UNIQUE INDEX guilds_name ON guilds (name_folded) WHERE disbanded_at IS NULL;

CREATE TABLE guild_members (
    player_id BIGINT PRIMARY KEY REFERENCES accounts (id),
    guild_id BIGINT NOT NULL REFERENCES guilds (id),
    rank TEXT NOT NULL CHECK (rank IN ('member', 'officer', 'leader')),
    joined_at BIGINT NOT NULL
);
CREATE INDEX guild_members_guild_id ON guild_members (guild_id);

CREATE TABLE wars (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_guild BIGINT NOT NULL REFERENCES guilds (id),
    second_guild BIGINT NOT NULL REFERENCES guilds (id),
    attacker BIGINT NOT NULL,
    first_kills BIGINT NOT NULL DEFAULT 0,
    second_kills BIGINT NOT NULL DEFAULT 0,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK (first_guild < second_guild)
);
CREATE UNIQUE INDEX wars_fought ON wars (first_guild, second_guild) WHERE ended_at IS NULL;

CREATE TABLE statistics (
    player_id BIGINT NOT NULL REFERENCES players (id),
    counter TEXT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (player_id, counter)
);

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    owner BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    until BIGINT NOT NULL
);
