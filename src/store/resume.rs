//! Resume tokens: how a dropped connection's session is found again.
//!
//! Called by gateways. A player has one row: the token that goes on with the session now, and until
//! that one was used the one before it, since its client may never have been told of the new one.
//! Only a token's SHA-256 is ever here, so that a stolen database resumes nobody's session.

use super::accounts::stored_name;
use super::connection::{Connection, Row, values};
use super::failure::Failure;
use super::job::Write;
use super::record::ResumeRecord;
use super::{Store, StoreError};
use crate::ids::{PlayerId, ServerId, SessionKey, SessionRef};

impl Store {
    /// Keeps the hash of a player's resume token in place of whatever it had. `former` is the token
    /// before it, which goes on as well until it is put without one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such player.
    pub async fn put_resume(
        &self,
        hash: [u8; 32],
        former: Option<[u8; 32]>,
        record: ResumeRecord,
    ) -> Result<(), StoreError> {
        self.write("put_resume", PutResume { hash, former, record }).await
    }

    /// What a resume token goes on with; none if unknown or expired at `now` (Unix ms). It only
    /// looks: whoever brings tokens that nobody has given out costs no write.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn find_resume(
        &self,
        hash: [u8; 32],
        now: u64,
    ) -> Result<Option<ResumeRecord>, StoreError> {
        self.read("find_resume", async {
            let mut snapshot = self.snapshot().await?;
            let row = snapshot.connection().row(FIND, values![&hash]).await?;
            let record = row.map(|row| resume_record(&row)).transpose()?;
            Ok(record.filter(|record| record.expires_at > now))
        })
        .await
    }

    /// Ends the resume token of a session, if it has one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn drop_resume(&self, session: SessionRef) -> Result<(), StoreError> {
        self.write("drop_resume", DropResume(session)).await
    }
}

const DELETE_OF_SESSION: &str = "DELETE FROM resume_tokens WHERE gateway = $1 AND session_key = $2";
const DELETE_OLDER: &str =
    "DELETE FROM resume_tokens WHERE player_id = $1 OR (gateway = $2 AND session_key = $3)";
const INSERT: &str = "INSERT INTO resume_tokens \
    (hash, former, player_id, session_id, gateway, session_key, device, expires_at) \
    SELECT $1, $2, id, $4, $5, $6, $7, $8 FROM accounts WHERE id = $3 \
    AND (secret_changed_at IS NULL OR secret_changed_at < $9)";
const IS_THERE: &str = "SELECT id FROM accounts WHERE id = $1";
const FIND: &str = "SELECT t.player_id, t.session_id, t.gateway, t.session_key, t.device, \
    t.expires_at, a.name FROM resume_tokens t JOIN accounts a ON a.id = t.player_id \
    WHERE t.hash = $1 OR t.former = $1";

struct PutResume {
    hash: [u8; 32],
    former: Option<[u8; 32]>,
    record: ResumeRecord,
}

impl Write for PutResume {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let record = &self.record;
        let SessionRef { gateway, key } = record.session;
        db.execute(DELETE_OLDER, values![record.player, gateway, key]).await?;
        let values = values![
            &self.hash,
            self.former.as_ref(),
            record.player,
            record.session_id,
            gateway,
            key,
            record.device.as_str(),
            record.expires_at,
            key.time()
        ];
        // Whoever has come in with an older secret gets no token under the new one.
        if db.execute(INSERT, values).await? == 0
            && db.row(IS_THERE, values![record.player]).await?.is_none()
        {
            return Err(StoreError::NotFound.into());
        }
        Ok(())
    }
}

fn resume_record(row: &Row) -> Result<ResumeRecord, Failure> {
    Ok(ResumeRecord {
        player: PlayerId(row.number(0)?),
        session_id: row.uuid(1)?,
        session: SessionRef { gateway: ServerId(row.bits(2)?), key: SessionKey(row.bits(3)?) },
        device: row.text(4)?,
        expires_at: row.number(5)?,
        name: stored_name(&row.text(6)?)?,
    })
}

struct DropResume(SessionRef);

impl Write for DropResume {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        db.execute(DELETE_OF_SESSION, values![self.0.gateway, self.0.key]).await?;
        Ok(())
    }
}
