//! How many connections and opening handshakes a server has at once, in all and for each address.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The limits of a whole server. Those of each connection are in [`Config`](crate::Config).
///
/// Start from [`Limits::default`] and change what has to be different.
///
/// ```no_run
/// use stentor::{Limits, Server};
///
/// # async fn example() -> stentor::Result<()> {
/// let limits = Limits { max_connections: 10_000, max_connections_per_ip: 20, ..Limits::default() };
/// let server = Server::bind("127.0.0.1:8080").await?.limits(limits);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once, opening handshakes included; further ones wait in the
    /// operating system's queue. Default: 65,536, what a process that is allowed as many open files
    /// can hold with some hundred MiB.
    pub max_connections: usize,
    /// The most connections at once from one address, or from one network of IPv6 (64 bits, which
    /// one customer has for himself); one more is answered 429, or dropped if it has yet to begin
    /// TLS. Behind
    /// [trusted proxies](crate::TrustedProxies) it is the client's address that counts. Default:
    /// 16,384, a quarter of all: thousands of users share the address of a large network, but
    /// nobody alone shall keep all others out.
    pub max_connections_per_ip: usize,
    /// The most opening handshakes at once. For one more, the oldest client of those that have not
    /// finished their requests is answered 503, or dropped if it is still in its TLS handshake; when
    /// all have, it waits. Default: 4,096, which hold
    /// 100 MiB if every one of them sends the longest head.
    pub max_handshakes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_connections: 65_536, max_connections_per_ip: 16_384, max_handshakes: 4096 }
    }
}

/// How many refused clients are told so and seen out at the same time. Others are dropped at once:
/// to be refused must not cost a server more than it costs the client.
const FAREWELLS: usize = 256;

/// Counts what a server has at once.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    connections: Semaphore,
    addresses: Mutex<HashMap<Address, usize>>,
    handshaking: Arc<Semaphore>,
    unfinished: Mutex<Unfinished>,
    farewells: Arc<Semaphore>,
}

/// Opening handshakes that may be ended for the sake of others, oldest first, and those that may
/// not. Each learns of its end by its channel.
#[derive(Debug, Default)]
struct Unfinished {
    next: u64,
    dispensable: BTreeMap<u64, oneshot::Sender<()>>,
    decided: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            connections: Semaphore::new(permits(limits.max_connections)),
            addresses: Mutex::default(),
            handshaking: Arc::new(Semaphore::new(permits(limits.max_handshakes))),
            unfinished: Mutex::default(),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
            limits,
        })
    }

    /// A place for a connection, once there is one.
    pub(crate) async fn place(self: &Arc<Self>) -> Place {
        // The semaphore is never closed. The place gives the permit back.
        if let Ok(permit) = self.connections.acquire().await {
            permit.forget();
        }
        Place { limiter: Arc::clone(self), address: None }
    }

    /// A place for a connection, if there is one.
    pub(crate) fn try_place(self: &Arc<Self>) -> Option<Place> {
        // The place gives the permit back.
        self.connections.try_acquire().ok()?.forget();
        Some(Place { limiter: Arc::clone(self), address: None })
    }

    /// Until all places are free again.
    pub(crate) async fn all_gone(&self) {
        let all = u32::try_from(permits(self.limits.max_connections)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _ = self.connections.acquire_many(all).await;
    }

    /// Room for an opening handshake. If there is none, the oldest that can be dispensed with has to
    /// go; if there is none of that kind, this waits until one has finished.
    pub(crate) async fn handshake(self: &Arc<Self>) -> Handshaking {
        if self.handshaking.available_permits() == 0 {
            self.end_oldest_handshake();
        }
        // The semaphore is never closed.
        let room = Arc::clone(&self.handshaking).acquire_owned().await.ok();
        let (end, ended) = oneshot::channel();
        let mut unfinished = self.unfinished();
        let number = unfinished.next;
        unfinished.next += 1;
        unfinished.dispensable.insert(number, end);
        Handshaking { limiter: Arc::clone(self), number, ended, _room: room }
    }

    /// Ends the oldest opening handshake that can be dispensed with, and says whether there was one.
    pub(crate) fn end_oldest_handshake(&self) -> bool {
        let oldest = self.unfinished().dispensable.pop_first();
        // Whoever does not listen any more has ended already.
        oldest.is_some_and(|(_, end)| end.send(()).is_ok())
    }

    /// Ends those opening handshakes that have not finished their requests, or all of them.
    pub(crate) fn end_handshakes(&self, all: bool) {
        let mut unfinished = self.unfinished();
        let dispensable = std::mem::take(&mut unfinished.dispensable);
        let decided = if all { std::mem::take(&mut unfinished.decided) } else { BTreeMap::new() };
        drop(unfinished);
        for end in dispensable.into_values().chain(decided.into_values()) {
            let _ = end.send(());
        }
    }

    /// Room to tell a client that it is refused, if there is any.
    pub(crate) fn farewell(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.farewells).try_acquire_owned().ok()
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<Address, usize>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a semaphore can count, and `acquire_many` can ask for.
fn permits(count: usize) -> usize {
    count.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize)
}

/// What counts as one address, in a word, because every connection keeps it: the first 64 bits of
/// IPv6; IPv4 among what IPv6 has reserved and nobody can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Address(NonZeroU64);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            IpAddr::V4(address) => 1 << 32 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        // The network of `::1` has the number 0, and gets another that nobody else has.
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

/// A connection's place among all, and among those of its address. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: Arc<Limiter>,
    /// Counted as one from there.
    address: Option<Address>,
}

/// There are too many connections from one address.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Place {
    /// Counts the connection as one from `address`.
    pub(crate) fn claim(&mut self, address: IpAddr) -> Result<(), TooMany> {
        let address = Address::from(address);
        if self.address == Some(address) {
            return Ok(());
        }
        self.leave_address();
        let mut addresses = self.limiter.addresses();
        let count = addresses.entry(address).or_default();
        if *count >= self.limiter.limits.max_connections_per_ip {
            return Err(TooMany);
        }
        *count += 1;
        self.address = Some(address);
        Ok(())
    }

    fn leave_address(&mut self) {
        let Some(address) = self.address.take() else { return };
        let mut addresses = self.limiter.addresses();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave_address();
        self.limiter.connections.add_permits(1);
    }
}

/// An opening handshake among the others. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Handshaking {
    limiter: Arc<Limiter>,
    number: u64,
    ended: oneshot::Receiver<()>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Handshaking {
    /// The request is there: from now on it is not ended to make room.
    pub(crate) fn is_needed(&self) {
        let mut unfinished = self.limiter.unfinished();
        if let Some(end) = unfinished.dispensable.remove(&self.number) {
            unfinished.decided.insert(self.number, end);
        }
    }

    /// It has come to nothing, and only waits for the client to go.
    pub(crate) fn is_dispensable(&self) {
        let mut unfinished = self.limiter.unfinished();
        if let Some(end) = unfinished.decided.remove(&self.number) {
            unfinished.dispensable.insert(self.number, end);
        }
    }

    /// Until it has to end.
    pub(crate) async fn ended(&mut self) {
        // The other end is dropped only with this one.
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        let mut unfinished = self.limiter.unfinished();
        unfinished.dispensable.remove(&self.number);
        unfinished.decided.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(max_connections: usize, max_connections_per_ip: usize, max_handshakes: usize) -> Arc<Limiter> {
        Limiter::new(Limits { max_connections, max_connections_per_ip, max_handshakes })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_gets_it_back() {
        let limiter = limiter(10, 2, 10);
        let mut places = Vec::new();
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"] {
            let mut place = limiter.place().await;
            place.claim(ip(address)).unwrap();
            place.claim(ip(address)).unwrap();
            places.push(place);
        }
        let mut another = limiter.place().await;
        another.claim(ip("192.0.2.1")).unwrap_err();
        another.claim(ip("2001:db8::ffff:1")).unwrap_err();
        another.claim(ip("192.0.2.2")).unwrap();
        // Who turns out to be another leaves the share of the first.
        another.claim(ip("2001:db8:0:1::2")).unwrap();
        another.claim(ip("192.0.2.1")).unwrap_err();
        places.remove(0);
        another.claim(ip("192.0.2.1")).unwrap();
        drop((places, another));
        assert!(limiter.addresses().is_empty());
        limiter.all_gone().await;
    }

    #[tokio::test]
    async fn the_oldest_handshake_that_is_not_needed_ends_for_a_new_one() {
        let limiter = limiter(10, 10, 2);
        let needed = limiter.handshake().await;
        needed.is_needed();
        let mut dispensable = limiter.handshake().await;
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.handshake().await }
        });
        dispensable.ended().await;
        assert!(!waiting.is_finished(), "there are three");
        drop(dispensable);
        let mut third = waiting.await.unwrap();
        third.is_needed();
        // Now nobody can be dispensed with, so the next one waits for the end of another.
        let waiting = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.handshake().await }
        });
        tokio::task::yield_now().await;
        assert!(!limiter.end_oldest_handshake());
        assert!(!waiting.is_finished());
        drop(needed);
        let fourth = waiting.await.unwrap();
        // What was refused goes before what is new, because it is older.
        third.is_dispensable();
        assert!(limiter.end_oldest_handshake());
        third.ended().await;
        drop((third, fourth));
        let left = limiter.unfinished();
        assert!(left.dispensable.is_empty() && left.decided.is_empty());
    }

    #[tokio::test]
    async fn all_handshakes_end_when_all_have_to() {
        let limiter = limiter(10, 10, 10);
        let (mut one, mut two) = (limiter.handshake().await, limiter.handshake().await);
        two.is_needed();
        limiter.end_handshakes(false);
        one.ended().await;
        assert!(two.ended.try_recv().is_err());
        limiter.end_handshakes(true);
        two.ended().await;
    }
}
