//! The page that shows the demo of games.
//!
//! What stands in it is computed from the numbers, the headline too: it says so where a zoo loses.

use super::outcome::{Kind, Method, Outcome, differences};
use crate::Result;
use crate::compare::{MethodKind, Verdict};
use crate::report::comparison::several;
use crate::report::format::{self, escape};
use crate::report::layers::{self, Inside};
use crate::report::methods::{colour, mark};
use crate::report::plot::{self, Layout, Line, Row};
use crate::report::table::{open, row, settings as list_of_settings};
use crate::report::{Page, Section};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// The page that shows `outcome`, as HTML; `episodes` are games of its table and GIFs of an episode of
/// the lite agent there.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn page(outcome: &Outcome, episodes: &[(String, Vec<u8>)]) -> Result<String> {
    let names = layers::names(&outcome.sources);
    let inside = Inside {
        sources: &names,
        gates: &outcome.gates,
        samples: &[],
        alignment: &[],
        classes: &[],
        images: "random",
        whose: "Zoo-Tuning, first seed, first game",
    };
    let scored = "The score says how well a source’s features foretell the rewards of a random policy: \
                  one less the part of their scatter that a ridge regression on top of the features \
                  leaves unexplained in states that it was not shown.";
    let mut sections: Vec<Section> = Vec::new();
    let results = outcome.settings.games.iter().map(|game| result(outcome, game));
    let body = results.collect::<Result<Vec<_>>>()?.concat();
    sections.push(Section { id: "result", title: "What came out", link: "Result", body });
    sections.push(curves(outcome)?);
    if !episodes.is_empty() {
        let body = episodes.iter().map(|(game, gif)| shown(game, gif)).collect();
        let (id, title) = ("episodes", "An episode of the lite agent");
        sections.push(Section { id, title, link: "Episodes", body });
    }
    sections.extend(layers::sources(&outcome.sources, scored));
    sections.extend(layers::gates(&inside));
    let page = Page {
        kind: "Zoo-Tuning, a demo of games",
        title: &headline(outcome),
        version: &outcome.version,
        lede: &lede(outcome),
        numbers: "",
        sections: &sections,
        footer: &footer(outcome),
    };
    Ok(page.html())
}

/// The result in a few words, from the intervals of the differences.
fn headline(outcome: &Outcome) -> String {
    let verdicts = |kind: Kind| -> Vec<Verdict> {
        let of_game = |game: &String| {
            let of = |kind| outcome.method(kind, game);
            Some(differences(of(Kind::Lite)?, of(kind)?).verdict())
        };
        outcome.settings.games.iter().filter_map(of_game).collect()
    };
    let words = |kind: Kind| {
        let all = verdicts(kind);
        let count = |verdict| all.iter().filter(|found| **found == verdict).count();
        match (count(Verdict::Ahead), count(Verdict::Behind)) {
            (ahead, 0) if ahead == all.len() && ahead > 0 => "better than",
            (0, behind) if behind == all.len() && behind > 0 => "worse than",
            (0, 0) => "not clearly better or worse than",
            (_, 0) => "in some games better than",
            (0, _) => "in some games worse than",
            _ => "in one game better, in another worse than",
        }
    };
    format!(
        "A zoo of agents in a new game: lite is {} a single source, and {} learning from scratch",
        words(Kind::MeanSingle),
        words(Kind::Scratch)
    )
}

fn lede(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let names: Vec<String> = outcome.sources.iter().map(|source| source.name.clone()).collect();
    format!(
        "<p class=\"lede\">Agents that learned {} are tuned to {}, which none of them knows, in {} steps \
         of the game. Returns are those of {} episodes after it, the sums of rewards as the game gives \
         them.</p>\n",
        escape(&format::list(&names)),
        escape(&format::list(&settings.games)),
        settings.steps,
        settings.episodes,
    )
}

/// How a kind is drawn: as what it is called elsewhere.
fn drawn_as(kind: Kind) -> MethodKind {
    match kind {
        Kind::Random | Kind::Scratch => MethodKind::Scratch,
        Kind::Single => MethodKind::Single,
        Kind::MeanSingle => MethodKind::Chosen,
        Kind::Hindsight => MethodKind::Hindsight,
        Kind::Average => MethodKind::Average,
        Kind::Zoo => MethodKind::Zoo,
        Kind::Lite => MethodKind::Lite,
        Kind::Collapsed => MethodKind::Collapsed,
    }
}

/// The returns in a game, as a plot and as a table.
fn result(outcome: &Outcome, game: &str) -> Result<String> {
    let methods: Vec<&Method> = outcome.methods.iter().filter(|m| m.game == game).collect();
    let rows: Vec<Row> = methods
        .iter()
        .map(|method| {
            let found = method.summary();
            Row {
                label: method.name.clone(),
                text: format::decimal(found.mean, 2),
                value: found.mean,
                interval: found.interval,
                each: several(method.means.clone()),
                colour: colour(drawn_as(method.kind)),
                mark: mark(drawn_as(method.kind)),
                strong: matches!(method.kind, Kind::Zoo | Kind::Lite),
            }
        })
        .collect();
    let title = format!("Mean return in {game}");
    let wide = plot::rows(&rows, Layout::Beside, None, plot::plain_label, &title)?;
    let narrow = plot::rows(&rows, Layout::Above, None, plot::plain_label, &title)?;
    let mut body = format!(
        "<figure class=\"panel\"><h3>{}</h3>\n<figcaption>More is better. A dot for each seed, the \
         mean with its 95&nbsp;% interval.</figcaption>\n<div class=\"wide\">{wide}</div>\
         <div class=\"narrow\">{narrow}</div></figure>\n",
        escape(&title)
    );
    let titles =
        ["mean return", "interquartile mean", "less scratch", "less the mean single", "time"]
            .map(str::to_owned);
    let less = |method: &Method, kind: Kind| -> String {
        let other = outcome.method(kind, game).filter(|other| other.kind != method.kind);
        other.map_or(format::NONE.to_owned(), |other| difference(method, other))
    };
    body.push_str(&open(&title, "Method", &titles));
    for method in methods {
        let cells = [
            format::decimal(method.summary().mean, 2),
            format::decimal(method.interquartile_mean(), 2),
            less(method, Kind::Scratch),
            less(method, Kind::MeanSingle),
            format::seconds(method.seconds),
        ];
        row(&mut body, &escape(&method.name), &titles, &cells);
    }
    body.push_str("</tbody></table>\n");
    Ok(body)
}

/// The difference of two methods.
fn difference(method: &Method, other: &Method) -> String {
    let found = differences(method, other);
    let interval = found
        .interval
        .map_or(String::new(), |interval| format!(" ± {}", format::decimal(interval, 2)));
    let sign = if found.mean < 0.0 { "−" } else { "+" };
    format!("{sign}{}{interval}", format::decimal(found.mean.abs(), 2))
}

/// The mean return over the steps of the game.
fn curves(outcome: &Outcome) -> Result<Section> {
    let kinds = [Kind::Scratch, Kind::Hindsight, Kind::Average, Kind::Zoo, Kind::Lite];
    let (mut body, mut legend) = (String::new(), String::new());
    for (at, game) in outcome.settings.games.iter().enumerate() {
        let mut lines = vec![];
        for method in kinds.into_iter().filter_map(|kind| outcome.method(kind, game)) {
            let faint: Vec<Vec<(f64, f64)>> = method
                .curves
                .iter()
                .map(|curve| curve.iter().map(|&(step, value)| (step as f64, value)).collect())
                .collect();
            let shortest = faint.iter().map(Vec::len).min().unwrap_or(0);
            let mean = |at: usize| {
                let sum: f64 = faint.iter().map(|curve| curve[at].1).sum();
                (faint[0][at].0, sum / faint.len() as f64)
            };
            let main = (0..shortest).map(mean).collect();
            let colour = colour(drawn_as(method.kind));
            if at == 0 {
                let _ = writeln!(
                    legend,
                    "<li><span class=\"line\" style=\"--key:var(--{})\"></span>{}</li>",
                    colour.variable(),
                    escape(&method.name)
                );
            }
            let faint = if faint.len() > 1 { faint } else { vec![] };
            lines.push(Line { colour, main, faint });
        }
        let title = format!("Return in {game} over steps");
        let svg = plot::lines(&lines, (400.0, 270.0), None, plot::plain_label, &title)?;
        let _ =
            writeln!(body, "<figure class=\"panel\"><h3>{}</h3>\n{svg}</figure>", escape(&title));
    }
    let body = format!(
        "<p>Strong lines are means, faint lines single runs; each point is the mean return of a few \
         episodes that nothing is learned from.</p>\n<ul class=\"legend\">\n{legend}</ul>\n\
         <div class=\"two\">\n{body}</div>\n"
    );
    Ok(Section { id: "curves", title: "Learning, step by step", link: "Learning", body })
}

/// An episode as a picture that moves.
fn shown(game: &str, gif: &[u8]) -> String {
    let game = escape(game);
    format!(
        "<figure class=\"panel\"><h3>{game}</h3>\n<img alt=\"An episode of {game}\" \
         src=\"data:image/gif;base64,{}\">\n<figcaption>Beside the board, a bar for each layer: its gates.\
         </figcaption></figure>\n",
        STANDARD.encode(gif)
    )
}

fn footer(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let entries = [
        ("Seeds", settings.seeds.len().to_string()),
        ("Steps in the game of every way", settings.steps.to_string()),
        ("Episodes at the end", settings.episodes.to_string()),
        ("Learning rate from scratch", settings.rates[0].to_string()),
        ("That of agents with sources", settings.rates[1].to_string()),
        (
            "Collapsed: largest difference of a value, in parts of the largest",
            format!("{:.1e}", outcome.collapse_error),
        ),
        ("Time of the last process", format::seconds(outcome.seconds)),
        ("Version", outcome.version.clone()),
    ];
    let mut html = list_of_settings(&entries);
    let _ = write!(
        html,
        "<p>To do it again:</p>\n<pre><code>zoo-tuning demo games --seeds {} --games {} --steps {} \
         --scratch-rate {} --rate {}</code></pre>\n",
        settings.seeds.len(),
        escape(&settings.games.join(",")),
        settings.steps,
        settings.rates[0],
        settings.rates[1],
    );
    html
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Settings;
    use super::*;
    use crate::report::checked;

    fn outcome(means: &[(Kind, f64)]) -> Outcome {
        let method = |&(kind, mean): &(Kind, f64)| Method {
            kind,
            name: format!("{kind:?}"),
            game: "dive".to_owned(),
            means: [-0.1, 0.0, 0.1].map(|off| mean + off).to_vec(),
            interquartile_means: vec![mean; 3],
            curves: vec![vec![(10, mean), (20, 2.0 * mean)]; 3],
            seconds: 1.5,
        };
        Outcome {
            version: "0".to_owned(),
            settings: Settings {
                seeds: vec![1, 2, 3],
                games: vec!["dive".to_owned()],
                steps: 1000,
                episodes: 2,
                rates: [1e-3, 1e-3],
            },
            methods: means.iter().map(method).collect(),
            sources: vec![],
            gates: vec![],
            collapse_error: 1e-7,
            seconds: 60.0,
        }
    }

    #[test]
    fn the_headline_says_who_wins() {
        let told = |lite: f64, single: f64, scratch: f64| {
            let all = [(Kind::Lite, lite), (Kind::MeanSingle, single), (Kind::Scratch, scratch)];
            let outcome = outcome(&all);
            let page = page(&outcome, &[("dive".to_owned(), b"GIF89a".to_vec())]).unwrap();
            checked::check(&page);
            assert!(page.contains("data:image/gif;base64,R0lGODlh"));
            headline(&outcome)
        };
        let text = told(9.0, 5.0, 1.0);
        assert!(
            text.ends_with("better than a single source, and better than learning from scratch")
        );
        let text = told(5.0, 9.0, 5.0);
        assert!(text.contains("lite is worse than a single source"), "{text}");
        assert!(text.ends_with("not clearly better or worse than learning from scratch"), "{text}");
    }
}
