//! The result on its way back, into the file asked for.
//!
//! Decides when the file may be finished: only [`Arrived::End`] ends what arrives, and that is said
//! only of a job that ended well. Does not know where the bytes come from.
//!
//! **Invariant:** a result that is not ended leaves no file.

use std::io::{self, Read};
use std::path::Path;

use bytes::{Buf, Bytes};
use domain::{Class, chain};
use media::{Plan, ReadError, Rejoin, RejoinError, Rejoined};
use tokio::sync::mpsc;

use super::progress::Progress;
use crate::failure::Failure;

/// Pieces of the result that may wait for the disk; they are at most 64 KiB each.
pub(super) const PIECES_MAX: usize = 16;
/// Names of the container that results are written in.
const EXTENSIONS: [&str; 3] = ["mp4", "m4v", "mov"];

/// Part of the result as it arrives. A channel that closes without [`Arrived::End`] was given up.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Bytes of MPEG-TS.
    Data(Bytes),
    /// The last byte has come, and the job ended well.
    End,
}

/// Why there is no result.
pub(super) enum Stopped {
    /// Whoever sent it gave it up, and knows why.
    GivenUp,
    /// It cannot be taken apart or written.
    Failed(Failure),
}

/// A file that the result is written to.
pub(super) struct Target {
    file: Rejoin,
}

impl Target {
    /// Takes the place of the file. Fails as a matter of usage if the folder is missing or takes no
    /// file, or if its name is of another container.
    pub(super) fn create(path: &Path, plan: Plan) -> Result<Self, Failure> {
        check_name(path)?;
        let file = Rejoin::create(path, plan).map_err(|error| {
            Failure::usage(format!("output `{}`: {}", path.display(), chain(&error)))
        })?;
        Ok(Self { file })
    }

    /// Writes what arrives until it ends or is given up. Blocks as the sender does.
    pub(super) fn write(
        self,
        arriving: mpsc::Receiver<Arrived>,
        progress: &Progress,
    ) -> Result<Rejoined, Stopped> {
        let reader = ArrivedReader { arriving, rest: Bytes::new(), ended: false };
        let mut frames = 0;
        let mut count = |done: &Rejoined| {
            progress.received(done.frames - frames);
            frames = done.frames;
        };
        self.file.run(Box::new(reader), &mut count).map_err(|error| match &error {
            // The reader fails only where what arrives was given up.
            RejoinError::Read(ReadError::Source(_))
            | RejoinError::Open(media::OpenError::Source(_)) => Stopped::GivenUp,
            RejoinError::Open(_) | RejoinError::Read(_) => {
                Stopped::Failed(Failure::from_error(Class::Unavailable, &error))
            }
            RejoinError::Mux(_) => Stopped::Failed(Failure::from_error(Class::Internal, &error)),
        })
    }
}

/// Checks that the name is one of an MP4 file. Needs no input, so that it is told first.
pub(super) fn check_name(path: &Path) -> Result<(), Failure> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    if EXTENSIONS.iter().any(|known| *known == extension) {
        return Ok(());
    }
    let text = format!("output `{}` is no name of an MP4 file", path.display());
    Err(Failure::usage(text).hint("write a name that ends in `.mp4`"))
}

/// Reads what arrives as one run of bytes.
struct ArrivedReader {
    arriving: mpsc::Receiver<Arrived>,
    rest: Bytes,
    ended: bool,
}

impl Read for ArrivedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.ended {
            match self.arriving.blocking_recv() {
                Some(Arrived::Data(bytes)) => self.rest = bytes,
                Some(Arrived::End) => self.ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
