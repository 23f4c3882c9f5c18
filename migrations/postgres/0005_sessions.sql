-- The token before a session's own: it goes on as well until that one was used. A player has one
-- session, and so one row.
ALTER TABLE resume_tokens ADD COLUMN former BYTEA;
CREATE INDEX resume_tokens_former ON resume_tokens (former) WHERE former IS NOT NULL;

-- Whoever plays since before this has proven an older password.
ALTER TABLE accounts ADD COLUMN secret_changed_at BIGINT;
CREATE INDEX accounts_secret_changed_at ON accounts (secret_changed_at)
    WHERE secret_changed_at IS NOT NULL;

-- Devices and networks from which an account's owner has logged in, hashed; the newest few.
CREATE TABLE known_places (
    player_id BIGINT NOT NULL REFERENCES accounts (id),
    place BYTEA NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (player_id, place)
);
