-- What a player waits for and what wears off: lines of the moment at which it ends and what it is
-- (attack, skill/KEY, item/KEY, fight, duel, protection, death, haste/FACTOR).
ALTER TABLE players ADD COLUMN timers TEXT NOT NULL DEFAULT '';
