//! An alarm (告警) is a state machine after ISA-18.2, not a message.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Threshold;

/// Where an alarm stands (ISA-18.2-2016 §5.2.3; latching and suppression by design are not used here).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// Nothing to report.
    #[default]
    Normal,
    /// Beyond the limit, and nobody has said that they saw it.
    Unacknowledged,
    /// Beyond the limit, and somebody has seen it.
    Acknowledged,
    /// Back within the limit before anybody saw it.
    ReturnedUnacknowledged,
    /// Set aside by a person for a limited time with a reason; it comes back by itself.
    Shelved,
}

impl AlarmState {
    /// The word used in files and over HTTP.
    pub fn word(self) -> &'static str {
        match self {
            AlarmState::Normal => "normal",
            AlarmState::Unacknowledged => "unacknowledged",
            AlarmState::Acknowledged => "acknowledged",
            AlarmState::ReturnedUnacknowledged => "returned_unacknowledged",
            AlarmState::Shelved => "shelved",
        }
    }

    /// The Chinese term shown to people.
    pub fn zh(self) -> &'static str {
        match self {
            AlarmState::Normal => "正常",
            AlarmState::Unacknowledged => "未确认",
            AlarmState::Acknowledged => "已确认",
            AlarmState::ReturnedUnacknowledged => "已恢复未确认",
            AlarmState::Shelved => "已搁置",
        }
    }

    /// Whether it belongs in the list of alarms: everything but `Normal`.
    pub fn is_listed(self) -> bool {
        self != AlarmState::Normal
    }
}

/// Which limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Below the low limit.
    Low,
    /// Above the high limit.
    High,
    /// Rising or falling too fast.
    Rate,
    /// The source of readings went silent.
    Lost,
}

/// What made an alarm change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The reading went beyond the limit (or the source was lost) and stayed so for the on-delay.
    Raised,
    /// The reading came back within the limit less the dead band (or the source came back).
    Returned,
    /// A person saw it.
    Acknowledged {
        /// Who.
        user: String,
        /// What they wrote.
        text: String,
    },
    /// A person set it aside.
    Shelved {
        /// Who.
        user: String,
        /// Why; never empty.
        reason: String,
        /// Until when, milliseconds since 1970.
        until_ms: i64,
    },
    /// A person put it back before its time.
    Unshelved {
        /// Who.
        user: String,
    },
    /// The time for which it was set aside is over.
    ShelfEnded,
}

/// What an alarm is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A sensor, by its dense index in the live state.
    Sensor(u32),
    /// A broker or another source of readings; one alarm however many sensors hang on it.
    Source(Arc<str>),
}

/// One change of one alarm, kept for the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Running number from 1, without gaps.
    pub number: u64,
    /// What it is about.
    pub subject: Subject,
    /// State before.
    pub from: AlarmState,
    /// State after.
    pub to: AlarmState,
    /// Limit it is about, where one is known.
    pub limit: Option<Limit>,
    /// What made it change.
    pub cause: Cause,
    /// The reading at that moment; NaN-free, `None` for sources and before any reading.
    pub value: Option<f64>,
    /// When, milliseconds since 1970, by the clock of this machine.
    pub at_ms: i64,
}

/// Why a request about an alarm was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlarmError {
    /// There is no such sensor or source.
    #[error("no such sensor or source")]
    Unknown,
    /// There is nothing to acknowledge.
    #[error("the alarm is {}: nothing to acknowledge", .0.word())]
    NothingToAcknowledge(AlarmState),
    /// Only what is shelved can be put back.
    #[error("the alarm is {}: not shelved", .0.word())]
    NotShelved(AlarmState),
    /// Shelving needs a reason.
    #[error("shelving needs a reason")]
    NoReason,
    /// Shelving needs an end after now and at most [`MAX_SHELF_MS`] away.
    #[error("shelving needs an end in the future, at most 7 days away")]
    BadEnd,
}

/// The longest time an alarm can be shelved at once: seven days.
pub const MAX_SHELF_MS: i64 = 7 * 24 * 3600 * 1000;

/// What a machine did: where from, where to.
pub type Step = (AlarmState, AlarmState);

/// The state machine of one alarm. Holds no identity and no history; times are milliseconds of this machine's clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    state: AlarmState,
    limit: Option<Limit>,
    since_ms: i64,
    waits_since_ms: Option<i64>,
    returns_since_ms: Option<i64>,
    shelved_until_ms: i64,
}

impl Machine {
    /// Where it stands.
    pub fn state(&self) -> AlarmState {
        self.state
    }

    /// The limit that is passed at present, on-delay over; kept up to date while shelved.
    /// In `ReturnedUnacknowledged` and `Normal` it is `None`.
    pub fn limit(&self) -> Option<Limit> {
        self.limit.filter(|_| self.waits_since_ms.is_none())
    }

    /// When it came into its state.
    pub fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// The end of the shelf, while shelved.
    pub fn shelved_until_ms(&self) -> Option<i64> {
        (self.state == AlarmState::Shelved).then_some(self.shelved_until_ms)
    }

    /// Whether time alone can change it, so that [`Machine::tick`] must be called.
    pub fn needs_tick(&self) -> bool {
        self.state == AlarmState::Shelved || self.waits_since_ms.is_some() || self.returns_since_ms.is_some()
    }

    /// Takes a reading. One that is outside the sensor's range is not trusted to end an alarm: it can only raise one.
    pub fn read(
        &mut self,
        threshold: &Threshold,
        (value, per_min): (f64, Option<f64>),
        is_in_range: bool,
        now_ms: i64,
    ) -> Option<Step> {
        let passed = passed_limit(threshold, self.limit, value, per_min);
        if passed.is_none() && !is_in_range {
            return None;
        }
        self.observe(passed, Delays::of(threshold), now_ms)
    }

    /// Takes the limit that the newest reading passes (see [`passed_limit`]).
    pub fn observe(&mut self, passed: Option<Limit>, delays: Delays, now_ms: i64) -> Option<Step> {
        let Some(limit) = passed else {
            // One that waited to be raised is not waited for to return.
            let is_raised = matches!(self.state, AlarmState::Unacknowledged | AlarmState::Acknowledged);
            if self.waits_since_ms.take().is_some() || !is_raised {
                self.limit = None;
            }
            if is_raised {
                self.returns_since_ms.get_or_insert(now_ms);
            }
            return self.come_back(delays.off_ms, now_ms);
        };
        self.returns_since_ms = None;
        if self.limit != Some(limit) {
            self.limit = Some(limit);
            self.waits_since_ms = Some(now_ms);
        }
        self.mature(delays.on_ms, now_ms)
    }

    /// Lets time pass: ends a delay or a shelf.
    pub fn tick(&mut self, delays: Delays, now_ms: i64) -> Option<(Step, Cause)> {
        let raised = self.mature(delays.on_ms, now_ms).map(|step| (step, Cause::Raised));
        let changed = raised.or_else(|| Some((self.come_back(delays.off_ms, now_ms)?, Cause::Returned)));
        if changed.is_some() {
            return changed;
        }
        if self.state == AlarmState::Shelved && now_ms >= self.shelved_until_ms {
            return self.leave_shelf(now_ms).map(|step| (step, Cause::ShelfEnded));
        }
        None
    }

    /// A person has seen it.
    pub fn acknowledge(&mut self, now_ms: i64) -> Result<Step, AlarmError> {
        let to = match self.state {
            AlarmState::Unacknowledged => AlarmState::Acknowledged,
            AlarmState::ReturnedUnacknowledged => AlarmState::Normal,
            other => return Err(AlarmError::NothingToAcknowledge(other)),
        };
        let from = self.state;
        self.go(to, now_ms);
        Ok((from, to))
    }

    /// A person sets it aside until `until_ms`; also before it is raised, and again while it is shelved.
    pub fn shelve(&mut self, reason: &str, until_ms: i64, now_ms: i64) -> Result<Step, AlarmError> {
        if reason.trim().is_empty() {
            return Err(AlarmError::NoReason);
        }
        if until_ms <= now_ms || until_ms.saturating_sub(now_ms) > MAX_SHELF_MS {
            return Err(AlarmError::BadEnd);
        }
        self.shelved_until_ms = until_ms;
        // What was about to return has returned when it comes off the shelf.
        if self.returns_since_ms.take().is_some() {
            self.limit = None;
        }
        let from = self.state;
        self.go(AlarmState::Shelved, now_ms);
        Ok((from, AlarmState::Shelved))
    }

    /// A person puts it back before its time.
    pub fn unshelve(&mut self, now_ms: i64) -> Result<Step, AlarmError> {
        self.leave_shelf(now_ms).ok_or(AlarmError::NotShelved(self.state))
    }

    /// Ends the on-delay if its time has come; passing the other limit is a new alarm.
    fn mature(&mut self, on_delay_ms: i64, now_ms: i64) -> Option<Step> {
        let waits_since = self.waits_since_ms?;
        if now_ms.saturating_sub(waits_since) < on_delay_ms {
            return None;
        }
        self.waits_since_ms = None;
        match self.state {
            AlarmState::Shelved | AlarmState::Unacknowledged => None,
            _ => self.go(AlarmState::Unacknowledged, now_ms),
        }
    }

    /// Ends the off-delay if its time has come.
    fn come_back(&mut self, off_delay_ms: i64, now_ms: i64) -> Option<Step> {
        if now_ms.saturating_sub(self.returns_since_ms?) < off_delay_ms {
            return None;
        }
        (self.returns_since_ms, self.limit) = (None, None);
        match self.state {
            AlarmState::Unacknowledged => self.go(AlarmState::ReturnedUnacknowledged, now_ms),
            AlarmState::Acknowledged => self.go(AlarmState::Normal, now_ms),
            _ => None,
        }
    }

    fn leave_shelf(&mut self, now_ms: i64) -> Option<Step> {
        if self.state != AlarmState::Shelved {
            return None;
        }
        let is_beyond = self.limit().is_some();
        self.go(if is_beyond { AlarmState::Unacknowledged } else { AlarmState::Normal }, now_ms)
    }

    fn go(&mut self, to: AlarmState, now_ms: i64) -> Option<Step> {
        let from = std::mem::replace(&mut self.state, to);
        self.since_ms = now_ms;
        Some((from, to))
    }
}

/// How long a reading must be beyond a limit, and back within it, before that counts, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Before an alarm is raised.
    pub on_ms: i64,
    /// Before it has returned.
    pub off_ms: i64,
}

impl Delays {
    /// Those of a threshold; negative and absurd ones count as none, the longest is a day.
    pub fn of(threshold: &Threshold) -> Self {
        let ms = |seconds: f64| if seconds > 0.0 { (seconds.min(86_400.0) * 1000.0) as i64 } else { 0 };
        Self { on_ms: ms(threshold.on_delay_s), off_ms: ms(threshold.off_delay_s) }
    }
}

/// The limit that `value` passes, given the limit passed before: once beyond, the reading must come back
/// by the dead band. A limit equal to the value is not passed. `per_min` is how fast the reading changes, where that is known;
/// a limit of the value goes before one of its change.
pub fn passed_limit(threshold: &Threshold, before: Option<Limit>, value: f64, per_min: Option<f64>) -> Option<Limit> {
    let dead_band = if threshold.dead_band > 0.0 { threshold.dead_band } else { 0.0 };
    if threshold.high.is_some_and(|high| value > high) {
        return Some(Limit::High);
    }
    if threshold.low.is_some_and(|low| value < low) {
        return Some(Limit::Low);
    }
    match before {
        Some(Limit::High) if threshold.high.is_some_and(|high| value > high - dead_band) => before,
        Some(Limit::Low) if threshold.low.is_some_and(|low| value < low + dead_band) => before,
        _ => {
            let is_fast = per_min.zip(threshold.rate_per_min).is_some_and(|(found, most)| found.abs() > most);
            is_fast.then_some(Limit::Rate)
        }
    }
}

/// One alarm as people see it in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    /// What it is about.
    pub subject: Subject,
    /// Where it stands.
    pub state: AlarmState,
    /// 1 = highest.
    pub priority: u8,
    /// The limit that is passed; `None` once the reading has returned.
    pub limit: Option<Limit>,
    /// Since when it is in this state, milliseconds since 1970.
    pub since_ms: i64,
    /// When it was raised last; equals `since_ms` while unacknowledged.
    pub raised_ms: i64,
    /// The newest reading, for a sensor.
    pub value: Option<f64>,
    /// The end of the shelf, while shelved.
    pub shelved_until_ms: Option<i64>,
    /// What was said about it last: the text of the acknowledgement, the reason of the shelf or of the loss.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(on_ms: i64) -> Delays {
        Delays { on_ms, off_ms: 0 }
    }

    #[test]
    fn what_is_back_for_a_moment_has_not_returned() {
        let delays = Delays { on_ms: 0, off_ms: 3_000 };
        let mut machine = Machine::default();
        let high = Some(Limit::High);
        assert_eq!(machine.observe(high, delays, 0), Some((AlarmState::Normal, AlarmState::Unacknowledged)));
        assert_eq!(machine.observe(None, delays, 1_000), None);
        assert!(machine.needs_tick() && machine.limit() == high);
        // Beyond again before the delay is over: the same alarm.
        assert_eq!((machine.observe(high, delays, 2_000), machine.needs_tick()), (None, false));
        assert_eq!(machine.observe(None, delays, 5_000), None);
        assert_eq!(machine.tick(delays, 7_999), None);
        let returned = (AlarmState::Unacknowledged, AlarmState::ReturnedUnacknowledged);
        assert_eq!(machine.tick(delays, 8_000), Some((returned, Cause::Returned)));
        assert_eq!((machine.limit(), machine.needs_tick()), (None, false));
        // Set aside while it is about to return: it has returned when it comes back.
        machine.observe(high, delays, 9_000);
        machine.acknowledge(9_500).unwrap();
        machine.observe(None, delays, 10_000);
        machine.shelve("检修", 12_000, 10_500).unwrap();
        assert_eq!(machine.tick(delays, 12_000).map(|(step, _)| step.1), Some(AlarmState::Normal));
        // A later reading ends it as time does.
        machine.observe(high, delays, 20_000);
        machine.acknowledge(20_500).unwrap();
        machine.observe(None, delays, 21_000);
        assert_eq!(machine.observe(None, delays, 24_000), Some((AlarmState::Acknowledged, AlarmState::Normal)));
    }

    #[test]
    fn what_changes_too_fast_is_an_alarm_within_its_limits_too() {
        let t = Threshold { rate_per_min: Some(2.0), ..threshold() };
        for (value, per_min, wanted) in [
            (15.0, None, None),
            (15.0, Some(2.0), None),
            (15.0, Some(2.1), Some(Limit::Rate)),
            (15.0, Some(-2.1), Some(Limit::Rate)),
            (25.0, Some(9.0), Some(Limit::High)),
        ] {
            assert_eq!(passed_limit(&t, None, value, per_min), wanted, "{value} {per_min:?}");
        }
        assert_eq!(passed_limit(&t, Some(Limit::High), 18.5, Some(9.0)), Some(Limit::High));
        assert_eq!(passed_limit(&threshold(), None, 15.0, Some(1e9)), None);
    }

    fn threshold() -> Threshold {
        Threshold {
            low: Some(10.0),
            high: Some(20.0),
            dead_band: 2.0,
            priority: 1,
            on_delay_s: 0.0,
            ..Threshold::default()
        }
    }

    /// An alarm written down a second time in another way: facts instead of states.
    #[derive(Default)]
    struct Facts {
        beyond: Option<Limit>,
        first_beyond_ms: i64,
        is_due: bool,
        is_active: bool,
        is_told: bool,
        is_seen: bool,
        shelf_end_ms: Option<i64>,
    }

    impl Facts {
        fn state(&self) -> AlarmState {
            match (self.shelf_end_ms.is_some(), self.is_told, self.is_active, self.is_seen) {
                (true, ..) => AlarmState::Shelved,
                (_, false, ..) => AlarmState::Normal,
                (_, _, true, true) => AlarmState::Acknowledged,
                (_, _, true, false) => AlarmState::Unacknowledged,
                (_, _, false, _) => AlarmState::ReturnedUnacknowledged,
            }
        }

        fn pass_time(&mut self, delay_ms: i64, now_ms: i64) -> bool {
            let is_new = self.beyond.is_some() && !self.is_due && now_ms - self.first_beyond_ms >= delay_ms;
            if is_new {
                (self.is_due, self.is_active) = (true, true);
                if self.shelf_end_ms.is_none() {
                    (self.is_told, self.is_seen) = (true, false);
                }
            }
            is_new
        }

        fn read(&mut self, value: f64, delay_ms: i64, now_ms: i64) {
            let beyond = if value > 20.0 || (self.beyond == Some(Limit::High) && value > 18.0) {
                Some(Limit::High)
            } else if value < 10.0 || (self.beyond == Some(Limit::Low) && value < 12.0) {
                Some(Limit::Low)
            } else {
                None
            };
            if beyond.is_some() && beyond != self.beyond {
                (self.first_beyond_ms, self.is_due) = (now_ms, false);
            }
            self.beyond = beyond;
            if beyond.is_none() {
                self.is_told &= !(self.is_seen && self.is_active);
                (self.is_due, self.is_active) = (false, false);
            }
            self.pass_time(delay_ms, now_ms);
        }

        fn put_back(&mut self) {
            self.shelf_end_ms = None;
            self.is_active = self.is_due;
            (self.is_told, self.is_seen) = (self.is_due, false);
        }
    }

    fn xorshift(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn random_lives_agree_with_a_model_that_knows_facts_and_no_states() {
        let mut dice = 0x9E37_79B9_7F4A_7C15_u64;
        let mut seen_states = std::collections::HashSet::new();
        for life in 0..400 {
            let (mut machine, mut facts, mut now) = (Machine::default(), Facts::default(), 0_i64);
            let delay_ms = if life % 2 == 0 { 0 } else { 60 };
            let limits = Threshold { on_delay_s: delay_ms as f64 / 1000.0, ..threshold() };
            for step in 0..500 {
                now += (xorshift(&mut dice) % 50) as i64;
                match xorshift(&mut dice) % 8 {
                    0..=3 => {
                        let value = (xorshift(&mut dice) % 150) as f64 / 10.0 + 7.5;
                        machine.read(&limits, (value, None), true, now);
                        facts.read(value, delay_ms, now);
                    }
                    4 => {
                        let expected =
                            matches!(facts.state(), AlarmState::Unacknowledged | AlarmState::ReturnedUnacknowledged);
                        assert_eq!(machine.acknowledge(now).is_ok(), expected);
                        if expected {
                            facts.is_seen = true;
                            facts.is_told = facts.is_active;
                        }
                    }
                    5 => {
                        let until = now + 1 + (xorshift(&mut dice) % 200) as i64;
                        machine.shelve("works", until, now).unwrap();
                        facts.shelf_end_ms = Some(until);
                    }
                    6 => {
                        assert_eq!(machine.unshelve(now).is_ok(), facts.shelf_end_ms.is_some());
                        if facts.shelf_end_ms.is_some() {
                            facts.put_back();
                        }
                    }
                    _ => {
                        machine.tick(on(delay_ms), now);
                        facts.pass_time(delay_ms, now);
                        if facts.shelf_end_ms.is_some_and(|end| now >= end) {
                            facts.put_back();
                        }
                    }
                }
                seen_states.insert(machine.state());
                assert_eq!(machine.state(), facts.state(), "life {life} step {step}");
            }
        }
        assert_eq!(seen_states.len(), 5, "every state was reached");
    }

    #[test]
    fn a_reading_must_come_back_by_the_dead_band() {
        let t = threshold();
        assert_eq!(passed_limit(&t, None, 20.0, None), None);
        assert_eq!(passed_limit(&t, None, 20.1, None), Some(Limit::High));
        assert_eq!(passed_limit(&t, Some(Limit::High), 18.5, None), Some(Limit::High));
        assert_eq!(passed_limit(&t, Some(Limit::High), 18.0, None), None);
        assert_eq!(passed_limit(&t, Some(Limit::High), 9.0, None), Some(Limit::Low));
        assert_eq!(passed_limit(&t, Some(Limit::Low), 11.9, None), Some(Limit::Low));
        let odd = Threshold { dead_band: f64::NAN, ..t };
        assert_eq!(passed_limit(&odd, Some(Limit::High), 19.9, None), None);
    }

    #[test]
    fn an_on_delay_swallows_a_short_excursion_and_time_alone_ends_it() {
        let mut machine = Machine::default();
        assert_eq!(machine.observe(Some(Limit::High), on(5_000), 0), None);
        assert_eq!(machine.observe(None, on(5_000), 4_000), None);
        assert_eq!(machine.observe(Some(Limit::High), on(5_000), 10_000), None);
        assert!(machine.needs_tick());
        assert_eq!(machine.tick(on(5_000), 14_999), None);
        assert_eq!(
            machine.tick(on(5_000), 15_000),
            Some(((AlarmState::Normal, AlarmState::Unacknowledged), Cause::Raised))
        );
        assert!(!machine.needs_tick());
    }

    #[test]
    fn shelving_needs_a_reason_and_an_end_and_comes_back_by_itself() {
        let mut machine = Machine::default();
        machine.observe(Some(Limit::High), on(0), 0);
        assert_eq!(machine.shelve(" ", 100, 0), Err(AlarmError::NoReason));
        assert_eq!(machine.shelve("works", 0, 0), Err(AlarmError::BadEnd));
        assert_eq!(machine.shelve("works", MAX_SHELF_MS + 1, 0), Err(AlarmError::BadEnd));
        machine.shelve("works", 100, 0).unwrap();
        assert_eq!(machine.tick(on(0), 99), None);
        assert_eq!(
            machine.tick(on(0), 100),
            Some(((AlarmState::Shelved, AlarmState::Unacknowledged), Cause::ShelfEnded))
        );
        machine.shelve("works", 200, 101).unwrap();
        machine.observe(None, on(0), 150);
        assert_eq!(machine.tick(on(0), 200).map(|(step, _)| step.1), Some(AlarmState::Normal));
    }
}
