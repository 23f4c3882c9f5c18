-- The hand-over that gave the player to its owner; NULL: it was claimed. By it a hand-over that is
-- repeated knows itself.
ALTER TABLE players ADD COLUMN handover UUID;
