//! What `trace` has, without the feature `tracing`: nothing is told, and it costs nothing.

use std::net::SocketAddr;
use std::time::Duration;

use http::{StatusCode, Uri};
use stentor_proto::{Connection, Role};

use crate::error::{Error, Why};
use crate::handler::BoxError;

pub(crate) const ON: bool = false;

#[derive(Clone, Debug, Default)]
pub(crate) struct Span;

#[allow(clippy::unused_self)] // They are those of the span that there is with the feature.
impl Span {
    pub(crate) fn server(_: Option<SocketAddr>) -> Self {
        Self
    }

    pub(crate) fn client(_: &Uri) -> Self {
        Self
    }

    pub(crate) fn given(_: Role) -> Self {
        Self
    }

    pub(crate) fn run<F: Future>(&self, future: F) -> F {
        future
    }

    pub(crate) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        act()
    }

    pub(crate) fn asks_for(&self, _: &Uri) {}

    pub(crate) fn reached(&self, _: Option<SocketAddr>) {}

    pub(crate) fn accepted(&self) {}

    pub(crate) fn refused(&self, _: Option<StatusCode>, _: bool, _: Why<'_>) {}

    pub(crate) fn failed(&self, _: &Error) {}

    pub(crate) fn opened(&self, _: u64, _: Option<&str>, _: Option<Duration>) {}

    pub(crate) fn tell(&self, _: &News) {}

    pub(crate) fn handler_failed(&self, _: &BoxError) {}
}

#[derive(Debug, Default)]
pub(crate) struct Told(());

pub(crate) struct News;

#[allow(clippy::unused_self)] // As above.
impl Told {
    #[inline]
    pub(crate) fn lacks(&self, _: &Connection, _: bool) -> bool {
        false
    }

    pub(crate) fn update(&mut self, _: &Connection, _: bool) -> News {
        News
    }
}

pub(crate) fn panicked(_: &'static str) {}

pub(crate) fn listening(_: Option<SocketAddr>) {}

pub(crate) fn shutting_down(_: usize) {}

pub(crate) fn drained(_: usize, _: usize, _: usize, _: usize) {}
