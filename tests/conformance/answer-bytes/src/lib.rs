//! Answers with whatever its configuration spells, two hexadecimal digits a byte: any index, any
//! score, any number of lines, texts that are none and texts that lie outside its memory. Without a
//! configuration every byte is 0, which is the choice of candidate 0.

use framegate_sdk::prelude::*;

mod bytes;

use bytes::Bytes;

struct Guest {
    bytes: Vec<u8>,
}

impl Bytes {
    fn option(&mut self) -> Option<u32> {
        (self.byte() & 1 == 1).then(|| self.number())
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

    fn line(&mut self) -> Scored {
        let candidate = self.number();
        let score = f64::from_bits(self.long());
        let parts = (0..self.number().min(300)).map(|_| (self.text(), self.text())).collect();
        let left_out = (self.byte() & 1 == 1).then(|| self.text());
        Scored { candidate, score, parts, left_out }
    }
}

impl SelectionPolicy for Guest {
    fn describe() -> PluginInfo {
        info!("answers with the bytes of its configuration", "{}", ["a reason"])
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        Ok(Self { bytes: bytes::parse(config) })
    }

    fn pick(&mut self, _job: &Job, _now: u64, _seed: u64) -> Result<Shortlist, Decline> {
        let mut bytes = Bytes::of(&self.bytes);
        if bytes.byte() & 1 == 1 {
            return Err(bytes.decline());
        }
        let first = bytes.number();
        let mut next = || bytes.option();
        Ok(Shortlist { first, second: next(), third: next(), fourth: next() })
    }

    fn explain(&mut self, _job: &Job, _now: u64, _seed: u64) -> Result<Vec<Scored>, Decline> {
        let mut bytes = Bytes::of(&self.bytes);
        if bytes.byte() & 1 == 1 {
            return Err(bytes.decline());
        }
        Ok((0..bytes.number().min(10_000)).map(|_| bytes.line()).collect())
    }
}

export_selection_policy!(Guest);
