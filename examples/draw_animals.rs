//! Draws pictures with exact points, on which the sources of `demo landmarks` are trained;
//! `data/recipe/mouse_sources.sh` calls it.
//!
//!     cargo run --release --example draw_animals -- FRAMES KIND OUT [COUNT]
//!
//! FRAMES is `data/mouse/mouse.zip`, unpacked; OUT takes pictures of 96x98 pixels and `CollectedData.csv`,
//! in DeepLabCut's layout.
//!
//! | kind | pictures | points |
//! |---|---|---|
//! | `bottom` | imitate the rig: a mouse from below, in poses like those of the setting frames | 9 |
//! | `side` | imitate the rig: the same from the side, above a wheel | 8 |
//! | `animals` | animals of any pose and size, bright on dark, blurred | 8 |
//! | `textured` | the same before stripes and spots | 8 |
//! | `faces` | ovals with eyes, nose and mouth | 7 |
//!
//! What `bottom` and `side` know of the rig comes from the setting frames alone, which no
//! table measures anything on.

use std::error::Error;
use std::f32::consts::{PI, TAU};
use std::path::Path;
use zoo_tuning::demo::landmarks::is_for_settings;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Point = [f32; 2];

const WIDTH: usize = 96;
const HEIGHT: usize = 98;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (frames, kind, out, count) = match &arguments[..] {
        [frames, kind, out] => (frames, kind, out, 2400),
        [frames, kind, out, count] => (frames, kind, out, count.parse()?),
        _ => return Err("usage: draw_animals FRAMES KIND OUT [COUNT]".into()),
    };
    let poses = Poses::read(Path::new(frames))?;
    let out = Path::new(out);
    std::fs::create_dir_all(out.join("frames"))?;
    let mut rng = fastrand::Rng::with_seed(kind.bytes().map(u64::from).sum());
    let mut rows = Vec::new();
    let mut names = Vec::new();
    for at in 0..count {
        let mut picture = Picture::dark(&mut rng);
        let marks = match &**kind {
            "bottom" => bottom(&mut picture, &poses, &mut rng),
            "side" => side(&mut picture, &poses, &mut rng),
            "animals" => animal(&mut picture, &mut rng, false),
            "textured" => animal(&mut picture, &mut rng, true),
            "faces" => face(&mut picture, &mut rng),
            _ => return Err(format!("{kind}: bottom, side, animals, textured, or faces").into()),
        };
        let name = format!("frames/{at:04}.png");
        picture.finished(&mut rng).save(out.join(&name))?;
        let cells = marks.iter().map(|(_, point)| match point {
            Some([x, y]) => format!("{x:.3},{y:.3}"),
            None => ",".to_owned(),
        });
        rows.push(format!("{name},{}", cells.collect::<Vec<_>>().join(",")));
        names = marks.into_iter().map(|(name, _)| name).collect();
    }
    let head = |first: &str, of: &dyn Fn(&String) -> [String; 2]| {
        let cells: Vec<String> = names.iter().flat_map(of).collect();
        format!("{first},{}", cells.join(","))
    };
    let mut lines = vec![
        head("scorer", &|_| [(); 2].map(|()| "drawn".to_owned())),
        head("bodyparts", &|name| [name.clone(), name.clone()]),
        head("coords", &|_| ["x", "y"].map(str::to_owned)),
    ];
    lines.extend(rows);
    std::fs::write(out.join("CollectedData.csv"), lines.join("\n") + "\n")?;
    println!("{}: {count} pictures, {} points", out.display(), names.len());
    Ok(())
}

/// The poses of the setting frames.
struct Poses {
    names: Vec<String>,
    mean: Vec<Point>,
    /// Of each frame, how far each of its points is from the mean; 0 where it cannot be seen.
    apart: Vec<Vec<Point>>,
    /// The share of frames in which each point can be seen.
    seen: Vec<f32>,
}

impl Poses {
    fn read(frames: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(frames.join("CollectedData.csv"))?;
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = lines.nth(1).ok_or("no names of points")?;
        let names: Vec<String> = names[1..].iter().step_by(2).map(|&n| n.to_owned()).collect();
        let poses: Vec<Vec<Option<Point>>> = lines
            .skip(1)
            .filter(|line| is_for_settings(line[0]))
            .map(|line| line[1..].chunks(2).map(point).collect())
            .collect();
        let mut found =
            Self { names, mean: vec![], apart: vec![vec![]; poses.len()], seen: vec![] };
        for at in 0..found.names.len() {
            let seen: Vec<Point> = poses.iter().filter_map(|pose| pose[at]).collect();
            let count = seen.len().max(1) as f32;
            let mean = [0, 1].map(|axis| seen.iter().map(|p| p[axis]).sum::<f32>() / count);
            for (pose, apart) in poses.iter().zip(&mut found.apart) {
                apart.push(pose[at].map_or([0.0; 2], |p| [p[0] - mean[0], p[1] - mean[1]]));
            }
            found.mean.push(mean);
            found.seen.push(seen.len() as f32 / poses.len() as f32);
        }
        Ok(found)
    }

    /// A pose like those, with all points: combined of all frames at random, and a bit beside.
    fn drawn(&self, rng: &mut fastrand::Rng) -> Vec<Point> {
        let spread = 1.2 / (self.apart.len() as f32).sqrt();
        let shares: Vec<f32> = self.apart.iter().map(|_| spread * normal(rng)).collect();
        let place = |(at, mean): (usize, &Point)| {
            let of_axis = |axis: usize| {
                let combined = self.apart.iter().zip(&shares).map(|(pose, s)| s * pose[at][axis]);
                mean[axis] + combined.sum::<f32>() + 1.5 * normal(rng)
            };
            [0, 1].map(of_axis)
        };
        self.mean.iter().enumerate().map(place).collect()
    }

    /// The marks of the points whose names end so; one that is out of sight, or that chance says cannot
    /// be seen, has none.
    fn marks(&self, ending: &str, pose: &[Point], hidden: impl Fn(&str) -> bool) -> Vec<Mark> {
        let of_view = self.names.iter().zip(pose).filter(|(name, _)| name.ends_with(ending));
        of_view
            .map(|(name, &[x, y])| {
                let is_inside =
                    (0.0..WIDTH as f32).contains(&x) && (0.0..HEIGHT as f32).contains(&y);
                (name.clone(), (is_inside && !hidden(name)).then_some([x, y]))
            })
            .collect()
    }

    fn at(&self, pose: &[Point], name: &str) -> Point {
        self.names.iter().position(|known| known == name).map_or([0.0; 2], |at| pose[at])
    }
}

/// A point's name, and where it is, if it can be seen.
type Mark = (String, Option<Point>);

fn point(cells: &[&str]) -> Option<Point> {
    let [x, y] = cells else { return None };
    Some([x.parse().ok()?, y.parse().ok()?])
}

/// A mouse from below on a band of fine stripes; a bar in every second picture.
fn bottom(picture: &mut Picture, poses: &Poses, rng: &mut fastrand::Rng) -> Vec<Mark> {
    let pose = poses.drawn(rng);
    let at = |name: &str| poses.at(&pose, &format!("{name}_bot"));
    let (period, phase) = (4.0 + 2.0 * rng.f32(), 6.0 * rng.f32());
    for y in 40..HEIGHT {
        for x in 0..WIDTH {
            let stripe = (TAU * (x as f32 + phase) / period).sin();
            picture.pixels[y * WIDTH + x] += 0.03 + 0.012 * stripe;
        }
    }
    let (tail, nose) = (at("tailBase"), at("nose"));
    let fur = 0.12 + 0.12 * rng.f32();
    let waist = between(tail, nose, 0.35);
    picture.stroke(tail, waist, 5.0, 11.0, fur);
    picture.stroke(waist, between(tail, nose, 0.7), 11.0, 8.0, fur);
    picture.stroke(between(tail, nose, 0.7), nose, 8.0, 2.0, 1.2 * fur);
    let light = 0.35 + 0.3 * rng.f32();
    let middle = at("tailMid");
    picture.stroke(tail, middle, 2.0, 1.6, light);
    picture.stroke(middle, beyond(tail, middle, 2.0, rng), 1.6, 1.0, light);
    for (paw, along) in [("paw1LH", 0.25), ("paw2LF", 0.65), ("paw3RF", 0.65), ("paw4RH", 0.25)] {
        limb(picture, between(tail, nose, along), at(paw), rng);
    }
    let has_bar = rng.bool();
    let [high, mut low] = [at("obsHigh"), at("obsLow")];
    low[0] = high[0] + 0.3 * normal(rng);
    if has_bar {
        let light = 0.25 + 0.2 * rng.f32();
        picture.stroke([high[0], 41.0], low, 1.2, 1.2, light);
    }
    let mut marks = poses.marks("_bot", &pose, |name| name.starts_with("obs") && !has_bar);
    let lower = marks.iter_mut().find(|(name, _)| name == "obsLow_bot");
    // The bar is upright.
    if let Some((_, Some(mark))) = lower {
        *mark = low;
    }
    marks
}

/// A mouse from the side above the rim of a wheel; a bright end of a bar in every second picture.
fn side(picture: &mut Picture, poses: &Poses, rng: &mut fastrand::Rng) -> Vec<Mark> {
    let pose = poses.drawn(rng);
    let at = |name: &str| poses.at(&pose, &format!("{name}_top"));
    let rim = 0.3 + 0.2 * rng.f32();
    let centre = [50.0 + 4.0 * normal(rng), 98.0 + 4.0 * normal(rng)];
    let radius = centre[1] - 25.0 + rng.f32();
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let distance = (x as f32 - centre[0]).hypot(y as f32 - centre[1]) - radius;
            let light =
                rim * soft(1.2 - distance.abs()) + 0.15 * soft(1.0 - (distance + 4.0).abs() / 3.0);
            let pixel = &mut picture.pixels[y * WIDTH + x];
            *pixel = pixel.max(light);
        }
    }
    picture.pixels[40 * WIDTH..].fill(0.03);
    let (tail, nose) = (at("tailBase"), at("nose"));
    let fur = 0.12 + 0.12 * rng.f32();
    let [back, chest] = [0.3, 0.7].map(|share| between(tail, nose, share));
    picture.stroke(tail, [back[0], back[1] + 1.0], 4.0, 9.0, fur);
    picture.stroke([back[0], back[1] + 1.0], [chest[0], chest[1] + 2.0], 9.0, 9.0, fur);
    picture.stroke([chest[0], chest[1] + 2.0], nose, 8.0, 2.0, 1.2 * fur);
    let light = 0.35 + 0.3 * rng.f32();
    let middle = at("tailMid");
    picture.stroke(tail, middle, 2.0, 1.6, light);
    picture.stroke(middle, beyond(tail, middle, 2.0, rng), 1.6, 1.0, light);
    for (paw, along) in [("paw1LH", 0.3), ("paw4RH", 0.3), ("paw2LF", 0.65), ("paw3RF", 0.65)] {
        let root = between(tail, nose, along);
        limb(picture, [root[0], root[1] + 7.0], at(paw), rng);
    }
    let has_bar = rng.bool();
    if has_bar {
        let end = at("obs");
        picture.stroke(end, end, 1.8, 1.8, 0.6 + 0.3 * rng.f32());
    }
    let chance = rng.f32();
    poses.marks("_top", &pose, |name| match name {
        "obs_top" => !has_bar,
        _ => {
            let at = poses.names.iter().position(|known| known == name).unwrap_or(0);
            // Rarely seen points are not asked for as often.
            name.starts_with("tail") && chance > poses.seen[at]
        }
    })
}

/// A body with a head, a tail and four legs, anywhere.
fn animal(picture: &mut Picture, rng: &mut fastrand::Rng, textured: bool) -> Vec<Mark> {
    if textured {
        picture.texture(rng);
    }
    let turn = TAU * rng.f32();
    let long = 22.0 + 18.0 * rng.f32();
    let centre = [48.0 + 12.0 * (rng.f32() - 0.5), 49.0 + 12.0 * (rng.f32() - 0.5)];
    let place = |along: f32, across: f32| {
        let (sin, cos) = turn.sin_cos();
        [centre[0] + cos * along - sin * across, centre[1] + sin * along + cos * across]
    };
    let bend = 5.0 * normal(rng);
    let (rump, chest) = (place(-0.5 * long, 0.0), place(0.3 * long, 0.2 * bend));
    let nose = place(0.75 * long, 0.6 * bend);
    let (tail, tip) = (place(-0.8 * long, 0.3 * bend), place(-1.2 * long, 3.0 * normal(rng)));
    let fur = 0.25 + 0.3 * rng.f32();
    let wide = (0.22 + 0.1 * rng.f32()) * long;
    picture.stroke(rump, chest, 0.8 * wide, wide, fur);
    picture.stroke(chest, nose, 0.7 * wide, 2.0, 1.1 * fur);
    picture.stroke(rump, tail, 2.0, 1.6, 1.3 * fur);
    picture.stroke(tail, tip, 1.6, 1.0, 1.3 * fur);
    let mut marks = vec![("nose", nose), ("rump", rump), ("tail", tail), ("tip", tip)];
    let legs = [("leg1", -0.4, -1.0), ("leg2", 0.3, -1.0), ("leg3", 0.3, 1.0), ("leg4", -0.4, 1.0)];
    for (name, along, side) in legs {
        let root = place(along * long, 0.5 * side * wide);
        let reach = (0.9 + 0.7 * rng.f32()) * wide;
        let foot = place(along * long + 4.0 * normal(rng), side * (0.5 * wide + reach));
        limb(picture, root, foot, rng);
        marks.push((name, foot));
    }
    let inside = |[x, y]: Point| {
        ((0.0..WIDTH as f32).contains(&x) && (0.0..HEIGHT as f32).contains(&y)).then_some([x, y])
    };
    marks.into_iter().map(|(name, point)| (name.to_owned(), inside(point))).collect()
}

/// An oval with two eyes, a nose and a mouth.
fn face(picture: &mut Picture, rng: &mut fastrand::Rng) -> Vec<Mark> {
    let turn = 0.3 * normal(rng);
    let size = 20.0 + 14.0 * rng.f32();
    let centre = [48.0 + 14.0 * (rng.f32() - 0.5), 49.0 + 14.0 * (rng.f32() - 0.5)];
    let place = |x: f32, y: f32| {
        let (sin, cos) = turn.sin_cos();
        [centre[0] + size * (cos * x - sin * y), centre[1] + size * (sin * x + cos * y)]
    };
    let skin = 0.35 + 0.35 * rng.f32();
    picture.stroke(place(0.0, -0.3), place(0.0, 0.35), 0.9 * size, 0.75 * size, skin);
    let (apart, high) = (0.35 + 0.08 * rng.f32(), -0.25 + 0.08 * normal(rng));
    let eyes = [place(-apart, high), place(apart, high)];
    let nose = place(0.05 * normal(rng), 0.15 + 0.05 * normal(rng));
    let (wide, low) = (0.2 + 0.12 * rng.f32(), 0.5 + 0.06 * normal(rng));
    let mouth = [place(-wide, low), place(wide, low)];
    let chin = place(0.0, 0.95);
    for eye in eyes {
        picture.dab(eye, eye, 0.1 * size, 0.05);
    }
    picture.dab(place(0.0, -0.05), nose, 1.2, 0.7 * skin);
    picture.dab(mouth[0], mouth[1], 1.5, 0.3 * skin);
    let brow = place(0.0, -0.75);
    [
        ("left_eye", eyes[0]),
        ("right_eye", eyes[1]),
        ("nose", nose),
        ("mouth_left", mouth[0]),
        ("mouth_right", mouth[1]),
        ("chin", chin),
        ("brow", brow),
    ]
    .map(|(name, point)| (name.to_owned(), Some(point)))
    .into()
}

/// A dim leg and a bright foot.
fn limb(picture: &mut Picture, root: Point, foot: Point, rng: &mut fastrand::Rng) {
    let light = 0.45 + 0.4 * rng.f32();
    picture.stroke(root, foot, 2.5, 1.5, 0.5 * light);
    let toes = [foot[0] + 2.5 * rng.f32(), foot[1] + 1.2 * normal(rng)];
    picture.stroke(foot, toes, 1.8, 1.4, light);
}

fn between(a: Point, b: Point, share: f32) -> Point {
    [0, 1].map(|axis| a[axis] + share * (b[axis] - a[axis]))
}

/// On from `a` over `b`, roughly.
fn beyond(a: Point, b: Point, share: f32, rng: &mut fastrand::Rng) -> Point {
    between(a, b, share).map(|place| place + 2.0 * normal(rng))
}

/// From 0 to 1 where `x` goes from 0 to 1.
fn soft(x: f32) -> f32 {
    x.clamp(0.0, 1.0)
}

/// The sum of twelve even numbers, about normal.
fn normal(rng: &mut fastrand::Rng) -> f32 {
    (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0
}

/// Grey values, 0 to 1.
struct Picture {
    pixels: Vec<f32>,
}

impl Picture {
    fn dark(rng: &mut fastrand::Rng) -> Self {
        let ground = 0.02 + 0.06 * rng.f32();
        Self { pixels: vec![ground; WIDTH * HEIGHT] }
    }

    /// Stripes of any direction, and spots.
    fn texture(&mut self, rng: &mut fastrand::Rng) {
        let (angle, period) = (PI * rng.f32(), 5.0 + 15.0 * rng.f32());
        let ([sin, cos], strength) = ([angle.sin(), angle.cos()], 0.05 + 0.15 * rng.f32());
        for (at, pixel) in self.pixels.iter_mut().enumerate() {
            let (x, y) = ((at % WIDTH) as f32, (at / WIDTH) as f32);
            *pixel += strength * (1.0 + (TAU * (cos * x + sin * y) / period).sin());
        }
        for _ in 0..rng.usize(4..12) {
            let spot = [WIDTH as f32 * rng.f32(), HEIGHT as f32 * rng.f32()];
            let (wide, light) = (1.0 + 5.0 * rng.f32(), 0.1 + 0.5 * rng.f32());
            self.dab(spot, spot, wide, light);
        }
    }

    /// Light along a line, whose half width goes from one to another; what is lighter stays.
    fn stroke(&mut self, a: Point, b: Point, from: f32, to: f32, light: f32) {
        self.each_near(a, b, from, to, |pixel, cover| *pixel = pixel.max(cover * light));
    }

    /// The same, over whatever is there.
    fn dab(&mut self, a: Point, b: Point, wide: f32, light: f32) {
        self.each_near(a, b, wide, wide, |pixel, cover| *pixel += cover * (light - *pixel));
    }

    fn each_near(&mut self, a: Point, b: Point, from: f32, to: f32, f: impl Fn(&mut f32, f32)) {
        let line = [b[0] - a[0], b[1] - a[1]];
        let square = (line[0] * line[0] + line[1] * line[1]).max(1e-6);
        for (at, pixel) in self.pixels.iter_mut().enumerate() {
            let here = [(at % WIDTH) as f32 - a[0], (at / WIDTH) as f32 - a[1]];
            let along = ((here[0] * line[0] + here[1] * line[1]) / square).clamp(0.0, 1.0);
            let apart = (here[0] - along * line[0]).hypot(here[1] - along * line[1]);
            let cover = soft(0.5 + from + along * (to - from) - apart);
            if cover > 0.0 {
                f(pixel, cover);
            }
        }
    }

    /// Blurred a bit, with noise, as 8 bits.
    fn finished(&self, rng: &mut fastrand::Rng) -> image::GrayImage {
        let blurs = rng.usize(0..3);
        let mut pixels = self.pixels.clone();
        for _ in 0..blurs {
            pixels = blurred(&pixels);
        }
        let (gain, noise) = (0.7 + 0.6 * rng.f32(), 0.01 + 0.02 * rng.f32());
        image::GrayImage::from_fn(WIDTH as u32, HEIGHT as u32, |x, y| {
            let value = gain * pixels[y as usize * WIDTH + x as usize] + noise * normal(rng);
            image::Luma([(255.0 * value.clamp(0.0, 1.0)) as u8])
        })
    }
}

/// Each pixel the mean of 3x3.
fn blurred(pixels: &[f32]) -> Vec<f32> {
    let mean = |at: usize| {
        let (x, y) = ((at % WIDTH) as isize, (at / WIDTH) as isize);
        let around = (-1..2).flat_map(|down| (-1..2).map(move |right| (down, right)));
        let values = around.map(|(down, right)| {
            let row = (y + down).clamp(0, HEIGHT as isize - 1) as usize;
            let column = (x + right).clamp(0, WIDTH as isize - 1) as usize;
            pixels[row * WIDTH + column]
        });
        values.sum::<f32>() / 9.0
    };
    (0..pixels.len()).map(mean).collect()
}
