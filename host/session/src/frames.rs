//! Frame numbers: what a guest holds in place of pictures.
//!
//! A number is an index into the session's slab with a generation, so that one kept too long is
//! found out. **Invariants:** numbers lie between 1 and 2^30; a number names at most one picture,
//! ever, within 2^18 uses of its place.

use device::Surface;
use plugin::pipeline::host::{ErrorClass, HostError};

/// Bits of the index: pictures that live at once, kept and of one callback together.
const INDEX_BITS: u32 = 12;
/// Pictures that live at once.
const PLACES: usize = 1 << INDEX_BITS;
/// Generations before they begin again.
const GENERATIONS: u32 = 1 << 18;

/// A picture that a guest can name.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The picture.
    pub(crate) surface: Surface,
    /// Presentation time in microseconds.
    pub(crate) pts_us: i64,
    kept: bool,
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    entry: Option<Entry>,
}

/// The pictures of one session by number.
#[derive(Debug)]
pub(crate) struct Frames {
    places: Vec<Place>,
    free: Vec<usize>,
    passing: Vec<usize>,
}

impl Frames {
    /// Creates an empty slab.
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), passing: Vec::new() }
    }

    /// Gives a picture a number that ends with the callback.
    pub(crate) fn insert(&mut self, surface: Surface, pts_us: i64) -> Result<u32, HostError> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() < PLACES => {
                self.places.push(Place::default());
                self.places.len() - 1
            }
            None => {
                let text = format!("`session.frames` is used up ({PLACES} of {PLACES})");
                return Err(HostError::new(ErrorClass::Exhausted, text));
            }
        };
        let place = &mut self.places[index];
        place.generation = place.generation % (GENERATIONS - 1) + 1;
        place.entry = Some(Entry { surface, pts_us, kept: false });
        self.passing.push(index);
        Ok(place.generation << INDEX_BITS | index as u32)
    }

    fn index(&self, number: u32) -> Option<usize> {
        let (generation, index) = (number >> INDEX_BITS, number as usize % PLACES);
        let place = self.places.get(index)?;
        (place.generation == generation && place.entry.is_some()).then_some(index)
    }

    /// Finds a picture.
    pub(crate) fn get(&self, number: u32) -> Option<&Entry> {
        self.places[self.index(number)?].entry.as_ref()
    }

    /// Finds a picture for a host function.
    pub(crate) fn find(&self, number: u32) -> Result<&Entry, HostError> {
        self.get(number).ok_or_else(|| not_a_frame(number))
    }

    /// Lets a picture outlive the callback.
    pub(crate) fn keep(&mut self, number: u32) -> Result<(), HostError> {
        let index = self.index(number).ok_or_else(|| not_a_frame(number))?;
        let Some(entry) = &mut self.places[index].entry else { return Err(not_a_frame(number)) };
        entry.kept = true;
        Ok(())
    }

    /// Ends a picture, kept or not.
    pub(crate) fn release(&mut self, number: u32) {
        if let Some(index) = self.index(number) {
            self.end(index);
        }
    }

    /// Ends every picture that is not kept.
    pub(crate) fn sweep(&mut self) {
        while let Some(index) = self.passing.pop() {
            if self.places[index].entry.as_ref().is_some_and(|entry| !entry.kept) {
                self.end(index);
            }
        }
    }

    fn end(&mut self, index: usize) {
        if self.places[index].entry.take().is_some() {
            self.free.push(index);
        }
    }
}

fn not_a_frame(number: u32) -> HostError {
    HostError::new(ErrorClass::Invalid, format!("`{number}` is not a frame"))
}
