//! What the zoo learned, layer by layer: sources, gates, gates of single images, alignment.

use std::fmt::Write;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::Section;
use super::format::{self, escape, percent};
use super::heatmap::{self, Heatmap, Row};
use super::training::source_legend;
use crate::demo::{Outcome, SampleGates};
use crate::{Error, Result};

/// The table of the sources.
pub(super) fn sources(outcome: &Outcome) -> Option<Section> {
    if outcome.sources.is_empty() {
        return None;
    }
    let mut body = String::from(
        "<p>The score says how well a source’s features fit the target before any tuning: the \
         leave-one-out accuracy of a ridge classifier on top of them, mean over the seeds with its \
         range. Zoo-Tuning starts by favouring the source that scores best.</p>\n\
         <table class=\"data\" role=\"table\">\n<caption class=\"unseen\">Sources</caption>\n\
         <thead role=\"rowgroup\"><tr role=\"row\">\
         <th scope=\"col\" role=\"columnheader\">Source</th>\
         <th scope=\"col\" role=\"columnheader\">Score, %</th>\
         <th scope=\"col\" role=\"columnheader\">Size</th></tr></thead>\n<tbody role=\"rowgroup\">\n",
    );
    for (at, source) in outcome.sources.iter().enumerate() {
        let scores: Vec<f64> =
            source.scores.iter().copied().filter(|score| score.is_finite()).collect();
        let mut score = percent(scores.iter().sum::<f64>() / scores.len() as f64);
        if scores.len() > 1 {
            let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
            let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let _ = write!(score, "<small>{} – {}</small>", percent(low), percent(high));
        }
        let _ = writeln!(
            body,
            "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">{}\
             <small>{}</small><small><code>{}</code></small></th>\
             <td role=\"cell\" class=\"main\" data-label=\"Score, %\">{score}</td>\
             <td role=\"cell\" data-label=\"Size\">{}</td></tr>",
            heatmap::source_label(at, &source.name),
            escape(&source.trained_on),
            escape(&source.file),
            format::bytes(source.bytes)
        );
    }
    body.push_str("</tbody></table>\n");
    Some(Section { id: "sources", title: "The zoo", link: "Sources", body })
}

/// The gates of all layers, mean over the test samples.
pub(super) fn gates(outcome: &Outcome) -> Option<Section> {
    let columns = names(outcome);
    if outcome.gates.is_empty() || columns.is_empty() {
        return None;
    }
    let map = Heatmap {
        caption: "Mean gate of every source in every layer, with its deviation over test images",
        hue: "gate",
        columns: &columns,
        top: 1.0,
        rows: outcome
            .gates
            .iter()
            .map(|layer| Row {
                name: &layer.layer,
                values: &layer.mean,
                deviations: &layer.deviation,
            })
            .collect(),
    };
    let shares = outcome.gates.iter().all(|l| (l.mean.iter().sum::<f64>() - 1.0).abs() < 0.01);
    let sum = if shares {
        format!(
            "Each row sums to 1; {} would be no preference.",
            format::decimal(1.0 / columns.len() as f64, 2)
        )
    } else {
        "Each gate lies between 0 and 1 on its own.".to_owned()
    };
    let body = format!(
        "<p>In every layer a gate looks at its input and decides how much of each source’s kernel goes \
         into the one that is used. {sum} The small number is the standard deviation over test images: \
         where it is large, the layer chooses by the image.</p>\n<figure class=\"panel\">\n{}\
         <figcaption>Mean gate over the test images, Zoo-Tuning, first seed. {}</figcaption>\n\
         </figure>\n",
        map.html(),
        map.legend()
    );
    Some(Section { id: "gates", title: "Whom each layer listens to", link: "Gates", body })
}

/// The gates of single images.
pub(super) fn samples(outcome: &Outcome) -> Result<Option<Section>> {
    let columns = names(outcome);
    if outcome.samples.is_empty() || columns.is_empty() {
        return Ok(None);
    }
    let layers: Vec<String> = outcome.gates.iter().map(|layer| layer.layer.clone()).collect();
    let mut body = String::from(
        "<p>The same for single test images: at the right of each, its own gates, layers from top to \
         bottom, sources from left to right, darker (on a dark page, brighter) for more. A source that \
         knows the condition an image is in should light up.</p>\n",
    );
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    body.push_str(&source_legend(&names));
    body.push_str("<ul class=\"samples\">\n");
    for sample in &outcome.samples {
        let right = sample.label == sample.predicted;
        let verdict = if right {
            format!("<strong>Class {}</strong>, recognised", sample.label)
        } else {
            format!("<strong>Class {}, taken for {}</strong>", sample.label, sample.predicted)
        };
        let mut keys = String::new();
        for at in 0..columns.len() {
            keys.push_str(&heatmap::source_key(at));
        }
        let _ = writeln!(
            body,
            "<li{}><div class=\"pair\">{}{}<div class=\"columns\" aria-hidden=\"true\" \
             style=\"--columns:{}\">{keys}</div></div>\n<p>{verdict}<br><small>{}</small></p></li>",
            if right { "" } else { " class=\"wrong\"" },
            picture(sample)?,
            heatmap::strip(&sample.gates, columns.len(), &layers, &described(sample, &columns)),
            columns.len(),
            escape(&sample.condition)
        );
    }
    body.push_str("</ul>\n");
    Ok(Some(Section { id: "images", title: "Gates of single images", link: "Images", body }))
}

/// How far alignment went.
pub(super) fn alignment(outcome: &Outcome) -> Option<Section> {
    let columns = names(outcome);
    if outcome.alignment.is_empty() || columns.is_empty() {
        return None;
    }
    let top = outcome
        .alignment
        .iter()
        .flat_map(|layer| &layer.distance)
        .copied()
        .filter(|distance| distance.is_finite())
        .fold(0.0, f64::max);
    let map = Heatmap {
        caption: "Distance of every alignment from the identity",
        hue: "align",
        columns: &columns,
        top,
        rows: outcome
            .alignment
            .iter()
            .map(|layer| Row { name: &layer.layer, values: &layer.distance, deviations: &[] })
            .collect(),
    };
    let body = format!(
        "<p>Sources learned their channels in different orders, so each kernel’s channels are mixed \
         before kernels are added, by a matrix that starts as the identity. This is how far it moved, \
         relative to the identity’s own size: 0 means that the channels were left as they were.</p>\n\
         <figure class=\"panel\">\n{}<figcaption>|T − I| / |I| in the Frobenius norm, Zoo-Tuning, \
         first seed; layers that are not aligned are not listed. {}</figcaption>\n</figure>\n",
        map.html(),
        map.legend()
    );
    Some(Section { id: "alignment", title: "How far channels moved", link: "Alignment", body })
}

fn names(outcome: &Outcome) -> Vec<String> {
    outcome.sources.iter().map(|source| source.name.clone()).collect()
}

/// A sample's image as an `img` that holds its own data; a grey square if its pixels do not fit.
fn picture(sample: &SampleGates) -> Result<String> {
    let [height, width] = sample.size;
    let fits = height.checked_mul(width) == Some(sample.pixels.len()) && !sample.pixels.is_empty();
    let (height, width, pixels) =
        if fits { (height, width, &sample.pixels[..]) } else { (1, 1, &[128u8][..]) };
    let mut png = Cursor::new(Vec::new());
    PngEncoder::new(&mut png)
        .write_image(pixels, width as u32, height as u32, ExtendedColorType::L8)
        .map_err(|error| Error::Impossible {
            request: "show a target image",
            reason: error.to_string(),
            hint: "use --json for the numbers alone",
        })?;
    Ok(format!(
        "<img width=\"{width}\" height=\"{height}\" alt=\"An image of class {}, {}\" \
         src=\"data:image/png;base64,{}\">",
        sample.label,
        escape(&sample.condition),
        STANDARD.encode(png.into_inner())
    ))
}

/// A strip of gates in words: the mean over the layers, for each source.
fn described(sample: &SampleGates, names: &[String]) -> String {
    let means: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let gates: Vec<f64> = sample
                .gates
                .iter()
                .filter_map(|layer| layer.get(at).copied())
                .filter(|gate| gate.is_finite())
                .collect();
            let mean = gates.iter().sum::<f64>() / gates.len() as f64;
            format!("{name} {}", format::decimal(mean, 2))
        })
        .collect();
    format!("Gates, mean over the layers: {}", means.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn an_image_comes_back_from_its_address() {
        let outcome = Sample::default().outcome();
        let html = picture(&outcome.samples[0]).unwrap();
        let (_, data) = html.split_once("base64,").unwrap();
        let (data, _) = data.split_once('"').unwrap();
        let png = STANDARD.decode(data).unwrap();
        let image = image::load_from_memory(&png).unwrap().into_luma8();
        assert_eq!(image.dimensions(), (16, 16));
        assert_eq!(image.into_raw(), outcome.samples[0].pixels);
    }

    #[test]
    fn wrong_predictions_are_marked() {
        let mut outcome = Sample::default().outcome();
        outcome.samples.truncate(1);
        assert!(!samples(&outcome).unwrap().unwrap().body.contains("class=\"wrong\""));
        outcome.samples[0].predicted += 1;
        let body = samples(&outcome).unwrap().unwrap().body;
        assert!(body.contains("<li class=\"wrong\">") && body.contains("Class 0, taken for 1"));
    }
}
