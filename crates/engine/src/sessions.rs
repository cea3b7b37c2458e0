//! All sessions, by user and id.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use boathouse_spec::{Error, Result, clock};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;

use crate::{Engine, Session, SessionConf};

/// Ids of closed sessions that are remembered, so that a late request is told so instead of getting an empty session.
const CLOSED_REMEMBERED: usize = 10_000;

type Key = (String, String);

/// Keeps the sessions; those idle for long are closed.
pub struct SessionManager {
    engine: Weak<Engine>,
    fixed: BTreeMap<String, String>,
    sessions: DashMap<Key, Arc<Session>>,
    closed: Mutex<VecDeque<Key>>,
}

impl SessionManager {
    pub(crate) fn new(engine: Weak<Engine>, fixed: BTreeMap<String, String>) -> Self {
        Self { engine, fixed, sessions: DashMap::new(), closed: Mutex::new(VecDeque::new()) }
    }

    /// The session of that user and id, made where it is missing. The id is a UUID, as Spark's clients make them.
    pub async fn get_or_create(&self, user: &str, id: &str) -> Result<Arc<Session>> {
        if let Some(session) = self.get(user, id) {
            session.touch();
            return Ok(session);
        }
        self.check_new(user, id)?;
        let engine = self.engine()?;
        let conf = SessionConf::with_fixed(self.fixed.clone());
        match self.sessions.entry((user.to_string(), id.to_string())) {
            Entry::Occupied(existing) => Ok(Arc::clone(existing.get())),
            Entry::Vacant(place) => {
                let session = Arc::new(Session::new(engine, id, user, conf));
                place.insert(Arc::clone(&session));
                Ok(session)
            }
        }
    }

    pub fn get(&self, user: &str, id: &str) -> Option<Arc<Session>> {
        self.sessions.get(&(user.to_string(), id.to_string())).map(|s| Arc::clone(s.value()))
    }

    /// A session that begins as a copy of another: settings, views, variables, functions.
    pub async fn clone_session(&self, user: &str, from: &str, to: &str) -> Result<Arc<Session>> {
        let source = self.get(user, from).ok_or_else(|| invalid_handle("SESSION_NOT_FOUND", from))?;
        if self.get(user, to).is_some() {
            return Err(invalid_clone("TARGET_SESSION_ID_ALREADY_EXISTS", to));
        }
        self.check_new(user, to)?;
        let session = Arc::new(source.copied(to));
        self.sessions.insert((user.to_string(), to.to_string()), Arc::clone(&session));
        Ok(session)
    }

    /// Ends a session: its views, cached frames and artifacts are gone.
    pub async fn close(&self, user: &str, id: &str) {
        let key = (user.to_string(), id.to_string());
        if let Some((key, session)) = self.sessions.remove(&key) {
            session.dispose();
            let mut closed = self.closed.lock();
            if closed.len() >= CLOSED_REMEMBERED {
                closed.pop_front();
            }
            closed.push_back(key);
        }
    }

    /// Closes sessions that nobody used for so long. They are forgotten, not refused: a client that comes back starts anew.
    pub fn expire_idle(&self, idle: Duration) {
        let limit = clock::now_us().saturating_sub(i64::try_from(idle.as_micros()).unwrap_or(i64::MAX));
        self.sessions.retain(|_, session| {
            let keep = session.last_used_us() >= limit || session.is_busy();
            if !keep {
                session.dispose();
            }
            keep
        });
    }

    /// All sessions there are.
    pub fn list(&self) -> Vec<Arc<Session>> {
        self.sessions.iter().map(|s| Arc::clone(s.value())).collect()
    }

    pub(crate) fn close_all(&self) {
        self.sessions.retain(|_, session| {
            session.dispose();
            false
        });
    }

    fn engine(&self) -> Result<Arc<Engine>> {
        self.engine.upgrade().ok_or_else(|| Error::internal("the engine is closed"))
    }

    fn check_new(&self, user: &str, id: &str) -> Result<()> {
        if uuid::Uuid::parse_str(id).is_err() {
            return Err(invalid_handle("FORMAT", id));
        }
        if self.closed.lock().iter().any(|(u, i)| u == user && i == id) {
            return Err(invalid_handle("SESSION_CLOSED", id));
        }
        Ok(())
    }
}

fn invalid_handle(subclass: &str, id: &str) -> Error {
    let why = match subclass {
        "FORMAT" => "it is not a UUID",
        "SESSION_CLOSED" => "that session was closed",
        _ => "there is no such session",
    };
    Error::new(format!("INVALID_HANDLE.{subclass}"))
        .param("handle", id)
        .message(format!("The session id {id} cannot be used: {why}."))
}

fn invalid_clone(subclass: &str, id: &str) -> Error {
    Error::new(format!("INVALID_CLONE_SESSION_REQUEST.{subclass}"))
        .param("targetSessionId", id)
        .message(format!("The session id {id} is in use already."))
}
