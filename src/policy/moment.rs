// SPDX-License-Identifier: MPL-2.0
//! A point in time and a length of time, kept apart by type. Owns their arithmetic, which saturates
//! everywhere; never asks anybody what time it is.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// A point in time: nanoseconds since an arbitrary zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Moment(u64);

/// A length of time in nanoseconds; [`Span::MAX`] means "never".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub struct Span(u64);

impl Moment {
    pub const ZERO: Self = Self(0);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The moment `span` later, or `None` when that never comes: an endless span, or beyond all time.
    pub fn after(self, span: Span) -> Option<Self> {
        if span == Span::MAX {
            return None;
        }
        self.0.checked_add(span.0).map(Self)
    }

    /// Whether `span` has passed since this moment, its last nanosecond included.
    pub fn is_past(self, span: Span, now: Self) -> bool {
        self.after(span).is_some_and(|end| now >= end)
    }
}

impl Span {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    pub const fn nanos(self) -> u64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This span doubled `times` times.
    pub fn doubled(self, times: u32) -> Self {
        match 1_u64.checked_shl(times) {
            Some(factor) => Self(self.0.saturating_mul(factor)),
            None if self.is_zero() => self,
            None => Self::MAX,
        }
    }
}

impl Add<Span> for Moment {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Moment {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

/// How long after `earlier`; zero if it was not.
impl Sub for Moment {
    type Output = Span;

    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u32> for Span {
    type Output = Self;

    fn mul(self, factor: u32) -> Self {
        Self(self.0.saturating_mul(u64::from(factor)))
    }
}

/// A divisor of zero is taken as one.
impl Div<u32> for Span {
    type Output = Self;

    fn div(self, divisor: u32) -> Self {
        Self(self.0 / u64::from(divisor.max(1)))
    }
}

/// Seconds and milliseconds, for logs: `1.250 s`, or `never`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAX {
            return f.write_str("never");
        }
        let millis = self.0 / 1_000_000;
        write!(f, "{}.{:03} s", millis / 1000, millis % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_at_both_ends() {
        let (early, late) = (Moment::from_nanos(1), Moment::from_nanos(u64::MAX));
        assert_eq!(early - late, Span::ZERO);
        assert_eq!(late + Span::from_nanos(1), late);
        assert_eq!(Span::from_secs(u64::MAX), Span::MAX);
        assert_eq!(Span::MAX * 3, Span::MAX);
        assert_eq!(Span::from_nanos(1).doubled(64), Span::MAX);
        assert_eq!(Span::ZERO.doubled(64), Span::ZERO);
        assert_eq!(Span::from_secs(1) / 0, Span::from_secs(1));
    }

    #[test]
    fn an_endless_span_never_passes() {
        let late = Moment::from_nanos(u64::MAX);
        assert_eq!(Moment::ZERO.after(Span::MAX), None);
        assert!(!Moment::ZERO.is_past(Span::MAX, late));
        assert_eq!(late.after(Span::from_nanos(1)), None);
    }

    #[test]
    fn a_span_has_passed_exactly_at_its_end() {
        let span = Span::from_millis(10);
        assert!(!Moment::ZERO.is_past(span, Moment::from_nanos(9_999_999)));
        assert!(Moment::ZERO.is_past(span, Moment::from_nanos(10_000_000)));
    }

    #[test]
    fn a_span_reads_as_seconds() {
        assert_eq!(Span::from_millis(1250).to_string(), "1.250 s");
        assert_eq!(Span::MAX.to_string(), "never");
    }
}
