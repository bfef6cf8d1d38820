//! What is inside of the networks: of one run in full, of several side by side.

use super::super::format::escape;
use super::super::layers::{self, Inside};
use super::super::{Section, courses};
use super::Shown;
use crate::Result;
use crate::train::observe;
use std::fmt::Write;

const SCORED: &str = "The score says how well a source’s features fit the target before any tuning: the \
                      leave-one-out accuracy of a ridge classifier on top of them. A dash stands where \
                      nothing depended on it.";

const SCORED_BY_POINTS: &str = "The score says how well a source’s features fit the target before any \
                                tuning: the share of the points’ variance that ridge regression on top \
                                of them explains of pictures left out. A dash stands where nothing \
                                depended on it.";

impl Shown<'_> {
    /// Names of the sources.
    fn sources(&self) -> Vec<String> {
        layers::names(&self.run.observations.sources)
    }

    fn inside<'a>(&'a self, sources: &'a [String], whose: &'a str) -> Inside<'a> {
        let seen = &self.run.observations;
        Inside {
            sources,
            gates: &seen.gates,
            samples: &seen.samples,
            alignment: &seen.alignment,
            classes: &seen.classes,
            images: &seen.part,
            whose,
        }
    }
}

/// Everything that is known of one run.
pub(super) fn sections(shown: &Shown) -> Result<Vec<Option<Section>>> {
    let names = shown.sources();
    let seen = &shown.run.observations;
    let is_shared = seen.gates.iter().all(|layer| layer.std.is_empty());
    let whose = match seen.count {
        _ if is_shared => super::words(super::form(shown.run)).to_owned(),
        count => format!("{}, {count} images", super::words(super::form(shown.run))),
    };
    let inside = shown.inside(&names, &whose);
    let points = shown.run.gates.iter().map(|line| (line.step as usize, &line.gates[..]));
    let scored = if seen.landmarks.is_empty() { SCORED } else { SCORED_BY_POINTS };
    Ok(vec![
        layers::sources(&seen.sources, scored),
        layers::gates(&inside),
        layers::samples(&inside)?,
        layers::alignment(&inside),
        courses::averages(&observe::courses(points), &names)?,
    ])
}

/// The gates of several runs.
pub(super) fn gates(shown: &[Shown]) -> Option<Section> {
    let body = folded(shown, |run, names| layers::gates(&run.inside(names, &run.name)))?;
    Some(Section { id: "gates", title: "Whom each layer listens to", link: "Gates", body })
}

/// The alignment of several runs.
pub(super) fn alignment(shown: &[Shown]) -> Option<Section> {
    let body = folded(shown, |run, names| layers::alignment(&run.inside(names, &run.name)))?;
    Some(Section { id: "alignment", title: "How far channels moved", link: "Alignment", body })
}

/// What there is of each run, to be unfolded.
fn folded(
    shown: &[Shown],
    section: impl Fn(&Shown, &[String]) -> Option<Section>,
) -> Option<String> {
    let mut body = String::new();
    for run in shown {
        if let Some(Section { body: inner, .. }) = section(run, &run.sources()) {
            let name = escape(&run.name);
            let _ = writeln!(body, "<details open><summary>{name}</summary>\n{inner}</details>");
        }
    }
    (!body.is_empty()).then_some(body)
}
