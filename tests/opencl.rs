//! The same engine on a device: gradients, steps of training, what goes to and fro, and what is
//! said where a device is not what it should be.

use zoo_tuning::gradcheck::{Draw, max_relative_error_on};
use zoo_tuning::kernel::check::{CHECKS, difference};
use zoo_tuning::kernel::opencl::tilings;
use zoo_tuning::nn::{Aligned, Design, Form, Mixing, Network, Parameters, Pass, Role, Values};
use zoo_tuning::optim::{Groups, Optimizer, Rule};
use zoo_tuning::tensor::opencl::{OpenCl, ProductSizes, Tiling, Transfers, discover};
use zoo_tuning::tensor::{Device, Tensor};
use zoo_tuning::zoo::Checkpoint;
use zoo_tuning::{Result, ops};

/// Every device there is; the tests need one.
fn devices() -> Vec<Device> {
    let found = discover().unwrap();
    assert!(!found.is_empty(), "a driver is needed, such as pocl-opencl-icd");
    (0..found.len()).map(|index| Device::opencl(index).unwrap()).collect()
}

#[test]
fn values_go_there_and_come_back() {
    for device in devices() {
        let values: Vec<f32> = (0..15u8).map(f32::from).collect();
        let x = Tensor::new(&[3, 5], values).unwrap();
        let there = x.to(&device).unwrap();
        assert_eq!(there.device(), device);
        assert_eq!(there.as_slice(), x.as_slice());
        let mut changed = there.clone();
        changed.as_mut_slice()[0] = 7.0;
        assert_eq!((changed.device(), there.as_slice()[0]), (Device::Cpu, 0.0));
        assert_eq!(there.zeros_like().unwrap().as_slice(), [0.0; 15]);
        let empty = Tensor::<f32>::zeros(&[0, 3]).to(&device).unwrap();
        assert!(empty.to(&Device::Cpu).unwrap().is_empty());
    }
}

#[test]
fn every_name_computes_what_the_processor_does() {
    for device in devices() {
        for &(name, compute) in CHECKS {
            let found = difference(&device, compute).unwrap();
            assert!(found < 1e-4, "{name}: {found} on {device}");
        }
    }
}

#[test]
fn every_gradient_is_that_of_finite_differences() {
    for device in devices() {
        if Tensor::<f64>::scalar(0.0).to(&device).is_err() {
            continue; // Not every device computes in f64.
        }
        for (name, case) in ops::GRADIENT_CASES {
            for seed in 0..12 {
                let case = case(&mut Draw::seeded(seed));
                let error = max_relative_error_on(&device, &case).unwrap();
                assert!(error < 1e-6, "{name}: {error} for {:?} on {device}", case.shapes());
            }
        }
    }
}

/// A small network of three sources in training, with everything that one may have: alignment, and
/// layers that mix kernels and layers that mix outputs.
struct Training {
    network: Network<f32>,
    optimizer: Optimizer<f32>,
    rate: f64,
    images: Tensor<f32>,
    device: Device,
}

const LABELS: [usize; 8] = [3, 1, 4, 1, 5, 9, 2, 6];

impl Training {
    fn new(form: Form, rule: Rule, device: &Device) -> Result<Self> {
        let design = Design::named("resnet_small", 1, 10)?;
        let mut network = Network::new(&design.in_form(form, 3), Values::drawn(1))?;
        network.parameters_mut().to(device)?;
        let images = Tensor::normal(&[8, 1, 16, 16], 1.0, &mut fastrand::Rng::with_seed(2));
        let optimizer = Optimizer::new(rule, Groups::uniform(5e-4));
        // Adam's first steps are as long as the rate, however small a gradient and its rounding.
        let rate = if rule == Rule::SGD { 1e-2 } else { 1e-3 };
        Ok(Self { network, optimizer, rate, images, device: device.clone() })
    }

    /// A step; gives the loss.
    fn step(&mut self) -> Result<f32> {
        let mut pass = Pass::train(self.network.parameters()).draw(7);
        let x = pass.input(self.images.to(&self.device)?);
        let logits = self.network.forward(&mut pass, x)?;
        let loss = ops::cross_entropy(pass.tape(), logits, &LABELS, 0.1)?;
        let value = pass.value(loss)?.item()?;
        let mut step = pass.backward(loss)?;
        self.network.share_gradients(&mut step)?;
        self.optimizer.step(self.network.parameters_mut(), step, self.rate)?;
        Ok(value)
    }

    fn losses(form: Form, rule: Rule, device: &Device) -> Vec<f32> {
        let mut training = Self::new(form, rule, device).unwrap();
        (0..20).map(|_| training.step().unwrap()).collect()
    }
}

fn forms() -> [Form; 4] {
    let mixing = Mixing { aligned: Aligned::everywhere(), ..Mixing::default() };
    [Form::Plain, Form::Zoo(mixing.clone()), Form::Lite(mixing), Form::Routed]
}

#[test]
fn twenty_steps_have_the_losses_of_the_processor() {
    // Where a gradient is nothing but rounding, as in much of a zoo, these make whole steps of it.
    let plain = [Rule::ADAM, Rule::ADAM_W, Rule::RMS_PROP].map(|rule| (Form::Plain, rule));
    for device in devices() {
        for (form, rule) in forms().map(|form| (form, Rule::SGD)).into_iter().chain(plain.clone()) {
            let expected = Training::losses(form.clone(), rule, &Device::Cpu);
            let found = Training::losses(form.clone(), rule, &device);
            assert!(expected.last() < expected.first(), "it learns: {expected:?}");
            for (step, (e, f)) in expected.iter().zip(&found).enumerate() {
                let off = (e - f).abs() / e.abs();
                assert!(off < 1e-4, "{} {rule:?}, step {step}: {e} {f}", form.name());
            }
        }
    }
}

/// Of networks that answer with maps: resized, side by side, added up.
#[test]
fn heat_maps_have_the_losses_of_the_processor() {
    let losses = |name: &str, form: Form, device: &Device| -> Result<Vec<f32>> {
        let design = Design::named(name, 1, 2)?;
        let mut network = Network::new(&design.in_form(form, 3), Values::drawn(1))?;
        network.parameters_mut().to(device)?;
        let mut rng = fastrand::Rng::with_seed(2);
        let images = Tensor::normal(&[4, 1, 40, 40], 1.0, &mut rng).to(device)?;
        let targets = Tensor::normal(&[4, 2, 10, 10], 1.0, &mut rng).to(device)?;
        let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(5e-4));
        let mut losses = Vec::new();
        for _ in 0..3 {
            let mut pass = Pass::train(network.parameters());
            let [x, targets] = [&images, &targets].map(|values| pass.input(values.clone()));
            let maps = network.forward(&mut pass, x)?;
            let loss = ops::mse(pass.tape(), maps, targets)?;
            losses.push(pass.value(loss)?.item()?);
            let step = pass.backward(loss)?;
            optimizer.step(network.parameters_mut(), step, 1e-2)?;
        }
        Ok(losses)
    };
    let lite = Form::Lite(Mixing::default());
    for device in devices() {
        for (name, form) in [
            ("hrnet_small", Form::Plain),
            ("hrnet_small:nearest", Form::Plain),
            ("hrnet_small", lite.clone()),
            ("hrnet_small:nearest", lite.clone()),
            ("landmarks_small", lite.clone()),
        ] {
            let expected = losses(name, form.clone(), &Device::Cpu).unwrap();
            let found = losses(name, form, &device).unwrap();
            for (e, f) in expected.iter().zip(&found) {
                assert!((e - f).abs() < 1e-4 * e.abs(), "{name}: {expected:?} {found:?}");
            }
        }
    }
}

#[test]
fn the_same_run_twice_has_the_same_bits() {
    for device in devices() {
        for form in forms() {
            let bits = || -> Vec<u32> {
                let mut training = Training::new(form.clone(), Rule::SGD, &device).unwrap();
                for _ in 0..3 {
                    training.step().unwrap();
                }
                let parameters = training.network.parameters();
                let values = parameters.ids().flat_map(|id| parameters.value(id).as_slice());
                values.map(|value| value.to_bits()).collect()
            };
            assert_eq!(bits(), bits(), "{}", form.name());
        }
    }
}

#[test]
fn errors_say_what_is_there_and_what_is_not() {
    let count = discover().unwrap().len();
    let error = Device::opencl(count).unwrap_err().to_string();
    assert!(error.contains("there are only opencl:0"), "{error}");
    for device in devices() {
        let x = Tensor::<f32>::zeros(&[2, 3]);
        let mut tape = zoo_tuning::tape::Tape::new();
        let (here, there) = (tape.constant(x.clone()), tape.constant(x.to(&device).unwrap()));
        let error = ops::add(&mut tape, here, there).unwrap_err().to_string();
        assert!(error.starts_with("add: an operand is on cpu"), "{error}");
        let Device::OpenCl(device) = device else { unreachable!("an OpenCL device was opened") };
        let error = device.take::<f32>(1 << 60).map(drop).unwrap_err().to_string();
        assert!(
            error.contains("out of memory: asked for") && error.contains("free are"),
            "{error}"
        );
    }
}

/// What a step does to the counts of a device that nobody else uses meanwhile.
fn transfers(device: &OpenCl, training: &mut Training) -> Transfers {
    let before = device.transfers();
    training.step().unwrap();
    let after = device.transfers();
    Transfers { there: after.there - before.there, back: after.back - before.back }
}

/// In a process of its own, where no other test moves anything.
#[test]
#[ignore = "run by a_step_moves_images_labels_and_the_loss"]
fn alone_a_step_moves_images_labels_and_the_loss() {
    for device in devices() {
        for form in forms() {
            // The host draws the sources by their scores.
            let back = 1 + u64::from(form == Form::Routed);
            let mut training = Training::new(form, Rule::SGD, &device).unwrap();
            let Device::OpenCl(device) = &device else { unreachable!("an OpenCL device") };
            for _ in 0..3 {
                let expected = Transfers { there: 2, back };
                assert_eq!(transfers(device, &mut training), expected);
            }
        }
    }
}

#[test]
fn a_step_moves_images_labels_and_the_loss() {
    in_a_process("alone_a_step_moves_images_labels_and_the_loss", None);
}

/// Also on a device of the other kind, for which the kernels are compiled otherwise.
#[test]
fn both_kinds_of_kernels_compute_the_same() {
    for variant in ["local", "vector"] {
        in_a_process("every_name_computes_what_the_processor_does", Some(variant));
    }
}

/// Whatever tiles a product is split into, and into however many parts.
#[test]
#[ignore = "run by every_tiling_of_a_product_computes_the_same"]
fn alone_every_tiling_of_a_product() {
    for device in devices() {
        let Device::OpenCl(opencl) = &device else { unreachable!("an OpenCL device") };
        for tiling in tilings::<f32>(opencl) {
            // Where sums are too short for parts, there is one.
            let tiling = Tiling { parts: 3, ..tiling };
            opencl.tuning().prefer(Some(tiling));
            for &(name, compute) in
                CHECKS.iter().filter(|(name, _)| ["product", "conv"].contains(name))
            {
                let found = difference(&device, compute).unwrap();
                assert!(found < 1e-4, "{name}: {found} by {tiling:?} on {device}");
            }
        }
        opencl.tuning().prefer(None);
    }
}

#[test]
fn every_tiling_of_a_product_computes_the_same() {
    for variant in ["local", "vector"] {
        in_a_process("alone_every_tiling_of_a_product", Some(variant));
    }
}

/// Measures some products, and keeps what it found for another process; files that make no sense
/// are as none.
#[test]
#[ignore = "run by what_was_measured_is_kept, with a cache of its own"]
fn alone_measure() {
    for device in devices() {
        let Device::OpenCl(opencl) = &device else { unreachable!("an OpenCL device") };
        let (_, products) = CHECKS[0];
        let measured = opencl.tune(|| difference(&device, products).map(drop)).unwrap();
        assert!(measured.len() > 3, "{measured:?}");
        for line in &measured {
            let (best, chosen) = (line.microseconds, line.microseconds_of_model);
            assert!(best > 0.0 && best <= chosen, "{line:?}");
            assert_eq!(opencl.tuning().wanted(&line.product), Some(line.tiling));
        }
        assert!(difference(&device, products).unwrap() < 1e-4);
    }
}

#[test]
#[ignore = "run by what_was_measured_is_kept, with a cache of its own"]
fn alone_know() {
    for device in devices() {
        let Device::OpenCl(opencl) = &device else { unreachable!("an OpenCL device") };
        let product = ProductSizes {
            kernel: "conv_forward".into(),
            bytes: 4,
            rows: 10,
            columns: 100,
            times: 1,
            depth: 50,
        };
        let found = opencl.tuning().wanted(&product).map(|tiling| tiling.parts);
        assert_eq!(found, Some(3));
        // The other line makes no sense.
        let product =
            ProductSizes { kernel: "gemm".into(), rows: 270, columns: 250, depth: 33, ..product };
        assert!(opencl.tuning().wanted(&product).is_some());
        let (_, products) = CHECKS[0];
        assert!(difference(&device, products).unwrap() < 1e-4);
    }
}

#[test]
fn what_was_measured_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let driver = cache_of_pocl();
    let run = |test| {
        let cache = cache.path().to_str().unwrap();
        ran(test, &[("XDG_CACHE_HOME", cache), ("POCL_CACHE_DIR", &driver)])
    };
    assert!(run("alone_measure"), "it is measured");
    let folder = cache.path().join("zoo-tuning");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let tables: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(".tuned.json")).collect();
    assert_eq!(tables.len(), devices().len(), "a table for each device");
    // Every table is made to know one thing that may be, and one that may not.
    for table in &tables {
        let mut file: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(table).unwrap()).unwrap();
        let line = serde_json::json!({
            "kernel": "conv_forward", "bytes": 4, "rows": 16, "columns": 128, "times": 1,
            "depth": 64, "workers": 1, "tile": [256, 240], "steps": 256, "parts": 3,
            "microseconds": 1.0, "microseconds_of_model": 2.0,
        });
        let mut senseless = line.clone();
        for (key, value) in [("rows", 512), ("columns", 256), ("workers", 7), ("parts", 1 << 30)] {
            senseless[key] = value.into();
        }
        (senseless["kernel"], senseless["tile"]) = ("gemm".into(), serde_json::json!([7, 7]));
        file["products"] = serde_json::json!([line, senseless]);
        std::fs::write(table, file.to_string()).unwrap();
    }
    assert!(run("alone_know"), "it is known");
    for text in ["", "{", "{\"products\": 3}"] {
        tables.iter().for_each(|table| std::fs::write(table, text).unwrap());
        assert!(!run("alone_know"), "there is nothing to know");
        assert!(run("values_go_there_and_come_back"), "nor anything that breaks");
    }
}

/// Where PoCL keeps what it compiled, which is for it alone: without it, tests with a cache of their
/// own wait for its compiler.
fn cache_of_pocl() -> String {
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    given("POCL_CACHE_DIR").unwrap_or_else(|| {
        let home = || given("HOME").map(|home| format!("{home}/.cache"));
        let cache = given("XDG_CACHE_HOME").or_else(home);
        format!("{}/pocl/kcache", cache.unwrap_or_else(|| "/tmp".to_owned()))
    })
}

/// Runs one test alone, with kernels of a variant if that is asked for.
fn in_a_process(test: &str, variant: Option<&str>) {
    let variable = variant.map(|variant| ("ZOO_OPENCL_VARIANT", variant));
    assert!(ran(test, variable.as_slice()), "{test}, {variant:?}");
}

/// Whether one test passes alone, with variables of its environment; prints what it says if not.
fn ran(test: &str, variables: &[(&str, &str)]) -> bool {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--include-ignored", "--exact", test]).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test"), "{test} is none: {text}");
    if !output.status.success() {
        println!("{text}");
    }
    output.status.success()
}

/// A file of `values` that lie in it at a multiple of 128 bytes, which every driver takes.
fn aligned_file(folder: &std::path::Path, values: &[f32]) -> std::path::PathBuf {
    let (count, bytes) = (values.len(), size_of_val(values));
    let header =
        format!(r#"{{"x":{{"dtype":"F32","shape":[{count}],"data_offsets":[0,{bytes}]}}}}"#);
    let header = format!("{header:<248}");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    values.iter().for_each(|value| file.extend_from_slice(&value.to_le_bytes()));
    let path = folder.join("aligned.safetensors");
    std::fs::write(&path, file).unwrap();
    path
}

#[test]
fn values_of_a_file_are_used_in_place_where_the_device_shares_the_memory() {
    in_a_process("alone_values_of_a_file_are_used_in_place", None);
}

/// In a process of its own, as transfers are counted.
#[test]
#[ignore = "run by values_of_a_file_are_used_in_place_where_the_device_shares_the_memory"]
fn alone_values_of_a_file_are_used_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..200_000u32).map(|i| (i % 251) as f32).collect();
    let path = aligned_file(folder.path(), &values);
    let written = std::fs::read(&path).unwrap();
    for device in devices() {
        let Device::OpenCl(opencl) = &device else { unreachable!("an OpenCL device") };
        let file = Checkpoint::open(&path).unwrap();
        let x = Tensor::<f32>::mapped(file.get("x").unwrap()).unwrap();
        let before = (opencl.transfers(), opencl.usage().used);
        let there = x.to(&device).unwrap();
        let properties = opencl.properties();
        if !properties.shares_memory || properties.alignment > 128 {
            assert_eq!(opencl.transfers().there, before.0.there + 1);
            continue;
        }
        assert_eq!((opencl.transfers(), opencl.usage().used), before, "nothing moved");
        drop((file, x));
        assert_eq!(is_mapped(&path), cfg!(target_os = "linux"), "the device keeps the file");

        // To read from it is as from any other; it is written to in a copy.
        let mut tape = zoo_tuning::tape::Tape::new();
        let y = tape.constant(there.clone());
        let y = ops::add(&mut tape, y, y).unwrap();
        let doubled: Vec<f32> = values.iter().map(|value| 2.0 * value).collect();
        assert_eq!(tape.value(y).unwrap().as_slice(), doubled);
        drop(tape);
        let mut parameters = Parameters::default();
        let id = parameters.add("x", Role::Backbone, there).unwrap();
        let mut optimizer = Optimizer::new(Rule::SGD, Groups::uniform(0.0));
        for _ in 0..2 {
            let mut pass = Pass::train(&parameters);
            let x = pass.var(id);
            let target = pass.input(Tensor::zeros(&[values.len()]).to(&device).unwrap());
            let loss = ops::mse(pass.tape(), x, target).unwrap();
            let step = pass.backward(loss).unwrap();
            optimizer.step(&mut parameters, step, 1.0).unwrap();
        }
        let moved = parameters.value(id).to(&Device::Cpu).unwrap();
        assert!(moved.as_slice().iter().zip(&values).skip(1).all(|(new, old)| new <= old));
        assert_ne!(moved.as_slice(), values);
        assert_eq!(std::fs::read(&path).unwrap(), written);
        device.finish().unwrap();
        assert!(!is_mapped(&path), "nobody needs the file any more");

        // Dropped while what was enqueued still needs it.
        for _ in 0..20 {
            let file = Checkpoint::open(&path).unwrap();
            let x = Tensor::<f32>::mapped(file.get("x").unwrap()).unwrap();
            let mut tape = zoo_tuning::tape::Tape::new();
            let mut y = tape.constant(x.to(&device).unwrap());
            drop((file, x));
            for _ in 0..4 {
                y = ops::add(&mut tape, y, y).unwrap();
            }
            let sum = tape.value(y).unwrap().clone();
            drop(tape);
            assert!(sum.as_slice().iter().zip(&values).all(|(sum, value)| *sum == 16.0 * value));
        }
        device.finish().unwrap();
        assert!(!is_mapped(&path));
    }
}

/// Whether this process has the file in its memory; where the system does not tell, it has not.
fn is_mapped(path: &std::path::Path) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.contains(path.to_str().unwrap())
}

/// What the program says, where it is tested too.
#[cfg(feature = "cli")]
mod program {
    use std::fs::FileTimes;
    use std::path::Path;
    use std::process::{Command, Output};
    use std::time::{Duration, Instant, SystemTime};

    fn eval() -> Command {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoo-tuning"));
        command.arg("eval").arg(data.join("zoo/as_is.safetensors"));
        command.arg("--data").arg(data.join("digits/digits.csv.gz"));
        command.args(["--device", "opencl:0"]);
        command
    }

    fn error(output: &Output) -> String {
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[test]
    fn without_a_driver_it_says_so_at_once() {
        let nowhere = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        let output = eval().env("OCL_ICD_VENDORS", nowhere.path()).output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        let text = error(&output);
        assert!(text.contains("no OpenCL driver has a device"), "{text}");
    }

    #[test]
    fn a_kernel_that_does_not_compile_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("opencl");
        for entry in std::fs::read_dir(kernels).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let norm = folder.path().join("norm.cl");
        let text = std::fs::read_to_string(&norm).unwrap();
        std::fs::write(&norm, format!("int f(void) {{ return nonsense; }}\n{text}")).unwrap();
        let text = error(&eval().env("ZOO_OPENCL_KERNELS", folder.path()).output().unwrap());
        assert!(text.contains("cannot build norm.cl") && text.contains("norm.cl:1:"), "{text}");
        std::fs::remove_file(&norm).unwrap();
        let text = error(&eval().env("ZOO_OPENCL_KERNELS", folder.path()).output().unwrap());
        assert!(text.contains("norm.cl"), "{text}");
    }

    #[test]
    fn files_of_the_cache_that_nobody_used_for_long_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("zoo-tuning");
        std::fs::create_dir(&folder).unwrap();
        let day = Duration::from_secs(24 * 60 * 60);
        let aged = |name: &str, written: u32, read: u32| {
            let ago = |days| SystemTime::now() - days * day;
            let file = std::fs::File::create(folder.join(name)).unwrap();
            let times = FileTimes::new().set_modified(ago(written)).set_accessed(ago(read));
            file.set_times(times).unwrap();
        };
        aged("0123456789abcdef.opencl", 100, 91);
        aged("0123456789abcdef.7.partial", 100, 100);
        let kept = ["0123456789abcdee.opencl", "0123456789abcded.opencl", "mine.opencl", "notes"];
        aged(kept[0], 100, 89);
        aged(kept[1], 1, 1);
        aged(kept[2], 100, 100);
        aged(kept[3], 100, 100);
        let output = eval()
            .env("XDG_CACHE_HOME", cache.path())
            .env("POCL_CACHE_DIR", super::cache_of_pocl())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(kept.iter().all(|name| folder.join(name).exists()));
        assert!(!folder.join("0123456789abcdef.opencl").exists());
        assert!(!folder.join("0123456789abcdef.7.partial").exists());
    }

    #[test]
    fn a_cache_that_is_damaged_breaks_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let run = || {
            let output = eval()
                .env("XDG_CACHE_HOME", cache.path())
                .env("POCL_CACHE_DIR", super::cache_of_pocl())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let first = run();
        let folder = cache.path().join("zoo-tuning");
        let files = || std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        assert!(files().count() > 3);
        assert_eq!(run(), first, "taken from the disk");
        for (number, path) in files().enumerate() {
            let mut bytes = std::fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            match number % 4 {
                0 => bytes.truncate(last / 2),
                1 => bytes[3] ^= 1,
                2 => bytes[last - 100] ^= 1,
                _ => bytes.clear(),
            }
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(run(), first, "compiled anew");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "no folder").unwrap();
        assert_eq!(run(), first, "there is nowhere to keep it");
    }
}
