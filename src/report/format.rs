//! Numbers and text as people read them.

use std::fmt::Write;

/// What stands for a number that is missing, infinite or not a number.
pub(crate) const NONE: &str = "–";

/// `text` with everything escaped that HTML gives a meaning, in content and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `value` with `decimals` digits after the point and a real minus sign.
pub(crate) fn decimal(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    if value.abs() >= 1e9 {
        return format!("{value:.1e}").replace('-', "−");
    }
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| matches!(c, '0' | '.')) => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// A share of 0 to 1 in percent, without the sign: `87.3`.
pub(crate) fn percent(share: f64) -> String {
    decimal(100.0 * share, 1)
}

/// A difference of shares in percentage points, with its sign: `+1.2`, `−0.4`, `0.0`.
pub(crate) fn points(difference: f64) -> String {
    let text = percent(difference);
    let positive = difference > 0.0 && text.chars().any(|c| matches!(c, '1'..='9'));
    if positive { format!("+{text}") } else { text }
}

/// Three significant digits and a prefix of thousands: `950`, `61.7 k`, `12.3 M`.
pub(crate) fn count(value: u64) -> String {
    scaled(value, &["", "k", "M", "G", "T", "P", "E"]).trim_end().to_owned()
}

/// Bytes in decimal units: `512 B`, `247 kB`, `1.20 MB`.
pub(crate) fn bytes(value: u64) -> String {
    scaled(value, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

fn scaled(value: u64, units: &[&str]) -> String {
    if value < 1000 {
        return format!("{value} {}", units[0]);
    }
    let (mut scaled, mut unit) = (value as f64, 0);
    // 999.5 would be written as 1000.
    while scaled >= 999.5 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    let decimals = match scaled {
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$} {}", units[unit])
}

/// A duration: `0.42 s`, `12.3 s`, `3 min 12 s`, `2 h 5 min`.
pub(crate) fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return NONE.to_owned();
    }
    let whole = value.round() as u64;
    match value {
        0.0 => "0 s".to_owned(),
        v if v < 9.995 => format!("{v:.2} s"),
        v if v < 99.95 => format!("{v:.1} s"),
        _ if whole < 3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `value` with commas between its thousands: `12,400`.
pub(crate) fn thousands(value: usize) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A small number as HTML: `3.1 × 10<sup>−7</sup>`.
pub(crate) fn scientific(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{value:.1e}");
    match text.split_once('e') {
        Some((_, "0")) => decimal(value, 1),
        Some((mantissa, exponent)) => {
            format!("{} × 10<sup>{}</sup>", mantissa.replace('-', "−"), exponent.replace('-', "−"))
        }
        None => text,
    }
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    let mut text = String::new();
    for (at, item) in items.iter().enumerate() {
        let separator = match at {
            0 => "",
            _ if at + 1 == items.len() => " and ",
            _ => ", ",
        };
        let _ = write!(text, "{separator}{item}");
    }
    text
}

/// `one` or `many`, with the number before it.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `text` with a number at its start as a word with a capital.
pub(crate) fn capital(text: &str) -> String {
    const WORDS: [&str; 9] = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight"];
    match text.split_once(' ') {
        Some((number, rest)) => match number.parse::<usize>().ok().and_then(|n| WORDS.get(n)) {
            Some(word) => format!("{word} {rest}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

/// `text` with a capital at its start.
pub(crate) fn capital_letter(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape(r#"<b a="1" b='2'>&"#), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
    }

    #[test]
    fn numbers_carry_three_digits_and_a_unit() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1.00 k");
        assert_eq!(count(61_703), "61.7 k");
        assert_eq!(count(999_700), "1.00 M");
        assert_eq!(count(u64::MAX), "18.4 E");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(246_800), "247 kB");
        assert_eq!(bytes(1_200_000), "1.20 MB");
    }

    #[test]
    fn differences_have_signs_unless_they_round_to_nothing() {
        assert_eq!(points(0.0123), "+1.2");
        assert_eq!(points(-0.0123), "−1.2");
        assert_eq!(points(0.0001), "0.0");
        assert_eq!(points(-0.0001), "0.0");
        assert_eq!(points(f64::NAN), NONE);
    }

    #[test]
    fn numbers_that_are_none_are_dashes() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for text in [decimal(value, 2), percent(value), seconds(value), scientific(value)] {
                assert_eq!(text, NONE);
            }
        }
        assert_eq!(seconds(-1.0), NONE);
    }

    #[test]
    fn durations_grow_units() {
        assert_eq!(seconds(0.0), "0 s");
        assert_eq!(seconds(0.417), "0.42 s");
        assert_eq!(seconds(12.34), "12.3 s");
        assert_eq!(seconds(192.2), "3 min 12 s");
        assert_eq!(seconds(7_500.0), "2 h 5 min");
    }

    #[test]
    fn powers_of_ten_are_set_as_such() {
        assert_eq!(scientific(3.12e-7), "3.1 × 10<sup>−7</sup>");
        assert_eq!(scientific(0.0), "0.0");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(123), "123");
    }

    #[test]
    fn lists_read_as_sentences() {
        let items = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(list(&items), "a, b and c");
        assert_eq!(list(&items[..2]), "a and b");
        assert_eq!(list(&items[..1]), "a");
        assert_eq!(plural(1, "seed", "seeds"), "1 seed");
        assert_eq!(plural(2000, "seed", "seeds"), "2,000 seeds");
    }
}
