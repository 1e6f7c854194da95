//! Progress of long work: a bar with the time left on a terminal, log lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::training::profile::Step;

/// The shortest time between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows how far a fit is.
#[derive(Debug)]
pub struct FitProgress {
    name: String,
    bar: Option<ProgressBar>,
    logged: Mutex<Option<Instant>>,
}

impl FitProgress {
    /// Starts to show the work under a name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len} {msg} (left {eta})");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { name: name.to_owned(), bar, logged: Mutex::new(None) }
    }

    /// Shows a step.
    pub fn show(&self, step: Step<'_>) {
        match step {
            Step::Base => self.update("regression", 0, 1, true),
            Step::Mixture { member, members } => {
                self.update(&format!("mixture {member} of {members}"), member - 1, members, true);
            }
            Step::Context { epoch, epochs, loss, left } => {
                let text = format!("attention network: loss {loss:.4}, {} s left", left.as_secs());
                self.update(&text, epoch, epochs, true);
            }
            Step::Network { member, members, progress } => {
                let losses = progress.losses;
                let left = progress.left.as_secs();
                let text = format!(
                    "network {member} of {members}: loss {:.5}, on calibration genes {:.5}, at most {left} s left",
                    losses.train_loss, losses.validation_loss
                );
                self.update(&text, progress.epoch, progress.epochs, true);
            }
            Step::Trees { member, members, done, total } => {
                self.update(&format!("trees {member} of {members}"), done, total, false);
            }
        }
    }

    /// Shows how many of how many are done.
    pub fn count(&self, what: &str, done: usize, total: usize) {
        self.update(what, done, total, false);
    }

    fn update(&self, text: &str, done: usize, total: usize, always: bool) {
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("{}: {text}", self.name));
            return;
        }
        let Ok(mut logged) = self.logged.lock() else { return };
        if always || logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::info!(method = %self.name, done, total, "{text}");
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
