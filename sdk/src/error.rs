//! What can go wrong between a guest and its host.
//!
//! **Invariant:** the words of an error are part of the SDK's interface: callers compare them.

use std::fmt;

/// Why the host gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The entity has no field of this name.
    NoSuchField(String),
    /// The field's value is kept outside the entity and could not be fetched.
    NotResolvable(String),
    /// The field's time to live has passed.
    Expired(String),
    /// The host refused a pointer, a length or an encoding, or answered what no host may answer.
    Invalid(String),
}

impl Error {
    /// The error behind a negative answer about `subject`, which an unknown one is too.
    pub fn from_code(code: i32, subject: &str) -> Error {
        let subject = subject.to_owned();
        match code {
            -1 => Error::NoSuchField(subject),
            -2 => Error::NotResolvable(subject),
            -4 => Error::Expired(subject),
            _ => Error::Invalid(subject),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchField(subject) => write!(f, "{subject}: no such field"),
            Error::NotResolvable(subject) => write!(f, "{subject}: not resolvable"),
            Error::Expired(subject) => write!(f, "{subject}: expired"),
            Error::Invalid(subject) => write!(f, "{subject}: invalid"),
        }
    }
}

impl std::error::Error for Error {}
