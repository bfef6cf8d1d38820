//! Progress of a run: a bar on a terminal, plain lines elsewhere; and Ctrl-C.

use super::output::{Result, message, printable};
use crate::Error;
use crate::train::observe::Source;
use crate::train::task::Scores;
use crate::train::{Event, Observer, RoutingPromise};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often Ctrl-C was pressed.
static INTERRUPTS: AtomicUsize = AtomicUsize::new(0);

/// From now on, Ctrl-C is only counted; twice, it ends the program.
pub fn catch_interrupts() -> Result {
    static HANDLER: OnceLock<()> = OnceLock::new();
    if HANDLER.set(()).is_ok() {
        ctrlc::set_handler(|| {
            if INTERRUPTS.fetch_add(1, Ordering::Relaxed) > 0 {
                // The last checkpoint is whole, whatever is being written now.
                std::process::exit(130);
            }
        })
        .map_err(|error| Error::config("Ctrl-C", error.to_string()))?;
    }
    Ok(())
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTS.load(Ordering::Relaxed) > 0
}

/// A bar over so many things, on a terminal.
pub fn counted(what: &'static str, count: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {bar:24} {pos}/{len} {elapsed}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count as u64).with_style(style).with_message(what)
}

/// Shows a run on the standard error output.
pub struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    scores: Option<String>,
    /// What the task saw by the way.
    seen: Option<String>,
    /// The task's own steps at its last report, and when that was.
    at: Option<(u64, Instant)>,
    /// When the last plain line was written.
    shown: Option<Instant>,
}

impl Progress {
    /// From now on, Ctrl-C stops the run after its step; twice, at once.
    pub fn new() -> Result<Self> {
        catch_interrupts()?;
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            let template = "{msg:48!} {bar:24} {pos}/{len} {elapsed} (left {eta})";
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Ok(Self { bar, steps: 0, scores: None, seen: None, at: None, shown: None })
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What a router promises, and what follows from it.
fn routed(promise: &RoutingPromise) -> String {
    let RoutingPromise { best_alone, routed, error_ratio, taken, .. } = promise;
    let [best, routed] = [best_alone, routed].map(|score| 100.0 * score);
    let follows = match taken {
        true => "each sample goes through the source that fits it",
        false => "sources complement each other too little; no sample is routed",
    };
    format!(
        "leave-one-out score of the best source {best:.1} %, routed {routed:.1} %, {error_ratio:.2} \
         of its errors: {follows}"
    )
}

impl Observer for Progress {
    fn note(&mut self, event: &Event) {
        match *event {
            Event::Phase(phase) => match &self.bar {
                Some(bar) => bar.set_message(phase.to_owned()),
                None => message(phase),
            },
            Event::Warning(problem) => match &self.bar {
                Some(bar) => bar.suspend(|| message(problem)),
                None => message(problem),
            },
            Event::Scored(sources) => {
                let texts = sources.iter().map(|Source { name, scores, .. }| {
                    let score = scores.last().copied().unwrap_or(0.0);
                    format!("{} {:.1} %", printable(name), 100.0 * score)
                });
                let texts = texts.collect::<Vec<_>>().join(", ");
                let text = format!("accuracy of the sources before tuning: {texts}");
                match &self.bar {
                    Some(bar) => bar.suspend(|| message(text)),
                    None => message(text),
                }
            }
            Event::Routed(promise) => {
                let text = routed(promise);
                match &self.bar {
                    Some(bar) => bar.suspend(|| message(text)),
                    None => message(text),
                }
            }
            Event::Begin { step, steps } => {
                self.steps = steps;
                match &self.bar {
                    Some(bar) => {
                        bar.set_length(steps);
                        bar.set_position(step);
                        bar.reset_eta();
                    }
                    None if step > 0 => message(format!("going on after step {step} of {steps}")),
                    None => {}
                }
            }
            Event::Step { step, epoch, loss, learning_rate: rate } => {
                let said = self.seen.iter().chain(&self.scores);
                let scores: String = said.map(|said| format!(", {said}")).collect();
                if let Some(bar) = &self.bar {
                    bar.set_position(step);
                    bar.set_message(format!("loss {loss:.4}{scores}"));
                } else if step == self.steps
                    || self.shown.is_none_or(|at| at.elapsed() >= Duration::from_secs(1))
                {
                    message(format!(
                        "step {step} of {}, epoch {epoch}: loss {loss:.4}, rate {rate:.3e}{scores}",
                        self.steps
                    ));
                    self.shown = Some(Instant::now());
                }
            }
            Event::Measured { measured, .. } => {
                let before = self.at.replace((measured.at, Instant::now()));
                if let Some(value) = measured.get("charts/episodic_return") {
                    // Computed here and not by the task: `metrics.jsonl` is the same in every run.
                    let rate = before.map(|(steps, at)| {
                        let steps = measured.at.saturating_sub(steps) as f64;
                        format!(", {:.0} steps/s", steps / at.elapsed().as_secs_f64().max(1e-9))
                    });
                    self.seen = Some(format!("return {value:.2}{}", rate.unwrap_or_default()));
                }
            }
            Event::Validated { scores, .. } => {
                let named = |(name, value): (&str, f64)| Scores {
                    values: vec![(name.to_owned(), value)],
                    ..Scores::default()
                };
                self.scores = scores.deciding().map(|one| named(one).to_string());
            }
        }
    }

    fn stopped(&self) -> bool {
        interrupted()
    }
}
