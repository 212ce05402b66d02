//! Tries to open whatever a program on a machine of its own could, and says how that went.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use framegate_sdk::prelude::*;

struct Guest;

/// Says how an attempt ended.
fn tell<T>(what: &str, attempt: io::Result<T>) {
    let ended = attempt.map_or_else(|error| error.kind().to_string(), |_| "done".to_owned());
    log::write(log::Level::Info, &format!("{what}: {ended}"));
}

impl Pipeline for Guest {
    fn describe() -> PluginInfo {
        info!("tries files, sockets and the environment")
    }

    fn start(_params: &str) -> Result<Self, SetupError> {
        tell("file", std::fs::read("/etc/hostname"));
        tell("folder", std::fs::create_dir("here"));
        tell("connect", TcpStream::connect(("127.0.0.1", 80)));
        tell("listen", TcpListener::bind(("127.0.0.1", 0)));
        tell("datagram", UdpSocket::bind(("127.0.0.1", 0)));
        tell("name", ("localhost", 80).to_socket_addrs());
        let (environment, arguments) = (std::env::vars_os().count(), std::env::args_os().count());
        let input = io::stdin().read(&mut [0; 16]).unwrap_or(usize::MAX);
        let text =
            format!("environment: {environment}, arguments: {arguments}, standard input: {input}");
        log::write(log::Level::Info, &text);
        Ok(Self)
    }

    fn on_frame(&mut self, frame: Frame, timing: &FrameTiming) -> Result<Output, FrameError> {
        let _ = (frame, timing);
        Ok(Output::Pass)
    }
}

export_pipeline!(Guest);
