//! What a subject's object can be asked, and what it answers.
//!
//! As with a session's object: one typed enum, JSON in both directions, a protocol number.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::{EndReason, KeyRing, SessionKey, seal::push_with_length};
use crate::{device::DeviceName, time::Timestamp};

/// The name of a subject's object: a keyed hash under `NAME_KEY`, so that it names nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IndexName(String);

impl IndexName {
    /// 43 characters of base64url.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose sessions an index lists.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// `iss`: a `sub` and a `sid` are unique for their issuer only.
    pub issuer: String,
    /// Which claim names them: a `sid` is never taken for a `sub`.
    pub claim: IndexedClaim,
}

/// The claim that an index goes by.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexedClaim {
    /// `sub`: a person.
    Sub(String),
    /// `sid`: one session of theirs at the provider.
    Sid(String),
}

impl Whose {
    /// All sessions of a person.
    pub fn subject(issuer: &str, sub: &str) -> Self {
        Self { issuer: issuer.to_owned(), claim: IndexedClaim::Sub(sub.to_owned()) }
    }

    /// All sessions here of one session at the provider.
    pub fn provider_session(issuer: &str, sid: &str) -> Self {
        Self { issuer: issuer.to_owned(), claim: IndexedClaim::Sid(sid.to_owned()) }
    }

    /// The object's name: HMAC(`NAME_KEY`, kind ‖ length-prefixed issuer, `sub` or `sid`).
    pub fn name(&self, keys: &KeyRing) -> IndexName {
        let (kind, value) = self.claim.parts();
        IndexName(keys.keyed_hash(kind, &[self.issuer.as_bytes(), value.as_bytes()]))
    }

    /// What a dump hasn't got: goes into the key that entries are sealed under.
    pub(super) fn holder(&self) -> Vec<u8> {
        let (kind, value) = self.claim.parts();
        let mut holder = Vec::new();
        for part in [kind, &self.issuer, value] {
            push_with_length(&mut holder, part.as_bytes());
        }
        holder
    }
}

impl IndexedClaim {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Sub(sub) => ("index sub", sub),
            Self::Sid(sid) => ("index sid", sid),
        }
    }
}

/// Shows nothing of the person.
impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whose([redacted])")
    }
}

/// A command with the number of the protocol that it is written in.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubjectEnvelope {
    /// [`super::super::PROTOCOL`] of the sender.
    pub protocol: u32,
    /// Which object is asked; it refuses what isn't addressed to it.
    pub index: IndexName,
    /// What is asked.
    pub command: SubjectCommand,
}

/// What a subject's object can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectCommand {
    /// List a session that is about to be stored.
    Register(Box<Registration>),
    /// The session's object says that the session has ended.
    Unlist {
        /// Which.
        session: SessionKey,
    },
    /// The person's devices.
    List {
        /// Opens the entries.
        whose: Whose,
    },
    /// End sessions.
    End(Box<EndSessions>),
}

/// A session to be.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registration {
    /// Whose it is.
    pub whose: Whose,
    /// Its object.
    pub session: SessionKey,
    /// `iat` of the ID token, by the provider's clock: what "all before T" is measured against.
    pub issued_at: Timestamp,
    /// `auth_time`, where the provider says it: a code from before a logout may be exchanged after
    /// it, for an ID token that is newer.
    #[serde(default)]
    pub authenticated_at: Option<Timestamp>,
    /// When the login began, by ours. An entry whose session hasn't come when the login's time is
    /// over is swept.
    pub began: Timestamp,
    /// When the session began, by ours.
    pub created: Timestamp,
    /// The session's absolute limit.
    pub expires: Timestamp,
    /// On what it runs.
    pub device: DeviceName,
    /// The index of its `sub`.
    pub subject: IndexName,
    /// The index of its `sid`, if the provider gave one.
    pub sid: Option<IndexName>,
}

/// Which sessions are to end, and why.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndSessions {
    /// Which of those that are listed.
    pub which: Which,
    /// Why.
    pub reason: EndReason,
    /// Whether a login that is under way is refused as well where it comes to a session that is
    /// meant. Only for whoever may store something here.
    pub bars: bool,
    /// The logout token that says so.
    pub token: Option<SeenToken>,
}

/// Which of the sessions that are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All; of this `sub` alone, where the logout token names one.
    All {
        /// The index of the `sub`.
        of: Option<IndexName>,
    },
    /// Those whose ID token was issued at that time or before.
    Before {
        /// The provider's time.
        issued: Timestamp,
    },
    /// The same, and only those without a `sid`: a logout token that names a `sid` can't mean the
    /// others.
    BeforeWithoutSid {
        /// The provider's time.
        issued: Timestamp,
    },
    /// Those whose login began at that time or before.
    Begun {
        /// Our time: an administrator has no other.
        by: Timestamp,
    },
    /// All but one: the person's other devices.
    Others {
        /// The one that stays.
        session: SessionKey,
    },
    /// One device of the person's list.
    Handle {
        /// Its random name.
        handle: String,
    },
}

/// A logout token that was accepted, so that it is accepted once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenToken {
    /// Hash of its `jti`.
    pub jti: String,
    /// When it can't be accepted any more by its own dates.
    pub until: Timestamp,
    /// Drawn for each request that brings one: the same command once more, because the object
    /// restarted under the first, is no replay.
    pub delivery: String,
}

/// What a subject's object answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectReply {
    /// [`SubjectCommand::Register`] is done.
    Registered,
    /// [`SubjectCommand::Register`]: a logout came between the login and this.
    LoggedOut,
    /// [`SubjectCommand::Register`]: the login's time is over.
    TooLate,
    /// [`SubjectCommand::Unlist`] is done.
    Unlisted,
    /// [`SubjectCommand::List`].
    Devices(Vec<ListedDevice>),
    /// [`SubjectCommand::End`] is stored, and each session's object was asked.
    Ended {
        /// Whose objects have confirmed it.
        sessions: Vec<SessionKey>,
        /// How many didn't answer; they are asked again until they do.
        left: usize,
    },
    /// [`SubjectCommand::End`]: this logout token was used before.
    Replayed,
    /// The object speaks another protocol.
    Unsupported,
    /// The object's configuration or storage is faulty, or too many wait for the list already.
    Broken,
}

/// A device of the person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedDevice {
    /// The session's object; never leaves for a browser.
    pub session: SessionKey,
    /// Its random name, 22 characters of base64url: means something to this object alone.
    pub handle: String,
    /// When the session began.
    pub created: Timestamp,
    /// Its last activity to the hour, if its object answered.
    pub last_seen: Option<Timestamp>,
    /// On what it runs.
    pub device: DeviceName,
}
