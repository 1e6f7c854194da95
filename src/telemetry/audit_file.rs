//! The file that audit lines are appended to: private to its owner, opened again when it was rotated away.
//!
//! A line that cannot be written never fails the request that it speaks of: it is counted, and the first of a row of
//! them is logged.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

/// Lines that could not be written since the program started; of the process, as the log itself is.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Returns how many audit lines could not be written since the program started.
#[must_use]
pub fn lost_lines() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// A file that lines are appended to.
#[derive(Debug)]
pub struct AuditFile {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Whether the last line could not be written.
    is_failing: bool,
    /// Whether a part of it was.
    is_torn: bool,
}

impl AuditFile {
    /// Opens the file for appending; one that is not there is made, readable by its owner alone.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open = Open { file: append_to(path)?, is_failing: false, is_torn: false };
        Ok(Self { path: path.to_owned(), open: Mutex::new(open) })
    }

    /// Opens the file by its name again, so that the next line goes to a new file after the old one was renamed.
    ///
    /// # Errors
    /// It cannot be opened; lines go on to the old one.
    pub fn reopen(&self) -> io::Result<()> {
        let file = append_to(&self.path)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = Open { file, is_failing: false, is_torn: false };
        Ok(())
    }

    fn append(&self, line: &[u8]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let newline: &[u8] = if open.is_torn { b"\n" } else { b"" };
        match write_counted(&mut open.file, &[newline, line].concat()) {
            Ok(()) => (open.is_failing, open.is_torn) = (false, false),
            Err((written, error)) => {
                LOST.fetch_add(1, Ordering::Relaxed);
                open.is_torn |= written > 0;
                if !std::mem::replace(&mut open.is_failing, true) {
                    let path = self.path.display().to_string();
                    let complain = move || tracing::error!(path, %error, "the audit log cannot be written");
                    // From a thread of its own: this one is in the middle of writing a line. Without a thread to be had,
                    // the count alone tells.
                    let _ = std::thread::Builder::new().spawn(complain);
                }
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes all bytes; the error comes with how many were written before it.
fn write_counted(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

impl Write for &AuditFile {
    /// Appends a whole line; a failure is counted and none of the caller's.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens the file again on every SIGHUP, which is what log rotation sends after it has renamed the file.
pub(super) fn reopen_on_hangup(file: Arc<AuditFile>, runtime: &Handle) {
    #[cfg(unix)]
    runtime.spawn(async move {
        let hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        let Ok(mut hangups) = hangups.inspect_err(|error| tracing::warn!(%error, "cannot listen to SIGHUP")) else {
            return;
        };
        while hangups.recv().await.is_some() {
            if let Err(error) = file.reopen() {
                tracing::error!(path = %file.path.display(), %error, "the audit log cannot be opened again");
            }
        }
    });
    #[cfg(not(unix))]
    let _ = (file, runtime);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_follow_the_name_after_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "old\n").unwrap();
        let file = AuditFile::open(&path).unwrap();
        (&file).write_all(b"first\n").unwrap();
        std::fs::rename(&path, folder.path().join("audit.jsonl.1")).unwrap();
        (&file).write_all(b"second\n").unwrap();
        file.reopen().unwrap();
        (&file).write_all(b"third\n").unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!((read("audit.jsonl.1").as_str(), read("audit.jsonl").as_str()), ("old\nfirst\nsecond\n", "third\n"));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_no_error() {
        let file = AuditFile::open(Path::new("/dev/full")).unwrap();
        let before = lost_lines();
        (&file).write_all(b"first\n").unwrap();
        (&file).write_all(b"second\n").unwrap();
        assert_eq!(lost_lines() - before, 2);
        assert!(file.open.lock().unwrap().is_failing);
    }
}
