//! Prices as its configuration spells, in the manner of `answer-bytes`: any price, any part, any
//! refusal, texts that are none. Without a configuration it quotes the base price.

use framegate_sdk::ConfigError;
use framegate_sdk::prelude::*;

#[path = "../../answer-bytes/src/bytes.rs"]
mod bytes;

use bytes::Bytes;

struct Guest {
    bytes: Vec<u8>,
}

impl Bytes {
    fn refusal(&mut self) -> Refusal {
        match self.byte() % 4 {
            0 => Refusal::NotOffered,
            1 => Refusal::Busy(self.number()),
            2 => Refusal::Overflow,
            _ => Refusal::Custom(self.number()),
        }
    }

    fn setup_error(&mut self) -> SetupError {
        match self.byte() % 4 {
            0 => SetupError::Missing(self.text()),
            1 => SetupError::Unsupported(self.text()),
            2 => SetupError::Internal(self.text()),
            _ => SetupError::InvalidConfig(ConfigError { path: self.text(), message: self.text() }),
        }
    }
}

impl PricingRule for Guest {
    fn describe() -> PluginInfo {
        info!("prices as the bytes of its configuration say", "{}", ["a reason"])
    }

    fn prepare(config: &str) -> Result<Self, SetupError> {
        let bytes = bytes::parse(config);
        let mut first = Bytes::of(&bytes);
        if first.byte() == 1 {
            return Err(first.setup_error());
        }
        Ok(Self { bytes })
    }

    fn quote(&mut self, basis: &Basis, _now: u64) -> Result<Quoted, Refusal> {
        let mut bytes = Bytes::of(&self.bytes);
        if bytes.byte() == 2 {
            return Err(bytes.refusal());
        }
        let price = basis.base.wrapping_add(bytes.long());
        Ok(Quoted { price, valid_for_us: bytes.number(), reason: bytes.number() })
    }

    fn explain(&mut self, _basis: &Basis, _now: u64) -> Result<Vec<Part>, Refusal> {
        let mut bytes = Bytes::of(&self.bytes);
        if bytes.byte() == 2 {
            return Err(bytes.refusal());
        }
        let part =
            |bytes: &mut Bytes| Part { wei: bytes.long().cast_signed(), label: bytes.text() };
        Ok((0..bytes.number().min(10_000)).map(|_| part(&mut bytes)).collect())
    }

    fn charge(&mut self, agreed: u64, units: u64) -> Result<u64, Refusal> {
        let mut bytes = Bytes::of(&self.bytes);
        match bytes.byte() {
            3 => Err(bytes.refusal()),
            4 => Ok(bytes.long()),
            5 => Ok(units.wrapping_mul(bytes.long())),
            _ => Ok(agreed.saturating_mul(units)),
        }
    }
}

export_pricing_rule!(Guest);
