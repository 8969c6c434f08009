//! Tokens that show that a request comes from a page of one's own: HMAC-SHA256 (RFC 2104) over the
//! user and the time at which the token expires.
//!
//! Where tokens travel, and what becomes of a request without one, is the application's: the example
//! `auth` shows a whole flow.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The fewest bytes of a key: as many as the hash has (RFC 2104 §3).
const MIN_KEY: usize = 32;

/// Keeps apart what the key signs here and what it may sign elsewhere.
const PURPOSE: &[u8] = b"stentor csrf v1";

/// Issues and verifies tokens against cross-site request forgery.
///
/// A browser sends a user's cookies with every request, whichever page has made it. A token is sent
/// by pages only, and only a page of one's own can have fetched it: so it tells the two apart, besides
/// the [origin](crate::OriginPolicy). It is good for one user and for a short time; a page that stays
/// open fetches a new one now and then.
///
/// A token holds no secret about the user. It is made of letters, digits, `-`, `_` and `.`, so that it
/// can stand in a URL or in JSON as it is.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use stentor::csrf::{Csrf, CsrfError};
///
/// let csrf = Csrf::new(b"at least 32 bytes that nobody guesses")?.lifetime(Duration::from_secs(60));
/// let now = SystemTime::now();
/// let token = csrf.issue("ann", now);
/// assert_eq!(csrf.verify(&token, "ann", now), Ok(()));
/// assert_eq!(csrf.verify(&token, "bob", now), Err(CsrfError::Forged));
/// assert_eq!(csrf.verify(&token, "ann", now + Duration::from_secs(61)), Err(CsrfError::Expired));
/// # Ok::<(), stentor::csrf::KeyTooShort>(())
/// ```
///
/// # Changing the key
///
/// Make a new key the one that issues, and let the one before verify until its last token has
/// expired:
///
/// ```
/// use std::time::SystemTime;
/// use stentor::csrf::Csrf;
///
/// let (old_key, new_key) = (b"the key that was used until today", b"the key that is used from now on");
/// let now = SystemTime::now();
/// let token = Csrf::new(old_key)?.issue("ann", now);
/// let csrf = Csrf::new(new_key)?.previous_key(old_key)?;
/// assert_eq!(csrf.verify(&token, "ann", now), Ok(()));
/// # Ok::<(), stentor::csrf::KeyTooShort>(())
/// ```
#[derive(Clone)]
pub struct Csrf {
    key: Hmac<Sha256>,
    previous: Vec<Hmac<Sha256>>,
    lifetime: Duration,
}

impl Csrf {
    /// Issues and verifies with this key, which must be secret and unpredictable: 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyTooShort`] when it has fewer than 32 bytes.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, KeyTooShort> {
        Ok(Self { key: keyed(key.as_ref())?, previous: Vec::new(), lifetime: Duration::from_secs(60) })
    }

    /// Sets how long a token is good for, to the second. Default: 60 s.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Verifies with this key, too: one that was used before. Several may be.
    ///
    /// # Errors
    ///
    /// [`KeyTooShort`] when it has fewer than 32 bytes.
    pub fn previous_key(mut self, key: impl AsRef<[u8]>) -> Result<Self, KeyTooShort> {
        self.previous.push(keyed(key.as_ref())?);
        Ok(self)
    }

    /// A token for this user: a name, or what else tells this login from others.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "it is told to its owner, and nothing is compared")]
    pub fn issue(&self, user: &str, now: SystemTime) -> String {
        let expires = seconds(now).saturating_add(self.lifetime.as_secs());
        let mac = message(self.key.clone(), user, expires).finalize().into_bytes();
        format!("{expires}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac))
    }

    /// Whether this is a token of ours for this user that is still good. What is secret is compared in
    /// constant time.
    ///
    /// # Errors
    ///
    /// [`CsrfError`], by what is wrong with it.
    pub fn verify(&self, token: &str, user: &str, now: SystemTime) -> Result<(), CsrfError> {
        let (expires, mac) = parse(token).ok_or(CsrfError::Malformed)?;
        let ours = |key: &Hmac<Sha256>| message(key.clone(), user, expires).verify_slice(&mac).is_ok();
        if !ours(&self.key) && !self.previous.iter().any(ours) {
            return Err(CsrfError::Forged);
        }
        if seconds(now) < expires { Ok(()) } else { Err(CsrfError::Expired) }
    }
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>, KeyTooShort> {
    if key.len() < MIN_KEY {
        return Err(KeyTooShort);
    }
    // It takes keys of any length.
    Hmac::new_from_slice(key).map_err(|_| KeyTooShort)
}

/// What is signed. The user comes last, behind fields of fixed lengths, so that no two users and times
/// give the same bytes.
fn message(mut mac: Hmac<Sha256>, user: &str, expires: u64) -> Hmac<Sha256> {
    mac.update(PURPOSE);
    mac.update(&expires.to_be_bytes());
    mac.update(user.as_bytes());
    mac
}

/// Seconds since 1970; before that, none.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// When a token says that it expires, and its signature. Every token has one form only.
fn parse(token: &str) -> Option<(u64, [u8; 32])> {
    let (digits, mac) = token.split_once('.')?;
    let expires: u64 = digits.parse().ok()?;
    if expires.to_string() != digits {
        return None;
    }
    let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?;
    Some((expires, mac.try_into().ok()?))
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CsrfError {
    /// It is no token at all, or a part of one.
    Malformed,
    /// Nobody with one of our keys has made it for this user.
    Forged,
    /// It was good, and its time is over.
    Expired,
}

impl fmt::Display for CsrfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "this is no token",
            Self::Forged => "the token is not this user's",
            Self::Expired => "the token has expired",
        })
    }
}

impl std::error::Error for CsrfError {}

/// A key of fewer than 32 bytes, which is easier to guess than the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTooShort;

impl fmt::Display for KeyTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key needs {MIN_KEY} bytes")
    }
}

impl std::error::Error for KeyTooShort {}

impl fmt::Debug for Csrf {
    /// Not the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csrf").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
