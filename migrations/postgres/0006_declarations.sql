-- A war that is declared and not begun; the smaller guild's id first.
CREATE TABLE war_declarations (
    first_guild BIGINT NOT NULL REFERENCES guilds (id),
    second_guild BIGINT NOT NULL REFERENCES guilds (id),
    attacker BIGINT NOT NULL,
    declared_at BIGINT NOT NULL,
    begins_at BIGINT NOT NULL,
    PRIMARY KEY (first_guild, second_guild),
    CHECK (first_guild < second_guild)
);

-- Until when two guilds may not go to war again.
CREATE TABLE truces (
    first_guild BIGINT NOT NULL REFERENCES guilds (id),
    second_guild BIGINT NOT NULL REFERENCES guilds (id),
    until BIGINT NOT NULL,
    PRIMARY KEY (first_guild, second_guild),
    CHECK (first_guild < second_guild)
);
CREATE INDEX truces_until ON truces (until);

-- When a guild last scored by killing a player.
CREATE TABLE war_victims (
    guild_id BIGINT NOT NULL REFERENCES guilds (id),
    player_id BIGINT NOT NULL REFERENCES accounts (id),
    counted_at BIGINT NOT NULL,
    PRIMARY KEY (guild_id, player_id)
);
CREATE INDEX war_victims_counted_at ON war_victims (counted_at);
