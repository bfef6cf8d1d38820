//! The machine: what well-formed pickles mean, and one test per way to be malformed.

use super::machine::Problem;
use super::opcode::{Form, Opcode};
use super::{Id, Pickle, Value};
use proptest::prelude::*;

/// `torch.save({"w": torch.tensor([1.0, 2.0])})`, byte for byte as PyTorch 2.15 has it.
const STATE_DICT: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n\
    _rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03ctorch\nFloatStorage\nq\x04\
    X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x02tq\x07QK\x00K\x02\x85q\x08K\x01\x85q\x09\
    \x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0ds.";

fn read(bytes: &[u8]) -> Result<Pickle<'_>, Problem> {
    Pickle::read(bytes, 0)
}

/// The root of a pickle, printed.
fn shown(bytes: &[u8]) -> String {
    let pickle = read(bytes).unwrap();
    assert_eq!(pickle.end(), bytes.len());
    pickle.describe(pickle.root())
}

/// Asserts that a pickle is refused at this byte for this reason.
fn refused(bytes: &[u8], offset: usize, because: &str) {
    let problem = read(bytes).unwrap_err();
    assert!(problem.to_string().contains(because), "{problem}");
    assert_eq!(problem.offset, offset, "{problem}");
}

#[test]
fn a_state_dict_is_a_dict_of_calls() {
    let pickle = read(STATE_DICT).unwrap();
    let Value::Dict(entries) = pickle.value(pickle.root()) else { panic!("{pickle:?}") };
    let [(key, value)] = entries[..] else { panic!("{entries:?}") };
    assert_eq!(pickle.text(key), Some("w"));
    let call = pickle.call(value).unwrap();
    assert_eq!(pickle.global(call.callable), Some(("torch._utils", "_rebuild_tensor_v2")));
    let arguments = pickle.items(call.arguments).unwrap();
    assert_eq!(arguments.len(), 6);
    assert_eq!(
        arguments.iter().map(|&id| pickle.describe(id)).collect::<Vec<_>>().join(" "),
        "<persistent (\"storage\", torch.FloatStorage, \"0\", \"cpu\", 2)> 0 (2,) (1,) False collections.OrderedDict()"
    );
}

#[test]
fn scalars_of_every_protocol_are_read() {
    for (bytes, expected) in [
        (&b"N."[..], "None"),
        (b"I01\n.", "True"),
        (b"\x89.", "False"),
        (b"I-7\n.", "-7"),
        (b"K\xff.", "255"),
        (b"M\xff\xff.", "65535"),
        (b"J\xfe\xff\xff\xff.", "-2"),
        (b"L12L\n.", "12"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x02\xff\x00.", "255"),
        (b"\x8b\x01\x00\x00\x00\x80.", "-128"),
        (b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "<whole number of 10 bytes>"),
        (b"L119547037146038801333356L\n.", "<whole number of 25 digits>"),
        (b"F1.5e3\n.", "1500.0"),
        (b"Finf\n.", "inf"),
        (b"G\x3f\xf8\0\0\0\0\0\0.", "1.5"),
        (b"S'a\\tb'\n.", r#""a\tb""#),
        (b"U\x01a.", r#""a""#),
        (b"T\x01\0\0\0a.", r#""a""#),
        (b"V\\u20ac\n.", r#""€""#),
        (b"X\x03\0\0\0\xe2\x82\xac.", r#""€""#),
        (b"\x8c\x01a.", r#""a""#),
        (b"\x8d\x01\0\0\0\0\0\0\0a.", r#""a""#),
        (b"C\x02\xff\xff.", "<2 bytes>"),
        (b"B\x02\0\0\0\xff\xff.", "<2 bytes>"),
        (b"\x8e\x02\0\0\0\0\0\0\0\xff\xff.", "<2 bytes>"),
        (b"\x96\x02\0\0\0\0\0\0\0\xff\xff.", "<2 bytes>"),
    ] {
        assert_eq!(shown(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn containers_of_every_protocol_are_read() {
    for (bytes, expected) in [
        (&b")."[..], "()"),
        (b"(K\x01K\x02t.", "(1, 2)"),
        (b"K\x01\x85.", "(1,)"),
        (b"K\x01K\x02\x86.", "(1, 2)"),
        (b"K\x01K\x02K\x03\x87.", "(1, 2, 3)"),
        (b"(K\x01l.", "[1]"),
        (b"]K\x01a(K\x02K\x03e.", "[1, 2, 3]"),
        (b"(K\x01K\x02d.", "{1: 2}"),
        (b"}K\x01K\x02s(K\x03K\x04u.", "{1: 2, 3: 4}"),
        (b"\x8f(K\x01\x90.", "{1}"),
        (b"(K\x01\x91.", "{1}"),
    ] {
        assert_eq!(shown(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn the_stack_and_the_memo_work_as_the_language_has_them() {
    assert_eq!(shown(b"K\x01K\x020."), "1", "POP takes a value");
    assert_eq!(shown(b"K\x01(0."), "1", "POP takes a mark");
    assert_eq!(shown(b"K\x01(K\x02K\x031."), "1", "POP_MARK");
    assert_eq!(shown(b"K\x012\x86."), "(1, 1)", "DUP");
    assert_eq!(shown(b"K\x05p300\n0g300\n."), "5", "PUT and GET");
    assert_eq!(shown(b"K\x05q\x070h\x07."), "5", "BINPUT and BINGET");
    assert_eq!(shown(b"K\x05r\0\0\x01\x000j\0\0\x01\0."), "5", "LONG_BINPUT and LONG_BINGET");
    assert_eq!(shown(b"K\x05\x94K\x06\x94\x86h\0h\x01\x87."), "((5, 6), 5, 6)", "MEMOIZE");
    assert_eq!(shown(b"\x80\x04\x95\x03\0\0\0\0\0\0\0K\x05."), "5", "FRAME");
}

#[test]
fn every_way_to_make_an_object_is_a_call_that_is_not_made() {
    for (bytes, expected) in [
        (&b"cos\nsystem\n(S'true'\ntR."[..], r#"os.system("true")"#),
        (b"cos\nsystem\n)\x81.", "os.system()"),
        (b"\x8c\x02os\x8c\x06system)}\x92.", ""),
        (b"(cos\nsystem\nK\x01o.", "os.system(1)"),
        (b"(K\x01ios\nsystem\n.", "os.system(1)"),
        (b"\x8c\x02os\x8c\x06system\x93)}\x92.", "os.system()"),
    ] {
        match read(bytes) {
            Ok(_) => assert_eq!(shown(bytes), expected, "{bytes:?}"),
            // NEWOBJ_EX of a text.
            Err(problem) => assert!(expected.is_empty(), "{problem}"),
        }
    }
    let pickle = read(b"c__main__\nThing\n)R(K\x01e(K\x02K\x03u}b.").unwrap();
    let call = pickle.call(pickle.root()).unwrap();
    assert_eq!((call.items.len(), call.entries.len()), (1, 1));
    assert!(
        matches!(pickle.value(call.state.unwrap()), Value::Dict(entries) if entries.is_empty())
    );
    // Calls that are thrown away again are still there to be shown.
    let pickle = read(b"cos\nsystem\n(S'true'\ntR0N.").unwrap();
    assert!(pickle.values().any(|(id, _)| pickle.describe(id) == r#"os.system("true")"#));
}

#[test]
fn persistent_objects_keep_their_name() {
    assert_eq!(shown(b"P94\n."), r#"<persistent "94">"#);
    assert_eq!(shown(b"K\x05Q."), "<persistent 5>");
}

#[test]
fn a_pickle_ends_where_it_says_and_others_may_follow() {
    let bytes = b"K\x01.K\x02.rest";
    let first = read(bytes).unwrap();
    let second = Pickle::read(bytes, first.end()).unwrap();
    assert_eq!((first.end(), second.end()), (3, 6));
    assert_eq!(second.int(second.root()), Some(2));
}

#[test]
fn a_byte_that_is_no_opcode_is_refused() {
    refused(b"N\xff.", 1, "byte 1 of the pickle: 0xff is no opcode");
}

#[test]
fn a_pickle_without_an_end_is_refused() {
    refused(b"", 0, "ends without STOP");
    refused(b"N", 1, "ends without STOP");
    for cut in 0..STATE_DICT.len() {
        assert!(read(&STATE_DICT[..cut]).is_err());
    }
}

#[test]
fn a_start_after_the_end_is_refused() {
    assert!(Pickle::read(b"N.", 7).is_err());
}

#[test]
fn a_newer_protocol_is_refused() {
    refused(b"\x80\x06N.", 0, "PROTO: protocol 6 is not known");
}

#[test]
fn an_argument_that_is_cut_off_is_refused() {
    for &(byte, opcode) in Opcode::ALL {
        // Behind the longest of lengths, nothing; behind a line, no end.
        let bytes = match opcode.form() {
            Form::Bare => continue,
            Form::Fixed(length) => [&[byte][..], &vec![0; length - 1]].concat(),
            Form::Line => vec![byte, b'1'],
            Form::TwoLines => vec![byte, b'a', b'\n', b'b'],
            Form::Counted(width) => [&[byte][..], &vec![0xff; width]].concat(),
            Form::CountedSigned => vec![byte, 0xff, 0xff, 0xff, 0x7f],
        };
        refused(&bytes, 0, "is the file cut off?");
    }
}

#[test]
fn a_negative_length_is_refused() {
    refused(b"T\xff\xff\xff\xff.", 0, "BINSTRING: the length -1 is negative");
    refused(b"\x8b\0\0\0\x80.", 0, "LONG4: the length -2147483648 is negative");
}

#[test]
fn a_frame_longer_than_the_file_is_refused() {
    refused(b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", 2, "FRAME: a frame of 1844");
}

#[test]
fn a_value_from_an_empty_stack_is_refused() {
    for bytes in [&b"."[..], b"0", b"2", b"q\0", b"\x94", b"\x85", b"Q", b"R", b"\x81", b"a", b"b"]
    {
        refused(bytes, 0, "on the stack, but 0 are there");
    }
    refused(b"K\x01\x86.", 2, "TUPLE2: needs 2 values on the stack, but 1 are there");
}

#[test]
fn a_value_from_below_a_mark_is_refused() {
    refused(b"K\x01(2.", 3, "DUP: needs 1 values on the stack, but 0 are there above the mark");
    refused(b"]K\x01(a.", 4, "above the mark");
    refused(b"K\x01(.", 3, "above the mark");
    refused(b"cos\nsystem\n)(R.", 13, "above the mark");
}

#[test]
fn a_mark_that_was_not_made_is_refused() {
    for opcode in [b't', b'l', b'd', b'e', b'u', b'1', b'o', 0x90, 0x91] {
        refused(&[b']', opcode], 1, "needs a MARK");
    }
    refused(b"ios\nsystem\n.", 0, "INST: needs a MARK");
}

#[test]
fn a_memo_entry_that_was_not_made_is_refused() {
    refused(b"h\x05.", 0, "BINGET: the memo has no entry 5");
    refused(b"j\xff\xff\xff\xff.", 0, "no entry 4294967295");
    refused(b"g-1\n.", 0, "is no index of the memo");
    refused(b"Np99999999999999999999\n.", 1, "is no index of the memo");
}

#[test]
fn an_item_for_what_is_no_container_is_refused() {
    refused(b")K\x01a.", 3, "APPEND: expected a list, found a tuple");
    refused(b"}(e.", 2, "APPENDS: expected a list, found a dict");
    refused(b"]K\x01K\x02s.", 5, "SETITEM: expected a dict, found a list");
    refused(b"N(u.", 2, "SETITEMS: expected a dict, found None");
    refused(b"](\x90.", 2, "ADDITEMS: expected a set, found a list");
    refused(b"}}b.", 2, "BUILD: expected the result of a call, found a dict");
}

#[test]
fn a_key_without_a_value_is_refused() {
    refused(b"(K\x01d.", 3, "DICT: 1 keys and values");
    refused(b"}(K\x01K\x02K\x03u.", 8, "SETITEMS: 3 keys and values");
}

#[test]
fn a_call_of_what_is_no_function_is_refused() {
    refused(b"K\x01)R.", 3, "REDUCE: expected something to call, found a whole number");
    refused(b"cos\nsystem\n]R.", 12, "REDUCE: expected a tuple of arguments, found a list");
    refused(b"cos\nsystem\n)]\x92.", 13, "NEWOBJ_EX: expected a dict of named arguments");
    refused(b"(o.", 1, "OBJ: expected a class");
    refused(b"K\x01K\x02\x93.", 4, "STACK_GLOBAL: expected a text that names it");
}

#[test]
fn a_second_state_is_refused() {
    refused(b"cos\nsystem\n)R}b}b.", 16, "BUILD: the object was given its state already");
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    refused(b"X\x01\0\0\0\xff.", 0, "BINUNICODE: the text");
    refused(b"\x8c\x03\xed\xa0\x80.", 0, "is not UTF-8");
    refused(b"c\xff\nsystem\n.", 0, "GLOBAL: the text");
    refused(b"P\xff\n.", 0, "PERSID: the text");
    // A text of Python 2 may be bytes; as a text it is then not there.
    let pickle = read(b"U\x01\xff.").unwrap();
    assert!(pickle.text(pickle.root()).is_none());
    assert!(matches!(pickle.value(pickle.root()), Value::String(_)));
}

#[test]
fn numbers_that_are_none_are_refused() {
    refused(b"Iseven\n.", 0, "INT: expected a whole number, found \"seven\"");
    refused(b"L\n.", 0, "LONG: expected a whole number");
    refused(b"F1,5\n.", 0, "FLOAT: expected a number");
    refused(b"Sabc\n.", 0, "STRING: expected a text in quotes");
    refused(b"V\\u12\n.", 0, "UNICODE: an escape is cut off");
}

#[test]
fn what_is_not_in_the_file_is_refused() {
    refused(b"\x82\x01.", 0, "EXT1: the number of a class");
    refused(b"\x83\x01\0.", 0, "EXT2: the number of a class");
    refused(b"\x84\x01\0\0\0.", 0, "EXT4: the number of a class");
    refused(b"\x97.", 0, "NEXT_BUFFER: the bytes lie outside");
    refused(b"\x98.", 0, "READONLY_BUFFER: the bytes lie outside");
}

#[test]
fn a_memo_index_takes_no_room() {
    // An array as long as this index would be 16 gigabytes.
    assert_eq!(shown(b"K\x05r\0\x28\x6b\xee0j\0\x28\x6b\xee."), "5");
    assert_eq!(shown(b"K\x05p9000000000000000000\n0g9000000000000000000\n."), "5");
}

#[test]
fn an_array_keeps_no_room_that_the_stack_had() {
    // The stack is a million high and then empty; ten thousand empty tuples follow.
    let bytes = [
        &b"N"[..],
        &b"2".repeat(1_000_000),
        &b"0".repeat(1_000_001),
        &b"(t0".repeat(10_000),
        b"N.",
    ]
    .concat();
    let pickle = read(&bytes).unwrap();
    let room: usize = pickle
        .values()
        .map(|(_, value)| if let Value::Tuple(items) = value { items.capacity() } else { 0 })
        .sum();
    assert_eq!(room, 0);
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    const DEEP: usize = 1_000_000;
    for (bytes, kind) in [
        ([&b"]".repeat(DEEP)[..], &b"a".repeat(DEEP - 1), b"."].concat(), "a list"),
        ([&b"N"[..], &b"\x85".repeat(DEEP), b"."].concat(), "a tuple"),
        ([&b"N"[..], &b"Q".repeat(DEEP), b"."].concat(), "a persistent object"),
        ([&b"ca\nb\n"[..], &b")R".repeat(DEEP), b"."].concat(), "the result of a call"),
        ([&b"(".repeat(DEEP)[..], b"N."].concat(), "None"),
    ] {
        let pickle = read(&bytes).unwrap();
        assert_eq!(pickle.value(pickle.root()).kind(), kind);
        assert!(pickle.describe(pickle.root()).len() < 100);
    }
}

#[test]
fn a_list_in_itself_is_a_value_like_any_other() {
    assert_eq!(shown(b"]q\0h\0a."), "[[[...]]]");
    assert_eq!(shown(b"}q\0K\x01h\0s."), "{1: {1: {...: ...}}}");
}

#[test]
fn a_value_used_twice_at_every_depth_takes_no_more_room() {
    // 2^200 items if it were unfolded.
    let bytes = [&b"]"[..], &b"2\x86".repeat(200), b"."].concat();
    let pickle = read(&bytes).unwrap();
    assert!(pickle.values().count() < 210);
    assert!(pickle.describe(pickle.root()).len() < 100);
}

#[test]
fn what_is_printed_is_short() {
    let text = [&b"X\xff\xff\x0f\0"[..], &b"a".repeat(0xf_ffff), b"."].concat();
    assert!(shown(&text).len() < 100);
    let list = [&b"](".to_vec()[..], &text[..text.len() - 1], &b"2".repeat(9), b"e."].concat();
    assert!(shown(&list).len() < 500);
    let global = [&b"c"[..], &b"\x01".repeat(100_000), b"\nb\n."].concat();
    assert!(shown(&global).len() < 1000);
}

/// Bytes that are opcodes with arguments that fit, most of the time.
fn program() -> impl Strategy<Value = Vec<u8>> {
    let instruction =
        (0..Opcode::ALL.len(), prop::collection::vec(any::<u8>(), 8)).prop_map(|(which, noise)| {
            let (byte, opcode) = Opcode::ALL[which];
            let argument = match opcode.form() {
                Form::Bare => vec![],
                // Small numbers, so that the memo is met.
                Form::Fixed(length) => [&[noise[0] % 4][..], &vec![0; length - 1]].concat(),
                Form::Line => format!("{}\n", noise[0] % 4).into_bytes(),
                Form::TwoLines => b"a\nb\n".to_vec(),
                Form::Counted(width) => [&[2][..], &vec![0; width - 1], b"ab"].concat(),
                Form::CountedSigned => b"\x02\0\0\0ab".to_vec(),
            };
            [&[byte][..], &argument].concat()
        });
    prop::collection::vec(instruction, 0..60).prop_map(|parts| [&parts.concat()[..], b"."].concat())
}

/// What may be done with any pickle that was read.
fn looked_at(bytes: &[u8]) {
    if let Ok(pickle) = read(bytes) {
        assert!(pickle.values().count() <= 4 + 3 * bytes.len());
        let ids: Vec<Id> = pickle.values().map(|(id, _)| id).collect();
        for id in ids {
            assert!(pickle.describe(id).len() < 2000);
            let _ = (pickle.text(id), pickle.int(id), pickle.global(id), pickle.items(id));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        looked_at(&bytes);
    }

    #[test]
    fn no_program_panics(bytes in program()) {
        looked_at(&bytes);
    }

    /// A valid pickle of which a few bytes are changed.
    #[test]
    fn no_change_to_a_valid_pickle_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut bytes = STATE_DICT.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        looked_at(&bytes);
    }
}
