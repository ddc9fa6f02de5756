//! What a child may use.

use std::time::Duration;

use rustix::{
    process::{Resource, Rlimit, setrlimit},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

/// Address space whatever the size of the source, bytes: the program, its threads and a parser's tables.
const LEAST_MEMORY_BYTES: u64 = 2 << 30;
/// Address space for each byte of the source: the dearest reader (IFC) needs some twenty.
const MEMORY_PER_BYTE: u64 = 32;
/// The most, bytes.
const MOST_MEMORY_BYTES: u64 = 6 << 30;
/// Processor time for a hundredth of a source, seconds over all threads, and more for each MiB.
const CPU_S: u64 = 300;
/// How long the importer waits for a sign of progress, seconds, and more for each MiB: some readers go through the file
/// once before the first object.
const SILENCE_S: u64 = 300;

/// Limits of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space, bytes.
    pub memory_bytes: u64,
    /// Processor time without a hundredth of progress, seconds.
    pub cpu_s: u64,
    /// Time without an object or progress, by the clock.
    pub silence: Duration,
}

impl Limits {
    /// The usual limits of a source of so many bytes.
    pub fn of(bytes: u64) -> Self {
        let mebibytes = bytes >> 20;
        Self {
            memory_bytes: LEAST_MEMORY_BYTES
                .saturating_add(bytes.saturating_mul(MEMORY_PER_BYTE))
                .min(MOST_MEMORY_BYTES),
            cpu_s: CPU_S + mebibytes,
            silence: Duration::from_secs(SILENCE_S + mebibytes),
        }
    }

    /// Sets them on this process. Only the soft limits: the same process serves the next source, which may be larger.
    pub(super) fn set(&self) {
        set_soft(Resource::As, self.memory_bytes);
        self.set_cpu();
    }

    /// Gives the processor time anew.
    pub(super) fn set_cpu(&self) {
        let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec;
        set_soft(Resource::Cpu, u64::try_from(used).unwrap_or(0) + self.cpu_s + 1);
    }
}

fn set_soft(resource: Resource, value: u64) {
    let maximum = rustix::process::getrlimit(resource).maximum;
    let current = Some(maximum.map_or(value, |most| value.min(most)));
    // a stricter limit that is already there stays, and is as good
    let _ = setrlimit(resource, Rlimit { current, maximum });
}

/// For good: no file written, no core dumped, and where the kernel has Landlock no file opened for writing or made, no
/// program started, no TCP, no signal to others.
pub(super) fn confine() {
    for resource in [Resource::Fsize, Resource::Core] {
        let _ = setrlimit(resource, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    {
        // an older kernel holds what it can; the limits above hold anywhere
        let _ = lock();
    }
}

#[cfg(target_os = "linux")]
fn lock() -> Result<(), landlock::RulesetError> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope, path_beneath_rules,
    };
    let abi = ABI::V6;
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(["/"], reading))?
        .restrict_self()?;
    Ok(())
}
