//! What a pickle is, and a machine that reads it without running anything; what a mapped file costs.

use std::fmt::Write;

// ANCHOR: by_hand
/// `{"steps": 7}` as a pickle, byte by byte.
pub fn by_hand() -> Vec<u8> {
    let mut bytes = vec![0x80, 2]; // PROTO: the second edition of the language
    bytes.push(b'}'); //              EMPTY_DICT: push {}
    bytes.extend(text("steps")); //   BINUNICODE: push "steps"
    bytes.extend([b'K', 7]); //       BININT1: push 7
    bytes.push(b's'); //              SETITEM: put the pair into the dict below
    bytes.push(b'.'); //              STOP: what is on top is the result
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [&b"X"[..], &length, text.as_bytes()].concat()
}
// ANCHOR_END: by_hand

// ANCHOR: instructions
/// One instruction: where it stands, its name, and what follows it.
pub struct Instruction {
    pub at: usize,
    pub name: &'static str,
    pub argument: Argument,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    None,
    Number(u8),
    Text(String),
    /// A module, and a name in it.
    Global(String, String),
}

/// The instructions up to STOP.
pub fn instructions(bytes: &[u8]) -> Result<Vec<Instruction>, String> {
    let mut found = Vec::new();
    let mut at = 0usize;
    loop {
        let begin = at;
        let mut take = |count: usize| {
            let taken = bytes.get(at..at.checked_add(count)?)?;
            at += count;
            Some(taken)
        };
        let cut_off = || format!("byte {begin}: cut off");
        let opcode = take(1).ok_or_else(cut_off)?[0];
        let mut line = || {
            let mut line = String::new();
            loop {
                match take(1)?[0] {
                    b'\n' => return Some(line),
                    byte => line.push(byte as char),
                }
            }
        };
        let (name, argument) = match opcode {
            b'}' => ("EMPTY_DICT", Some(Argument::None)),
            b')' => ("EMPTY_TUPLE", Some(Argument::None)),
            b'(' => ("MARK", Some(Argument::None)),
            b't' => ("TUPLE", Some(Argument::None)),
            0x85 => ("TUPLE1", Some(Argument::None)),
            0x86 => ("TUPLE2", Some(Argument::None)),
            0x89 => ("NEWFALSE", Some(Argument::None)),
            b's' => ("SETITEM", Some(Argument::None)),
            b'0' => ("POP", Some(Argument::None)),
            b'R' => ("REDUCE", Some(Argument::None)),
            b'Q' => ("BINPERSID", Some(Argument::None)),
            b'.' => ("STOP", Some(Argument::None)),
            0x80 => ("PROTO", take(1).map(|b| Argument::Number(b[0]))),
            b'K' => ("BININT1", take(1).map(|b| Argument::Number(b[0]))),
            b'q' => ("BINPUT", take(1).map(|b| Argument::Number(b[0]))),
            b'h' => ("BINGET", take(1).map(|b| Argument::Number(b[0]))),
            b'c' => ("GLOBAL", line().and_then(|module| Some(Argument::Global(module, line()?)))),
            b'S' => ("STRING", line().map(|l| Argument::Text(l.trim_matches('\'').to_owned()))),
            b'X' => {
                let length = take(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                let text = length.and_then(|length| take(length as usize));
                let text = text.map(|text| String::from_utf8_lossy(text).into_owned());
                ("BINUNICODE", text.map(Argument::Text))
            }
            other => return Err(format!("byte {begin}: {other:#04x} is not of this chapter")),
        };
        let argument = argument.ok_or_else(cut_off)?;
        found.push(Instruction { at: begin, name, argument });
        if opcode == b'.' {
            return Ok(found);
        }
    }
}
// ANCHOR_END: instructions

// ANCHOR: listing
pub fn listing(bytes: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    for Instruction { at, name, argument } in instructions(bytes)? {
        let argument = match argument {
            Argument::None => String::new(),
            Argument::Number(number) => number.to_string(),
            Argument::Text(text) => format!("{text:?}"),
            Argument::Global(module, name) => format!("{module} {name}"),
        };
        text += &format!("{at:4}  {name:11} {argument}").trim_end().replace('\r', " ");
        text.push('\n');
    }
    Ok(text)
}
// ANCHOR_END: listing

// ANCHOR: value
/// What a pickle's instructions make.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Number(i64),
    False,
    Text(String),
    Tuple(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// What the file wants imported: two texts, and nothing more.
    Global(String, String),
    /// What the file wants called: a note of it.
    Call(Box<Value>, Box<Value>),
    /// What the file knows by this name: for PyTorch, the numbers of a tensor.
    Persistent(Box<Value>),
}
// ANCHOR_END: value

// ANCHOR: machine
/// Reads a pickle. Nothing is imported and nothing is called. What is thrown away again is
/// returned too: a call that leaves no trace in the result may be the one that matters.
pub fn read(bytes: &[u8]) -> Result<(Value, Vec<Value>), String> {
    let (mut stack, mut marks, mut dropped) = (Vec::<Value>::new(), Vec::new(), Vec::new());
    let mut memo = std::collections::HashMap::new();
    for Instruction { at, name, argument } in instructions(bytes)? {
        let empty = || format!("byte {at}: {name} finds nothing on the stack");
        let mut pop = || stack.pop().ok_or_else(empty);
        let pushed = match (name, argument) {
            ("EMPTY_DICT", _) => Some(Value::Dict(vec![])),
            ("EMPTY_TUPLE", _) => Some(Value::Tuple(vec![])),
            ("NEWFALSE", _) => Some(Value::False),
            ("BININT1", Argument::Number(number)) => Some(Value::Number(number.into())),
            ("BINUNICODE" | "STRING", Argument::Text(text)) => Some(Value::Text(text)),
            ("TUPLE1", _) => Some(Value::Tuple(vec![pop()?])),
            ("TUPLE2", _) => {
                let second = pop()?;
                Some(Value::Tuple(vec![pop()?, second]))
            }
            ("SETITEM", _) => {
                let (value, key) = (pop()?, pop()?);
                let Some(Value::Dict(items)) = stack.last_mut() else { return Err(empty()) };
                items.push((key, value));
                None
            }
            ("POP", _) => {
                dropped.push(pop()?);
                None
            }
            ("BINPERSID", _) => Some(Value::Persistent(pop()?.into())),
            // Python would import and call here.
            ("GLOBAL", Argument::Global(module, name)) => Some(Value::Global(module, name)),
            ("REDUCE", _) => {
                let arguments = pop()?;
                Some(Value::Call(pop()?.into(), arguments.into()))
            }
            ("MARK", _) => {
                marks.push(stack.len());
                None
            }
            ("TUPLE", _) => {
                let mark = marks.pop().filter(|&mark| mark <= stack.len()).ok_or_else(empty)?;
                Some(Value::Tuple(stack.split_off(mark)))
            }
            ("BINPUT", Argument::Number(number)) => {
                memo.insert(number, stack.last().cloned().ok_or_else(empty)?);
                None
            }
            ("BINGET", Argument::Number(number)) => {
                Some(memo.get(&number).ok_or_else(empty)?.clone())
            }
            ("STOP", _) => {
                let result = pop()?;
                dropped.extend(stack);
                return Ok((result, dropped));
            }
            _ => None, // PROTO
        };
        stack.extend(pushed);
    }
    Err("no STOP".to_owned())
}
// ANCHOR_END: machine

// ANCHOR: archive
/// A member of a zip archive whose members are stored as they are: its bytes and what follows.
pub fn member<'a>(archive: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let ends_so = |header: &[u8]| {
        let length = header.get(26).copied()? as usize; // names are shorter than 256 bytes here
        let found = header.get(30..30 + length)?;
        found.ends_with(name.as_bytes()).then(|| length + header[28] as usize)
    };
    let headers = (0..archive.len()).filter(|&at| archive[at..].starts_with(b"PK\x03\x04"));
    let places = headers.filter_map(|at| Some(at + 30 + ends_so(&archive[at..])?));
    places.map(|at| &archive[at..]).next()
}

/// The shape and numbers of the tensor that `torch.save(tensor, file)` wrote.
pub fn tensor(archive: &[u8]) -> Option<(Vec<i64>, Vec<f32>)> {
    let (value, _) = read(member(archive, "/data.pkl")?).ok()?;
    let Value::Call(function, arguments) = value else { return None };
    let rebuild = Value::Global("torch._utils".to_owned(), "_rebuild_tensor_v2".to_owned());
    let Value::Tuple(arguments) = *arguments else { return None };
    // (storage, offset, shape, strides, requires_grad, hooks), of which this reads two.
    let [Value::Persistent(storage), Value::Number(0), Value::Tuple(shape), ..] = &arguments[..]
    else {
        return None;
    };
    let Value::Tuple(storage) = &**storage else { return None };
    let [_, _, Value::Text(key), _, Value::Number(count)] = &storage[..] else { return None };
    let shape = shape.iter().map(|s| if let Value::Number(s) = s { Some(*s) } else { None });
    let bytes =
        member(archive, &format!("/data/{key}"))?.get(..4 * usize::try_from(*count).ok()?)?;
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let values = bytes.chunks(4).map(number).collect();
    (*function == rebuild).then_some((shape.collect::<Option<_>>()?, values))
}
// ANCHOR_END: archive

// ANCHOR: hostile
/// What a value asks to be imported, with the arguments where it is called.
pub fn wanted(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Global(module, name) => found.push(format!("{module}.{name}")),
        Value::Call(function, arguments) => {
            wanted(function, found);
            if let (Value::Global(..), Some(name)) = (&**function, found.last_mut()) {
                name.push_str(&shown(arguments));
            }
            wanted(arguments, found);
        }
        Value::Tuple(values) => values.iter().for_each(|value| wanted(value, found)),
        Value::Dict(items) => {
            items.iter().flat_map(|(key, value)| [key, value]).for_each(|v| wanted(v, found));
        }
        Value::Persistent(name) => wanted(name, found),
        Value::Number(_) | Value::False | Value::Text(_) => {}
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Tuple(values) => {
            format!("({})", values.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        _ => "...".to_owned(),
    }
}
// ANCHOR_END: hostile

// ANCHOR: hostile_report
fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("tests/formats/{name}")).expect("a file of the repository")
}

pub fn hostile_report() -> Result<String, String> {
    let mut text = String::new();
    let archive = file("hostile.pt");
    let pickle = member(&archive, "/data.pkl").ok_or("no pickle")?;
    let (result, dropped) = read(pickle)?;
    let mut found = Vec::new();
    dropped.iter().chain([&result]).for_each(|value| wanted(value, &mut found));
    for call in found {
        writeln!(text, "{call}").unwrap();
    }
    Ok(text)
}
// ANCHOR_END: hostile_report

// ANCHOR: safetensors
/// A file of two tensors, `large` and `small`, in the format of safetensors: the length of the
/// header, the header, and the values. `large` is a hole that takes no room on the disk.
pub fn write_safetensors(path: &std::path::Path, large: u64) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    let (end, count) = (large + 8, large / 4);
    let mut header = format!(
        r#"{{"large":{{"dtype":"F32","shape":[{count}],"data_offsets":[0,{large}]}},
            "small":{{"dtype":"F32","shape":[2],"data_offsets":[{large},{end}]}}}}"#
    );
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let mut file = std::fs::File::create(path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    file.seek(SeekFrom::Current(large as i64))?;
    file.write_all(&[1.0f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat())
}
// ANCHOR_END: safetensors

// ANCHOR: resident
/// How many bytes of a mapped file lie in this process's memory, as Linux counts them.
#[cfg(target_os = "linux")]
pub fn resident(path: &std::path::Path) -> std::io::Result<u64> {
    let mut sum = 0;
    let mut is_of_file = false;
    for line in std::fs::read_to_string("/proc/self/smaps")?.lines() {
        let first = line.split_whitespace().next().unwrap_or("");
        if first == "Rss:" && is_of_file {
            let kilobytes = line.split_whitespace().nth(1).and_then(|k| k.parse::<u64>().ok());
            sum += 1024 * kilobytes.unwrap_or(0);
        } else if !first.ends_with(':') {
            is_of_file = line.ends_with(&*path.to_string_lossy()); // a mapping begins
        }
    }
    Ok(sum)
}
// ANCHOR_END: resident

#[test]
fn what_is_printed() -> Result<(), String> {
    super::printed::check("pickle", &listing(&by_hand())?);
    let archive = file("alone.pt");
    super::printed::check("pickle_tensor", &listing(member(&archive, "/data.pkl").unwrap())?);
    super::printed::check("pickle_hostile", &hostile_report()?);
    Ok(())
}

#[test]
fn a_pickle_by_hand_is_read() {
    let dict = Value::Dict(vec![(Value::Text("steps".to_owned()), Value::Number(7))]);
    assert_eq!(read(&by_hand()), Ok((dict, vec![])));
}

#[test]
fn a_file_of_pytorch_is_read() -> zoo_tuning::Result<()> {
    let (shape, values) = tensor(&file("alone.pt")).expect("a tensor");
    let checkpoint = zoo_tuning::zoo::Checkpoint::open("tests/formats/alone.pt")?;
    let view = checkpoint.iter().next().expect("a tensor");
    assert_eq!(view.to_vec::<f32>()?, values);
    assert!(view.shape().iter().map(|&s| s as i64).eq(shape));
    Ok(())
}

// ANCHOR: foreign
/// The crate names what a file wanted, and gives its tensor all the same.
#[test]
fn a_hostile_file_is_opened_and_nothing_runs() -> zoo_tuning::Result<()> {
    let file = zoo_tuning::zoo::Checkpoint::open("tests/formats/hostile.pt")?;
    let foreign = &file.foreign()[0];
    assert_eq!((foreign.name.as_str(), foreign.count), ("posix.system", 1));
    assert_eq!(foreign.calls, [r#"posix.system("echo this should never run")"#]);
    assert_eq!(file.len(), 1);
    Ok(())
}
// ANCHOR_END: foreign

/// Every beginning of a pickle, and every pickle with a byte changed, is an answer or an error.
#[test]
fn damaged_pickles_are_errors() {
    let archive = file("hostile.pt");
    let pickle = member(&archive, "/data.pkl").unwrap();
    let end = instructions(pickle).unwrap().last().unwrap().at + 1;
    let pickle = &pickle[..end];
    for length in 0..end {
        assert!(read(&pickle[..length]).is_err());
    }
    for at in 0..end {
        for byte in 0..=255 {
            let mut damaged = pickle.to_vec();
            damaged[at] = byte;
            let _ = read(&damaged); // must not panic
        }
    }
}

// ANCHOR: mapped
#[cfg(target_os = "linux")]
#[test]
fn a_page_that_is_not_read_costs_nothing() -> zoo_tuning::Result<()> {
    const MEBIBYTE: u64 = 1 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("zoo.safetensors");
    write_safetensors(&path, 64 * MEBIBYTE).expect("a file");
    let memory = || resident(&path).expect("Linux says so");

    let file = zoo_tuning::zoo::Checkpoint::open(&path)?; // mapped, and its header read
    assert!(memory() < 6 * MEBIBYTE);
    assert_eq!(file.get("small")?.as_slice::<f32>(), Some(&[1.0, 2.0][..]));
    assert!(memory() < 6 * MEBIBYTE); // the page of two numbers, and some around it
    let large = file.get("large")?.as_slice::<f32>().expect("it is aligned");
    assert_eq!(large.iter().sum::<f32>(), 0.0);
    assert!(memory() >= 64 * MEBIBYTE); // now all was looked at
    Ok(())
}
// ANCHOR_END: mapped
