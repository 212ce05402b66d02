//! Media against the ffmpeg command line: clips are made by it, and it judges what we write.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod clips;
mod files;
mod live;
mod transcode;
