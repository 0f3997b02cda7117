//! The path between the sender and one host: what happens to each datagram.

use std::time::Duration;

use super::dice::Dice;
use super::faults::{Counts, Fault};
use super::plan::{Way, Weather};

pub(crate) struct Path {
    bad: Weather,
    calm: Weather,
    /// Whether a burst of losses is on, by direction.
    bursting: [bool; 2],
}

/// One copy of a datagram that arrives.
pub(crate) struct Arrival {
    pub(crate) after: Duration,
    pub(crate) damaged: bool,
}

impl Path {
    pub(crate) fn new(weather: &Weather) -> Self {
        Self { bad: weather.clone(), calm: weather.calmed(), bursting: [false; 2] }
    }

    /// Returns the copies that arrive of a datagram of `len` bytes sent at `at`.
    pub(crate) fn carry(
        &mut self,
        dice: &mut Dice,
        counts: &mut Counts,
        (at, is_calm): (Duration, bool),
        way: Way,
        len: usize,
    ) -> Vec<Arrival> {
        let weather = if is_calm { &self.calm } else { &self.bad };
        if weather.is_cut(at, way) {
            counts.note(Fault::CutOff);
            return Vec::new();
        }
        if weather.longest.is_some_and(|longest| len > longest) {
            counts.note(Fault::TooLong);
            return Vec::new();
        }
        let doubled = dice.chance(weather.doubled);
        if doubled {
            counts.note(Fault::Doubled);
        }
        let mut arrivals = Vec::new();
        for _ in 0..1 + u32::from(doubled) {
            if is_lost(weather, &mut self.bursting, dice, counts, way) {
                continue;
            }
            let mut after = weather.delay + dice.time(weather.jitter);
            if dice.chance(weather.overtaken.0) {
                counts.note(Fault::Overtaken);
                after += dice.time(weather.overtaken.1);
            }
            let damaged = dice.chance(weather.damaged);
            if damaged {
                counts.note(Fault::Damaged);
            }
            arrivals.push(Arrival { after, damaged });
        }
        arrivals
    }
}

fn is_lost(
    weather: &Weather,
    bursting: &mut [bool; 2],
    dice: &mut Dice,
    counts: &mut Counts,
    way: Way,
) -> bool {
    if let Some(bursts) = weather.bursts {
        let bursting = &mut bursting[usize::from(way == Way::Up)];
        *bursting = if *bursting { !dice.chance(bursts.end) } else { dice.chance(bursts.begin) };
        if *bursting && dice.chance(bursts.loss) {
            counts.note(Fault::LostInBurst);
            return true;
        }
    }
    let (loss, fault) = match way {
        Way::Up => (weather.up_loss, Fault::FeedbackLost),
        Way::Both | Way::Down => (weather.loss, Fault::Lost),
    };
    let lost = dice.chance(loss);
    if lost {
        counts.note(fault);
    }
    lost
}
