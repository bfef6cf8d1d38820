//! A profile as tables and as a trace.

use super::{Event, Key, MOST_EVENTS, Pass, Profile, Total};
use serde_json::json;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::io::{self, Write};
use std::time::Duration;

/// Layers of the table at most; the rest is one line.
const MOST_LAYERS: usize = 40;

impl Pass {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Other => "",
        }
    }
}

impl Profile {
    /// The sums over all events that `key` gives the same key, the largest first.
    fn sums<K: Eq + Hash + Ord>(&self, key: impl Fn(&Key) -> Option<K>) -> Vec<(K, Total)> {
        let mut sums: HashMap<K, Total> = HashMap::new();
        for (of, total) in &self.totals {
            if let Some(key) = key(of) {
                let sum = sums.entry(key).or_default();
                *sum = sum.plus(total);
            }
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|(a, x), (b, y)| y.time.cmp(&x.time).then_with(|| a.cmp(b)));
        sums
    }

    /// Writes the events as a JSON array of complete events, in the format of
    /// `chrome://tracing`: times in microseconds since the start; the first 200 000.
    ///
    /// # Errors
    /// If `out` refuses.
    pub fn write_trace(&self, out: &mut dyn Write) -> io::Result<()> {
        let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
        write!(out, "[")?;
        for (at, event) in self.events.iter().enumerate() {
            let Event { key, thread, begun, took, work } = event;
            let mut args = serde_json::Map::new();
            if let Some(layer) = &key.layer {
                args.insert("layer".into(), json!(**layer));
            }
            for (name, value) in [("flops", work.flops), ("bytes", work.bytes)] {
                if value > 0 {
                    args.insert(name.into(), json!(value));
                }
            }
            let event = json!({
                "name": key.name,
                "cat": if key.pass == Pass::Other { "span" } else { key.pass.name() },
                "ph": "X",
                "ts": microseconds(begun.saturating_duration_since(self.begun)),
                "dur": microseconds(*took),
                "pid": 1,
                "tid": thread,
                "args": args,
            });
            write!(out, "{}{event}", if at == 0 { "\n" } else { ",\n" })?;
        }
        writeln!(out, "\n]")
    }
}

/// Two tables, by operation and by layer; where a device computed, with its own time, and a third
/// one of its kernels.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.measured();
        writeln!(
            f,
            "profile: {:.3} s measured in {:.3} s, {} events",
            all.as_secs_f64(),
            self.wall.as_secs_f64(),
            self.totals.values().map(|total| total.calls).sum::<u64>()
        )?;
        if self.events.len() == MOST_EVENTS {
            writeln!(f, "(a trace holds the first {MOST_EVENTS} of them)")?;
        }
        self.write_operations(f)?;
        self.write_kernels(f)?;
        self.write_layers(f)
    }
}

impl Profile {
    /// The part of all time, in per cent.
    fn share(&self, time: Duration) -> f64 {
        100.0 * time.as_secs_f64() / self.measured().as_secs_f64().max(1e-12)
    }

    /// A device's own time in a column of the tables, if there is one.
    fn on_device(&self, text: &str) -> String {
        if self.kernels.is_empty() { String::new() } else { format!("  {text:>10}") }
    }

    fn write_operations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.sums(|key| Some((key.name, key.pass)));
        let names = operations.iter().map(|((name, _), _)| name.len());
        let width = names.max().unwrap_or(0).max("operation".len());
        let device = self.on_device("device, ms");
        writeln!(
            f,
            "\n{:width$}  {:8}  {:>8}  {:>10}{device}  {:>6}  {:>8}  {:>7}",
            "operation", "pass", "calls", "ms", "%", "GFLOP/s", "GB/s"
        )?;
        for ((name, pass), total) in &operations {
            writeln!(
                f,
                "{name:width$}  {:8}  {:>8}  {:>10.1}{}  {:>6.1}  {:>8}  {:>7}",
                pass.name(),
                total.calls,
                milliseconds(total.time),
                self.on_device(&format!("{:.1}", milliseconds(total.on_device))),
                self.share(total.time),
                rate(total.work.flops, total.computing()),
                rate(total.work.bytes, total.computing()),
            )?;
        }

        Ok(())
    }

    fn write_layers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.sums(|key| key.layer.clone());
        if layers.is_empty() {
            return Ok(());
        }
        let of_pass = |pass| -> HashMap<_, _> {
            self.sums(|key| key.layer.clone().filter(|_| key.pass == pass)).into_iter().collect()
        };
        let (forward, backward) = (of_pass(Pass::Forward), of_pass(Pass::Backward));
        let device = self.on_device("device, ms");
        let (shown, others) = layers.split_at(layers.len().min(MOST_LAYERS));
        let names = shown.iter().map(|(name, _)| name.chars().count());
        let width = names.max().unwrap_or(0).max("layer".len());
        writeln!(
            f,
            "\n{:width$}  {:>11}  {:>11}  {:>10}{device}  {:>6}  {:>8}  {:>7}",
            "layer", "forward, ms", "backward, ms", "ms", "%", "GFLOP/s", "GB/s"
        )?;
        for (layer, total) in shown {
            let time = |of: &HashMap<_, Total>| of.get(layer).map_or(Duration::ZERO, |t| t.time);
            writeln!(
                f,
                "{layer:width$}  {:>11.1}  {:>12.1}  {:>10.1}{}  {:>6.1}  {:>8}  {:>7}",
                milliseconds(time(&forward)),
                milliseconds(time(&backward)),
                milliseconds(total.time),
                self.on_device(&format!("{:.1}", milliseconds(total.on_device))),
                self.share(total.time),
                rate(total.work.flops, total.computing()),
                rate(total.work.bytes, total.computing()),
            )?;
        }
        if !others.is_empty() {
            let rest: Duration = others.iter().map(|(_, total)| total.time).sum();
            let (count, time) = (others.len(), milliseconds(rest));
            writeln!(f, "and {count} more: {time:.1} ms, {:.1} %", self.share(rest))?;
        }
        Ok(())
    }

    /// The table of a device's kernels, if there are any.
    fn write_kernels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kernels: Vec<_> = self.kernels.iter().collect();
        kernels.sort_by(|(a, x), (b, y)| y.on_device.cmp(&x.on_device).then_with(|| a.cmp(b)));
        let all: Duration = kernels.iter().map(|(_, total)| total.on_device).sum();
        let Some(width) = kernels.iter().map(|(name, _)| name.len()).max() else { return Ok(()) };
        writeln!(
            f,
            "\n{:width$}  {:>8}  {:>10}  {:>6}  {:>10}",
            "kernel", "launches", "device, ms", "%", "us each"
        )?;
        for (name, Total { calls, on_device, .. }) in kernels {
            let (time, share) = (milliseconds(*on_device), on_device.as_secs_f64());
            let share = 100.0 * share / all.as_secs_f64().max(1e-12);
            let each = 1e3 * time / *calls as f64;
            writeln!(f, "{name:width$}  {calls:>8}  {time:>10.1}  {share:>6.1}  {each:>10.1}")?;
        }
        Ok(())
    }
}

impl Total {
    /// How long something computed: a device, or, where there was none, the host.
    fn computing(&self) -> Duration {
        if self.on_device.is_zero() { self.time } else { self.on_device }
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            time: self.time + other.time,
            on_device: self.on_device + other.on_device,
            work: self.work + other.work,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

/// So much in a nanosecond, or nothing if nothing was counted.
fn rate(work: u64, time: Duration) -> String {
    if work == 0 || time.is_zero() {
        return String::new();
    }
    format!("{:.1}", work as f64 / time.as_nanos() as f64)
}
