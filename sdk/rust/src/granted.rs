//! What a manifest has to ask for and an operator to allow, and what a pipeline may leave out.
//!
//! | in `[grants]` | gives |
//! |---|---|
//! | `kv = "1MiB"` | [`kv`]: a small store that outlives sessions |
//! | `data = true` | [`data`]: text, bytes and events for the client |
//! | `pixels = true` | [`Frame::read`] and [`Frame::from_pixels`]: the slow way to pictures |
//! | `audio = true` | [`audio`] and [`Sound`] |

pub use crate::bindings::pipeline::framegate::host::{data, kv};
pub use crate::bindings::pipeline::framegate::media::audio;
use crate::bindings::pipeline::framegate::media::pixels;
use crate::pipeline::{Frame, FrameError, Pipeline};
use crate::{ErrorClass, SetupError};

impl Frame {
    /// Copies `rows` rows of a plane from `first_row` on, without padding; `None`: the copying has
    /// been started and the frame must be kept.
    pub fn read(
        self,
        plane: u32,
        first_row: u32,
        rows: u32,
    ) -> Result<Option<Vec<u8>>, ErrorClass> {
        pixels::read(self.0, plane, first_row, rows)
    }

    /// Makes a picture from its planes one after the other, without padding.
    pub fn from_pixels(
        width: u32,
        height: u32,
        format: &str,
        bytes: &[u8],
    ) -> Result<Self, ErrorClass> {
        pixels::create(width, height, format, bytes).map(Self)
    }
}

/// Carries a running session over to a new version; `export_pipeline!(Mine, carry)`.
pub trait Carry: Pipeline {
    /// Returns the name of the layout of the bytes, such as `acme-restyle/2`. A version lists the
    /// layouts that it reads in its manifest.
    fn layout() -> String;

    /// Returns what to carry over, up to 1 MiB.
    fn save(&mut self) -> Result<Vec<u8>, SetupError>;

    /// Takes a state, after `start` and before the first frame.
    fn restore(&mut self, layout: &str, state: &[u8]) -> Result<(), SetupError>;
}

/// Is called for sound; `export_pipeline!(Mine, sound)`.
pub trait Sound: Pipeline {
    /// Takes one block and returns what is sent on, of the same length; `None` is silence.
    fn on_audio(&mut self, input: audio::Block) -> Result<Option<audio::Block>, FrameError>;
}

/// Exports one of the optional interfaces; a part of [`crate::export_pipeline!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __export_also {
    (carry) => {
        impl $crate::bindings::carry::exports::framegate::media::session_state::Guest for Component {
            fn layout() -> String {
                <Session as $crate::granted::Carry>::layout()
            }

            fn save() -> Result<Vec<u8>, $crate::SetupError> {
                started(|session| $crate::granted::Carry::save(session))
            }

            fn restore(layout: String, state: Vec<u8>) -> Result<(), $crate::SetupError> {
                started(|session| $crate::granted::Carry::restore(session, &layout, &state))
            }
        }

        $crate::bindings::carry::export_carry!(Component with_types_in $crate::bindings::carry);
    };
    (sound) => {
        impl $crate::bindings::sound::exports::framegate::media::audio_handler::Guest for Component {
            fn on_audio(input: u32) -> Result<Option<u32>, FrameError> {
                started(|session| $crate::granted::Sound::on_audio(session, input))
            }
        }

        $crate::bindings::sound::export_sound!(Component with_types_in $crate::bindings::sound);
    };
}
