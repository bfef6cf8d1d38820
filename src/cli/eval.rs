//! `eval`: how good networks are on labelled images, and how far points are that they find.

use super::data::{CheckOptions, InputOptions, NetworkNames, RouteOptions, open_model};
use super::device::DeviceOption;
use super::landmarks;
use super::output::{Output, Result, check_free, printable};
use super::profile::Profiling;
use crate::Error;
use crate::dataset::Views;
use crate::train::choice::ViewsName;
use crate::train::{ClassEvaluation, Confusion, Evaluation, Model, PredictionFile, evaluate};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use std::path::PathBuf;

/// Measure networks on labelled images: accuracy, precision, recall, F1, calibration, and which
/// classes are taken for which; or, of networks for landmarks, how far points are from where they are
/// marked.
#[derive(Args)]
#[command(after_help = "\
Data is a folder with a folder of pictures for each class (PNG, JPEG, WebP, BMP, GIF, TIFF, PNM;
folders in these are walked), or with such folders train, val and test, of which test is taken, else
val; a .csv or .tsv of files and classes; CIFAR in binary; the digits of UCI as .csv or .csv.gz; a folder of MNIST, either the IDX files (the t10k pair if it is there) or 0.json to
9.json; or one IDX file of images with its labels beside it.

For landmarks, data are annotated pictures, as of train (docs/landmarks.md); points are matched by name.
Measured are NME, the share of pictures above 8 and 10 % (FR), the area under their curve (AUC), and the
share of points within 5 and 10 % (PCK). With --predictions, a row is a point; --views flip looks at each
picture mirrored, too.

Precision, recall and F1 are scikit-learn's, their means over all classes (\"macro\"). The calibration
error is the expected one over 15 bins (Guo et al., 2017). With --json, a network's measures are one
line.

Examples:
  zoo-tuning eval data/zoo/as_is.safetensors --data data/digits/digits.csv.gz
  zoo-tuning eval resnet50.safetensors --as resnet50 --data photos/ --views ten
  zoo-tuning eval data/zoo/*.safetensors --data data/digits/digits.csv.gz --predictions out.csv
  zoo-tuning eval faces/model.safetensors --data wflw/face_landmarks_wflw_test.csv --views flip")]
pub struct Arguments {
    /// The networks' files: model.safetensors of runs, or another program's
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    names: NetworkNames,
    #[command(flatten)]
    input: InputOptions,
    #[command(flatten)]
    routes: RouteOptions,
    /// Labelled images, or annotated ones
    #[arg(long, value_name = "PATH")]
    pub(super) data: PathBuf,
    #[command(flatten)]
    pub(super) check: CheckOptions,
    /// Look at each image once, also mirrored, or at ten crops of it (corners and middle, and
    /// mirrored), and take the mean of the outputs
    #[arg(long, value_name = "VIEWS", default_value = "one", value_parser = views())]
    pub(super) views: ViewsName,
    /// Write a row for each image, or for each point, as .csv or as .jsonl
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// Replace the file of predictions if it exists
    #[arg(long, requires = "predictions")]
    force: bool,
    /// Images computed at once; fewer if they are large
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(super) batch: u32,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    pub profiling: Profiling,
}

fn views() -> impl TypedValueParser<Value = ViewsName> {
    PossibleValuesParser::new(ViewsName::NAMES).try_map(|name| ViewsName::named(&name))
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a, E> {
    /// The network's file, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(flatten)]
    evaluation: &'a E,
}

pub fn run(arguments: Arguments, output: &mut Output) -> Result {
    let device = arguments.device.open()?;
    let mut file = None;
    if let Some(path) = &arguments.predictions {
        if !arguments.force {
            check_free("--predictions", path)?;
        }
        file = Some(PredictionFile::new(path)?);
    }
    let several = arguments.models.len() > 1;
    let (mut found, mut points) = (Vec::new(), Vec::new());
    for path in &arguments.models {
        let model = open_model(path, &arguments.names, &arguments.input)?;
        let mut model = arguments.routes.over(model)?;
        model.network.parameters_mut().to(&device)?;
        let name = several.then(|| path.display().to_string());
        if let Some(scheme) = model.landmarks()? {
            let evaluation = landmarks::measured(&model, &scheme, &arguments, file.as_mut())?;
            if output.json {
                output.object(&Line { model: name, evaluation: &evaluation })?;
            }
            points.push(evaluation);
        } else {
            let evaluation = measured(model, &arguments, file.as_mut())?;
            if output.json {
                output.object(&Line { model: name, evaluation: &evaluation })?;
            }
            found.push(evaluation);
        }
        if !found.is_empty() && !points.is_empty() {
            let problem = "some are for landmarks, others for classes; measure them one by one";
            return Err(Error::config("MODEL", problem).into());
        }
    }
    file.map_or(Ok(()), PredictionFile::write)?;
    match (&found[..], &points[..]) {
        _ if output.json => Ok(()),
        ([], points) => landmarks::show(&arguments.models, points, output),
        ([one], _) => show(one, output),
        (several, _) => side_by_side(&arguments.models, several, output),
    }
}

fn measured(
    mut model: Model,
    arguments: &Arguments,
    mut file: Option<&mut PredictionFile>,
) -> crate::Result<Evaluation> {
    let (data, numbers) = arguments.check.labelled(&arguments.data, &mut model)?;
    let views: Views = arguments.views.views(model.input.size);
    let batch = model.input.batch(arguments.batch as usize) / views.count();
    let loader = data.in_views(views, None, batch.max(1))?;
    evaluate(&model.network, &loader, &numbers, &model.classes, |told| match &mut file {
        Some(file) => file.add(&model, &loader.name(told.index), told),
        None => Ok(()),
    })
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// The measures of a network as a whole.
fn totals(evaluation: &Evaluation) -> Vec<(&'static str, String)> {
    let Evaluation {
        accuracy, top5_accuracy, loss, precision, recall, f1, calibration_error, ..
    } = evaluation;
    let mut totals = vec![("accuracy", percent(*accuracy))];
    totals.extend(top5_accuracy.map(|share| ("top 5", percent(share))));
    totals.push(("loss", format!("{loss:.4}")));
    for (name, share) in [("precision", precision), ("recall", recall), ("F1", f1)] {
        totals.push((name, percent(*share)));
    }
    totals.push(("calibration error", percent(*calibration_error)));
    totals
}

fn show(evaluation: &Evaluation, output: &mut Output) -> Result {
    let totals = totals(evaluation);
    let texts: Vec<_> = totals.iter().map(|(name, value)| format!("{name} {value}")).collect();
    output.line(format!("{} images: {}", evaluation.samples, texts.join(", ")))?;
    let heads = ["class", "images", "precision", "recall", "F1"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(evaluation.classes.iter().map(|class| {
        let ClassEvaluation { name, samples, recall, precision, f1 } = class;
        let share = |share: &Option<f64>| share.map_or("-".to_owned(), percent);
        vec![printable(name), samples.to_string(), share(precision), share(recall), share(f1)]
    }));
    output.table(&rows)?;
    confusions(evaluation, output)
}

/// The matrix of a few classes, the most frequent mistakes of many.
fn confusions(evaluation: &Evaluation, output: &mut Output) -> Result {
    const LARGEST_MATRIX: usize = 12;
    const MISTAKES: usize = 10;
    let Evaluation { classes, confusion, .. } = evaluation;
    if classes.len() <= LARGEST_MATRIX {
        output.line("\nEach row a class, each column what it was taken for:")?;
        let mut rows = vec![vec![String::new()]];
        rows[0].extend(classes.iter().map(|class| printable(&class.name)));
        for class in classes {
            let mut row = vec![printable(&class.name)];
            row.extend(classes.iter().map(|other| {
                let is = |c: &&Confusion| (&c.label, &c.predicted) == (&class.name, &other.name);
                confusion.iter().find(is).map_or(0, |entry| entry.samples).to_string()
            }));
            rows.push(row);
        }
        return output.table(&rows);
    }
    let mut mistakes: Vec<_> = confusion.iter().filter(|c| c.label != c.predicted).collect();
    if mistakes.is_empty() {
        return Ok(());
    }
    mistakes.sort_by_key(|mistake| std::cmp::Reverse(mistake.samples));
    output.line("\nThe most frequent mistakes (--json has all):")?;
    let mut rows = vec![["class", "taken for", "images"].map(str::to_owned).to_vec()];
    rows.extend(mistakes.iter().take(MISTAKES).map(|mistake| {
        let Confusion { label, predicted, samples } = mistake;
        vec![printable(label), printable(predicted), samples.to_string()]
    }));
    output.table(&rows)
}

fn side_by_side(models: &[PathBuf], found: &[Evaluation], output: &mut Output) -> Result {
    output.line(format!("{} images", found[0].samples))?;
    // Networks of more than five classes and of fewer have not the same measures.
    let has_all = |evaluation: &&Evaluation| evaluation.top5_accuracy.is_some();
    let heads = totals(found.iter().find(has_all).unwrap_or(&found[0]));
    let mut rows = vec![vec!["model".to_owned()]];
    rows[0].extend(heads.iter().map(|(name, _)| (*name).to_owned()));
    for (path, evaluation) in models.iter().zip(found) {
        let totals = totals(evaluation);
        let value = |head: &str| totals.iter().find(|(name, _)| *name == head);
        let mut row = vec![printable(&path.display().to_string())];
        row.extend(
            heads
                .iter()
                .map(|(head, _)| value(head).map_or("-".to_owned(), |(_, value)| value.clone())),
        );
        rows.push(row);
    }
    output.table(&rows)
}
