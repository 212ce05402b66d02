//! What a configuration of two hexadecimal digits a byte spells, read from first to last; after the
//! last byte come zeros. `price-bytes` reads its own in the same way.

/// The bytes, the next one last.
pub(crate) struct Bytes(Vec<u8>);

/// Reads a configuration; what is no digit counts as 0.
pub(crate) fn parse(config: &str) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or(0);
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).unwrap_or(0);
    config.as_bytes().chunks_exact(2).map(byte).collect()
}

impl Bytes {
    /// Reads `bytes` from the beginning.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().rev().copied().collect())
    }

    /// Reads a byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.0.pop().unwrap_or(0)
    }

    /// Reads a number; mostly a small one, so that some are right.
    pub(crate) fn number(&mut self) -> u32 {
        let first = self.byte();
        if first < 0xF0 {
            return u32::from(first);
        }
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Reads a number of 64 bits.
    pub(crate) fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    /// Reads a text: bytes that may be none, or a place that may lie anywhere.
    pub(crate) fn text(&mut self) -> String {
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
}
