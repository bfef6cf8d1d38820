//! What files beside a checkpoint say of its images, as model hubs lay them there: `config.json` of timm
//! and `preprocessor_config.json` of transformers.
//!
//! Both resize by cubic curves where they say so; here it is linear.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The metadata's keys and texts, as [`Input::from_metadata`](super::Input::from_metadata) reads them.
type Said = BTreeMap<String, String>;

/// What a file beside that at `path` says of its images, and which file that is; nothing if there is none,
/// or none of these programs'.
pub(super) fn beside(path: &Path) -> Option<(PathBuf, Said)> {
    const LARGEST: u64 = 1 << 20;
    ["config.json", "preprocessor_config.json"].into_iter().find_map(|name| {
        let file = path.with_file_name(name);
        let is_small = file.metadata().is_ok_and(|of| of.is_file() && of.len() <= LARGEST);
        let text = is_small.then(|| std::fs::read(&file).ok()).flatten()?;
        let config = serde_json::from_slice(&text).ok()?;
        let said = if name == "config.json" { timm(&config) } else { transformers(&config) };
        (!said.is_empty()).then_some((file, said))
    })
}

/// The images of a checkpoint of timm: its `pretrained_cfg`, which in older files is all of it. The
/// shorter side becomes `input_size / crop_pct`.
fn timm(config: &Value) -> Said {
    let config = config.get("pretrained_cfg").unwrap_or(config);
    let mut said = normalisation(&config["mean"], &config["std"]);
    if let Some(size) = config["input_size"].get(1).and_then(Value::as_u64) {
        let share = config["crop_pct"].as_f64().unwrap_or(0.875);
        let mode = if config["crop_mode"] == "squash" { "squash" } else { "short-side" };
        said.extend(sizes(size, size as f64 / share, mode));
    }
    said
}

/// The images of a checkpoint of transformers, as its image processors show them: a square cut out of
/// the middle (`crop_size`, or `crop_pct` of what ConvNeXt's resizes to below 384 pixels), or all of it,
/// squashed.
fn transformers(config: &Value) -> Said {
    let mut said = match config["do_normalize"].as_bool() {
        Some(false) => normalisation(&0.into(), &1.into()),
        _ => normalisation(&config["image_mean"], &config["image_std"]),
    };
    if config["do_rescale"] == false && !said.is_empty() {
        said.insert("input_range".to_owned(), "255".to_owned());
    }
    let side = |of: &Value| of.as_u64().or_else(|| of["height"].as_u64());
    let (size, crop) = (&config["size"], side(&config["crop_size"]));
    let (short, both) = (size["shortest_edge"].as_u64(), side(size));
    let crops = crop.filter(|_| config["do_center_crop"] != false);
    match (short.or(both), crops, config["crop_pct"].as_f64()) {
        (Some(resize), Some(crop), _) => {
            let mode = if size["height"].is_null() { "short-side" } else { "squash" };
            said.extend(sizes(crop, resize as f64, mode));
        }
        (Some(size @ ..384), None, Some(share)) => {
            said.extend(sizes(size, size as f64 / share, "short-side"));
        }
        (Some(size), None, _) => said.extend(sizes(size, size as f64, "squash")),
        (None, ..) => {}
    }
    said
}

/// Means and standard deviations, each a number or a list of them; nothing, if they are neither.
fn normalisation(mean: &Value, std: &Value) -> Said {
    let list = |value: &Value| -> Option<String> {
        let each = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let numbers = each.iter().map(|value| value.as_f64().map(|number| number.to_string()));
        Some(numbers.collect::<Option<Vec<_>>>()?.join(","))
    };
    let given = [("input_mean", list(mean)), ("input_std", list(std))];
    given.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?))).collect()
}

fn sizes(size: u64, resize: f64, mode: &str) -> [(String, String); 3] {
    [
        ("input_size", size.to_string()),
        ("input_resize", resize.floor().to_string()),
        ("input_resize_mode", mode.to_owned()),
    ]
    .map(|(key, text)| (key.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;
    use crate::train::Input;
    use serde_json::json;

    /// What an RGB network is shown, as the file says.
    fn input(name: &str, content: &Value) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content.to_string()).unwrap();
        let (file, said) = beside(&folder.path().join("model.safetensors"))?;
        assert!(file.ends_with(name));
        let design = Design::named("resnet18", 3, 10).unwrap();
        Some(Input::from_metadata("a", &said, &design).unwrap().to_string())
    }

    /// As `save_config_for_hf` of timm 1.0.31 writes it, and as timm did before.
    #[test]
    fn timms_configuration_says_sizes_and_normalisation() {
        let images = json!({
            "tag": "a1_in1k", "input_size": [3, 224, 224], "test_input_size": [3, 288, 288],
            "interpolation": "bicubic", "crop_pct": 0.95, "test_crop_pct": 1.0,
            "crop_mode": "center", "mean": [0.5, 0.25, 0.75], "std": [0.5, 0.5, 0.25],
        });
        let said = "224x224 of 235 pixels (short-side), mean 0.5 0.25 0.75, std 0.5 0.5 0.25";
        let new = json!({"architecture": "resnet18", "num_classes": 10, "pretrained_cfg": images});
        assert_eq!(input("config.json", &new).as_deref(), Some(said));
        assert_eq!(input("config.json", &images).as_deref(), Some(said));
        // That of transformers is of something else.
        let other = json!({"architectures": ["ResNetForImageClassification"], "num_channels": 3});
        assert_eq!(input("config.json", &other), None);
        assert_eq!(input("config.json", &json!([1])), None);
    }

    /// As transformers 5.24 writes them for ConvNeXt (and ResNet), CLIP and ViT, and 4 of ConvNeXt.
    #[test]
    fn transformers_processors_say_sizes_and_normalisation() {
        let of = |sizes: Value| {
            let mut all = json!({"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.25, 0.25, 0.25], "resample": 3, "rescale_factor": 0.003921568});
            all.as_object_mut().unwrap().extend(sizes.as_object().unwrap().clone());
            input("preprocessor_config.json", &all).unwrap()
        };
        let shown = |sizes: &str| format!("{sizes}, mean 0.5 0.5 0.5, std 0.25 0.25 0.25");
        let (short, whole) =
            ("224x224 of 256 pixels (short-side)", "224x224 of 224 pixels (squash)");
        for size in [json!({"shortest_edge": 224}), json!(224)] {
            assert_eq!(of(json!({"crop_pct": 0.875, "size": size})), shown(short));
        }
        let clip = json!({"crop_size": {"height": 224, "width": 224}, "do_center_crop": true,
            "size": {"shortest_edge": 256}});
        assert_eq!(of(clip), shown(short));
        assert_eq!(of(json!({"size": {"height": 224, "width": 224}})), shown(whole));
        let large = json!({"crop_pct": 0.875, "size": {"shortest_edge": 384}});
        assert_eq!(of(large), shown("384x384 of 384 pixels (squash)"));
        let bytes = of(json!({"do_rescale": false, "image_mean": [51, 51, 51], "image_std": 51}));
        assert!(bytes.ends_with("mean 0.2 0.2 0.2, std 0.2 0.2 0.2"), "{bytes}");
        let none = of(json!({"do_normalize": false}));
        assert!(none.ends_with("mean 0 0 0, std 1 1 1"), "{none}");
    }

    #[test]
    fn a_file_that_is_none_of_theirs_says_nothing() {
        for content in ["", "{", "[]", "{\"mean\": \"x\", \"input_size\": 3}", "\u{0}"] {
            let folder = tempfile::tempdir().unwrap();
            for name in ["config.json", "preprocessor_config.json"] {
                std::fs::write(folder.path().join(name), content).unwrap();
            }
            assert_eq!(beside(&folder.path().join("model.bin")), None, "{content}");
        }
    }
}
