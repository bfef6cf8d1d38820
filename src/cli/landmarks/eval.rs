//! `eval` of networks for landmarks.

use crate::cli::eval::Arguments;
use crate::cli::output::{Output, Result, message, printable};
use crate::dataset::Dataset;
use crate::dataset::landmarks::Annotations;
use crate::train::task::is_share;
use crate::train::task::landmarks::{
    LandmarkEvaluation, PointEvaluation, Scheme, evaluate_landmarks, loader,
};
use crate::train::{Data, Model, PredictionFile};
use std::path::PathBuf;
use std::sync::Arc;

/// Measures a network on annotated pictures.
pub fn measured(
    model: &Model,
    scheme: &Scheme,
    arguments: &Arguments,
    mut file: Option<&mut PredictionFile>,
) -> crate::Result<LandmarkEvaluation> {
    let Arguments { data: path, check, views, batch, .. } = arguments;
    let annotations = Annotations::open(path)?.with_names(&scheme.names)?;
    let notes = annotations.notes.clone();
    let input = &model.input;
    let crops = scheme.crops(annotations, input)?;
    let data = Data::showing(Arc::new(crops.clone()), input, notes)
        .for_testing(path)
        .checked(check.check.check(), check.skip_unreadable)?;
    data.notes().iter().for_each(message);
    let views = views.views(input.size);
    let batch = (input.batch(*batch as usize) / views.count()).max(1);
    let loader = loader(&crops, input, Some(data.used()), batch, views)?;
    let network = [&model.network];
    let found =
        evaluate_landmarks(&network, &crops, &loader, scheme, input, |found| match &mut file {
            Some(file) => file.add_points(model, &crops.name(found.index), found),
            None => Ok(()),
        })?;
    // They are for pages.
    Ok(LandmarkEvaluation { pictures: vec![], ..found })
}

/// Prints what was found of one network point by point, or of several side by side.
pub fn show(models: &[PathBuf], found: &[LandmarkEvaluation], output: &mut Output) -> Result {
    let Some(first) = found.first() else { return Ok(()) };
    let scores = |of: &LandmarkEvaluation| -> Vec<String> {
        let value = |(name, value): (String, f64)| match is_share(&name) {
            true => percent(value),
            false => format!("{value:.2}"),
        };
        of.scores().values.into_iter().map(value).collect()
    };
    let names: Vec<String> = first.scores().values.into_iter().map(|(name, _)| name).collect();
    let left_out = [
        (first.unmarked, "without a marked point"),
        (first.without_normalizer, "where that length is 0 or not known"),
    ];
    let left_out = left_out.iter().filter(|(count, _)| *count > 0);
    let left_out: String =
        left_out.map(|(count, why)| format!("; left out {count} {why}")).collect();
    let outside = match first.outside {
        // Each of several networks may see another part.
        _ if found.len() > 1 => String::new(),
        0 => String::new(),
        count => format!("; marked points outside of what the network sees: {count}"),
    };
    output.line(format!(
        "{} pictures, errors divided by {}{left_out}{outside}",
        first.samples,
        printable(&first.normalizer)
    ))?;
    if let [one] = found {
        let texts = names.iter().zip(scores(one)).map(|(name, value)| format!("{name} {value}"));
        output.line(texts.collect::<Vec<_>>().join(", "))?;
        let heads = ["point", "pictures", "NME", "pixels", "FR@8", "FR@10", "PCK@5", "PCK@10"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        rows.extend(one.points.iter().map(point));
        return output.table(&rows);
    }
    let mut rows = vec![[&["model".to_owned()][..], &names].concat()];
    for (path, found) in models.iter().zip(found) {
        rows.push([&[printable(&path.display().to_string())][..], &scores(found)].concat());
    }
    output.table(&rows)
}

fn point(point: &PointEvaluation) -> Vec<String> {
    let none = || "-".to_owned();
    let PointEvaluation { name, samples, nme, pixels, pck, failures } = point;
    let pixels = pixels.map_or_else(none, |pixels| format!("{pixels:.2}"));
    let shares = [failures, pck]
        .into_iter()
        .flat_map(|of| [0, 1].map(|k| of.map_or_else(none, |of| percent(of[k]))));
    let nme = nme.map_or_else(none, percent);
    [printable(name), samples.to_string(), nme, pixels].into_iter().chain(shares).collect()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
