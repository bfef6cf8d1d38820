//! The writer of PyTorch's format against PyTorch.
//!
//! `golden/pytorch.py` saved the tensors of `golden/checkpoint.safetensors`, and one more.

use rawzip::ZipArchive;
use std::collections::BTreeMap;
use std::path::PathBuf;
use zoo_tuning::Result;
use zoo_tuning::export::{Data, write_pytorch};
use zoo_tuning::tensor::Tensor;
use zoo_tuning::zoo::Checkpoint;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The members of an archive: name, whether its bytes are stored as they are where they could
/// be mapped, and the bytes.
fn members(archive: &[u8]) -> Vec<(String, bool, Vec<u8>)> {
    let zip = ZipArchive::from_slice(archive).unwrap();
    let mut entries = zip.entries();
    let mut members = Vec::new();
    while let Some(record) = entries.next_entry().unwrap() {
        let name = String::from_utf8(record.file_path().as_ref().to_vec()).unwrap();
        let entry = zip.get_entry(record.wayfinder()).unwrap();
        let bytes = entry.data();
        let aligned = (bytes.as_ptr() as usize - archive.as_ptr() as usize).is_multiple_of(64);
        let stored = record.compression_method() == rawzip::CompressionMethod::STORE;
        assert_eq!(record.crc32(), rawzip::crc32(bytes), "{name}");
        members.push((name, aligned && stored, bytes.to_vec()));
    }
    members
}

/// Every member: the pickle instruction for instruction, the values, and the constants. Only
/// the identity is another, which PyTorch makes of a hash that it does not promise to keep.
#[test]
fn every_member_is_byte_for_byte_what_pytorch_writes() -> Result<()> {
    let source = Checkpoint::open(golden("checkpoint.safetensors"))?;
    let axes = Tensor::new(&[1, 2, 3, 4], (0..24u8).map(f32::from).collect())?;
    let mut tensors: Vec<_> = source.iter().map(|view| (view.name(), Data::from(view))).collect();
    tensors.push(("axes", Data::from(&axes)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch.pth");
    write_pytorch(&path, tensors, &BTreeMap::new())?;

    let [written, expected] =
        [path, golden("pytorch.pth")].map(|path| members(&std::fs::read(path).unwrap()));
    assert_eq!(written.len(), expected.len());
    for ((name, mapped, bytes), (its_name, its_mapped, its_bytes)) in written.iter().zip(&expected)
    {
        assert_eq!((name, mapped), (its_name, its_mapped));
        if !name.ends_with("serialization_id") {
            assert!(bytes == its_bytes, "{name}");
        }
    }
    Ok(())
}
