//! Bytes of pictures for a plugin that is granted `pixels`.
//!
//! On a card a picture has to be copied first. A host function does not wait for that: it starts the
//! copy, and the session waits for the card anyway before it sends a picture out. Only the frame
//! that arrives is brought to host memory beforehand, by the session.
//!
//! **Invariant:** a copy is held no longer than the frame that it is of.

use std::collections::BTreeMap;

use device::{DeviceError, Stream, Surface};

use crate::frames::Frames;

/// Copies in host memory by frame number.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    there: BTreeMap<u32, Surface>,
}

impl Copies {
    /// Forgets the copies of frames that have ended.
    pub(crate) fn sweep(&mut self, frames: &Frames) {
        self.there.retain(|number, _| frames.get(*number).is_some());
    }

    /// Brings a frame to host memory and waits for it.
    pub(crate) fn bring(
        &mut self,
        number: u32,
        surface: &Surface,
        stream: &Stream,
    ) -> Result<(), DeviceError> {
        let copy = stream.download(surface)?;
        if copy.owner() != surface.owner() {
            stream.wait()?;
        }
        self.there.insert(number, copy);
        Ok(())
    }

    /// Copies `rows` rows of a plane from `first` on; `None`: the picture is on its way.
    pub(crate) fn read(
        &mut self,
        (number, surface): (u32, &Surface),
        plane: usize,
        (first, rows): (usize, usize),
        stream: &Stream,
    ) -> Result<Option<Vec<u8>>, DeviceError> {
        let copy = match self.there.get(&number) {
            Some(copy) => copy,
            None => self.there.entry(number).or_insert(stream.download(surface)?),
        };
        let all = match copy.rows(plane) {
            Ok(all) => all,
            Err(DeviceError::NotReady) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        for row in all.iter().skip(first).take(rows) {
            bytes.extend_from_slice(row);
        }
        Ok(Some(bytes))
    }
}
