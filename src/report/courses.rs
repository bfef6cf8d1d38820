//! How the gates of a lite network came about.

use std::fmt::Write;

use super::Section;
use super::canvas::Colour;
use super::heatmap;
use super::plot::{self, Line};
use crate::Result;
use crate::train::observe::LayerEma;

/// The moving averages of lite Zoo-Tuning's gates.
pub(crate) fn averages(layers: &[LayerEma], names: &[String]) -> Result<Option<Section>> {
    if layers.is_empty() || names.is_empty() {
        return Ok(None);
    }
    let mut body = String::from(
        "<p>Lite Zoo-Tuning keeps one gate for each layer, an exponential moving average over \
         batches. Lines that settle mean that the layer has decided; their last values are what the \
         collapsed network is made with.</p>\n",
    );
    body.push_str(&source_legend(names));
    body.push_str("<div class=\"multiples\">\n");
    // One scale for all, so that layers can be compared.
    let top = layers
        .iter()
        .flat_map(|layer| layer.values.iter().flatten())
        .copied()
        .filter(|value| value.is_finite() && *value <= 10.0)
        .fold(0.0, f64::max);
    let top = if top > 0.5 { top.max(1.0) } else { 0.5 };
    for layer in layers {
        let lines: Vec<Line> = (0..names.len())
            .map(|source| Line {
                colour: Colour::source(source),
                main: layer
                    .steps
                    .iter()
                    .zip(&layer.values)
                    .filter_map(|(step, values)| Some((*step as f64, *values.get(source)?)))
                    .collect(),
                faint: Vec::new(),
            })
            .collect();
        let title = format!("Gates of {} over the steps, one line for each source", layer.layer);
        let svg = plot::lines(&lines, (210.0, 130.0), Some(0.0..top), plot::plain_label, &title)?;
        let _ = writeln!(
            body,
            "<figure class=\"panel\"><h3>{}</h3>\n{svg}</figure>",
            heatmap::path(&layer.layer)
        );
    }
    body.push_str("</div>\n");
    Ok(Some(Section {
        id: "averages",
        title: "How the lite gates settle",
        link: "Gates over time",
        body,
    }))
}

/// The sources with their colours and numbers.
pub(crate) fn source_legend(names: &[String]) -> String {
    let mut html = String::from("<ul class=\"legend\">");
    for (at, name) in names.iter().enumerate() {
        let _ = write!(html, "<li><span>{}</span></li>", heatmap::source_label(at, name));
    }
    html.push_str("</ul>\n");
    html
}
