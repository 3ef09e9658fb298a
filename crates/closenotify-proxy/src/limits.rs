//! How much is taken on at a time: sessions in all, sessions from one address, handshakes a second.
//!
//! One set for all workers. Nothing is queued here: a connection beyond a limit waits where it is, or is refused, as the
//! settings say.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::config::{self, WhenFull};
use crate::events::Limit;

/// The limits in force, and how much of each is used.
#[derive(Debug)]
pub(crate) struct Limits {
    room: Arc<Semaphore>,
    now: Mutex<Now>,
    by_address: Mutex<HashMap<IpAddr, u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    settings: config::Limits,
    /// `settings.sessions`, or what the limit of open files allows.
    sessions: u32,
    /// When the next handshake may begin, were there none before.
    next_handshake: Option<Instant>,
}

/// A session's place. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Place {
    _room: OwnedSemaphorePermit,
}

/// A session's place among those of its address. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct AddressPlace {
    limits: Arc<Limits>,
    address: IpAddr,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) limit: Limit,
    pub(crate) value: u64,
}

impl Limits {
    /// `sessions` is the number of sessions in force.
    pub(crate) fn new(settings: config::Limits, sessions: u32) -> Self {
        Self {
            room: Arc::new(Semaphore::new(sessions as usize)),
            now: Mutex::new(Now { settings, sessions, next_handshake: None }),
            by_address: Mutex::default(),
        }
    }

    /// Changes the limits. Sessions that run beyond the new ones go on.
    pub(crate) fn set(&self, settings: config::Limits, sessions: u32) {
        let mut now = self.now();
        if sessions > now.sessions {
            self.room.add_permits((sessions - now.sessions) as usize);
        } else {
            let fewer = (now.sessions - sessions) as usize;
            let gone = self.room.forget_permits(fewer);
            if gone < fewer {
                // Taken now: they are not given back.
                let room = Arc::clone(&self.room);
                let owed = u32::try_from(fewer - gone).unwrap_or(u32::MAX);
                tokio::spawn(async move {
                    if let Ok(permits) = room.acquire_many_owned(owed).await {
                        permits.forget();
                    }
                });
            }
        }
        now.settings = settings;
        now.sessions = sessions;
    }

    /// What happens to a connection for which there is no room.
    pub(crate) fn when_full(&self) -> WhenFull {
        self.now().settings.when_full
    }

    /// A place for a session, if there is room now.
    pub(crate) fn try_place(&self) -> Result<Place, Full> {
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => Ok(Place { _room: room }),
            Err(_none) => Err(Full { limit: Limit::Sessions, value: self.now().sessions.into() }),
        }
    }

    /// Waits until there is room for a session. Dropping the future gives the turn to the next one.
    pub(crate) async fn place(&self) -> Place {
        let room = Arc::clone(&self.room).acquire_owned().await;
        Place { _room: room.expect("it is never closed") }
    }

    /// Whether another handshake may begin now, which it then does; or when it may.
    pub(crate) fn try_handshake(&self) -> Result<(), (Full, Instant)> {
        let mut now = self.now();
        let Some(rate) = now.settings.handshakes_per_second else { return Ok(()) };
        let (at, every) = (Instant::now(), Duration::from_secs(1) / rate);
        // A second's worth may begin at once.
        let next = now.next_handshake.unwrap_or(at).max(at);
        if next > at + Duration::from_secs(1).saturating_sub(every) {
            let full = Full { limit: Limit::HandshakesPerSecond, value: rate.into() };
            return Err((full, next + every - Duration::from_secs(1)));
        }
        now.next_handshake = Some(next + every);
        Ok(())
    }

    /// Waits until another handshake may begin. Dropping the future uses none.
    pub(crate) async fn handshake(&self) {
        while let Err((_full, at)) = self.try_handshake() {
            sleep_until(at).await;
        }
    }

    /// A place among the sessions of an address. An IPv6 client is its network of 64 bits.
    pub(crate) fn address_place(self: &Arc<Self>, address: IpAddr) -> Result<Option<AddressPlace>, Full> {
        let Some(most) = self.now().settings.sessions_per_address else { return Ok(None) };
        let address = client(address);
        let mut all = lock(&self.by_address);
        let running = all.entry(address).or_insert(0);
        if *running >= most {
            return Err(Full { limit: Limit::SessionsPerAddress, value: most.into() });
        }
        *running += 1;
        Ok(Some(AddressPlace { limits: Arc::clone(self), address }))
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        lock(&self.now)
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut all = lock(&self.limits.by_address);
        if let Some(running) = all.get_mut(&self.address) {
            *running -= 1;
            if *running == 0 {
                all.remove(&self.address);
            }
        }
    }
}

/// Whom an address stands for.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(settings: config::Limits, sessions: u32) -> Arc<Limits> {
        Arc::new(Limits::new(settings, sessions))
    }

    #[test]
    fn places_are_as_many_as_the_limit_and_come_back() {
        let limits = limits(config::Limits::default(), 2);
        let first = limits.try_place().unwrap();
        let _second = limits.try_place().unwrap();
        assert_eq!(limits.try_place().unwrap_err(), Full { limit: Limit::Sessions, value: 2 });
        drop(first);
        assert!(limits.try_place().is_ok());
    }

    #[tokio::test]
    async fn a_reload_changes_the_limit_under_running_sessions() {
        let limits = limits(config::Limits::default(), 3);
        let mut running: Vec<_> = (0..3).map(|_| limits.try_place().unwrap()).collect();
        limits.set(config::Limits::default(), 1);
        running.truncate(1);
        tokio::task::yield_now().await;
        assert!(limits.try_place().is_err(), "one runs, and one may");
        running.clear();
        let _one = limits.place().await;
        assert!(limits.try_place().is_err());
        limits.set(config::Limits::default(), 2);
        assert!(limits.try_place().is_ok());
    }

    #[test]
    fn an_address_has_its_own_limit_and_an_ipv6_client_is_its_network() {
        let settings = config::Limits { sessions_per_address: Some(1), ..Default::default() };
        let limits = limits(settings, 100);
        let place = |address: &str| limits.address_place(address.parse().unwrap());
        let held = place("192.0.2.1").unwrap();
        assert_eq!(place("192.0.2.1").unwrap_err(), Full { limit: Limit::SessionsPerAddress, value: 1 });
        assert_eq!(place("::ffff:192.0.2.1").unwrap_err().limit, Limit::SessionsPerAddress);
        let _other = place("192.0.2.2").unwrap();
        let _v6 = place("2001:db8::1").unwrap();
        assert!(place("2001:db8::ffff").is_err());
        let _far = place("2001:db8:0:1::1").unwrap();
        drop(held);
        assert!(place("192.0.2.1").is_ok());
        assert_eq!(lock(&limits.by_address).len(), 3, "an address without sessions takes no memory");
    }

    #[tokio::test(start_paused = true)]
    async fn handshakes_are_so_many_a_second() {
        let settings = config::Limits { handshakes_per_second: Some(10), ..Default::default() };
        let limits = limits(settings, 100);
        let start = Instant::now();
        for _ in 0..10 {
            limits.try_handshake().unwrap();
        }
        assert_eq!(limits.try_handshake().unwrap_err().0, Full { limit: Limit::HandshakesPerSecond, value: 10 });
        for _ in 0..20 {
            limits.handshake().await;
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1990) && took <= Duration::from_millis(2100), "{took:?}");
    }
}
