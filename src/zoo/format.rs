//! The formats of checkpoint files, told by their first bytes.

use std::fmt;

/// The format of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    /// `safetensors`: a header in JSON, and the values behind it.
    Safetensors,
    /// An index of tensors in several files, such as `model.safetensors.index.json`.
    Index,
    /// What `torch.save` writes since PyTorch 1.6: a zip archive around a pickle.
    PytorchZip,
    /// What `torch.save` wrote before: pickles, then the bare storages.
    PytorchLegacy,
    /// What `torch.save` wrote before version 0.1.10: a tar archive.
    PytorchTar,
    /// A pickle of NumPy arrays.
    Pickle,
    /// One NumPy array.
    Npy,
    /// A zip archive of NumPy arrays.
    Npz,
    /// The initializers of an ONNX model.
    Onnx,
}

impl Format {
    /// The word for the format in files and for programs: it stays what it is.
    pub fn id(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Index => "index",
            Self::PytorchZip => "pytorch-zip",
            Self::PytorchLegacy => "pytorch-legacy",
            Self::PytorchTar => "pytorch-tar",
            Self::Pickle => "pickle",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Onnx => "onnx",
        }
    }

    /// The name of the format, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Index => "index of several files",
            Self::PytorchZip => "PyTorch (zip)",
            Self::PytorchLegacy => "PyTorch (before 1.6)",
            Self::PytorchTar => "PyTorch (tar)",
            Self::Pickle => "pickle",
            Self::Npy => "NumPy array",
            Self::Npz => "NumPy archive",
            Self::Onnx => "ONNX",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file's first bytes say of its format; which of the formats in an archive it is, the
/// archive's members say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Magic {
    Safetensors,
    Json,
    Zip,
    Tar,
    Pickle,
    Npy,
    Onnx,
    /// A format that is known, but not read; and what to do.
    Other(&'static str),
    Unknown,
}

impl Magic {
    /// Told by the first bytes. Two bytes are not enough: `PK` and the first two of a pickle
    /// are also lengths of a safetensors header, such as 640. But those lengths are below
    /// 2^32, and then the header begins: none of the others has four zeros and a brace there.
    pub fn of(bytes: &[u8]) -> Self {
        /// The place of the magic word in a tar archive's first header.
        const TAR: usize = 257;
        match bytes {
            [_, _, _, _, 0, 0, 0, 0, b'{', ..] => Self::Safetensors,
            // A member, or the end of an archive without members.
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Zip,
            // Protocols 2 to 5; earlier ones begin with any instruction, of which these make a
            // dict or list and note it, or name a class.
            [0x80, 2..=5, ..] => Self::Pickle,
            [b'}' | b']', b'q', ..] | [b'(', b'd' | b'l', b'p', ..] => Self::Pickle,
            [b'c', b'c', b'o', ..] | [b'c', b'n', b'u', b'm', b'p', b'y', ..] => Self::Pickle,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            [0x89, b'H', b'D', b'F', ..] => {
                Self::Other("HDF5, which is not read; save the arrays with numpy.savez")
            }
            [b'G', b'G', b'U', b'F', ..] => {
                Self::Other("GGUF, which is not read; it holds no networks of convolutions")
            }
            [0x1f, 0x8b, ..] => Self::Other("gzip; unpack it first"),
            _ if bytes.starts_with(b"version https://git-lfs") => {
                Self::Other("a pointer of Git LFS; fetch what it points to with git lfs pull")
            }
            [b'<', b'!' | b'h' | b'H' | b'?', ..] => {
                Self::Other("a web page, as a failed download leaves it; download it again")
            }
            _ if bytes.get(TAR..TAR + 5) == Some(b"ustar") => Self::Tar,
            // The first field of a model: the version of the format, a small number.
            [0x08, 1..=20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..] => Self::Onnx,
            _ if bytes.trim_ascii_start().first() == Some(&b'{') => Self::Json,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let cases: [(&[u8], Magic); 14] = [
            (b"\x10\0\0\0\0\0\0\0{\"a\":", Magic::Safetensors),
            // 640 is 80 02 in hexadecimal, lower byte first; 19280 is PK.
            (b"\x80\x02\0\0\0\0\0\0{", Magic::Safetensors),
            (b"PK\0\0\0\0\0\0{", Magic::Safetensors),
            (b"PK\x03\x04\x00\x00\x08\x08\x00\x00", Magic::Zip),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", Magic::Pickle),
            (b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00}\x94", Magic::Pickle),
            (b"(dp0\nVmodel\np1\n", Magic::Pickle),
            (b"}q\x00X\x05\x00\x00\x00model", Magic::Pickle),
            (b"ccollections\nOrderedDict\n", Magic::Pickle),
            (b"\x93NUMPY\x01\x00", Magic::Npy),
            (b"\x08\x07\x12\x07pytorch", Magic::Onnx),
            // A version of the model, where nothing says what wrote it.
            (b"\x08\x08\x28\x01\x3a\0", Magic::Onnx),
            (b" {\"weight_map\": {}}", Magic::Json),
            (b"nothing known", Magic::Unknown),
        ];
        for (bytes, magic) in cases {
            assert_eq!(Magic::of(bytes), magic, "{bytes:?}");
        }
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(Magic::of(&tar), Magic::Tar);
        for other in [&b"\x89HDF\r\n\x1a\n"[..], b"version https://git-lfs.", b"<!DOCTYPE html>"] {
            assert!(matches!(Magic::of(other), Magic::Other(_)), "{other:?}");
        }
    }
}
