//! epoll: which sockets have something to do.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::Result;

/// An epoll instance and the events it last told of.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(1024) })
    }

    /// Watches a socket for both directions, at the edge: it has to be read and written until it
    /// has no more and takes no more.
    pub(crate) fn add(&self, socket: impl AsFd, key: usize) -> Result {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(key as u64), flags)?)
    }

    /// Waits for events, for so long at most, and hands out the keys of their sockets.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<impl Iterator<Item = usize> + '_> {
        self.events.clear();
        let limit = Timespec::try_from(limit)?;
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| usize::try_from(event.data.u64()).expect("a key that add took")))
    }
}
