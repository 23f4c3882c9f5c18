//! What `HELP` answers: every command in one line.

/// All commands, each in its line, and `END`.
pub const HELP: &str = "\
HELP REGISTER name password - make an account and its character
HELP LOGIN name password - enter the world
HELP MOVE x y - walk there
HELP ATTACK id - strike something
HELP SKILL skill [id] - use a skill, on oneself without an id
HELP USE_ITEM id - use an item of one's inventory
HELP PICKUP id - take a thing off the ground
HELP DROP id [number] - put things on the ground, all of a stack without a number
HELP DESTROY id [number] - do away with things
HELP GIVE id player [number] - give things to a player near, by its id
HELP GIVE GOLD player number - give gold
HELP INVENTORY - what one carries
HELP QUEST [LIST] - one's quests, and those to be had
HELP QUEST ACCEPT quest - take a quest
HELP QUEST ABANDON quest - give a quest up
HELP CHAT text - speak to those near
HELP ZONE text - speak to the zone
HELP WORLD text - speak to everybody
HELP WHISPER name text - speak to one player
HELP ROOM CREATE|JOIN|LEAVE|WHO room - make, enter, leave, look into a room
HELP ROOM SAY room text - speak in a room
HELP ROOM LIST - which rooms there are
HELP GUILD CREATE|JOIN guild - found a guild, follow an invitation
HELP GUILD INVITE|KICK player - ask in, cast out
HELP GUILD RANK player MEMBER|OFFICER|LEADER - give a rank
HELP GUILD SAY text - speak to one's guild
HELP GUILD INFO [guild] - about a guild, one's own without a name
HELP GUILD WAR|PEACE guild - declare or agree to, end or decline a war
HELP GUILD LEAVE - leave one's guild
HELP GUILD DISBAND - end one's guild
HELP WHO - who is in the world
HELP PING - answered by PONG
HELP QUIT - leave
HELP LOGIN or WORLD or ZONE or CHAT, alone in the first line - which server to go to
END
";
