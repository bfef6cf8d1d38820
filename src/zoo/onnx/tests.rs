//! Models of a few bytes, made field by field.

use super::super::{Checkpoint, Dtype, TensorView, fixture};
use super::*;
use crate::export::protobuf::Message as Written;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// A message that `fill` fills.
fn message<'a>(fill: impl FnOnce(&mut Written<'a>)) -> Written<'a> {
    let mut message = Written::default();
    fill(&mut message);
    message
}

fn bytes_of(message: &Written) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write_to(&mut bytes).unwrap();
    bytes
}

/// The file of a model whose graph is filled so.
fn model(fill: impl FnOnce(&mut Written)) -> Vec<u8> {
    bytes_of(&message(|model| {
        model.integer(1, 8);
        model.message(7, message(fill));
    }))
}

/// The file of a model with the one tensor `t` of this shape and type, and what `fill` adds.
fn with_tensor(dims: &[i64], data_type: u64, fill: impl FnOnce(&mut Written)) -> Vec<u8> {
    model(|graph| {
        graph.message(
            5,
            message(|tensor| {
                dims.iter().for_each(|size| tensor.integer(1, size.cast_unsigned()));
                tensor.integer(2, data_type);
                tensor.bytes(8, "t");
                fill(tensor);
            }),
        );
    })
}

fn opened(bytes: &[u8]) -> Result<Contents> {
    read(&Arc::new(Mapping::open(fixture::file(bytes)).unwrap()))
}

/// The one tensor of a file.
fn tensor(bytes: &[u8]) -> TensorView {
    let Contents { tensors, .. } = opened(bytes).unwrap();
    let [tensor] = &tensors[..] else { panic!("{tensors:?}") };
    tensor.clone()
}

fn refused(bytes: &[u8], because: &str) {
    let error = opened(bytes).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

fn is_in_place(view: &TensorView) -> bool {
    format!("{view:?}").contains(", bytes ")
}

/// The varints of these numbers, one after the other.
fn packed(values: &[i64]) -> Vec<u8> {
    let fields = values.iter().flat_map(|value| {
        // Without the tag, which is one byte.
        bytes_of(&message(|m| m.integer(1, value.cast_unsigned()))).split_off(1)
    });
    fields.collect()
}

/// The example in the documentation of this module.
const EXAMPLE: &[u8] =
    b"\x08\x08\x3a\x19\x2a\x17\x08\x02\x10\x01\x42\x07fc.bias\x4a\x08\0\0\0\0\0\0\0\0";

#[test]
fn the_example_of_the_documentation_is_read() {
    let checkpoint = Checkpoint::open(fixture::file(EXAMPLE)).unwrap();
    assert_eq!(checkpoint.format(), Format::Onnx);
    let bias = checkpoint.get("fc.bias").unwrap();
    assert_eq!((bias.shape(), bias.dtype()), (&[2][..], Dtype::F32));
    assert_eq!(bias.to_vec::<f32>().unwrap(), [0.0; 2]);
    assert!(is_in_place(bias));
    assert!(checkpoint.metadata().is_empty());
}

#[test]
fn the_texts_of_a_model_are_its_metadata() {
    let bytes = bytes_of(&message(|model| {
        model.integer(1, 8);
        model.bytes(2, "a program");
        model.bytes(3, "1.2");
        let text = |key: &str, value: &str| {
            message(|entry| {
                entry.bytes(1, key);
                entry.bytes(2, value);
            })
        };
        model.message(14, text("classes", "10"));
        // Ours says what is in the file.
        model.message(14, text("onnx.not_read", "nothing"));
        model.message(7, message(|_| {}));
        let opset = |domain: &str, version| {
            message(|opset| {
                opset.bytes(1, domain);
                opset.integer(2, version);
            })
        };
        model.message(8, opset("", 17));
        model.message(8, opset("ai.onnx.ml", 3));
    }));
    let Contents { metadata, tensors, .. } = opened(&bytes).unwrap();
    assert!(tensors.is_empty());
    let expected =
        [("classes", "10"), ("onnx.opset", "17, ai.onnx.ml 3"), ("onnx.producer", "a program 1.2")];
    assert!(metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected), "{metadata:?}");
}

#[test]
fn values_one_by_one_become_those_of_their_type() {
    /// Type, field, what is in it, what comes of it.
    type Case<'a> = (u64, u32, &'a [i64], Dtype, &'a [f64]);
    let cases: [Case; 11] = [
        (2, 5, &[0, 255], Dtype::U8, &[0.0, 255.0]),
        (3, 5, &[-128, 127], Dtype::I8, &[-128.0, 127.0]),
        (4, 5, &[0, 65_535], Dtype::U16, &[0.0, 65_535.0]),
        (5, 5, &[-32_768, 300], Dtype::I16, &[-32_768.0, 300.0]),
        (6, 5, &[i32::MIN as i64, 7], Dtype::I32, &[-2_147_483_648.0, 7.0]),
        (7, 7, &[i64::MIN, -1], Dtype::I64, &[-9_223_372_036_854_775_808.0, -1.0]),
        (9, 5, &[1, 0], Dtype::Bool, &[1.0, 0.0]),
        (10, 5, &[0xc000, 0x3c00], Dtype::F16, &[-2.0, 1.0]),
        (12, 11, &[0, u32::MAX as i64], Dtype::U32, &[0.0, 4_294_967_295.0]),
        (13, 11, &[-1, 1], Dtype::U64, &[18_446_744_073_709_551_616.0, 1.0]),
        (16, 5, &[0x3f80, 0xbf80], Dtype::Bf16, &[1.0, -1.0]),
    ];
    for (data_type, field, values, dtype, expected) in cases {
        let one_by_one = with_tensor(&[2], data_type, |t| {
            values.iter().for_each(|value| t.integer(field, value.cast_unsigned()));
        });
        let at_once = with_tensor(&[2], data_type, |t| t.bytes(field, packed(values)));
        let in_two = with_tensor(&[2], data_type, |t| {
            t.bytes(field, packed(&values[..1]));
            t.integer(field, values[1].cast_unsigned());
        });
        for bytes in [one_by_one, at_once, in_two] {
            let view = tensor(&bytes);
            assert_eq!((view.dtype(), view.to_vec::<f64>().unwrap()), (dtype, expected.to_vec()));
        }
    }
}

#[test]
fn floating_point_numbers_are_used_in_place_if_they_lie_in_one_field() {
    let singles = [1.5f32, -2.0, 3.0].map(f32::to_le_bytes).concat();
    let whole = tensor(&with_tensor(&[3], 1, |t| t.bytes(4, &singles)));
    let parts = tensor(&with_tensor(&[3], 1, |t| {
        t.bytes(4, []);
        t.bytes(4, &singles[..8]);
        t.float(4, 3.0);
    }));
    let complex = tensor(&with_tensor(&[1], 14, |t| t.bytes(4, &singles[..8])));
    assert_eq!([&whole, &parts, &complex].map(is_in_place), [true, false, true]);
    assert_eq!(complex.dtype(), Dtype::C64);
    for view in [whole, parts] {
        assert_eq!(view.to_vec::<f32>().unwrap(), [1.5, -2.0, 3.0]);
    }
    let doubles = [0.1f64, -0.2].map(f64::to_le_bytes).concat();
    let view = tensor(&with_tensor(&[2, 1], 11, |t| t.bytes(10, &doubles)));
    assert!(is_in_place(&view));
    assert_eq!(view.to_vec::<f64>().unwrap(), [0.1, -0.2]);
}

#[test]
fn raw_values_of_every_type_are_used_in_place() {
    let types = (1..=28).filter(|number| ![8, 15, 21, 22, 25, 26].contains(number));
    for number in types {
        // 8 values are whole bytes of every type; 64 bytes are enough for any.
        let of = |count| with_tensor(&[8], number, |t| t.bytes(9, vec![7; count]));
        let Err(error) = opened(&of(64)).map(|contents| {
            assert_eq!(contents.tensors[0].dtype().bits(), 64);
        }) else {
            continue;
        };
        let error = error.to_string();
        let needed = error.split("needs ").nth(1).unwrap().split(' ').next().unwrap();
        let view = tensor(&of(needed.parse().unwrap()));
        assert!(is_in_place(&view), "{view:?}");
        assert_eq!(view.byte_len(), view.dtype().bits());
    }
}

#[test]
fn of_a_field_that_is_there_twice_the_last_counts_and_lists_go_on() {
    let bytes = with_tensor(&[2], 1, |t| {
        t.bytes(9, [9; 8]);
        // One axis more, another type, another name, other values.
        t.bytes(1, packed(&[1, 3]));
        t.integer(2, 2);
        t.bytes(8, "u");
        t.bytes(9, [1, 2, 3, 4, 5, 6]);
    });
    let view = tensor(&bytes);
    assert_eq!((view.name(), view.shape()), ("u", &[2, 1, 3][..]));
    assert_eq!(view.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // A graph that is continued.
    let bytes = [EXAMPLE, &with_tensor(&[], 2, |t| t.bytes(9, [5]))].concat();
    let names: Vec<_> =
        opened(&bytes).unwrap().tensors.iter().map(|t| t.name().to_owned()).collect();
    assert_eq!(names, ["fc.bias", "t"]);
}

#[test]
fn a_tensor_without_values_has_none() {
    for field in [4, 9, 12] {
        assert!(tensor(&with_tensor(&[0, 3], 1, |t| t.bytes(field, []))).is_empty());
    }
}

#[test]
fn what_is_no_tensor_of_numbers_is_passed_over_and_said() {
    let bytes = model(|graph| {
        let of_type = |data_type| {
            message(|t| {
                t.integer(2, data_type);
                t.bytes(8, "t");
            })
        };
        graph.message(5, of_type(8));
        graph.message(5, of_type(22));
        graph.message(5, of_type(22));
        graph.message(15, message(|_| {}));
        let node = |kind: &str, attribute| {
            message(|node| {
                node.bytes(4, kind);
                node.message(5, attribute);
            })
        };
        let with = |number| message(|attribute| attribute.message(number, message(|_| {})));
        graph.message(1, node("Constant", with(5)));
        graph.message(1, node("If", with(6)));
        graph.message(1, node("Conv", with(8)));
    });
    let Contents { metadata, tensors, .. } = opened(&bytes).unwrap();
    assert!(tensors.is_empty());
    assert_eq!(
        metadata["onnx.not_read"],
        "constants in nodes (1), graphs in nodes (1), sparse tensors (1), tensors of INT4 (2), \
         tensors of STRING (1)"
    );
}

#[test]
fn a_model_without_a_graph_is_refused() {
    refused(b"\x08\x08", "there is no graph in it");
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    for end in 3..EXAMPLE.len() {
        refused(&EXAMPLE[..end], "is the file cut off?");
    }
}

#[test]
fn a_tensor_without_a_name_is_refused() {
    let bytes = model(|graph| graph.message(5, message(|t| t.integer(2, 1))));
    refused(&bytes, "initializer 1 has no name");
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let t = with_tensor(&[], 2, |t| t.bytes(9, [1]));
    let error = Checkpoint::open(fixture::file(&[&t[..], &t].concat())).unwrap_err().to_string();
    assert!(error.ends_with(": t: is there more than once"), "{error}");
}

#[test]
fn two_texts_of_one_key_are_refused() {
    let bytes = bytes_of(&message(|model| {
        for _ in 0..2 {
            model.message(14, message(|entry| entry.bytes(1, "key")));
        }
    }));
    refused(&bytes, "key: is there more than once among the model's texts");
}

#[test]
fn unknown_types_are_refused() {
    for number in [0, 29, u64::MAX] {
        refused(&with_tensor(&[1], number, |_| {}), &format!("t: the type {number} is unknown"));
    }
}

#[test]
fn negative_and_overflowing_sizes_are_refused() {
    let raw = |t: &mut Written| t.bytes(9, [0; 4]);
    refused(&with_tensor(&[-1], 1, raw), "t: a size of -1 in its shape");
    refused(&with_tensor(&[i64::MIN, 0], 1, raw), "a size of -9223372036854775808");
    refused(&with_tensor(&[1 << 32, 1 << 32, 1 << 32], 1, raw), "cannot be addressed");
    refused(&with_tensor(&[(1 << 62) + 1], 1, raw), "cannot be addressed");
    refused(&with_tensor(&[0, 1 << 62, 1 << 62], 1, raw), "cannot be addressed");
}

#[test]
fn values_that_do_not_fit_the_shape_are_refused() {
    let needs = "shape [2] of F32 needs 8 bytes, but has";
    refused(&with_tensor(&[2], 1, |t| t.bytes(9, [0; 4])), &format!("{needs} 4"));
    refused(&with_tensor(&[2], 1, |t| t.bytes(4, [0; 12])), &format!("{needs} 12"));
    refused(&with_tensor(&[2], 1, |_| {}), &format!("{needs} 0"));
    refused(&with_tensor(&[2], 2, |t| t.integer(5, 1)), "shape [2] of U8 needs 2 bytes");
    refused(&with_tensor(&[2], 1, |t| t.bytes(4, [0; 7])), "numbers of 4 bytes, but has 7");
    refused(&with_tensor(&[3], 23, |t| t.bytes(9, [0; 2])), "in whole bytes");
}

#[test]
fn raw_and_other_values_at_once_are_refused() {
    let both = |t: &mut Written| {
        t.bytes(9, [0; 4]);
        t.float(4, 1.0);
    };
    refused(&with_tensor(&[1], 1, both), "t: has values in more than one place");
    let both = |t: &mut Written| {
        t.bytes(9, [0; 4]);
        t.integer(14, 1);
    };
    refused(&with_tensor(&[1], 1, both), "t: has values in more than one place");
}

#[test]
fn values_in_the_field_of_another_type_are_refused() {
    let wrong = |t: &mut Written| t.bytes(10, [0; 8]);
    refused(&with_tensor(&[1], 1, wrong), "values of F32 should be in field 4 or in raw_data");
    let wrong = |t: &mut Written| {
        t.float(4, 1.0);
        t.integer(7, 1);
    };
    refused(&with_tensor(&[1], 1, wrong), "but field 7 holds some");
    refused(&with_tensor(&[4], 27, |t| t.bytes(5, [1; 4])), "F6_E2M3 are read from raw_data only");
}

#[test]
fn values_that_their_type_does_not_have_are_refused() {
    for (data_type, field, value, name) in [
        (2, 5, 256i64, "U8"),
        (2, 5, -1, "U8"),
        (3, 5, 128, "I8"),
        (4, 5, -1, "U16"),
        (5, 5, 32_768, "I16"),
        (6, 5, 1 << 31, "I32"),
        (9, 5, 2, "BOOL"),
        (10, 5, 65_536, "F16"),
        (12, 11, 1 << 32, "U32"),
        (17, 5, 256, "F8_E4M3"),
    ] {
        let bytes = with_tensor(&[1], data_type, |t| t.integer(field, value.cast_unsigned()));
        refused(&bytes, &format!("t: {value} is no value of {name}"));
    }
}

#[test]
fn a_segment_is_refused() {
    refused(&with_tensor(&[1], 1, |t| t.message(3, message(|_| {}))), "a segment of a larger");
}

#[test]
fn fields_of_another_type_than_theirs_are_refused() {
    refused(&model(|graph| graph.integer(5, 1)), "field 5 should be bytes");
    refused(&with_tensor(&[1], 1, |t| t.integer(9, 1)), "field 9 should be bytes");
    refused(&with_tensor(&[1], 1, |t| t.bytes(2, [1])), "field 2 should be an integer");
    refused(&with_tensor(&[1], 1, |t| t.bytes(8, [0xff])), "not UTF-8");
    refused(&with_tensor(&[1], 1, |t| t.float(7, 1.0)), "but field 7 holds some");
    refused(&with_tensor(&[1], 7, |t| t.float(7, 1.0)), "field 7 should be integers");
    refused(&with_tensor(&[1], 1, |t| t.integer(4, 1)), "field 4 should be numbers of 4 bytes");
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    // Graphs in attributes of nodes in graphs in attributes of nodes, and so on: what is within
    // is made before what is around it, and turned round at the end.
    let mut reversed = Vec::new();
    for number in [6u8, 5, 1].iter().cycle().take(60_000) {
        let mut len = reversed.len();
        let mut header = vec![number << 3 | 2];
        while len >= 0x80 {
            header.push(len as u8 | 0x80);
            len >>= 7;
        }
        header.push(len as u8);
        reversed.extend(header.into_iter().rev());
    }
    let bytes: Vec<u8> = reversed.into_iter().rev().collect();
    let contents = opened(&bytes_of(&message(|model| model.bytes(7, &bytes)))).unwrap();
    assert_eq!(contents.metadata["onnx.not_read"], "graphs in nodes (1)");
}

#[test]
fn many_tensors_are_read_in_reasonable_time() {
    let bytes = model(|graph| {
        for i in 0..50_000 {
            graph.message(
                5,
                message(|t| {
                    t.integer(2, 2);
                    t.bytes(8, format!("t{i}"));
                    t.integer(5, 7);
                }),
            );
        }
    });
    assert_eq!(opened(&bytes).unwrap().tensors.len(), 50_000);
}

mod external {
    use super::*;

    /// A folder with the file `w.bin` of the numbers 0 to 31.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("w.bin"), (0..32).collect::<Vec<u8>>()).unwrap();
        folder
    }

    /// A model in the folder, with the tensor `t` of 4 bytes that these texts describe.
    fn described(folder: &Path, texts: &[(&str, &str)]) -> Result<TensorView> {
        let bytes = with_tensor(&[4], 2, |tensor| {
            for (key, value) in texts {
                tensor.message(
                    13,
                    message(|entry| {
                        entry.bytes(1, key);
                        entry.bytes(2, value);
                    }),
                );
            }
            tensor.integer(14, 1);
        });
        let path = folder.join("model.onnx");
        fs::write(&path, bytes).unwrap();
        Checkpoint::open(&path).map(|checkpoint| checkpoint.get("t").unwrap().clone())
    }

    fn refused(texts: &[(&str, &str)], because: &str) {
        let folder = folder();
        let error = described(folder.path(), texts).unwrap_err().to_string();
        assert!(error.contains(": t: ") && error.contains(because), "{error}");
    }

    #[test]
    fn values_lie_in_a_file_beside_the_model() {
        let folder = folder();
        for (texts, expected) in [
            (&[("location", "w.bin"), ("offset", "4"), ("length", "4")][..], [4, 5, 6, 7]),
            (&[("location", "./w.bin"), ("offset", "28"), ("checksum", "?")], [28, 29, 30, 31]),
            (&[("location", "x"), ("length", "4"), ("location", "w.bin")], [0, 1, 2, 3]),
        ] {
            let view = described(folder.path(), texts).unwrap();
            assert_eq!(*view.bytes().unwrap(), expected);
            assert!(is_in_place(&view) && view.path().ends_with("w.bin"));
        }
    }

    #[test]
    fn a_file_of_many_tensors_is_mapped_once() {
        let folder = folder();
        let bytes = model(|graph| {
            for i in 0..100 {
                graph.message(
                    5,
                    message(|t| {
                        t.integer(2, 2);
                        t.bytes(8, format!("t{i}"));
                        t.integer(14, 1);
                        t.message(
                            13,
                            message(|entry| {
                                entry.bytes(1, "location");
                                entry.bytes(2, format!("{}w.bin", "./".repeat(i)));
                            }),
                        );
                    }),
                );
            }
        });
        let path = folder.path().join("model.onnx");
        fs::write(&path, bytes).unwrap();
        let opened = Checkpoint::open(&path).unwrap();
        let places: std::collections::BTreeSet<_> =
            opened.iter().map(|view| view.bytes().unwrap().as_ptr()).collect();
        assert_eq!((opened.len(), places.len()), (100, 1));
    }

    #[test]
    fn paths_that_lead_out_of_the_folder_are_refused() {
        for location in ["/etc/hostname", "../w.bin", "a/../../w.bin", "", "."] {
            refused(&[("location", location), ("length", "4")], "not below the model's folder");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_refused() {
        refused(&[("location", "v.bin"), ("length", "4")], "which belongs beside the model");
        refused(&[("location", "w.bin\0"), ("length", "4")], "not below the model");
        refused(&[("offset", "0"), ("length", "4")], "which is not named");
        refused(&[], "which is not named");
    }

    #[test]
    fn places_beyond_the_end_of_the_file_are_refused() {
        let at = |offset, length| [("location", "w.bin"), ("offset", offset), ("length", length)];
        refused(&at("29", "4"), "its 4 bytes at 29 of \"w.bin\" are beyond the end");
        refused(&at("18446744073709551615", "4"), "beyond the end");
        refused(&[("location", "w.bin"), ("offset", "33")], "which has 32: is it of another model");
    }

    #[test]
    fn places_that_are_no_numbers_are_refused() {
        let at = |offset, length| [("location", "w.bin"), ("offset", offset), ("length", length)];
        refused(&at("-1", "4"), "with offset \"-1\"");
        refused(&at("0", "4 bytes"), "with length \"4 bytes\"");
        refused(&at("0", "18446744073709551616"), "with length");
    }

    #[test]
    fn a_length_that_does_not_fit_the_shape_is_refused() {
        refused(&[("location", "w.bin"), ("length", "8")], "needs 4 bytes, but has 8");
    }
}

proptest! {
    /// A valid file of which a few bytes are changed.
    #[test]
    fn no_change_to_a_valid_file_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        is_raw in any::<bool>(),
    ) {
        let mut bytes = with_tensor(&[2, 2], 10, |t| match is_raw {
            true => t.bytes(9, [1; 8]),
            false => t.bytes(5, packed(&[1, 2, 300, 4])),
        });
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(contents) = opened(&bytes) {
            for view in contents.tensors {
                let _ = view.to_vec::<f32>();
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
        let _ = opened(&bytes);
    }
}
