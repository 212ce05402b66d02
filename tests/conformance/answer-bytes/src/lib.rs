//! Answers with whatever its configuration spells, two hexadecimal digits a byte: any index, any
//! score, any number of lines, texts that are none and texts that lie outside its memory. Without a
//! configuration every byte is 0, which is the choice of candidate 0.

use framegate_sdk::prelude::*;

/// The bytes, read from first to last; after the last come zeros.
struct Bytes(Vec<u8>);

struct Guest {
    bytes: Vec<u8>,
}

impl Bytes {
    fn byte(&mut self) -> u8 {
        self.0.pop().unwrap_or(0)
    }

    /// Reads a number; mostly a small one, so that some are right.
    fn number(&mut self) -> u32 {
        let first = self.byte();
        if first < 0xF0 {
            return u32::from(first);
        }
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn option(&mut self) -> Option<u32> {
        (self.byte() & 1 == 1).then(|| self.number())
    }

    fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    fn decline(&mut self) -> Decline {
        match self.byte() % 5 {
            0 => Decline::NoneLeft,
            1 => Decline::TooExpensive(self.long()),
            2 => Decline::NoCapacity,
            3 => Decline::BelowFloor,
            _ => Decline::Custom(self.number()),
        }
    }

    fn text(&mut self) -> String {
        let length = self.number() as usize;
        if self.byte() & 1 == 0 {
            let bytes: Vec<u8> = (0..length.min(self.0.len())).map(|_| self.byte()).collect();
            // SAFETY: none; what a host makes of such a text is what is asked here.
            return unsafe { String::from_utf8_unchecked(bytes) };
        }
        let address = std::ptr::with_exposed_provenance_mut(self.number() as usize);
        // SAFETY: none, as above: it may lie anywhere, or nowhere.
        unsafe { String::from_raw_parts(address, length, length) }
    }

    fn line(&mut self) -> Scored {
        let candidate = self.number();
        let score = f64::from_bits(self.long());
        let parts = (0..self.number().min(300)).map(|_| (self.text(), self.text())).collect();
        let left_out = (self.byte() & 1 == 1).then(|| self.text());
        Scored { candidate, score, parts, left_out }
    }
}

impl Guest {
    fn read(&self) -> Bytes {
        Bytes(self.bytes.iter().rev().copied().collect())
    }
}

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("answers with the bytes of its configuration", "{}", ["a reason"])
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or(0);
        let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).unwrap_or(0);
        Ok(Self { bytes: config.as_bytes().chunks_exact(2).map(byte).collect() })
    }

    fn pick(&mut self, _job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let mut bytes = self.read();
        if bytes.byte() & 1 == 1 {
            return Err(bytes.decline());
        }
        let first = bytes.number();
        let mut next = || bytes.option();
        Ok(Shortlist { first, second: next(), third: next(), fourth: next() })
    }

    fn explain(&mut self, _job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let mut bytes = self.read();
        if bytes.byte() & 1 == 1 {
            return Err(bytes.decline());
        }
        Ok((0..bytes.number().min(10_000)).map(|_| bytes.line()).collect())
    }
}

export_selection_policy!(Guest);
