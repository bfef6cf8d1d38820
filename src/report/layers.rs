//! What the zoo learned, layer by layer: sources, gates, gates of single images, alignment.

use std::fmt::Write;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use super::Section;
use super::courses::source_legend;
use super::format::{self, escape, percent};
use super::heatmap::{self, Heatmap, Row};
use crate::nn::Router;
use crate::train::observe::{LayerAlignment, LayerGates, SampleGates, Source};
use crate::{Error, Result};

/// What is seen inside of a network, and in which words it is told.
#[derive(Clone, Copy)]
pub(crate) struct Inside<'a> {
    /// Names of the sources.
    pub(crate) sources: &'a [String],
    pub(crate) gates: &'a [LayerGates],
    pub(crate) samples: &'a [SampleGates],
    pub(crate) alignment: &'a [LayerAlignment],
    /// Names of the classes; those without one are called by their numbers.
    pub(crate) classes: &'a [String],
    /// Which images these are, e.g. `test`.
    pub(crate) images: &'a str,
    /// Whose gates these are, for captions.
    pub(crate) whose: &'a str,
}

/// The table of the sources; `scored` says how their scores came about.
pub(crate) fn sources(sources: &[Source], scored: &str) -> Option<Section> {
    if sources.is_empty() {
        return None;
    }
    let mut body = format!(
        "<p>{scored}</p>\n<table class=\"data\" role=\"table\">\n<caption class=\"unseen\">Sources</caption>\n\
         <thead role=\"rowgroup\"><tr role=\"row\">\
         <th scope=\"col\" role=\"columnheader\">Source</th>\
         <th scope=\"col\" role=\"columnheader\">Score, %</th>\
         <th scope=\"col\" role=\"columnheader\">Size</th></tr></thead>\n<tbody role=\"rowgroup\">\n",
    );
    for (at, source) in sources.iter().enumerate() {
        let scores: Vec<f64> =
            source.scores.iter().copied().filter(|score| score.is_finite()).collect();
        let mut score = percent(scores.iter().sum::<f64>() / scores.len() as f64);
        if scores.len() > 1 {
            let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
            let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let _ = write!(score, "<small>{} – {}</small>", percent(low), percent(high));
        }
        let mut notes = String::new();
        for note in [("Licence", &source.licence), ("From", &source.origin)] {
            if let (label, Some(text)) = note {
                let _ = write!(notes, "<small>{label}: {}</small>", escape(text));
            }
        }
        let _ = writeln!(
            body,
            "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">{}\
             <small>{}</small>{notes}<small><code>{}</code></small></th>\
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

/// The gates of all layers, mean over the samples.
pub(crate) fn gates(inside: &Inside) -> Option<Section> {
    let &Inside { sources: columns, gates, images, whose, .. } = inside;
    if gates.is_empty() || columns.is_empty() {
        return None;
    }
    let shared = gates.iter().all(|layer| layer.std.is_empty());
    let caption = match shared {
        true => "Gate of every source in every layer".to_owned(),
        false => format!(
            "Mean gate of every source in every layer, with its standard deviation over {images} images"
        ),
    };
    let map = Heatmap {
        caption: &caption,
        hue: "gate",
        columns,
        top: 1.0,
        decimals: 2,
        rows: gates
            .iter()
            .map(|layer| Row { name: &layer.layer, values: &layer.mean, stds: &layer.std })
            .collect(),
    };
    let shares = gates.iter().all(|l| (l.mean.iter().sum::<f64>() - 1.0).abs() < 0.01);
    let sum = if shares {
        format!(
            "Each row sums to 1; {} would be no preference.",
            format::decimal(1.0 / columns.len() as f64, 2)
        )
    } else {
        "Each gate lies between 0 and 1 on its own.".to_owned()
    };
    let is_router = gates.iter().all(|layer| layer.layer == Router::NAME);
    let (meaning, shown) = if is_router {
        let meaning = "A router looks at what a first layer sees in an image, and says how likely each \
                       source fits it; the image goes through the likeliest one, in all layers.";
        let meaning = format!("{meaning} {sum} The small number is the standard deviation.");
        (meaning, format!("Mean over the {images} images, {whose}."))
    } else if shared {
        let meaning = "In every layer a gate decides how much of each source’s kernel goes into the \
                       one that is used: one gate for all images, the moving average over the batches \
                       of the training.";
        (format!("{meaning} {sum}"), format!("The gates at the end, {whose}."))
    } else {
        let meaning = format!(
            "In every layer a gate looks at its input and decides how much of each source’s kernel goes \
             into the one that is used. {sum} The small number is the standard deviation over {images} \
             images: where it is large, the layer chooses by the image."
        );
        (meaning, format!("Mean gate over the {images} images, {whose}."))
    };
    let body = format!(
        "<p>{meaning}</p>\n<figure class=\"panel\">\n{}<figcaption>{shown} {}</figcaption>\n\
         </figure>\n",
        map.html(),
        map.legend()
    );
    Some(Section { id: "gates", title: "Whom each layer listens to", link: "Gates", body })
}

/// The gates of single images.
pub(crate) fn samples(inside: &Inside) -> Result<Option<Section>> {
    let &Inside { sources: columns, gates, samples, images, .. } = inside;
    let (id, link) = ("images", "Images");
    if samples.is_empty() {
        return Ok(None);
    }
    let name = |class: usize| {
        inside.classes.get(class).map_or_else(|| class.to_string(), |name| escape(name))
    };
    let gated = !columns.is_empty() && samples.iter().any(|sample| !sample.gates.is_empty());
    let layers: Vec<String> = gates.iter().map(|layer| layer.layer.clone()).collect();
    let mut body = if gated {
        let condition = if samples.iter().any(|sample| !sample.condition.is_empty()) {
            " A source that knows the condition an image is in should light up."
        } else {
            ""
        };
        format!(
            "<p>The same for single {images} images: at the right of each, its own gates, layers from top \
             to bottom, sources from left to right, darker (on a dark page, brighter) for more.{condition}\
             </p>\n{}",
            source_legend(columns)
        )
    } else {
        format!("<p>A few {images} images, and the class that the network takes them for.</p>\n")
    };
    body.push_str("<ul class=\"samples\">\n");
    for sample in samples {
        let right = sample.label == sample.predicted;
        let [label, predicted] = [sample.label, sample.predicted].map(name);
        let verdict = if right {
            format!("<strong>Class {label}</strong>, recognised")
        } else {
            format!("<strong>Class {label}, taken for {predicted}</strong>")
        };
        let (picture, wrong) =
            (picture(sample, &label)?, if right { "" } else { " class=\"wrong\"" });
        if !gated {
            let _ = writeln!(
                body,
                "<li{wrong}><div class=\"pair alone\">{picture}</div>\n<p>{verdict}</p></li>"
            );
            continue;
        }
        let mut keys = String::new();
        for at in 0..columns.len() {
            keys.push_str(&heatmap::source_key(at));
        }
        let _ = writeln!(
            body,
            "<li{wrong}><div class=\"pair\">{picture}{}<div class=\"columns\" aria-hidden=\"true\" \
             style=\"--columns:{}\">{keys}</div></div>\n<p>{verdict}<br><small>{}</small></p></li>",
            heatmap::strip(&sample.gates, columns.len(), &layers, &described(sample, columns)),
            columns.len(),
            escape(&sample.condition)
        );
    }
    body.push_str("</ul>\n");
    let title = if gated { "Gates of single images" } else { "Single images" };
    Ok(Some(Section { id, title, link, body }))
}

/// How far alignment went.
pub(crate) fn alignment(inside: &Inside) -> Option<Section> {
    let &Inside { sources: columns, alignment, whose, .. } = inside;
    if alignment.is_empty() || columns.is_empty() {
        return None;
    }
    let top = alignment
        .iter()
        .flat_map(|layer| &layer.distance)
        .copied()
        .filter(|distance| distance.is_finite())
        .fold(0.0, f64::max);
    let map = Heatmap {
        caption: "Distance of every alignment from the identity",
        hue: "align",
        columns,
        top,
        // A short training moves little.
        decimals: match top {
            small if small < 0.01 => 4,
            small if small < 0.05 => 3,
            _ => 2,
        },
        rows: alignment
            .iter()
            .map(|layer| Row { name: &layer.layer, values: &layer.distance, stds: &[] })
            .collect(),
    };
    let body = format!(
        "<p>Sources learned their channels in different orders, so each kernel’s channels are mixed \
         before kernels are added, by a matrix that starts as the identity. This is how far it moved, \
         relative to the identity’s own size: 0 means that the channels were left as they were.</p>\n\
         <figure class=\"panel\">\n{}<figcaption>|T − I| / |I| in the Frobenius norm, {whose}; layers that are not aligned are not listed. {}</figcaption>\n</figure>\n",
        map.html(),
        map.legend()
    );
    Some(Section { id: "alignment", title: "How far channels moved", link: "Alignment", body })
}

/// What the sources are called.
pub(crate) fn names(sources: &[Source]) -> Vec<String> {
    sources.iter().map(|source| source.name.clone()).collect()
}

/// A sample's image as an `img` that holds its own data; a grey square if its pixels do not fit.
fn picture(sample: &SampleGates, class: &str) -> Result<String> {
    let (mut size, mut pixels) = (sample.size, &sample.pixels[..]);
    let area = size[0].checked_mul(size[1]).filter(|area| *area > 0);
    if !area.is_some_and(|area| [1, 3].map(|c| area.checked_mul(c)).contains(&Some(pixels.len()))) {
        (size, pixels) = ([1, 1], &[128]);
    }
    let condition = match &sample.condition[..] {
        "" => String::new(),
        condition => format!(", {}", escape(condition)),
    };
    let [height, width] = size;
    Ok(format!(
        "<img width=\"{width}\" height=\"{height}\" alt=\"An image of class {class}{condition}\" \
         src=\"{}\">",
        data_address(size, pixels)?
    ))
}

/// The address that holds an image of this height and width, grey or coloured, as PNG.
pub(crate) fn data_address([height, width]: [usize; 2], pixels: &[u8]) -> Result<String> {
    let is_grey = pixels.len() == height * width;
    let colour = if is_grey { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut png = Cursor::new(Vec::new());
    PngEncoder::new(&mut png).write_image(pixels, width as u32, height as u32, colour).map_err(
        |error| Error::Impossible {
            request: "show an image",
            reason: error.to_string(),
            hint: "use --json for the numbers alone",
        },
    )?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png.into_inner())))
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
    use super::*;

    fn sample(channels: usize) -> SampleGates {
        SampleGates {
            size: [2, 3],
            pixels: (0..6 * channels as u8).collect(),
            label: 1,
            predicted: 1,
            condition: String::new(),
            gates: vec![vec![0.25, 0.75]],
        }
    }

    #[test]
    fn an_image_comes_back_from_its_address() {
        for channels in [1, 3] {
            let sample = sample(channels);
            let html = picture(&sample, "one").unwrap();
            assert!(html.contains("alt=\"An image of class one\""), "{html}");
            let (_, data) = html.split_once("base64,").unwrap();
            let (data, _) = data.split_once('"').unwrap();
            let image = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
            assert_eq!((image.width(), image.height()), (3, 2));
            assert_eq!(image.into_bytes(), sample.pixels);
        }
    }

    #[test]
    fn wrong_predictions_are_marked() {
        let mut samples = [sample(1)];
        let names = ["a".to_owned(), "b".to_owned()];
        let shown = |samples: &[SampleGates], sources: &[String]| {
            let inside = Inside {
                sources,
                gates: &[],
                samples,
                alignment: &[],
                classes: &names,
                images: "test",
                whose: "",
            };
            super::samples(&inside).unwrap().unwrap().body
        };
        let body = shown(&samples, &names);
        assert!(!body.contains("class=\"wrong\"") && body.contains("Class b"), "{body}");
        samples[0].predicted = 0;
        let body = shown(&samples, &names);
        assert!(body.contains("<li class=\"wrong\">") && body.contains("Class b, taken for a"));
        // Where one gate serves all, the image stands alone.
        assert!(!shown(&samples, &[]).contains("class=\"strip"));
    }
}
