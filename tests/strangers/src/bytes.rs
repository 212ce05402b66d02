//! Choices read from an input's bytes, from first to last; after the last come zeros.

/// What is left of an input.
#[derive(Debug, Clone)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Reads `bytes`.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns whether everything was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Reads a whole number of 32 bits; mostly a small one, so that some are right.
    pub(crate) fn number(&mut self) -> u32 {
        match self.byte() {
            first @ 0..0xF0 => u32::from(first),
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
        }
    }

    /// Reads a number of 32 bits below or above 0.
    pub(crate) fn signed(&mut self) -> i32 {
        self.number().cast_signed().wrapping_sub(64)
    }

    /// Reads a float: any, those that are no numbers included.
    pub(crate) fn float(&mut self) -> f32 {
        match self.byte() {
            first @ 0..0xF0 => f32::from(first) / 16.0 - 4.0,
            _ => f32::from_bits(self.number()),
        }
    }

    /// Reads at most so many bytes, after their number.
    pub(crate) fn some(&mut self, most: usize) -> &'a [u8] {
        let count = (self.number() as usize).min(most).min(self.0.len());
        let (some, rest) = self.0.split_at(count);
        self.0 = rest;
        some
    }

    /// Returns everything that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Chooses one of `all`.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }
}
