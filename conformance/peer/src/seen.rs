//! What connections ask of the server in their URL, and what the server has seen of them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::{Error, Result};

/// The part of a URL behind `?`.
pub(crate) struct Query<'a>(pub(crate) &'a str);

impl<'a> Query<'a> {
    pub(crate) fn get(&self, wanted: &str) -> Option<Cow<'a, str>> {
        form_urlencoded::parse(self.0.as_bytes()).find(|(name, _)| name == wanted).map(|(_, value)| value)
    }

    pub(crate) fn require(&self, wanted: &str) -> Result<Cow<'a, str>> {
        self.get(wanted).ok_or_else(|| Error::from(format!("the query has no {wanted}")))
    }
}

/// For each id of a connection, what is to be told of it once it has ended.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<String, watch::Sender<Option<String>>>>);

impl Seen {
    pub(crate) fn tell(&self, id: &str, what: String) {
        self.of(id).send_replace(Some(what));
    }

    pub(crate) async fn wait_for(&self, id: &str) -> Result<String> {
        let mut seen = self.of(id).subscribe();
        Ok(seen.wait_for(Option::is_some).await?.clone().unwrap_or_default())
    }

    /// Where it is told: it may be asked for before it happens, or after.
    fn of(&self, id: &str) -> watch::Sender<Option<String>> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(id.to_owned()).or_default().clone()
    }
}
