//! Landmarks by the commands: train, eval, predict, and what they write.

use crate::program::{bad, good, json, program};
use image::{GrayImage, Luma};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use zoo_tuning::dataset::landmarks::Annotations;
use zoo_tuning::nn::{Design, Network};
use zoo_tuning::train::{Input, Model};

/// Eight pictures of 40x30 pixels with a bright and a dark spot, and their annotations by DeepLabCut.
fn pictures(folder: &Path) {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut text =
        String::from("scorer,a,a,a,a\nbodyparts,light,light,dark,dark\ncoords,x,y,x,y\n");
    for picture in 0..8 {
        let places: [f64; 4] = [(5, 15), (5, 25), (22, 35), (5, 25)]
            .map(|(low, high)| f64::from(rng.i32(low..high)) + 0.25);
        let near = |x: u32, y: u32, at: usize| {
            (-(f64::from(x) - places[at]).hypot(f64::from(y) - places[at + 1]).powi(2) / 8.0).exp()
        };
        let shade = |x, y| Luma([(120.0 + 120.0 * (near(x, y, 0) - near(x, y, 2))) as u8]);
        GrayImage::from_fn(40, 30, shade).save(folder.join(format!("{picture}.png"))).unwrap();
        let [a, b, c, d] = places;
        text += &format!("{picture}.png,{a},{b},{c},{d}\n");
    }
    fs::write(folder.join("CollectedData.csv"), text).unwrap();
}

#[test]
fn points_are_trained_measured_and_predicted() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("data")).unwrap();
    pictures(&path("data"));
    let train = |out: &str, extra: &[&str]| {
        let mut command = program();
        command.args(["train", "--task", "landmarks", "--form", "scratch", "--channels", "1"]);
        command.args(["--architecture", "landmarks_small", "--size", "64", "--batch", "4"]);
        command.args(["--steps", "3", "--validation", "0", "--test", "0.25", "--threads", "2"]);
        command.args(["--optimizer", "adam", "--lr", "1e-3", "--normalizer", "light,dark"]);
        command.args(["--skeleton", "light:dark"]).args(extra);
        command.arg("--data").arg(path("data")).arg("--out").arg(path(out));
        command
    };
    let said = good(&mut train("run", &[]));
    assert!(said.contains("NME ") && said.contains("FR@8 "), "{said}");
    let page = fs::read_to_string(path("run/report.html")).unwrap();
    for text in ["Point by point", "the distance from light to dark", "a task of 2 points"] {
        assert!(page.contains(text), "{text}");
    }

    let (model, rows) = (path("run/model.safetensors"), path("rows.csv"));
    let eval = || {
        let mut command = program();
        command.arg("eval").arg(&model).arg("--data").arg(path("data/CollectedData.csv"));
        command
    };
    let said = good(eval().arg("--predictions").arg(&rows));
    assert!(
        said.contains("8 pictures, errors divided by the distance from light to dark"),
        "{said}"
    );
    let rows = fs::read_to_string(rows).unwrap();
    assert!(rows.starts_with("model,image,point,x,y,likelihood,pixels,error\n"), "{rows}");
    assert_eq!(rows.lines().count(), 1 + 8 * 2);
    let found = json(&good(eval().args(["--json", "--views", "flip"])));
    assert_eq!((&found["samples"], &found["points"][1]["name"]), (&8.into(), &"dark".into()));
    assert!(bad(1, eval().args(["--views", "ten"])).contains("one, flip"));

    let predict = |extra: &[&str]| {
        let mut command = program();
        command.arg("predict").arg(&model).arg(path("data/0.png")).arg(path("data/1.png"));
        command.args(extra);
        command
    };
    let csv = good(&mut predict(&["--csv"]));
    let head = "scorer,zoo-tuning,zoo-tuning,zoo-tuning,zoo-tuning,zoo-tuning,zoo-tuning\n\
                bodyparts,light,light,light,dark,dark,dark\ncoords,x,y,likelihood,";
    assert!(csv.starts_with(head) && csv.lines().count() == 5, "{csv}");
    fs::write(path("found.csv"), csv).unwrap();
    assert_eq!(Annotations::open(path("found.csv")).unwrap().pictures.len(), 2);

    let said = good(&mut predict(&["--box", "2,3,20,20", "--json"]));
    let line = json(said.lines().next().unwrap());
    assert_eq!(
        (line["box"][2].as_f64(), &line["points"][0]["name"]),
        (Some(20.0), &"light".into())
    );
    fs::write(path("boxes.csv"), "image,x,y,width,height\n0.png,0,0,20,20\n0.png,5,5,20,20\n")
        .unwrap();
    let boxes = path("boxes.csv").display().to_string();
    assert!(bad(1, &mut predict(&["--boxes", &boxes])).contains("expected a box of"));

    // Nothing is written before all was read.
    fs::write(path("damaged.csv"), "image,x,y,width,height\n0.png,0,0,2o,20\n").unwrap();
    let damaged = path("damaged.csv").display().to_string();
    let [drawn, pts] = ["drawn", "pts"].map(|name| path(name).display().to_string());
    for boxes in [&boxes, &damaged] {
        let writes = ["--draw", &drawn, "--pts", &pts, "--boxes", boxes];
        let stderr = bad(1, &mut predict(&writes));
        assert!(!path("drawn").exists() && !path("pts").exists(), "{stderr}");
    }
    let stderr = bad(1, &mut predict(&["--draw", &damaged]));
    assert!(stderr.contains("expected a folder, or none yet, found a file"), "{stderr}");
    fs::create_dir(path("broken")).unwrap();
    let text = fs::read_to_string(path("data/CollectedData.csv")).unwrap();
    let damaged = text.replacen(".png,", ".png,x", 1);
    fs::write(path("broken/CollectedData.csv"), damaged).unwrap();
    let mut broken = train("other", &[]);
    let stderr = bad(1, broken.arg("--test-data").arg(path("broken/CollectedData.csv")));
    assert!(stderr.contains("line 4") && !path("other").exists(), "{stderr}");

    let [drawn, pts, coco] = ["drawn", "pts", "points.json"].map(|n| path(n).display().to_string());
    let writes = ["--draw", &drawn, "--pts", &pts, "--coco", &coco];
    good(&mut predict(&writes));
    let drawn = image::open(path("drawn/0.png")).unwrap().into_rgb8();
    assert_eq!((drawn.width(), drawn.height()), (40, 30));
    assert!(drawn.pixels().any(|pixel| pixel.0[0] != pixel.0[2]), "a coloured point");
    assert!(fs::read_to_string(path("pts/1.pts")).unwrap().contains("n_points: 2"));
    assert_eq!(Annotations::open(path("points.json")).unwrap().names, ["light", "dark"]);
    assert!(bad(1, &mut predict(&writes)).contains("--force replaces it"));
    good(predict(&writes).arg("--force"));

    // What a set of faces or a network for classes has no use for.
    let stderr = bad(1, &mut train("other", &["--preset", "wflw"]));
    assert!(stderr.contains("task.flip_pairs") && !path("other").exists(), "{stderr}");
    let stderr = bad(1, &mut train("other", &["--augmentation", "crop"]));
    assert!(stderr.contains("--augmentation: has no effect on landmarks"), "{stderr}");
    let mut command = program();
    command.arg("predict").arg(crate::program::source("as_is")).arg(path("data/0.png"));
    assert!(bad(1, command.args(["--draw", "x"])).contains("is for networks for landmarks"));
}

/// A high-resolution network as a segmenter's file has it: `inspect` says which head it leaves out.
#[test]
fn heads_of_other_tasks_are_told_of_a_high_resolution_network() {
    let folder = TempDir::new().unwrap();
    let [own, of_segmenter] = ["own", "segmenter"].map(|name| folder.path().join(name));
    let [own, of_segmenter] = [own, of_segmenter].map(|file| file.with_extension("safetensors"));
    let design = Design::named("hrnet_small", 3, 5).unwrap();
    let network = Network::drawn(&design, 1).unwrap();
    let model = Model::from_network(network, Input::usual(&design), &[]);
    model.write(&own).unwrap();
    let rules =
        [r"^head\.=decode_head.", "^=state_dict.backbone.", r"backbone\.decode_head=decode_head"];
    let mut convert = program();
    convert.arg("convert").args(rules.iter().flat_map(|rule| ["--rename", rule]));
    good(convert.arg(&own).arg(&of_segmenter));
    let said = good(program().args(["inspect", "--brief"]).arg(&of_segmenter));
    assert!(said.contains("holds a hrnet_small, names behind state_dict.backbone."), "{said}");
    assert!(said.contains("left out: state_dict.decode_head ("), "{said}");
    assert!(said.contains("without the head, such as head."), "{said}");
}
