//! Passing bound listeners to a child process.
//!
//! The child's standard input is a socket of its parent. One line of JSON comes first, with the
//! listeners as descriptors beside it; then nothing, until its end says that the parent is gone.
//! So no descriptor is ever inherited by accident, and a worker gets none.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::Listeners;

/// Most listeners passed at once; a role has two.
const LISTENERS_MAX: usize = 16;
/// Longest first line in bytes: names of listeners and one URL.
const LINE_BYTES_MAX: usize = 4096;

/// Listeners could not be passed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandoverError {
    /// The socket failed.
    #[error("passing listeners over standard input")]
    Socket(#[from] io::Error),
    /// The first line is not ours: whoever started this process is no supervisor.
    #[error("reading the first line of standard input")]
    Line(#[from] serde_json::Error),
    /// Names and descriptors do not match.
    #[error("{names} listeners are named and {descriptors} came")]
    Count {
        /// Names in the line.
        names: usize,
        /// Descriptors beside it.
        descriptors: usize,
    },
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    listeners: Vec<String>,
    own_orchestrator: Option<String>,
}

/// What a supervised child gets from its parent.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// Bound listeners.
    pub(crate) listeners: Listeners,
    /// URL of the orchestrator that runs beside this gateway.
    pub(crate) own_orchestrator: Option<String>,
    /// Open as long as the parent lives.
    pub(crate) parent: UnixStream,
}

/// Passes `listeners` over `socket`, whose other end is a child's standard input.
pub(crate) fn pass(
    socket: &UnixStream,
    listeners: &[(&str, &TcpListener)],
    own_orchestrator: Option<&str>,
) -> Result<(), HandoverError> {
    let names = listeners.iter().map(|(name, _)| (*name).to_owned()).collect();
    let line = Line { listeners: names, own_orchestrator: own_orchestrator.map(str::to_owned) };
    let mut line = serde_json::to_vec(&line)?;
    line.push(b'\n');
    let descriptors: Vec<BorrowedFd<'_>> = listeners.iter().map(|(_, it)| it.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if line.len() > LINE_BYTES_MAX || !beside.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
    }
    // A fresh socket's buffer takes a line of this size whole.
    let sent = sendmsg(socket, &[IoSlice::new(&line)], &mut beside, SendFlags::empty())
        .map_err(io::Error::from)?;
    if sent < line.len() {
        return Err(io::Error::from(io::ErrorKind::WriteZero).into());
    }
    Ok(())
}

/// Takes what [`pass`] sent from `socket`, a supervised child's standard input.
pub(crate) fn inherit(socket: OwnedFd) -> Result<Inherited, HandoverError> {
    let socket = UnixStream::from(socket);
    let mut bytes = vec![0; LINE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    // The line was sent at once, so it comes at once: its descriptors keep it together.
    let read =
        recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC);
    let read = read.map_err(io::Error::from)?.bytes;
    let line: Line = serde_json::from_slice(&bytes[..read])?;
    let descriptors: Vec<OwnedFd> = beside
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten()
        .collect();
    if descriptors.len() != line.listeners.len() {
        let (names, descriptors) = (line.listeners.len(), descriptors.len());
        return Err(HandoverError::Count { names, descriptors });
    }
    let listeners = line.listeners.into_iter().zip(descriptors.into_iter().map(TcpListener::from));
    let own_orchestrator = line.own_orchestrator;
    Ok(Inherited { listeners: listeners.collect(), own_orchestrator, parent: socket })
}

#[cfg(test)]
#[test]
fn a_child_gets_the_same_listeners_by_name() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (http, admin) = (bind(), bind());
    let passed = [("gateway.http", &http), ("gateway.admin", &admin)];
    pass(&ours, &passed, Some("https://127.0.0.1:8935")).expect("passed");
    let got = inherit(theirs.into()).expect("taken");
    for (name, listener) in passed {
        let address = listener.local_addr().expect("bound");
        assert_eq!(got.listeners[name].local_addr().expect("bound"), address);
    }
    assert_eq!(got.own_orchestrator.as_deref(), Some("https://127.0.0.1:8935"));
    drop(ours);
    let mut parent = got.parent;
    assert_eq!(io::Read::read(&mut parent, &mut [0; 1]).expect("end of file"), 0);
}
