//! Readings: numbers that a plugin asks for in one callback and gets in a later one.
//!
//! **Invariant:** in a deterministic session a reading is there in the callback after the one that
//! asked for it, and never earlier.

use std::collections::VecDeque;

use device::{Counts, Stream};
use plugin::pipeline::host::{Ask, ErrorClass, HostError};

use super::{Host, device_error};

/// Readings that are remembered: what the contract says.
const READINGS_MAX: usize = 64;
/// Numbers begin again after this one.
const NUMBER_MAX: u32 = (1 << 31) - 1;

struct Reading {
    number: u32,
    counts: Counts,
    /// Whether a plugin may see it.
    is_due: bool,
}

/// The readings of one session.
#[derive(Default)]
pub(super) struct Readings {
    known: VecDeque<Reading>,
    last: u32,
}

impl Readings {
    fn add(&mut self, counts: Counts, is_due: bool) -> u32 {
        if self.known.len() == READINGS_MAX {
            self.known.pop_front();
        }
        self.last = self.last % NUMBER_MAX + 1;
        self.known.push_back(Reading { number: self.last, counts, is_due });
        self.last
    }

    fn find(&self, number: u32) -> Result<&Reading, HostError> {
        let found = self.known.iter().find(|reading| reading.number == number);
        found.ok_or_else(|| {
            HostError::new(ErrorClass::Invalid, format!("`{number}` is not a reading"))
        })
    }

    pub(super) fn values(&self, number: u32) -> Result<Option<Vec<f32>>, HostError> {
        let reading = self.find(number)?;
        Ok(if reading.is_due { reading.counts.values() } else { None })
    }

    pub(super) fn shape(&self, number: u32) -> Result<Option<Vec<u32>>, HostError> {
        let reading = self.find(number)?;
        let there = reading.is_due && reading.counts.values().is_some();
        Ok(there.then(|| reading.counts.shape()))
    }

    /// Makes what was asked for in a callback ready for the next one.
    pub(super) fn end_callback(&mut self, stream: &Stream, deterministic: bool) {
        let fresh = self.known.iter_mut().filter(|reading| !reading.is_due);
        let count = fresh.map(|reading| reading.is_due = true).count();
        if deterministic && count > 0 {
            // A failure leaves the numbers missing, which whoever reads them then finds out.
            let _ = stream.wait();
        }
    }
}

impl Host {
    pub(super) fn ask_reading(&mut self, ask: Ask) -> Result<u32, HostError> {
        let counts = match ask {
            Ask::Histogram { source } => self.stream.histogram(&self.frames.find(source)?.surface),
            Ask::Difference { a, b } => {
                let (a, b) = (self.frames.find(a)?, self.frames.find(b)?);
                self.stream.difference(&a.surface, &b.surface)
            }
            Ask::Analyze { .. } | Ask::Detect { .. } => {
                return Err(HostError::not_here(ask.name()));
            }
        };
        let is_due = !self.facts.deterministic;
        Ok(self.readings.add(counts.map_err(device_error)?, is_due))
    }
}
