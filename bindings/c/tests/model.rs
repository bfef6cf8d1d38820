//! What C sees is what the engine computes, and what it is told of mistakes.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};
use zoo_tuning::tensor::Tensor;
use zoo_tuning::train::{Model, logits};
use zootuning::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/zoo/rotated.safetensors");

fn said() -> String {
    // SAFETY: the text lives until the next failure of this thread.
    unsafe { CStr::from_ptr(zoo_last_error()) }.to_str().unwrap().to_owned()
}

fn open(file: &str) -> (ZooStatus, *mut ZooModel) {
    let (file, mut model) = (CString::new(file).unwrap(), null_mut());
    // SAFETY: both are as asked.
    let status = unsafe { zoo_model_open(file.as_ptr(), null(), &mut model) };
    (status, model)
}

#[test]
fn a_model_computes_what_the_engine_does_with_any_threads() {
    let (status, model) = open(FILE);
    assert_eq!(status, ZooStatus::ZOO_OK, "{}", said());
    let mut rng = 7u32;
    let images = Tensor::<f32>::from_fn(&[5, 1, 16, 16], || {
        rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (rng >> 8) as f32 / 8_388_608.0 - 1.0
    });
    let expected = logits(&Model::open(FILE, None).unwrap().network, &images, 5).unwrap();
    for threads in [0, 1, 2] {
        let (mut found, mut shape) = (vec![0f32; 50], [0usize; 4]);
        let first = images.as_slice().as_ptr();
        // SAFETY: sizes are those of the arrays.
        let status = unsafe {
            zoo_model_run(
                model,
                first,
                5,
                16,
                16,
                threads,
                found.as_mut_ptr(),
                50,
                shape.as_mut_ptr(),
            )
        };
        assert_eq!(status, ZooStatus::ZOO_OK, "{}", said());
        assert_eq!((shape, &found[..]), ([5, 10, 1, 1], expected.as_slice()));
    }
    // SAFETY: it is closed once.
    unsafe { zoo_model_close(model) };
}

#[test]
fn mistakes_have_codes_and_messages() {
    let (status, model) = open("no/such/file");
    assert_eq!((status, model), (ZooStatus::ZOO_IO, null_mut()));
    assert!(said().contains("no/such/file"));
    let (status, _) = open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert_eq!(status, ZooStatus::ZOO_FORMAT);
    let (_, model) = open(FILE);
    let (images, mut output) = ([0f32; 256], [0f32; 10]);
    let run = |model, images, size, threads, output, capacity| {
        let mut shape = [0; 4];
        // SAFETY: no size is larger than the arrays, or it is refused before they are looked at.
        let status = unsafe {
            zoo_model_run(
                model,
                images,
                1,
                size,
                size,
                threads,
                output,
                capacity,
                shape.as_mut_ptr(),
            )
        };
        (status, shape)
    };
    let (first, into) = (images.as_ptr(), output.as_mut_ptr());
    assert_eq!(run(null(), first, 16, 1, into, 10).0, ZooStatus::ZOO_ARGUMENT);
    assert_eq!(run(model, null(), 16, 1, into, 10).0, ZooStatus::ZOO_ARGUMENT);
    assert_eq!(run(model, first, 16, 1, null_mut(), 10).0, ZooStatus::ZOO_ARGUMENT);
    assert_eq!(run(model, first, 0, 1, into, 10).0, ZooStatus::ZOO_ARGUMENT);
    assert_eq!(run(model, first, usize::MAX, 1, into, 10).0, ZooStatus::ZOO_ARGUMENT);
    assert_eq!(run(model, first, 16, 1 << 20, into, 10).0, ZooStatus::ZOO_ARGUMENT);
    assert_eq!(run(model, first, 16, 1, into, 9), (ZooStatus::ZOO_ARGUMENT, [1, 10, 1, 1]));
    assert!(said().contains("room for 9"));
    assert_eq!(run(model, first, 16, 1, into, 10).0, ZooStatus::ZOO_OK);
    // SAFETY: null pointers are refused; the model is closed once.
    unsafe {
        assert_eq!(zoo_model_open(null(), null(), null_mut()), ZooStatus::ZOO_ARGUMENT);
        assert_eq!(zoo_model_describe(model, null_mut()), ZooStatus::ZOO_ARGUMENT);
        assert!(zoo_model_class_name(model, usize::MAX).is_null());
        zoo_model_close(model);
        zoo_model_close(null_mut());
    }
}
