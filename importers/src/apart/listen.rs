//! Listening to a child, with an eye on the clock.

use std::{
    io::{ErrorKind, Read},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The importer's ear: reading gives up once it has waited too long in all since the last advance. Time that the importer
/// itself is busy does not count.
pub(super) struct Ear {
    socket: UnixStream,
    /// Longest wait.
    pub silence: Duration,
    waited: Duration,
}

impl Ear {
    pub fn new(socket: UnixStream, silence: Duration) -> std::io::Result<Self> {
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(Self { socket, silence, waited: Duration::ZERO })
    }

    /// Something came that takes the reading on.
    pub fn advanced(&mut self) {
        self.waited = Duration::ZERO;
    }
}

impl Read for Ear {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let started = Instant::now();
            let outcome = self.socket.read(buffer);
            self.waited += started.elapsed();
            match outcome {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return Ok(0),
                // one who sends a byte now and then is as silent as one who sends none
                Ok(read) if self.waited <= self.silence => return Ok(read),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
            if self.waited > self.silence {
                return Err(std::io::Error::new(ErrorKind::TimedOut, "silence"));
            }
        }
    }
}
