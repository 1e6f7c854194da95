//! How much a key may ask for: requests a minute, and people a day.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::Seconds;

/// Seconds of a day.
const DAY: Seconds = 86_400;

/// A rate of requests: so many at once, regained evenly over a minute.
#[derive(Debug)]
pub struct RequestRate {
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
    per_minute: NonZeroU32,
}

/// How a rate stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateStanding {
    /// Requests a minute.
    pub limit: u32,
    /// Requests that may follow at once.
    pub remaining: u32,
    /// How long until a refused request would be taken; none where it was taken.
    pub retry_after: Option<Duration>,
}

impl RequestRate {
    /// Returns a rate that nothing has used yet.
    #[must_use]
    pub fn new(per_minute: NonZeroU32) -> Self {
        let limiter = RateLimiter::direct(Quota::per_minute(per_minute)).with_middleware();
        Self { limiter, per_minute }
    }

    /// Counts a request.
    pub fn count(&self) -> RateStanding {
        let limit = self.per_minute.get();
        match self.limiter.check() {
            Ok(state) => RateStanding { limit, remaining: state.remaining_burst_capacity(), retry_after: None },
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                RateStanding { limit, remaining: 0, retry_after: Some(wait) }
            }
        }
    }
}

/// People that a key has asked for on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Day {
    /// Days since 1970-01-01.
    number: i64,
    used: u64,
    /// What the store does not know yet of `used`: negative where it has to take back what was refunded since.
    unsaved: i64,
}

/// People a day (UTC) that a key may ask for, and how many it has.
#[derive(Debug, Default)]
pub struct SampleQuota {
    day: Mutex<Day>,
}

/// More people than the quota has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} people are asked for and {left} of the {limit} a day are left; the day ends in {ends_in_seconds} s")]
pub struct QuotaExceeded {
    /// People that were asked for.
    pub asked: u64,
    /// People that are left.
    pub left: u64,
    /// People a day.
    pub limit: u64,
    /// Seconds to the end of the day.
    pub ends_in_seconds: Seconds,
}

/// What the store has to add to a key's use of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsaved {
    /// Days since 1970-01-01.
    pub day: i64,
    /// People; negative where some are given back.
    pub samples: i64,
}

/// People that were counted, and on which day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    day: i64,
    samples: u64,
}

impl SampleQuota {
    /// Counts people; all or none.
    ///
    /// # Errors
    /// The quota has fewer left.
    pub fn charge(&self, asked: u64, limit: u64, now: Seconds) -> Result<Charge, QuotaExceeded> {
        self.with(now, |day| {
            let left = limit.saturating_sub(day.used);
            if asked > left {
                return Err(QuotaExceeded { asked, left, limit, ends_in_seconds: DAY - now.rem_euclid(DAY) });
            }
            day.used += asked;
            day.unsaved += signed(asked);
            Ok(Charge { day: day.number, samples: asked })
        })
    }

    /// Gives back what a request was charged that got no answer.
    pub fn refund(&self, charge: Charge, now: Seconds) {
        self.with(now, |day| {
            // After midnight nobody is held to it any more.
            if day.number == charge.day {
                day.used = day.used.saturating_sub(charge.samples);
                day.unsaved -= signed(charge.samples);
            }
        });
    }

    /// Returns what the store does not know yet, and counts it as known from now on.
    pub fn take_unsaved(&self, now: Seconds) -> Option<Unsaved> {
        self.with(now, |day| {
            let samples = std::mem::take(&mut day.unsaved);
            (samples != 0).then_some(Unsaved { day: day.number, samples })
        })
    }

    /// Puts back what could not be saved.
    pub fn put_back(&self, unsaved: Unsaved, now: Seconds) {
        self.with(now, |day| {
            if day.number == unsaved.day {
                day.unsaved += unsaved.samples;
            }
        });
    }

    /// Takes what the store knows of a day: services that share a store share the quota.
    pub fn learn(&self, number: i64, saved: u64, now: Seconds) {
        self.with(now, |day| {
            if day.number == number {
                day.used = saved.saturating_add_signed(day.unsaved);
            }
        });
    }

    fn with<T>(&self, now: Seconds, act: impl FnOnce(&mut Day) -> T) -> T {
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let number = day_of(now);
        if day.number != number {
            // What was not saved of the day before is let go: nobody is held to it any more.
            *day = Day { number, ..Day::default() };
        }
        act(&mut day)
    }
}

fn signed(samples: u64) -> i64 {
    i64::try_from(samples).unwrap_or(i64::MAX)
}

/// Returns the day of a moment, counted from 1970-01-01.
#[must_use]
pub fn day_of(now: Seconds) -> i64 {
    now.div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_refuses_what_comes_on_top_and_says_how_long() {
        let rate = RequestRate::new(NonZeroU32::new(3).unwrap());
        let remaining: Vec<u32> = (0..3).map(|_| rate.count().remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = rate.count();
        let wait = refused.retry_after.unwrap();
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(20), "{wait:?}");
        assert_eq!(refused.limit, 3);
    }

    #[test]
    fn people_are_counted_by_the_day_all_or_none() {
        let quota = SampleQuota::default();
        let noon = 20_000 * DAY + DAY / 2;
        let charge = |people, now| quota.charge(people, 10, now).map(drop);
        assert_eq!(charge(6, noon), Ok(()));
        let exceeded = quota.charge(5, 10, noon + 60).unwrap_err();
        assert_eq!((exceeded.left, exceeded.ends_in_seconds), (4, DAY / 2 - 60));
        assert_eq!(charge(1, noon), Ok(()));
        let given_back = quota.charge(3, 10, noon).unwrap();
        quota.refund(given_back, noon);
        let saved_meanwhile = quota.charge(3, 10, noon).unwrap();
        assert_eq!(quota.take_unsaved(noon), Some(Unsaved { day: 20_000, samples: 10 }));
        assert_eq!(quota.take_unsaved(noon), None);
        quota.refund(saved_meanwhile, noon);
        assert_eq!(quota.take_unsaved(noon), Some(Unsaved { day: 20_000, samples: -3 }), "the store is told");
        quota.learn(20_000, 7, noon);
        assert_eq!(charge(4, noon).unwrap_err().left, 3);
        assert_eq!(charge(10, noon + DAY), Ok(()), "the next day is another one");
        quota.refund(saved_meanwhile, noon + DAY);
        assert_eq!(charge(1, noon + DAY).unwrap_err().left, 0, "yesterday's refund is nobody's today");
    }

    #[test]
    fn services_that_share_a_store_share_the_quota() {
        let (quota, now) = (SampleQuota::default(), 20_000 * DAY);
        quota.charge(2, 10, now).unwrap();
        let unsaved = quota.take_unsaved(now).unwrap();
        // The store did not answer.
        quota.put_back(unsaved, now);
        quota.learn(20_000, 7, now);
        assert_eq!(quota.charge(2, 10, now).unwrap_err().left, 1);
        quota.learn(19_999, 100, now);
        assert!(quota.charge(1, 10, now).is_ok(), "what is known of another day says nothing");
    }
}
