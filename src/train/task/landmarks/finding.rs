//! What a network finds in crops, in pixels of their pictures, and how far that is from what is marked.

use super::codec::unscaled;
use super::loss::is_inside;
use super::metrics::{LandmarkEvaluation, LandmarkMeasures, ShownPicture, distance};
use super::settings::Scheme;
use crate::dataset::landmarks::{Crops, Placement, Point, draw};
use crate::dataset::{Batch, Dataset, Image, Loader, Transform, Views};
use crate::nn::Network;
use crate::tensor::Tensor;
use crate::train::Input;
use crate::train::evaluation::{finite_logits, for_each_batch};
use crate::train::observe::picture;
use crate::{Error, Result};
use rayon::prelude::*;

/// A point that was found, and the value of its heat map there.
pub type Found = (Point, f64);

/// The points that networks find together in a batch of crops, in pixels of the crops, `[N][K]`: by the
/// mean of their heat maps, and of those of several views of each crop.
///
/// # Errors
/// If there is no network, one has other outputs than a heat map for each point, or they are not finite.
pub fn found_in_crops(
    networks: &[&Network<f32>],
    images: &Tensor<f32>,
    indices: &[usize],
    scheme: &Scheme,
    views: Views,
) -> Result<Vec<Vec<Found>>> {
    let maps = networks.iter().map(|network| finite_logits(network, images, indices));
    let maps = maps.collect::<Result<Vec<_>>>()?;
    let equal = vec![1.0 / maps.len().max(1) as f64; maps.len()];
    let maps = match &maps[..] {
        [one] => one.clone(),
        several => Tensor::weighted_sum(&several.iter().collect::<Vec<_>>(), &equal)?,
    };
    let (points, size) = (scheme.names.len(), images.shape()[images.shape().len() - 1]);
    let [_, count, height, width] = maps.dims("landmarks", "output", "[N, K, H, W], heat maps")?;
    if count != points {
        let expected = format!("[N, {points}, H, W], a heat map for each point");
        return Err(Error::shape("landmarks", "output", expected, maps.shape()));
    }
    let area = height * width;
    let sample = |maps: &[f32]| -> Vec<Found> {
        let of_point = |k: usize| {
            let own = &maps[k * area..][..area];
            let (at, value) = match views {
                Views::Flip => {
                    let partner = scheme.partners[k];
                    let other = &maps[(points + partner) * area..][..area];
                    let mirrored = other.chunks(width).flat_map(|row| row.iter().rev());
                    let mean: Vec<f32> =
                        own.iter().zip(mirrored).map(|(a, b)| (a + b) / 2.0).collect();
                    scheme.codec.find(&mean, [height, width])
                }
                _ => scheme.codec.find(own, [height, width]),
            };
            (unscaled(at, size, [height, width]), value.clamp(0.0, 1.0))
        };
        (0..points).map(of_point).collect()
    };
    let of_sample = (points * area * views.count()).max(1);
    Ok(maps.as_slice().par_chunks(of_sample).map(sample).collect())
}

/// What was found in one sample.
pub struct FoundIn<'a> {
    /// The sample.
    pub index: usize,
    /// In pixels of the picture.
    pub points: &'a [Found],
    /// Their distances from what is marked, in pixels; `None` where nothing is.
    pub errors: &'a [Option<f64>],
    /// What these are divided by.
    pub normalizer: Option<f64>,
}

/// Measures networks together on crops; see [`found_in_crops`]. `each` is given every sample in its order.
///
/// # Errors
/// If a picture cannot be read, an output is not finite, or nothing can be measured; those of `each`.
pub fn evaluate_landmarks(
    networks: &[&Network<f32>],
    crops: &Crops,
    loader: &Loader,
    scheme: &Scheme,
    input: &Input,
    mut each: impl FnMut(&FoundIn) -> Result<()>,
) -> Result<LandmarkEvaluation> {
    /// Pictures that a page shows.
    const SHOWN: usize = 12;
    let mut measures = LandmarkMeasures::new(scheme.names.len());
    let mut pictures = Vec::new();
    let (all, views) = (loader.samples(), loader.views());
    let mut seen = 0;
    for_each_batch(loader, |batch| {
        let found = found_in_crops(networks, &batch.images, &batch.indices, scheme, views)?;
        for (place, (found, &index)) in found.iter().zip(&batch.indices).enumerate() {
            let placement = still(crops, index)?;
            let back = placement.map.inverse();
            let points: Vec<Found> =
                found.iter().map(|&(point, sure)| (back.apply(point), sure)).collect();
            let truth = &crops.annotations().pictures[index].points;
            let error =
                |(found, truth): (&Found, &Option<Point>)| Some(distance(found.0, (*truth)?));
            let errors: Vec<Option<f64>> = points.iter().zip(truth).map(error).collect();
            let normalizer = scheme.normalizer.of(truth, crops.region(index)?);
            measures.outside += count_outside(crops, placement, truth);
            let of_picture = measures.add(&errors, normalizer);
            // Evenly spread, however many there are.
            if seen * SHOWN / all != (seen + 1) * SHOWN / all || all <= SHOWN {
                let truth = placement.points(truth, &scheme.partners);
                let mut shown =
                    shown(batch, place, views, [found_points(found), truth], scheme, input)?;
                (shown.name, shown.error) = (crops.name(index), of_picture);
                pictures.push(shown);
            }
            seen += 1;
            each(&FoundIn { index, points: &points, errors: &errors, normalizer })?;
        }
        Ok(())
    })?;
    let text = scheme.normalizer.text(&scheme.names);
    Ok(LandmarkEvaluation { pictures, ..measures.evaluation(&scheme.names, text)? })
}

/// Where a picture is in a crop that nothing is drawn for.
pub fn still(crops: &Crops, index: usize) -> Result<Placement> {
    crops.placement(index, &mut fastrand::Rng::with_seed(0))
}

/// How many of a picture's marked points are outside of its crop, where no network can find them.
fn count_outside(crops: &Crops, placement: Placement, truth: &[Option<Point>]) -> usize {
    let is_outside = |point: &&Point| !is_inside(placement.map.apply(**point), crops.size());
    truth.iter().flatten().filter(is_outside).count()
}

/// What to say of marked points that are outside of the crops of these samples, if there are any. Pictures
/// that cannot be read are left to those who read them.
pub(super) fn outside_note(crops: &Crops, samples: &[usize]) -> Option<String> {
    let count = |&index: &usize| -> Option<[usize; 2]> {
        let points = &crops.annotations().pictures.get(index)?.points;
        let outside = count_outside(crops, still(crops, index).ok()?, points);
        Some([outside, points.iter().flatten().count()])
    };
    let counts: Vec<[usize; 2]> = samples.par_iter().filter_map(count).collect();
    let [outside, all] = [0, 1].map(|at| counts.iter().map(|count| count[at]).sum::<usize>());
    (outside > 0).then(|| {
        format!(
            "{outside} of {all} marked points to train on are outside of what the network sees, and do not \
             count; a larger task.box_factor takes in more around a box"
        )
    })
}

fn found_points(found: &[Found]) -> Vec<Option<Point>> {
    found.iter().map(|(point, _)| Some(*point)).collect()
}

/// A sample of a batch for a page: what is marked in green, what was found in orange.
fn shown(
    batch: &Batch,
    place: usize,
    views: Views,
    [found, truth]: [Vec<Option<Point>>; 2],
    scheme: &Scheme,
    input: &Input,
) -> Result<ShownPicture> {
    const MARKED: [f32; 3] = [0.2, 0.9, 0.4];
    const PREDICTED: [f32; 3] = [1.0, 0.5, 0.0];
    let [_, c, h, w] = batch.images.dims("landmarks", "images", "[N, C, H, W]")?;
    let of_one = c * h * w;
    let values = &batch.images.as_slice()[place * views.count() * of_one..][..of_one];
    let (size, pixels) = picture([c, h, w], values, input)?;
    let [height, width] = size;
    let value = |channel: usize, at: usize| f32::from(pixels[at * c + channel.min(c - 1)]) / 255.0;
    let planes = (0..3).flat_map(|channel| (0..height * width).map(move |at| (channel, at)));
    let values = planes.map(|(channel, at)| value(channel, at)).collect();
    let mut image = Image::new([3, height, width], values)?;
    let smaller = |points: Vec<Option<Point>>| -> Vec<Option<Point>> {
        let scale = |v: f64| (v + 0.5) * width as f64 / w as f64 - 0.5;
        points.into_iter().map(|point| point.map(|point| point.map(scale))).collect()
    };
    draw(&mut image, &smaller(truth), &[], Some(MARKED));
    draw(&mut image, &smaller(found), &scheme.skeleton, Some(PREDICTED));
    Ok(ShownPicture { name: String::new(), error: None, size, pixels: image.rgb_bytes() })
}

/// What shows crops to a network, as they are.
///
/// # Errors
/// If there are none of the samples, `batch` is 0, or `views` are corners.
pub fn loader(
    crops: &Crops,
    input: &Input,
    indices: Option<&[usize]>,
    batch: usize,
    views: Views,
) -> Result<Loader<'static>> {
    if let Views::Ten(_) = views {
        let problem = "landmarks are looked for once in each picture, or mirrored too: one, flip";
        return Err(Error::config("views", problem));
    }
    let all: Vec<usize> = (0..crops.len()).collect();
    let loader = Loader::shared(std::sync::Arc::new(crops.clone()), batch, 0)?;
    let loader = loader.subset(indices.unwrap_or(&all))?.transformed(vec![input.normalise()]);
    Ok(loader.in_order().in_views(views))
}

/// What training crops go through behind their map.
pub fn lit(input: &Input, brightness: f64, contrast: f64) -> Vec<Transform> {
    let light = Transform::RandomLight { brightness, contrast };
    let is_lit = brightness > 0.0 || contrast > 0.0;
    is_lit.then_some(light).into_iter().chain([input.normalise()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::landmarks::{Annotations, Region};
    use crate::kernel::Window;
    use crate::nn::{Architecture, Builder, Design, Layers};
    use crate::train::task::LandmarksConfig;

    /// A heat map of an image that follows from each pixel alone, and so is mirrored with it.
    struct Pointwise;

    impl Architecture for Pointwise {
        fn name(&self) -> &str {
            "pointwise"
        }

        fn layers(&self, b: &mut Builder) -> Result<Layers> {
            let shape = [b.outputs(), b.channels(), 1, 1];
            let head = b.conv_with_bias("fc", shape, Window::default())?;
            Ok(Box::new(move |o, x| o.conv(&head, x)))
        }
    }

    /// leoxiaobin #22, microsoft #69, DarkPose #23: looking at the mirrored picture too changes nothing
    /// of a network that is mirrored with it, so that no shift by a pixel is called for.
    #[test]
    fn a_mirror_changes_nothing_of_a_network_that_is_mirrored_with_it() {
        let network = Network::drawn(&Design::new(Pointwise, 1, 2), 3).unwrap();
        let names = ["a", "b"].map(String::from);
        let scheme = LandmarksConfig::default().scheme(&names).unwrap();
        let images = Tensor::normal(&[3, 1, 8, 12], 1.0, &mut fastrand::Rng::with_seed(5));
        let image =
            |n: usize| Image::new([1, 8, 12], images.as_slice()[n * 96..][..96].to_vec()).unwrap();
        let both: Vec<Image> = (0..3).flat_map(|n| [image(n), image(n).flipped()]).collect();
        let both = Image::stack(&both).unwrap();
        let of = |images: &Tensor<f32>, views| {
            found_in_crops(&[&network], images, &[0, 1, 2], &scheme, views).unwrap()
        };
        assert_eq!(of(&images, Views::One), of(&both, Views::Flip));
        // With a pair, the map of the other point is taken from the mirror.
        let paired = Scheme { partners: vec![1, 0], ..scheme.clone() };
        let found = found_in_crops(&[&network], &both, &[0, 1, 2], &paired, Views::Flip).unwrap();
        assert_ne!(found, of(&both, Views::Flip));
        assert_eq!(found[0][0], found[0][1], "the mean of both maps");
    }

    /// Heat maps by a kernel of 3x3.
    struct Around;

    impl Architecture for Around {
        fn name(&self) -> &str {
            "around"
        }

        fn layers(&self, b: &mut Builder) -> Result<Layers> {
            let shape = [b.outputs(), b.channels(), 3, 3];
            let head = b.conv_with_bias("fc", shape, Window::square(1, 1))?;
            Ok(Box::new(move |o, x| o.conv(&head, x)))
        }
    }

    /// leoxiaobin #49, albumentations #1500: column x becomes `w - 1 - x`. With `w - x`, what a symmetric
    /// kernel makes of the mirrored picture would be off by a column.
    #[test]
    fn of_a_symmetric_kernel_a_mirrored_picture_has_the_mirrored_maps() {
        let mut network = Network::drawn(&Design::new(Around, 1, 2), 3).unwrap();
        let kernel = network.parameters().find("fc.weight").unwrap();
        let values = network.parameters_mut().value_mut(kernel).as_mut_slice();
        values.chunks_mut(3).for_each(|row| row[2] = row[0]);
        let images = Tensor::normal(&[2, 1, 8, 11], 1.0, &mut fastrand::Rng::with_seed(6));
        let pictures = |of: &Tensor<f32>, count: usize| -> Vec<Image> {
            let [_, c, h, w] = of.dims("test", "images", "[N, C, H, W]").unwrap();
            let all = of.as_slice().chunks(c * h * w).take(count);
            all.map(|values| Image::new([c, h, w], values.to_vec()).unwrap()).collect()
        };
        let flipped = |of: &Tensor<f32>| -> Vec<Image> {
            pictures(of, 2).iter().map(Image::flipped).collect()
        };
        let mirrored = Image::stack(&flipped(&images)).unwrap();
        let [maps, of_mirrored] =
            [&images, &mirrored].map(|images| finite_logits(&network, images, &[0, 1]).unwrap());
        let expected = Image::stack(&flipped(&maps)).unwrap();
        let pairs = of_mirrored.as_slice().iter().zip(expected.as_slice());
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5), "f(flip x) = flip f(x)");
        assert!(pairs.count() == 2 * 2 * 8 * 11);
        // So that the mirrored view changes nothing, to the pixel.
        let names = ["a", "b"].map(String::from);
        let scheme = LandmarksConfig::default().scheme(&names).unwrap();
        let both: Vec<Image> =
            pictures(&images, 2).into_iter().flat_map(|x| [x.clone(), x.flipped()]).collect();
        let both = Image::stack(&both).unwrap();
        let of = |images: &Tensor<f32>, views| {
            found_in_crops(&[&network], images, &[0, 1], &scheme, views).unwrap()
        };
        let (one, two) = (of(&images, Views::One), of(&both, Views::Flip));
        for ((one, _), (two, _)) in one.iter().flatten().zip(two.iter().flatten()) {
            assert!(distance(*one, *two) < 1e-2, "{one:?} {two:?}");
        }
        // Of a kernel that is not, it does.
        let values = network.parameters_mut().value_mut(kernel).as_mut_slice();
        values.chunks_mut(3).for_each(|row| row[2] = 2.0 - row[0]);
        let maps = finite_logits(&network, &images, &[0, 1]).unwrap();
        let of_mirrored = finite_logits(&network, &mirrored, &[0, 1]).unwrap();
        assert_ne!(of_mirrored.as_slice(), Image::stack(&flipped(&maps)).unwrap().as_slice());
    }

    /// HRNet's `generate_target` has zeros for points outside of the crop: here they are counted.
    #[test]
    fn points_outside_of_the_crop_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.png");
        image::GrayImage::new(40, 40).save(&file).unwrap();
        let names = ["a", "b"].map(String::from);
        let scheme = LandmarksConfig::default().scheme(&names).unwrap();
        let region = Some(Region::from_corner([10.0, 10.0, 16.0, 16.0]));
        let mut marked = Annotations::unmarked(&names, vec![(file.clone(), region), (file, None)]);
        // The crop of the box is 20 pixels wide, from 8 on.
        marked.pictures[0].points = vec![Some([9.0, 9.0]), Some([30.0, 9.0])];
        marked.pictures[1].points = vec![Some([39.0, 0.0]), None];
        let network = Network::drawn(&Design::new(Around, 1, 2), 3).unwrap();
        let input = Input { size: 16, ..Input::usual(network.design()) };
        let crops = scheme.crops(marked, &input).unwrap();
        let said = outside_note(&crops, &[0, 1]).unwrap();
        assert!(said.starts_with("1 of 3 marked points to train on are outside"), "{said}");
        assert_eq!(outside_note(&crops, &[1]), None);
        let loader = loader(&crops, &input, None, 2, Views::One).unwrap();
        let networks = [&network];
        let found = evaluate_landmarks(&networks, &crops, &loader, &scheme, &input, |_| Ok(()));
        assert_eq!(found.unwrap().outside, 1);
    }
}
