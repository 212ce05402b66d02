//! The interfaces that are grants: a store, side channels, pixels, sound.
//!
//! None of these functions exists for a plugin that is not granted it; see `link`. What the contract
//! bounds is held here, before the session's host is asked.

use std::sync::Arc;

use domain::planes::PixelFormat;
use wasmtime::component::Resource;

use crate::bindings::pipeline::framegate::host::{data, kv};
use crate::bindings::pipeline::framegate::media::catalogue::Model;
use crate::bindings::pipeline::framegate::media::{audio, pixels};
use crate::bindings::types::ErrorClass as WitClass;
use crate::grants::{Grant, Grants};
use crate::kv::{Store, Stores};
use crate::limits::{Limit, Limits, Rate};
use crate::pipeline::host::{ErrorClass, HostError, PipelineHost};
use crate::pipeline::state::PipelineState;

/// Bytes of one message to the client; the contract's number.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Bytes of pixels that one callback may copy, either way; the contract's number.
const PIXEL_BYTES_MAX: usize = 64 << 20;

/// A plugin's store and how much it may hold, or why it cannot be had.
pub(crate) type Opened = Result<(Arc<Store>, u64), String>;

/// Opens the store of `plugin`, if it is granted one: blocks on the disk. Failing is no reason not
/// to load: the contract has a word for it.
pub(crate) fn open_store(plugin: &str, granted: &Grants, stores: Option<&Stores>) -> Opened {
    if !granted.has(Grant::Kv) {
        return Err("no store is granted".to_owned());
    }
    let stores = stores.ok_or("this host has nowhere to keep stores")?;
    let opened = stores.open(plugin).map_err(|error| domain::chain(&error))?;
    Ok((opened, granted.kv_bytes))
}

/// Bytes that a plugin has moved, against what it may.
#[derive(Debug)]
pub(crate) struct Volume {
    sent: Rate,
    pixels: usize,
}

impl Volume {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { sent: Rate::new(limits, Limit::Data), pixels: 0 }
    }

    /// Begins a callback.
    pub(crate) fn enter(&mut self) {
        self.pixels = 0;
    }

    /// Counts a message of `bytes`.
    fn send(&mut self, bytes: usize) -> Result<(), HostError> {
        if bytes > MESSAGE_BYTES_MAX {
            let text = format!("a message of `{bytes}` bytes ({MESSAGE_BYTES_MAX} is the most)");
            return Err(HostError::new(ErrorClass::Invalid, text));
        }
        // Told to the plugin at once; there is nobody else whom it concerns.
        if self.sent.take(bytes as u64, drop) {
            return Ok(());
        }
        Err(HostError::new(ErrorClass::Exhausted, self.sent.hit().to_string()))
    }

    /// Counts `bytes` of pixels.
    fn copy(&mut self, bytes: usize) -> Result<(), HostError> {
        let copied = self.pixels.saturating_add(bytes);
        if copied > PIXEL_BYTES_MAX {
            let text =
                format!("`pixels` is used up ({copied} of {PIXEL_BYTES_MAX} bytes in a callback)");
            return Err(HostError::new(ErrorClass::Exhausted, text));
        }
        self.pixels = copied;
        Ok(())
    }
}

impl PipelineState {
    /// Works on the plugin's store.
    fn store<T>(
        &mut self,
        function: &'static str,
        work: impl FnOnce(&Store, u64) -> Result<T, HostError>,
    ) -> Result<T, WitClass> {
        let answer = match &*self.store {
            Ok((store, quota)) => work(store, *quota),
            Err(why) => Err(HostError::new(ErrorClass::Unavailable, why.as_str())),
        };
        answer.map_err(|error| self.refuse(function, &error))
    }

    fn send(
        &mut self,
        function: &'static str,
        bytes: usize,
        send: impl FnOnce(&mut dyn PipelineHost) -> Result<(), HostError>,
    ) -> Result<(), WitClass> {
        self.volume.send(bytes).map_err(|error| self.refuse(function, &error))?;
        self.ask(function, send)
    }

    fn no_sound<T>(&mut self, function: &'static str) -> Result<T, WitClass> {
        Err(self.refuse(function, &HostError::not_here("audio")))
    }
}

impl kv::Host for PipelineState {
    fn get(&mut self, key: String) -> Result<Option<kv::Entry>, WitClass> {
        let found = self.store("kv.get", |store, _| store.get(&key))?;
        Ok(found.map(|found| kv::Entry { value: found.value.to_vec(), version: found.version }))
    }

    fn put(&mut self, key: String, value: Vec<u8>, expected: Option<u64>) -> Result<u64, WitClass> {
        self.store("kv.put", |store, quota| store.put(&key, value, expected, quota))
    }

    fn remove(&mut self, key: String) -> Result<(), WitClass> {
        self.store("kv.remove", |store, _| store.remove(&key))
    }
}

impl data::Host for PipelineState {
    fn send_text(&mut self, pts_us: i64, text: String) -> Result<(), WitClass> {
        self.send("data.send-text", text.len(), |host| host.send_text(pts_us, &text))
    }

    fn send_bytes(&mut self, pts_us: i64, bytes: Vec<u8>) -> Result<(), WitClass> {
        self.send("data.send-bytes", bytes.len(), |host| host.send_bytes(pts_us, &bytes))
    }

    fn send_event(&mut self, json: String) -> Result<(), WitClass> {
        self.send("data.send-event", json.len(), |host| host.send_event(&json))
    }
}

impl pixels::Host for PipelineState {
    fn read(
        &mut self,
        source: u32,
        plane: u32,
        first_row: u32,
        rows: u32,
    ) -> Result<Option<Vec<u8>>, WitClass> {
        let bytes = plane_bytes(&*self.host, source, plane, first_row, rows);
        let counted = bytes.and_then(|bytes| self.volume.copy(bytes));
        counted.map_err(|error| self.refuse("pixels.read", &error))?;
        self.ask("pixels.read", |host| host.pixels_read(source, plane, first_row, rows))
    }

    fn create(
        &mut self,
        width: u32,
        height: u32,
        format: String,
        bytes: Vec<u8>,
    ) -> Result<u32, WitClass> {
        let counted = self.volume.copy(bytes.len());
        counted.map_err(|error| self.refuse("pixels.create", &error))?;
        self.ask_op("pixels.create", |host| host.pixels_create(width, height, &format, &bytes))
    }
}

/// Returns the bytes of rows of one plane of a frame, before anything is allocated for them.
fn plane_bytes(
    host: &dyn PipelineHost,
    source: u32,
    plane: u32,
    first_row: u32,
    rows: u32,
) -> Result<usize, HostError> {
    let invalid = |text| HostError::new(ErrorClass::Invalid, text);
    let facts = host.frame(source).ok_or_else(|| invalid(format!("`{source}` is not a frame")))?;
    let format = PixelFormat::from_name(facts.format);
    let format = format.ok_or_else(|| invalid(format!("`{}` is not a format", facts.format)))?;
    if plane as usize >= format.planes() {
        let text = format!("plane `{plane}` of `{}` ({} planes)", facts.format, format.planes());
        return Err(invalid(text));
    }
    let (row, all) = format.plane_size(plane as usize, facts.width, facts.height);
    let end = first_row as usize + rows as usize;
    if rows == 0 || end > all {
        return Err(invalid(format!("`{rows}` rows from row `{first_row}` of {all}")));
    }
    Ok(row * rows as usize)
}

impl audio::Host for PipelineState {
    fn shape_of(&mut self, _: u32) -> Result<audio::Shape, WitClass> {
        self.no_sound("audio.shape-of")
    }

    fn read(&mut self, _: u32) -> Result<Vec<f32>, WitClass> {
        self.no_sound("audio.read")
    }

    fn create(&mut self, _: audio::Shape, _: Vec<f32>) -> Result<u32, WitClass> {
        self.no_sound("audio.create")
    }

    fn gain(&mut self, _: u32, _: f32) -> Result<u32, WitClass> {
        self.no_sound("audio.gain")
    }

    fn mix(&mut self, _: u32, _: u32) -> Result<u32, WitClass> {
        self.no_sound("audio.mix")
    }

    fn analyze(&mut self, _: Resource<Model>, _: u32) -> Result<u32, WitClass> {
        self.no_sound("audio.analyze")
    }
}
