//! What stands behind an opcode: taken from the input and decoded.

use super::opcode::Form;
use super::value::Chunk;
use std::borrow::Cow;
use std::ops::Range;

/// The bytes of an argument. Of two lines, both; otherwise the second is empty.
pub(super) type Argument = (Range<usize>, Range<usize>);

/// Takes an argument of this form, beginning at `at`; also where it ends.
///
/// A length is compared with what is left before anything else is done with it.
pub(super) fn take(input: &[u8], at: usize, form: Form) -> Result<(Argument, usize), String> {
    match form {
        Form::Bare => Ok(((at..at, at..at), at)),
        Form::Fixed(length) => {
            let range = fixed(input, at, length as u64)?;
            Ok(((range.clone(), at..at), range.end))
        }
        Form::Line => {
            let (line, end) = line(input, at)?;
            Ok(((line, at..at), end))
        }
        Form::TwoLines => {
            let (first, middle) = line(input, at)?;
            let (second, end) = line(input, middle)?;
            Ok(((first, second), end))
        }
        Form::Counted(_) | Form::CountedSigned => {
            let width = if let Form::Counted(width) = form { width } else { 4 };
            let length = fixed(input, at, width as u64)?;
            let start = length.end;
            let length = unsigned(&input[length]);
            if form == Form::CountedSigned && length > i32::MAX as u64 {
                return Err(format!("the length {} is negative", length as u32 as i32));
            }
            let range = fixed(input, start, length)?;
            Ok(((range.clone(), at..at), range.end))
        }
    }
}

/// The next `length` bytes.
fn fixed(input: &[u8], at: usize, length: u64) -> Result<Range<usize>, String> {
    let left = input.len() - at;
    match usize::try_from(length) {
        Ok(length) if length <= left => Ok(at..at + length),
        _ => Err(format!("needs {length} bytes, but {left} are left: is the file cut off?")),
    }
}

/// The text up to the next line feed, and where the text after that begins.
fn line(input: &[u8], at: usize) -> Result<(Range<usize>, usize), String> {
    let length = input[at..]
        .iter()
        .position(|&byte| byte == b'\n')
        .ok_or("no line feed ends its text: is the file cut off?")?;
    Ok((at..at + length, at + length + 1))
}

/// Up to eight bytes as a number, lower byte first.
pub(super) fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A whole number.
#[derive(Debug, PartialEq)]
pub(super) enum Whole {
    /// `00` and `01`, which protocol 0 means for truth values.
    Bool(bool),
    Small(i64),
    /// Beyond `i64`: whoever needs it takes it from the bytes.
    Large,
}

/// Two's complement, lower byte first; no byte is zero.
pub(super) fn binary(bytes: &[u8]) -> Whole {
    let Some((&highest, _)) = bytes.split_last() else { return Whole::Small(0) };
    let filler = if highest >= 0x80 { 0xff } else { 0 };
    let mut wide = [filler; 8];
    for (i, &byte) in bytes.iter().enumerate() {
        match wide.get_mut(i) {
            Some(place) => *place = byte,
            // Writers do not pad, but they might.
            None if byte == filler => {}
            None => return Whole::Large,
        }
    }
    let value = i64::from_le_bytes(wide);
    // Padding must agree with the sign that the lower eight bytes have.
    if bytes.len() > 8 && (value < 0) != (filler == 0xff) {
        return Whole::Large;
    }
    Whole::Small(value)
}

/// Decimal, as the opcodes INT and LONG have it (the latter with an `L` at its end).
pub(super) fn decimal(text: &[u8]) -> Result<Whole, String> {
    match text {
        b"00" => return Ok(Whole::Bool(false)),
        b"01" => return Ok(Whole::Bool(true)),
        _ => {}
    }
    let text = text.strip_suffix(b"L").unwrap_or(text);
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(format!("expected a whole number, found {}", shown(text)));
    }
    let small = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    Ok(small.map_or(Whole::Large, Whole::Small))
}

/// A number with a fraction or an exponent, `inf` or `nan`.
pub(super) fn float(text: &[u8]) -> Result<f64, String> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("expected a number, found {}", shown(text)))
}

/// The index of a memo entry in decimal.
pub(super) fn index(text: &[u8]) -> Result<u64, String> {
    match decimal(text)? {
        Whole::Small(index) if index >= 0 => Ok(index as u64),
        Whole::Bool(index) => Ok(index.into()),
        _ => Err(format!("{} is no index of the memo", shown(text))),
    }
}

/// The text of STRING: between quotes, with escapes as in a program's source.
pub(super) fn quoted(input: &[u8], range: Range<usize>) -> Result<Chunk, String> {
    let text = &input[range.clone()];
    let inner = match text {
        [open @ (b'\'' | b'"'), inner @ .., close] if open == close => inner,
        _ => return Err(format!("expected a text in quotes, found {}", shown(text))),
    };
    if !inner.contains(&b'\\') {
        return Ok(Chunk::At(range.start + 1..range.end - 1));
    }
    let mut decoded = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' {
            decoded.push(byte);
            rest = after;
            continue;
        }
        let (&escape, after) = after.split_first().ok_or("an escape is cut off")?;
        rest = after;
        match escape {
            b'\\' | b'\'' | b'"' => decoded.push(escape),
            b'n' => decoded.push(b'\n'),
            b'r' => decoded.push(b'\r'),
            b't' => decoded.push(b'\t'),
            b'a' => decoded.push(7),
            b'b' => decoded.push(8),
            b'f' => decoded.push(12),
            b'v' => decoded.push(11),
            b'x' => {
                let (value, after) = hexadecimal(rest, 2)?;
                decoded.push(value as u8);
                rest = after;
            }
            b'0'..=b'7' => {
                let mut value = u32::from(escape - b'0');
                for _ in 0..2 {
                    let [digit @ b'0'..=b'7', after @ ..] = rest else { break };
                    value = value * 8 + u32::from(digit - b'0');
                    rest = after;
                }
                decoded.push(value as u8);
            }
            _ => decoded.extend([b'\\', escape]),
        }
    }
    Ok(Chunk::Owned(decoded.into()))
}

/// The text of UNICODE: bytes are the first 256 characters, and the others are
/// written `\u` or `\U` with four or eight digits. It becomes UTF-8.
pub(super) fn unescaped(text: &[u8]) -> Result<Cow<'_, str>, String> {
    let mut rest = text;
    if let (true, false, Ok(plain)) =
        (text.is_ascii(), text.contains(&b'\\'), std::str::from_utf8(text))
    {
        return Ok(Cow::Borrowed(plain));
    }
    let mut decoded = String::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        let digits = match after.first() {
            Some(b'u') if byte == b'\\' => 4,
            Some(b'U') if byte == b'\\' => 8,
            _ => {
                decoded.push(char::from(byte));
                rest = after;
                continue;
            }
        };
        let (code, after) = hexadecimal(&after[1..], digits)?;
        let character = char::from_u32(code);
        decoded.push(character.ok_or_else(|| format!("{code:#x} is no character"))?);
        rest = after;
    }
    Ok(Cow::Owned(decoded))
}

/// A number of so many digits, and what follows.
fn hexadecimal(text: &[u8], digits: usize) -> Result<(u32, &[u8]), String> {
    let (number, rest) = text.split_at_checked(digits).ok_or("an escape is cut off")?;
    let number = number
        .iter()
        .try_fold(0, |number: u32, &digit| Some(number << 4 | char::from(digit).to_digit(16)?));
    Ok((number.ok_or("an escape has digits that are none")?, rest))
}

/// The beginning of a text, for a message.
pub(super) fn shown(text: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&text[..text.len().min(40)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_numbers_have_a_sign_and_any_length() {
        for (bytes, value) in [
            (&[][..], 0),
            (&[0xff], -1),
            (&[0xff, 0], 255),
            (&[0, 0x80], -32768),
            (&i64::MIN.to_le_bytes(), i64::MIN),
            // Padded, as no writer does.
            (&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0], 7),
            (&[0xff; 12], -1),
        ] {
            assert_eq!(binary(bytes), Whole::Small(value), "{bytes:?}");
        }
        assert_eq!(binary(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]), Whole::Large);
        assert_eq!(binary(&[0, 0, 0, 0, 0, 0, 0, 0, 0xff]), Whole::Large);
        assert_eq!(binary(&[0, 0, 0, 0, 0, 0, 0, 0, 1]), Whole::Large);
    }

    #[test]
    fn decimal_numbers_are_digits_with_a_sign() {
        assert_eq!(decimal(b"-12"), Ok(Whole::Small(-12)));
        assert_eq!(decimal(b"7L"), Ok(Whole::Small(7)));
        assert_eq!(decimal(b"01"), Ok(Whole::Bool(true)));
        assert_eq!(decimal(b"119547037146038801333356L"), Ok(Whole::Large));
        for wrong in [&b""[..], b"-", b"L", b"1.5", b"0x1", b"1 ", b"--1", b"\xff"] {
            assert!(decimal(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(index(b"01"), Ok(1));
        assert!(index(b"-1").is_err() && index(b"99999999999999999999").is_err());
    }

    fn owned(bytes: &[u8]) -> Result<Chunk, String> {
        Ok(Chunk::Owned(bytes.into()))
    }

    #[test]
    fn quoted_text_has_the_escapes_of_a_program() {
        let read = |text: &[u8]| quoted(text, 0..text.len());
        assert_eq!(read(b"'plain'"), Ok(Chunk::At(1..6)));
        assert_eq!(read(br#""it's \x41\101\n\\\q""#), owned(b"it's AA\n\\\\q"));
        assert_eq!(read(br"'\7\0778'"), owned(&[7, 0o77, b'8']));
        for wrong in [&b""[..], b"'", b"'a", b"a", b"'a\"", b"'\\'", b"'\\x4'", b"'\\xg0'"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn unicode_text_becomes_utf8() {
        let read = unescaped;
        assert!(matches!(read(b"plain"), Ok(Cow::Borrowed("plain"))));
        assert_eq!(read(b"\xe9\\u20ac\\U0001f600\\n").unwrap(), "é€😀\\n");
        for wrong in [&b"\\u12"[..], b"\\ud800", b"\\U00110000", b"\\u12g4"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
