//! What came of the cells: numbers for programs, and a table.

use crate::Result;
use crate::cell::Cell;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use zoo_tuning::compare::{Difference, Method, MethodKind, Outcome, Run, paired, summary};

/// The columns of the table, behind the cell.
const COLUMNS: [(&str, MethodKind); 13] = [
    ("scratch", MethodKind::Scratch),
    ("by score", MethodKind::Chosen),
    ("hindsight", MethodKind::Hindsight),
    ("probed", MethodKind::Probed),
    ("L2-SP", MethodKind::L2Sp),
    ("DELTA", MethodKind::Delta),
    ("average", MethodKind::Average),
    ("matched", MethodKind::Matched),
    ("distilled", MethodKind::Distilled),
    ("zoo", MethodKind::Zoo),
    ("lite", MethodKind::Lite),
    ("routed", MethodKind::Routed),
    ("two mixed", MethodKind::Mixed),
];

/// A cell, as other programs read it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    cell: &'a Cell,
    test_samples: usize,
    /// In how many draws samples were routed.
    routed: usize,
    learning_rates: &'a BTreeMap<MethodKind, f64>,
    /// Of each method the accuracies, a draw after the other.
    accuracies: BTreeMap<&'a str, Vec<f64>>,
}

/// Writes `zoos.json` and `zoos.md`.
pub fn write(folder: &Path, done: &[(Cell, Outcome)]) -> Result<()> {
    let line = |(cell, outcome): &'_ (Cell, Outcome)| {
        let of = |method: &Method| method.runs.iter().map(|run| rounded(run.accuracy)).collect();
        serde_json::to_string(&Line {
            cell,
            test_samples: outcome.test_samples,
            routed: routed(outcome),
            learning_rates: &outcome.plan.own_rates,
            accuracies: outcome.methods.iter().map(|m| (&*m.name, of(m))).collect(),
        })
    };
    // A line for each cell, so that a change of one is seen as such.
    let lines = done.iter().map(line).collect::<std::result::Result<Vec<_>, _>>()?;
    std::fs::write(folder.join("zoos.json"), format!("[\n{}\n]\n", lines.join(",\n")))?;
    let text = table(done)?;
    print!("{text}");
    std::fs::write(folder.join("zoos.md"), text)?;
    Ok(())
}

fn rounded(accuracy: f64) -> f64 {
    (accuracy * 1e4).round() / 1e4
}

fn routed(outcome: &Outcome) -> usize {
    runs(outcome, MethodKind::Routed).iter().filter(|run| run.routed == Some(true)).count()
}

fn runs(outcome: &Outcome, kind: MethodKind) -> &[Run] {
    outcome.methods.iter().find(|method| method.kind == kind).map_or(&[], |method| &method.runs)
}

/// Accuracies in per cent, then what every form of a zoo gains over the single chosen by score.
fn table(done: &[(Cell, Outcome)]) -> Result<String> {
    let mut text = String::from("| zoo, target |");
    COLUMNS.iter().for_each(|(name, _)| text += &format!(" {name} |"));
    text += " ensemble | routed in |\n|---|";
    text += &"---|".repeat(COLUMNS.len() + 2);
    text.push('\n');
    for (cell, outcome) in done {
        write!(text, "| {} |", cell.name()?)?;
        for kind in COLUMNS.map(|(_, kind)| kind).into_iter().chain([MethodKind::Ensemble]) {
            write!(text, " {} |", mean(outcome, kind))?;
        }
        let draws = runs(outcome, MethodKind::Routed).len();
        writeln!(text, " {} of {draws} |", routed(outcome))?;
    }
    text += "\n| over the single by score |";
    GAINS.iter().for_each(|(name, _)| text += &format!(" {name} |"));
    writeln!(text, "\n|---|{}", "---|".repeat(GAINS.len()))?;
    for (cell, outcome) in done {
        write!(text, "| {} |", cell.name()?)?;
        for (_, kind) in GAINS {
            let gain = paired(runs(outcome, kind), runs(outcome, MethodKind::Chosen));
            write!(text, " {} |", gain.as_ref().map_or(String::new(), points))?;
        }
        text.push('\n');
    }
    text += "| mean over the cells |";
    for (_, kind) in GAINS {
        let gains = done.iter().filter_map(|(_, outcome)| {
            Some(paired(runs(outcome, kind), runs(outcome, MethodKind::Chosen))?.mean)
        });
        let all = summary(&gains.collect::<Vec<_>>());
        let interval = all.interval.map_or(String::new(), |i| format!(" ± {:.1}", 100.0 * i));
        write!(text, " {:+.1}{interval} |", 100.0 * all.mean)?;
    }
    text.push('\n');
    Ok(text)
}

/// What is measured against the single by score.
const GAINS: [(&str, MethodKind); 7] = [
    ("matched", MethodKind::Matched),
    ("distilled", MethodKind::Distilled),
    ("zoo", MethodKind::Zoo),
    ("lite", MethodKind::Lite),
    ("routed", MethodKind::Routed),
    ("two mixed", MethodKind::Mixed),
    ("ensemble", MethodKind::Ensemble),
];

fn mean(outcome: &Outcome, kind: MethodKind) -> String {
    let method = outcome.methods.iter().find(|method| method.kind == kind);
    method.map_or("–".to_owned(), |method| format!("{:.1}", 100.0 * method.mean))
}

/// Points, their 95 % interval, draws that were won and lost.
fn points(gain: &Difference) -> String {
    let count = |sign: f64| gain.each.iter().filter(|each| sign * **each > 0.0).count();
    let interval = gain.interval.map_or(String::new(), |i| format!(" ± {:.1}", 100.0 * i));
    format!("{:+.1}{interval} ({}:{})", 100.0 * gain.mean, count(1.0), count(-1.0))
}
