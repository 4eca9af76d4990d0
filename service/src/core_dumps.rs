//! Keys are in this process's memory; no crash writes it to a disk.

use std::io;

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids this process to leave a core dump, for good: the first thing that a program which holds secrets does.
///
/// The limit of zero bytes, soft and hard, holds for children too, and stops dumps to files. A system may also pipe dumps to a
/// program, whatever the limit says: so on Linux the process is made not dumpable at all, which also keeps other processes of
/// the same user from reading its memory.
///
/// # Errors
/// What the system says; it has no reason to refuse either.
pub fn forbid() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, getrlimit};

    #[test]
    fn p15_after_it_this_process_cannot_be_dumped() {
        super::forbid().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        #[cfg(target_os = "linux")]
        {
            use rustix::process::{DumpableBehavior, dumpable_behavior};
            assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        }
    }
}
