//! `predict` of networks for landmarks.

use super::files::{files_for, png};
use crate::Error;
use crate::cli::output::{Output, Result, Stop, check_free, failure, message, printable};
use crate::dataset::landmarks::{FoundPoints, Region, boxes, coco, deeplabcut, draw, pts};
use crate::dataset::{Channels, Reading, read_image};
use crate::export::write_atomically;
use crate::train::Model;
use crate::train::choice::ViewsName;
use crate::train::task::landmarks::Scheme;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is asked of networks for landmarks.
#[derive(Args)]
#[command(next_help_heading = "Of networks for landmarks (docs/landmarks.md)")]
pub struct PointOptions {
    /// Look into this box of each picture: its left upper corner, width and height in pixels
    /// [default: all of the picture]
    #[arg(long = "box", value_name = "X,Y,W,H", value_parser = corner, allow_hyphen_values = true,
        conflicts_with = "boxes")]
    region: Option<Region>,
    /// Look into the boxes that a CSV with the columns image, x, y, width, height has for each picture
    #[arg(long, value_name = "FILE")]
    boxes: Option<PathBuf>,
    /// Look at each picture once, or also mirrored [default: one]
    #[arg(long, value_name = "VIEWS",
        value_parser = PossibleValuesParser::new(["one", "flip"]).try_map(|n| ViewsName::named(&n)))]
    views: Option<ViewsName>,
    /// Write each picture with its points into this folder, as PNG
    #[arg(long, value_name = "FOLDER")]
    draw: Option<PathBuf>,
    /// Write a .pts for each picture into this folder
    #[arg(long, value_name = "FOLDER")]
    pts: Option<PathBuf>,
    /// Write all points as JSON of COCO's keypoints
    #[arg(long, value_name = "FILE")]
    coco: Option<PathBuf>,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
}

/// For each picture, the file that it is drawn into, and the file of its points.
struct Targets {
    draw: BTreeMap<String, PathBuf>,
    pts: BTreeMap<String, PathBuf>,
}

fn corner(text: &str) -> std::result::Result<Region, String> {
    let values: Option<Vec<f64>> =
        text.split(',').map(|v| v.trim().parse().ok().filter(|v: &f64| v.abs() <= 1e6)).collect();
    match values.as_deref() {
        Some(&[x, y, w, h]) if w >= 1.0 && h >= 1.0 => Ok(Region::from_corner([x, y, w, h])),
        _ => Err(format!("expected a box such as 10,20,200,200, found {text:?}")),
    }
}

impl PointOptions {
    /// An error if one of them is given, of a network for classes.
    pub fn refuse(&self) -> crate::Result<()> {
        let Self { region, boxes, views, draw, pts, coco, force } = self;
        let given = [
            ("--box", region.is_some()),
            ("--boxes", boxes.is_some()),
            ("--views", views.is_some()),
            ("--draw", draw.is_some()),
            ("--pts", pts.is_some()),
            ("--coco", coco.is_some()),
            ("--force", *force),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(Error::config(*flag, "is for networks for landmarks")),
            None => Ok(()),
        }
    }

    /// Each picture as often as it has boxes.
    fn regions(&self, files: Vec<PathBuf>) -> crate::Result<Vec<(PathBuf, Option<Region>)>> {
        let Some(path) = &self.boxes else {
            return Ok(files.into_iter().map(|file| (file, self.region)).collect());
        };
        let known = boxes(path)?;
        let of = |file: PathBuf| {
            let bare = file.file_name().map(|name| name.to_string_lossy().into_owned());
            let names = [Some(file.to_string_lossy().into_owned()), bare];
            let found = names.into_iter().flatten().find_map(|name| known.get(&name));
            let found = found.ok_or_else(|| {
                Error::data(path, "", format!("expected a box of {}, found none", file.display()))
            })?;
            Ok(found.iter().map(|region| (file.clone(), Some(*region))).collect::<Vec<_>>())
        };
        Ok(files.into_iter().map(of).collect::<crate::Result<Vec<_>>>()?.concat())
    }

    /// What is to be written for these pictures, before any of them is looked at; nothing is yet.
    ///
    /// # Errors
    /// If a file is there that would be replaced, or stands where a folder should be.
    fn targets(&self, pictures: &[PathBuf]) -> crate::Result<Targets> {
        let of = |folder: &Option<PathBuf>, ending| match folder {
            Some(folder) if folder.exists() && !folder.is_dir() => {
                let problem = "expected a folder, or none yet, found a file";
                Err(Error::data(folder, "", problem))
            }
            Some(folder) => Ok(files_for(pictures, folder, ending)),
            None => Ok(BTreeMap::new()),
        };
        let targets = Targets { draw: of(&self.draw, "png")?, pts: of(&self.pts, "pts")? };
        if !self.force {
            let files = targets.draw.values().chain(targets.pts.values()).chain(&self.coco);
            files.into_iter().try_for_each(|file| check_free("predict", file))?;
        }
        Ok(targets)
    }

    /// Makes the folders that files are written into.
    fn make_folders(&self) -> crate::Result<()> {
        let folders = self.draw.iter().chain(&self.pts);
        let mut made = folders.map(|folder| {
            std::fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))
        });
        made.try_for_each(|made| made)
    }
}

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    image: &'a str,
    #[serde(rename = "box", skip_serializing_if = "Option::is_none")]
    region: Option<[f64; 4]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<LinePoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct LinePoint<'a> {
    name: &'a str,
    x: f64,
    y: f64,
    likelihood: f64,
}

/// Finds points in `files`, prints them, and writes what was asked for.
pub fn find(
    model: &Model,
    scheme: &Scheme,
    files: Vec<PathBuf>,
    options: &PointOptions,
    is_csv: bool,
    batch: usize,
    output: &mut Output,
) -> Result {
    let targets = options.targets(&files)?;
    // Nothing is made before all of the boxes were read; what cannot be made is told before hours of work.
    let pictures = options.regions(files)?;
    options.make_folders()?;
    let views = options.views.unwrap_or(ViewsName::One).views(model.input.size);
    let (mut found, mut failed) = (Vec::new(), false);
    for part in pictures.chunks(batch.max(1)) {
        for ((path, _), one) in part.iter().zip(model.find_points(scheme, part, views)?) {
            let image = path.display().to_string();
            match one {
                Ok(one) => {
                    if !is_csv {
                        show(&one, scheme, output)?;
                    }
                    found.push(one);
                }
                Err(error) => {
                    failed = true;
                    if output.json {
                        let (region, points) = (None, vec![]);
                        let error = Some(error.to_string());
                        output.object(&Line { image: &image, region, points, error })?;
                    }
                    output.finish()?;
                    failure(error);
                }
            }
        }
        output.finish()?;
    }
    if is_csv {
        output.line(deeplabcut(&scheme.names, "zoo-tuning", &found)?.trim_end())?;
    }
    write(model, scheme, &found, options, &targets)?;
    if failed { Err(Stop::Failed) } else { Ok(()) }
}

fn show(found: &FoundPoints, scheme: &Scheme, output: &mut Output) -> Result {
    let points = || scheme.names.iter().zip(&found.points);
    if output.json {
        let points = points()
            .map(|(name, &([x, y], likelihood))| LinePoint { name, x, y, likelihood })
            .collect();
        return output.object(&Line {
            image: &found.picture,
            region: Some(found.region.corner()),
            points,
            error: None,
        });
    }
    let texts = points().map(|(name, ([x, y], sure))| {
        format!("{} {x:.1} {y:.1} ({:.0} %)", printable(name), 100.0 * sure)
    });
    output.line(format!("{}: {}", found.picture, texts.collect::<Vec<_>>().join(", ")))
}

/// Writes the files that were asked for.
fn write(
    model: &Model,
    scheme: &Scheme,
    found: &[FoundPoints],
    options: &PointOptions,
    targets: &Targets,
) -> crate::Result<()> {
    let write_text =
        |path: &Path, text: &str| write_atomically(path, |f| f.write_all(text.as_bytes()));
    if let Some(path) = &options.coco {
        write_text(path, &coco(&scheme.names, &scheme.skeleton, found))?;
    }
    let reading = Reading { channels: Channels::Rgb, ..model.input.reading()? };
    // Of a picture with several boxes, all are drawn into one.
    for all in found.chunk_by(|a, b| a.picture == b.picture) {
        let picture = &all[0].picture;
        if let Some(file) = targets.pts.get(picture) {
            if all.len() > 1 {
                message(format!(
                    "{picture}: a .pts has the points of one box; this is of the first"
                ));
            }
            write_text(file, &pts(&all[0]))?;
        }
        if let Some(file) = targets.draw.get(picture) {
            let nothing_drawn = &mut fastrand::Rng::with_seed(0);
            let mut image = read_image(picture, reading, &[], nothing_drawn)?;
            // A picture that would take too much memory is read at half its size.
            let factor = image.shape()[2] as f64 / all[0].sides[1].max(1) as f64;
            for one in all {
                let scaled = |v: f64| (v + 0.5) * factor - 0.5;
                let points: Vec<_> =
                    one.points.iter().map(|(point, _)| Some(point.map(scaled))).collect();
                draw(&mut image, &points, &scheme.skeleton, None);
            }
            let bytes = png(&image)?;
            write_atomically(file, |file| file.write_all(&bytes))?;
        }
    }
    Ok(())
}
