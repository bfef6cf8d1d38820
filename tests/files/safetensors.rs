//! The reader and the writer of safetensors against the reference implementation.
//!
//! `golden/checkpoint.py` wrote the file: with PyTorch's conversion beside every
//! tensor.

use std::collections::BTreeMap;
use std::path::PathBuf;
use zoo_tuning::Result;
use zoo_tuning::export::{Data, Layout};
use zoo_tuning::zoo::{Checkpoint, TensorView};

fn golden() -> Result<Checkpoint> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Checkpoint::open(folder.join("tests/golden/checkpoint.safetensors"))
}

#[test]
fn every_type_is_converted_as_pytorch_does() -> Result<()> {
    let golden = golden()?;
    let (expected, stored): (Vec<_>, Vec<_>) =
        golden.iter().partition(|view| view.name().ends_with(".f64"));
    assert_eq!((expected.len(), stored.len()), (17, 17));
    for view in stored {
        let expected = golden.get(&format!("{}.f64", view.name()))?;
        assert_eq!(view.shape(), expected.shape());
        // As bits, except that one NaN is as good as another.
        let bits = |view: &TensorView| -> Result<Vec<u64>> {
            let values = view.to_vec::<f64>()?;
            Ok(values.iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect())
        };
        assert_eq!(bits(view)?, bits(expected)?, "{view:?}");
    }
    Ok(())
}

#[test]
fn what_is_written_is_byte_for_byte_what_the_reference_writes() -> Result<()> {
    let golden = golden()?;
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    assert_eq!(golden.metadata(), &metadata);
    // In another order than that of the file.
    let tensors = golden.iter().rev().map(|view| (view.name(), Data::from(view)));
    let mut written = Vec::new();
    Layout::new(tensors, &metadata)?.write_to(&mut written).unwrap();
    let expected = std::fs::read(golden.path()).unwrap();
    assert!(written == expected, "{} bytes against {}", written.len(), expected.len());
    Ok(())
}
