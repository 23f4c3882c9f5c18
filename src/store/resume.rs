//! Resume tokens: how a dropped connection's session is found again, at most once per token.
//!
//! Called by gateways. Only a token's SHA-256 is ever here, so that a stolen database resumes
//! nobody's session.

use super::accounts::stored_name;
use super::connection::{Connection, Row, values};
use super::failure::Failure;
use super::record::ResumeRecord;
use super::writer::Write;
use super::{Store, StoreError};
use crate::ids::{PlayerId, ServerId, SessionKey, SessionRef};

impl Store {
    /// Keeps the hash of a session's resume token, in place of its last one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such player.
    pub async fn put_resume(&self, hash: [u8; 32], record: ResumeRecord) -> Result<(), StoreError> {
        self.write("put_resume", PutResume { hash, record }).await
    }

    /// Takes a resume token out, so that it works once; none if unknown or expired at `now`
    /// (Unix ms).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; whether the token was taken is then not known.
    pub async fn take_resume(
        &self,
        hash: [u8; 32],
        now: u64,
    ) -> Result<Option<ResumeRecord>, StoreError> {
        self.write("take_resume", TakeResume { hash, now }).await
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
const INSERT: &str = "INSERT INTO resume_tokens \
    (hash, player_id, session_id, gateway, session_key, device, expires_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const TAKE: &str = "DELETE FROM resume_tokens WHERE hash = $1 \
    RETURNING player_id, session_id, gateway, session_key, device, expires_at, \
    (SELECT name FROM accounts WHERE accounts.id = resume_tokens.player_id)";

struct PutResume {
    hash: [u8; 32],
    record: ResumeRecord,
}

impl Write for PutResume {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let record = &self.record;
        let SessionRef { gateway, key } = record.session;
        db.execute(DELETE_OF_SESSION, values![gateway, key]).await?;
        let values = values![
            &self.hash,
            record.player,
            record.session_id,
            gateway,
            key,
            record.device.as_str(),
            record.expires_at
        ];
        db.execute(INSERT, values).await?;
        Ok(())
    }
}

struct TakeResume {
    hash: [u8; 32],
    now: u64,
}

impl Write for TakeResume {
    type Answer = Option<ResumeRecord>;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Self::Answer, Failure> {
        let row = db.row(TAKE, values![&self.hash]).await?;
        let record = row.map(|row| resume_record(&row)).transpose()?;
        Ok(record.filter(|record| record.expires_at > self.now))
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
