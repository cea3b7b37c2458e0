//! All operations, by user, session and id.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use boathouse_spec::{Error, Result};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;

use crate::operation::{Cursor, Operation};
pub use crate::proto::spark::get_status_response::operation_status::OperationState;

/// Operations whose end is remembered after they are gone.
const MAX_REMEMBERED: usize = 10_000;

/// User, session and operation.
type Key = (String, String, String);

#[derive(Default)]
pub struct Operations {
    live: DashMap<Key, Arc<Operation>>,
    ended: Mutex<VecDeque<(Key, OperationState)>>,
}

/// What a request to execute finds under its operation's id.
pub enum Admission {
    /// Nothing: the operation is registered and must be started.
    Started(Cursor),
    /// The same request came before: its client continues with what that one gives.
    Joined(Cursor),
}

impl Operations {
    /// Registers an operation, or joins the one that the same request has started before.
    pub fn admit(&self, user: &str, operation: &Arc<Operation>) -> Result<Admission> {
        let key = key(user, operation.session_id(), operation.id());
        let existing = match self.live.entry(key.clone()) {
            Entry::Vacant(place) => {
                if self.ended.lock().iter().any(|(k, _)| *k == key) {
                    return Err(invalid_handle("OPERATION_ABANDONED", operation.id()));
                }
                place.insert(Arc::clone(operation));
                None
            }
            Entry::Occupied(existing) => Some(Arc::clone(existing.get())),
        };
        match existing {
            None => operation.attach(None).map(Admission::Started),
            Some(other) if other.is_reattachable() && other.plan_hash() == operation.plan_hash() => {
                other.attach(None).map(Admission::Joined)
            }
            Some(_) => Err(invalid_handle("OPERATION_ALREADY_EXISTS", operation.id())),
        }
    }

    pub fn get(&self, user: &str, session: &str, id: &str) -> Option<Arc<Operation>> {
        self.live.get(&key(user, session, id)).map(|op| Arc::clone(op.value()))
    }

    pub fn find(&self, user: &str, session: &str, id: &str) -> Result<Arc<Operation>> {
        self.get(user, session, id).ok_or_else(|| invalid_handle("OPERATION_NOT_FOUND", id))
    }

    /// The operations of a session.
    pub fn of_session(&self, user: &str, session: &str) -> Vec<Arc<Operation>> {
        let mine = |entry: &dashmap::mapref::multiple::RefMulti<'_, Key, Arc<Operation>>| {
            entry.key().0 == user && entry.key().1 == session
        };
        self.live.iter().filter(mine).map(|entry| Arc::clone(entry.value())).collect()
    }

    /// Forgets an operation, which ends if it still runs.
    pub fn remove(&self, user: &str, session: &str, id: &str) {
        if let Some((key, operation)) = self.live.remove(&key(user, session, id)) {
            operation.interrupt();
            self.remember(key, operation.status());
        }
    }

    /// Forgets all operations of a session.
    pub fn remove_session(&self, user: &str, session: &str) {
        for operation in self.of_session(user, session) {
            self.remove(user, session, operation.id());
        }
    }

    /// Ends the operations that no client cares for any more.
    pub fn remove_abandoned(&self, detached: Duration) {
        let abandoned: Vec<Key> = self
            .live
            .iter()
            .filter(|entry| entry.value().is_abandoned(detached))
            .map(|entry| entry.key().clone())
            .collect();
        for (user, session, id) in abandoned {
            self.remove(&user, &session, &id);
        }
    }

    /// The state of operations by id, or of all that are known.
    pub fn states(&self, user: &str, session: &str, ids: &[String]) -> Vec<(String, OperationState)> {
        let live = |id: &str| self.get(user, session, id).map(|op| op.status());
        let ended = self.ended.lock();
        let mine = ended.iter().filter(|((u, s, _), _)| u == user && s == session);
        if ids.is_empty() {
            let mut all: Vec<_> =
                self.of_session(user, session).iter().map(|op| (op.id().to_string(), op.status())).collect();
            all.extend(mine.map(|((_, _, id), state)| (id.clone(), *state)));
            return all;
        }
        let state = |id: &String| {
            let past = || mine.clone().find(|((_, _, i), _)| i == id).map(|(_, state)| *state);
            live(id).or_else(past).unwrap_or(OperationState::Unknown)
        };
        ids.iter().map(|id| (id.clone(), state(id))).collect()
    }

    fn remember(&self, key: Key, state: OperationState) {
        let mut ended = self.ended.lock();
        if ended.len() >= MAX_REMEMBERED {
            ended.pop_front();
        }
        ended.push_back((key, state));
    }
}

fn key(user: &str, session: &str, id: &str) -> Key {
    (user.to_string(), session.to_string(), id.to_string())
}

/// An id of a session or an operation that cannot be used.
pub fn invalid_handle(why: &str, id: &str) -> Error {
    let text = match why {
        "FORMAT" => "it must be a UUID of the form '00112233-4455-6677-8899-aabbccddeeff'",
        "OPERATION_ABANDONED" => "that operation has ended and was removed",
        "OPERATION_ALREADY_EXISTS" => "another operation has it",
        "OPERATION_NOT_FOUND" => "there is no such operation",
        "SESSION_CHANGED" => "the server has restarted since; connect again",
        "SESSION_CLOSED" => "that session was closed",
        "SESSION_NOT_FOUND" => "there is no such session",
        other => other,
    };
    Error::new(format!("INVALID_HANDLE.{why}"))
        .param("handle", id)
        .message(format!("The handle {id} is invalid: {text}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Identity, Limits};

    fn operation(id: &str, plan_hash: u64) -> Arc<Operation> {
        let identity = Identity {
            id: id.into(),
            session_id: "s".into(),
            server_side_session_id: String::new(),
            tags: Vec::new(),
            is_reattachable: true,
            plan_hash,
        };
        let limits =
            Limits { max_unsent_bytes: 1, max_kept_bytes: 1, stream_duration: Duration::from_secs(1) };
        Operation::new(identity, limits)
    }

    fn class(result: Result<Admission>) -> String {
        result.err().map(|e| e.class().to_string()).unwrap_or_default()
    }

    #[test]
    fn an_id_is_used_once() {
        let all = Operations::default();
        assert!(matches!(all.admit("u", &operation("a", 1)), Ok(Admission::Started(_))));
        assert!(matches!(all.admit("u", &operation("a", 1)), Ok(Admission::Joined(_))));
        assert_eq!(class(all.admit("u", &operation("a", 2))), "INVALID_HANDLE.OPERATION_ALREADY_EXISTS");
        assert!(matches!(all.admit("other", &operation("a", 2)), Ok(Admission::Started(_))));
        all.remove("u", "s", "a");
        assert_eq!(class(all.admit("u", &operation("a", 1))), "INVALID_HANDLE.OPERATION_ABANDONED");
        let states = all.states("u", "s", &["a".into(), "b".into()]);
        let expected =
            [("a".to_string(), OperationState::Cancelled), ("b".to_string(), OperationState::Unknown)];
        assert_eq!(states, expected);
    }

    #[test]
    fn what_nobody_reads_is_given_up() {
        let all = Operations::default();
        let kept = all.admit("u", &operation("a", 1));
        drop(all.admit("u", &operation("b", 1)));
        all.remove_abandoned(Duration::ZERO);
        assert!(all.get("u", "s", "a").is_some() && all.get("u", "s", "b").is_none());
        drop(kept);
    }
}
