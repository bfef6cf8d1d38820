//! What `inspect` tells of a zoo that was written here.

use super::super::output::{self, Output, Result};
use crate::nn::{Blueprint, Form};
use crate::train::{Model, observe};
use crate::zoo::{Checkpoint, Naming};
use serde::Serialize;

/// A zoo, per sample or lite, and its sources.
#[derive(Serialize)]
pub struct MixedReport {
    architecture: String,
    form: &'static str,
    channels: usize,
    outputs: usize,
    sources: Vec<SourceReport>,
    /// What each layer's gate settled at (lite, after training), one weight for each source.
    gates: Vec<observe::LayerAverage>,
}

#[derive(Serialize)]
struct SourceReport {
    name: String,
    /// What it scored before tuning, 0 to 1.
    score: Option<f64>,
}

/// Whether a file says that it holds a zoo, per sample or lite.
pub fn is_mixed(checkpoint: &Checkpoint) -> bool {
    let declared = checkpoint.declared();
    Blueprint::is_in(&declared) && declared.get("form").is_some_and(|form| form != "plain")
}

impl MixedReport {
    /// The zoo in a file.
    ///
    /// # Errors
    /// If the file does not hold what it says.
    pub fn new(checkpoint: Checkpoint, rules: &Naming) -> crate::Result<Self> {
        let model = Model::from_checkpoint(checkpoint, None, rules)?;
        let Blueprint { design, form, sources } = model.network.blueprint();
        let noted = observe::noted_sources(&model.notes);
        let source = |at: usize| match noted.get(at).cloned() {
            Some((name, score)) => SourceReport { name, score },
            None => SourceReport { name: (at + 1).to_string(), score: None },
        };
        Ok(Self {
            architecture: design.name().to_owned(),
            form: form.name(),
            channels: design.channels,
            outputs: design.outputs,
            sources: (0..*sources).map(source).collect(),
            gates: match form {
                Form::Lite(_) => observe::averages(&model.network)?,
                _ => vec![],
            },
        })
    }

    /// In a sentence and a table of the sources.
    pub fn show(&self, output: &mut Output) -> Result {
        let Self { architecture, form, channels, outputs, sources, gates } = self;
        let kind = match *form {
            "zoo" => "zoo, gated sample by sample,",
            "routed" => "routed zoo, of which each sample takes one source,",
            _ => "lite zoo",
        };
        output.line(format!(
            "  holds a {kind} of {} sources, {architecture} with {channels} channels and {outputs} \
             outputs",
            sources.len()
        ))?;
        let mut rows = vec![vec!["  source".to_owned(), "score".to_owned()]];
        if !gates.is_empty() {
            rows[0].extend(["gates, mean", "smallest", "in", "largest", "in"].map(str::to_owned));
        }
        rows.extend(sources.iter().enumerate().map(|(at, SourceReport { name, score })| {
            let score = score.map_or("-".to_owned(), |score| format!("{score:.3}"));
            let mut row = vec![format!("  {}", output::printable(name)), score];
            let weights = gates.iter().filter_map(|(layer, gate)| Some((*gate.get(at)?, layer)));
            let weights: Vec<(f64, &String)> = weights.collect();
            let by_weight = |a: &&(f64, &String), b: &&(f64, &String)| a.0.total_cmp(&b.0);
            let ends = (weights.iter().min_by(by_weight), weights.iter().max_by(by_weight));
            if let (Some(smallest), Some(largest)) = ends {
                let mean = weights.iter().map(|(weight, _)| weight).sum::<f64>();
                row.push(format!("{:.3}", mean / weights.len() as f64));
                for (weight, layer) in [smallest, largest] {
                    row.extend([format!("{weight:.3}"), (*layer).clone()]);
                }
            }
            row
        }));
        output.table(&rows)
    }
}
