//! Where a benchmark writes: what a disk costs is measured only where there is one.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::cli::BenchPlace;
use crate::failure::{Failure, Outcome};

/// A new directory, which goes with the benchmark.
pub(super) fn directory(place: &BenchPlace) -> Outcome<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("quorate-bench-");
    let made = match &place.dir {
        // Daemons are given paths below it, wherever they are started.
        Some(folder) => std::path::absolute(folder).and_then(|folder| builder.tempdir_in(folder)),
        None => builder.tempdir(),
    };
    made.map_err(|error| {
        Failure::error(
            format!("cannot make a directory to measure in: {error}"),
            "choose a folder that exists and is yours with --dir",
        )
    })
}

/// The type of the file system that has a directory, as the kernel names it: `ext4`, or `tmpfs` for memory.
pub(super) fn file_system(directory: &Path) -> Outcome<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(type_in(&mounts, &directory.canonicalize()?)
        .unwrap_or("unknown")
        .to_owned())
}

/// By proc_pid_mountinfo(5): `id parent major:minor root mount-point options fields* - type source options`. Of those
/// that have the directory, the one with the longest mount point; of several at one point, the last covers the others.
fn type_in<'a>(mounts: &'a str, directory: &Path) -> Option<&'a str> {
    let mounted = |line: &'a str| {
        let (place, kind) = line.split_once(" - ")?;
        let point = unescaped(place.split(' ').nth(4)?);
        let covers = directory.starts_with(&point);
        covers.then_some((point.len(), kind.split(' ').next()?))
    };
    let longest = mounts
        .lines()
        .filter_map(mounted)
        .max_by_key(|(length, _)| *length);
    longest.map(|(_, kind)| kind)
}

/// The kernel writes blanks and backslashes in octal.
fn unescaped(point: &str) -> String {
    let blanks = point
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n");
    blanks.replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /tmp rw,nosuid shared:5 master:1 - tmpfs tmpfs rw,size=1024k
31 22 8:2 / /srv/the\\040disk rw - xfs /dev/sdb rw
32 22 0:27 / /srv/twice rw - xfs /dev/sdb rw
33 22 0:28 / /srv/twice rw - btrfs /dev/sdc rw
";

    #[test]
    fn a_directory_is_on_what_is_mounted_nearest() {
        for (directory, kind) in [
            ("/tmp/quorate-bench-1", "tmpfs"),
            ("/tmp", "tmpfs"),
            ("/tmpfiles", "ext4"),
            ("/home/x", "ext4"),
            ("/srv/the disk/x", "xfs"),
            ("/srv/twice/x", "btrfs"),
        ] {
            assert_eq!(type_in(MOUNTS, Path::new(directory)), Some(kind), "{directory}");
        }
        assert_eq!(type_in("nonsense", Path::new("/")), None);
    }

    #[test]
    fn what_is_measured_is_where_it_was_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let place = |dir: &Path| BenchPlace {
            dir: Some(dir.to_owned()),
        };
        let made = directory(&place(folder.path())).unwrap();
        assert_eq!(made.path().parent(), Some(folder.path()));
        assert_ne!(file_system(made.path()).unwrap(), "unknown");
        assert!(directory(&place(&folder.path().join("nowhere"))).is_err());
    }
}
