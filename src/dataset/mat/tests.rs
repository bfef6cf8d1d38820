//! Files as they are written here, byte by byte; those of SciPy are in the tests of `cars`.

use super::element::{COMPRESSED, MATRIX, Order};
use super::*;
use flate2::{Compression, write::ZlibEncoder};
use std::io::Write;

const BOTH: [Order; 2] = [Order::Little, Order::Big];

/// Bytes of numbers, turned round if the big end is first.
fn turned<const N: usize>(order: Order, values: &[[u8; N]]) -> Vec<u8> {
    let turn = |mut value: [u8; N]| {
        if order == Order::Big {
            value.reverse();
        }
        value
    };
    values.iter().flat_map(|&value| turn(value)).collect()
}

fn words(order: Order, values: &[u32]) -> Vec<u8> {
    turned(order, &values.iter().map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

fn element(order: Order, kind: u32, bytes: &[u8]) -> Vec<u8> {
    let count = bytes.len() as u32;
    let (tag, width) = match bytes.len() {
        ..=4 => (words(order, &[count << 16 | kind]), 4),
        _ => (words(order, &[kind, count]), 8),
    };
    let zeros = bytes.len().next_multiple_of(width).max(if width == 4 { 4 } else { 0 });
    let zeros = vec![0; if kind == COMPRESSED { 0 } else { zeros - bytes.len() }];
    [&tag, bytes, &zeros].concat()
}

fn array(order: Order, class: u32, sizes: &[u32], name: &str, values: &[u8]) -> Vec<u8> {
    let header = [
        element(order, 6, &words(order, &[class, 0])),
        element(order, 5, &words(order, sizes)),
        element(order, 1, name.as_bytes()),
    ];
    element(order, MATRIX, &[&header.concat(), values].concat())
}

fn file(order: Order, variables: &[Vec<u8>]) -> Vec<u8> {
    let mut file = format!("{:124}", "MATLAB 5.0 MAT-file").into_bytes();
    file.extend(turned(
        order,
        &[0x0100u16.to_le_bytes(), u16::from_be_bytes(*b"MI").to_le_bytes()],
    ));
    file.extend(variables.concat());
    file
}

fn packed(order: Order, variable: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(vec![], Compression::best());
    packed.write_all(variable).unwrap();
    element(order, COMPRESSED, &packed.finish().unwrap())
}

/// The variable `a`, or what is wrong.
fn read(content: &[u8]) -> Result<Array, String> {
    let found = Variables::parse(content, &["a"], MOST);
    let found = found.map_err(|(place, problem)| format!("{place}: {problem}"))?;
    found.expect("a").cloned()
}

/// A variable `a` in both orders of bytes, plain and compressed.
#[track_caller]
fn assert_reads(variable: impl Fn(Order) -> Vec<u8>, expected: Result<Array, &str>) {
    for order in BOTH {
        let variable = variable(order);
        for variable in [packed(order, &variable), variable] {
            let found = read(&file(order, &[variable]));
            match &expected {
                Ok(expected) => assert_eq!(found.as_ref(), Ok(expected)),
                Err(expected) => {
                    assert!(found.as_ref().unwrap_err().contains(expected), "{found:?}")
                }
            }
        }
    }
}

#[test]
fn numbers_are_read_from_whatever_they_are_stored_as() {
    fn stored<const N: usize>(kind: u32, values: [[u8; N]; 2], expected: [f64; 2]) {
        let numbers = |order| element(order, kind, &turned(order, &values));
        let variable = |order| array(order, 6, &[2, 1], "a", &numbers(order));
        assert_reads(variable, Ok(Array::Numbers(expected.to_vec())));
    }
    stored(1, [-3i8, 7].map(i8::to_le_bytes), [-3.0, 7.0]);
    stored(2, [3u8, 255].map(u8::to_le_bytes), [3.0, 255.0]);
    stored(3, [-300i16, 7].map(i16::to_le_bytes), [-300.0, 7.0]);
    stored(4, [3u16, 65535].map(u16::to_le_bytes), [3.0, 65535.0]);
    stored(5, [-70000i32, 7].map(i32::to_le_bytes), [-70000.0, 7.0]);
    stored(6, [3u32, u32::MAX].map(u32::to_le_bytes), [3.0, 4294967295.0]);
    stored(7, [0.5f32, -2.0].map(f32::to_le_bytes), [0.5, -2.0]);
    stored(9, [0.1f64, -2.0].map(f64::to_le_bytes), [0.1, -2.0]);
    stored(12, [-3i64, 7].map(i64::to_le_bytes), [-3.0, 7.0]);
    stored(13, [3u64, 1 << 40].map(u64::to_le_bytes), [3.0, (1u64 << 40) as f64]);
}

#[test]
fn text_is_read_from_8_and_16_bits_and_utf_8() {
    let text = |sizes: [u32; 2], kind, bytes: fn(Order) -> Vec<u8>| {
        move |order| array(order, 4, &sizes, "a", &element(order, kind, &bytes(order)))
    };
    let expected = Ok(Array::Text("aé".to_owned()));
    assert_reads(text([1, 2], 2, |_| vec![b'a', 0xe9]), expected.clone());
    assert_reads(text([1, 2], 16, |_| "aé".as_bytes().to_vec()), expected.clone());
    let units = |order| turned(order, &[0x61u16.to_le_bytes(), 0xe9u16.to_le_bytes()]);
    assert_reads(text([1, 2], 4, units), expected.clone());
    assert_reads(text([1, 2], 17, units), expected);
    assert_reads(|order| array(order, 4, &[0, 0], "a", &[]), Ok(Array::Text(String::new())));
    assert_reads(text([1, 3], 4, units), Err("variable a: expected 3 characters, found 2"));
    assert_reads(text([2, 1], 4, units), Err("expected a row of characters, found 2 rows"));
    assert_reads(text([1, 2], 16, |_| vec![0xff; 2]), Err("expected text as UTF-8"));
    let half = |order| turned(order, &[0xd800u16.to_le_bytes()]);
    assert_reads(text([1, 1], 4, half), Err("expected text as UTF-16"));
    assert_reads(text([1, 1], 18, |_| vec![0; 4]), Err("found text of 32 bits (type 18)"));
}

#[test]
fn cells_and_structs_hold_arrays_in_order() {
    let number = |order, v: u8| array(order, 6, &[1, 1], "", &element(order, 2, &[v]));
    let struct_ = |order: Order| {
        let fields = [element(order, 5, &words(order, &[4])), element(order, 1, b"one\0two\0")];
        let empty = element(order, MATRIX, &[]);
        let values = [number(order, 1), number(order, 2), number(order, 3), empty];
        array(order, 2, &[1, 2], "", &[fields.concat(), values.concat()].concat())
    };
    let cells = |order| array(order, 1, &[2, 1], "a", &[struct_(order), number(order, 9)].concat());
    let of = |v: f64| Array::Numbers(vec![v]);
    let values = vec![of(1.0), of(2.0), of(3.0), Array::Numbers(vec![])];
    let structs = Array::Structs { fields: ["one", "two"].map(String::from).to_vec(), values };
    assert_eq!(structs.to_string(), "structs of one, two");
    assert_reads(cells, Ok(Array::Cells(vec![structs, of(9.0)])));
    let few = |order| array(order, 1, &[60000, 60000], "a", &number(order, 9));
    assert_reads(few, Err("variable a: expected 3600000000 arrays, found 56 bytes"));
    let many = |order| array(order, 1, &[u32::MAX, u32::MAX, u32::MAX], "a", &number(order, 9));
    assert_reads(many, Err("expected the sizes of an array, found"));
    let deep = |order| {
        let cell = |inner: Vec<u8>, name: &str| array(order, 1, &[1, 1], name, &inner);
        cell((0..20).fold(number(order, 1), |inner, _| cell(inner, "")), "a")
    };
    assert_reads(deep, Err("cell 1: expected at most 16 arrays in each other"));
}

#[test]
fn what_is_not_asked_for_is_passed_over_whatever_it_is() {
    let of =
        |order, class, name: &str| array(order, class, &[1, 1], name, &element(order, 2, &[5]));
    for order in BOTH {
        let others = [of(order, 5, "b"), of(order, 3, ""), packed(order, &of(order, 16, "c"))];
        let wanted = [others.concat(), of(order, 6, "a")];
        assert_eq!(read(&file(order, &wanted)), Ok(Array::Numbers(vec![5.0])));
        let error = read(&file(order, &others)).unwrap_err();
        assert_eq!(error, "expected the variable a, found b, , c");
        assert_eq!(read(&file(order, &[])).unwrap_err(), "expected the variable a, found none");
    }
    for (class, found) in [
        (3, "found an object"),
        (5, "found a sparse matrix"),
        (16, "found a function"),
        (18, "found the unknown class 18"),
        (0x806, "expected real numbers, found complex ones"),
    ] {
        assert_reads(|order| of(order, class, "a"), Err(found));
    }
    let opaque = |order: Order| {
        let flags = element(order, 6, &words(order, &[17, 0]));
        element(order, MATRIX, &[flags, element(order, 1, b"a")].concat())
    };
    assert_reads(opaque, Err("found an object of a class of MATLAB's"));
}

#[test]
fn other_levels_are_named() {
    let refused = |content: &[u8], part: &str| {
        let error = read(content).unwrap_err();
        assert!(error.starts_with("header: ") && error.contains(part), "{error}");
    };
    let hdf5 = b"\x89HDF\r\n\x1a\n";
    refused(hdf5, "found one of MATLAB 7.3 (HDF5)");
    refused(&[&[b' '; 512], &hdf5[..]].concat(), "found one of MATLAB 7.3 (HDF5)");
    refused(b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "save(..., '-v7')");
    refused(&[0; 40], "as of MATLAB 4");
    refused(b"MATLAB 5.0", "found 10 bytes, less than its header");
    let mut other = file(Order::Little, &[]);
    other[125] = 2;
    refused(&other, "found 0x0200");
    other[126] = b'?';
    refused(&other, "found ?M");
}

#[test]
fn what_unpacks_to_more_than_allowed_is_refused() {
    for order in BOTH {
        let zeros = element(order, 2, &[0; 5000]);
        let variable = array(order, 9, &[1, 5000], "a", &zeros);
        let parsed = |content: &[u8], most| Variables::parse(content, &["a"], most).map(drop);
        let once = file(order, &[packed(order, &variable)]);
        assert_eq!(parsed(&once, variable.len()), Ok(()));
        let (place, problem) = parsed(&once, variable.len() - 1).unwrap_err();
        assert_eq!(place, "byte 128");
        assert!(problem.ends_with("bytes at most, found more"), "{problem}");
        // All variables of a file together, too.
        let twice = file(order, &[packed(order, &variable), packed(order, &variable)]);
        assert!(parsed(&twice, variable.len() + 4000).unwrap_err().1.contains("4000 more bytes"));
        assert!(
            parsed(&file(order, &[variable]), 5000).unwrap_err().1.contains("5000 bytes at most")
        );
    }
}
