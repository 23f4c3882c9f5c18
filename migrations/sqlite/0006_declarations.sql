-- A war that is declared and not begun; the smaller guild's id first.
CREATE TABLE war_declarations (
    first_guild INTEGER NOT NULL REFERENCES guilds (id),
    second_guild INTEGER NOT NULL REFERENCES guilds (id),
    attacker INTEGER NOT NULL,
    declared_at INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    PRIMARY KEY (first_guild, second_guild),
    CHECK (first_guild < second_guild)
) STRICT, WITHOUT ROWID;

-- Until when two guilds may not go to war again.
CREATE TABLE truces (
    first_guild INTEGER NOT NULL REFERENCES guilds (id),
    second_guild INTEGER NOT NULL REFERENCES guilds (id),
    until INTEGER NOT NULL,
    PRIMARY KEY (first_guild, second_guild),
    CHECK (first_guild < second_guild)
) STRICT, WITHOUT ROWID;
CREATE INDEX truces_until ON truces (until);

-- When a guild last scored by killing a player.
CREATE TABLE war_victims (
    guild_id INTEGER NOT NULL REFERENCES guilds (id),
    player_id INTEGER NOT NULL REFERENCES accounts (id),
    counted_at INTEGER NOT NULL,
    PRIMARY KEY (guild_id, player_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX war_victims_counted_at ON war_victims (counted_at);
