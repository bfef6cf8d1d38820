//! Small files for tests.

use super::checkpoint::Checkpoint;
use super::dtype::Dtype;
use std::io::Write;
use tempfile::TempPath;

/// A temporary file of these bytes, removed when the result is dropped; what is
/// mapped by then stays.
pub fn file(bytes: &[u8]) -> TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file.into_temp_path()
}

/// A checkpoint of these tensors: name, type, shape and little-endian bytes.
pub fn checkpoint(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Checkpoint {
    Checkpoint::open(file(&safetensors(tensors))).unwrap()
}

/// The bytes of a safetensors file of these tensors.
pub fn safetensors(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let start = data.len();
        data.extend_from_slice(bytes);
        let end = data.len();
        header.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
    }
    let mut header = format!("{{{}}}", header.join(","));
    // As writers do, so that the values are aligned.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}
