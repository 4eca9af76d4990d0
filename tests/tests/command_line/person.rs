//! Somebody who uses the program as a program.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// Somebody with a home, a folder to work in, and `quorate` on the path.
pub(crate) struct Person(TempDir);

impl Person {
    pub(crate) fn new() -> Self {
        let place = TempDir::new().unwrap();
        for folder in ["home", "work", "bin"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        symlink(
            env!("CARGO_BIN_EXE_quorate-under-test"),
            place.path().join("bin/quorate"),
        )
        .unwrap();
        Self(place)
    }

    pub(crate) fn work(&self, file: &str) -> PathBuf {
        self.0.path().join("work").join(file)
    }

    pub(crate) fn home(&self, file: &str) -> PathBuf {
        self.0.path().join("home").join(file)
    }

    /// A line for the shell.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = format!(
            "{}:{}",
            self.0.path().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        command
            .args(["-c", line])
            .current_dir(self.0.path().join("work"))
            .env("PATH", path)
            .env("QUORATE_HOME", self.0.path().join("home"));
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.shell(line).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs what must end with this status.
    pub(crate) fn ends(&self, status: i32, line: &str) -> Output {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{line}\n{errors}");
        output
    }

    /// Starts a line that keeps running, and waits for its first words.
    pub(crate) fn start(&self, line: &str) -> Running {
        let mut child = self
            .shell(&format!("exec {line}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        assert!(first.starts_with("the cluster runs"), "{first}");
        // Read on, so that it never writes to a closed pipe.
        std::thread::spawn(move || output.lines().for_each(drop));
        Running(child)
    }
}

/// A cluster that a person started.
pub(crate) struct Running(Child);

impl Running {
    /// As Ctrl-C does.
    pub(crate) fn interrupt(mut self) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -INT {}", self.0.id())])
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
