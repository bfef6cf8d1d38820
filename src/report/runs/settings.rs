//! How runs were set: where they differ, all the rest, and how to do them again.

use super::super::format::{self, escape};
use super::super::{Section, table};
use super::{Shown, quoted};
use crate::train::Recorded;
use std::fmt::Write;

/// Keys of all runs, in their order, with the value of each run.
fn values<'a>(shown: &[Shown<'a>]) -> Vec<(&'a str, Vec<Option<&'a str>>)> {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in shown.iter().flat_map(|run| &run.run.settings) {
        if !keys.contains(&&key[..]) {
            keys.push(key);
        }
    }
    let of = |run: &'a Recorded, key: &str| {
        run.settings.iter().find(|(known, _)| known == key).map(|(_, value)| &value[..])
    };
    keys.into_iter().map(|key| (key, shown.iter().map(|run| of(run.run, key)).collect())).collect()
}

fn is_same(values: &[Option<&str>]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// The settings that differ, side by side.
pub(super) fn differences(shown: &[Shown]) -> Option<Section> {
    let titles: Vec<String> = shown.iter().map(|run| run.name.clone()).collect();
    let differing: Vec<_> =
        values(shown).into_iter().filter(|(_, values)| !is_same(values)).collect();
    let body = if differing.is_empty() {
        "<p>None: all runs were set alike, down to the seed.</p>\n".to_owned()
    } else {
        let mut html = table::open("Settings that differ", "Setting", &titles);
        for (key, values) in &differing {
            let cells: Vec<String> = values
                .iter()
                .map(|value| match value {
                    Some(value) => format!("<code>{}</code>", escape(value)),
                    None => format::NONE.to_owned(),
                })
                .collect();
            let head = format!("<code>{}</code>", escape(key));
            table::row(&mut html, &head, &titles, &cells);
        }
        html.replace("class=\"data\"", "class=\"data wrapped\"") + "</tbody></table>\n"
    };
    let title = "Where their settings differ";
    Some(Section { id: "differences", title, link: "Differences", body })
}

/// All settings, or those that several runs share; and the commands that repeat them.
pub(super) fn footer(shown: &[Shown]) -> String {
    let mut html = String::from("<h2 id=\"settings\">Settings</h2>\n");
    if shown.len() > 1 {
        html.push_str("<p>Those that all runs share.</p>\n");
    }
    html.push_str("<dl>\n");
    for (key, values) in values(shown).into_iter().filter(|(_, values)| is_same(values)) {
        let value = values.first().copied().flatten().unwrap_or("");
        let _ = writeln!(
            html,
            "<div><dt><code>{}</code></dt><dd>{}</dd></div>",
            escape(key),
            escape(value)
        );
    }
    let versions: Vec<String> = shown
        .iter()
        .filter_map(|run| Some(run.run.summary.as_ref()?.version.clone()))
        .fold(vec![], |mut all, version| {
            if !all.contains(&version) {
                all.push(version);
            }
            all
        });
    if !versions.is_empty() {
        let _ =
            writeln!(html, "<div><dt>Version</dt><dd>{}</dd></div>", escape(&versions.join(", ")));
    }
    if let [Shown { run: Recorded { summary: Some(summary), .. }, .. }] = shown {
        let mut time = format::seconds(summary.seconds);
        if summary.resumed_at_step > 0 {
            let _ = write!(time, ", since step {}", summary.resumed_at_step);
        }
        let _ = writeln!(html, "<div><dt>Time</dt><dd>{time}</dd></div>");
    }
    html.push_str(
        "</dl>\n<p>To do it again; the same seed gives the same bits, whatever the number of threads:</p>\n",
    );
    html.push_str("<pre><code>");
    for (at, run) in shown.iter().enumerate() {
        let command = format!(
            "zoo-tuning train --config {} --out {}",
            quoted(&run.run.folder.join("config.toml")),
            if shown.len() == 1 { "again".to_owned() } else { format!("again-{}", at + 1) }
        );
        let _ = writeln!(html, "{}", escape(&command));
    }
    html.push_str("</code></pre>\n");
    html
}
