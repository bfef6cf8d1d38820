//! Python literals, as far as the headers of NumPy's files need them.
//!
//! ```text
//! {'descr': '<f4', 'fortran_order': False, 'shape': (64, 3, 7, 7), }
//! ```
//!
//! Dictionaries with texts as keys, texts, whole numbers, truth values, tuples, lists. What
//! Python would read and no such header holds is refused: escapes in texts, numbers with
//! signs, points or underscores, comments, texts side by side.

/// How deep values may lie in each other; a header that means something needs four.
const DEEPEST: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Number(u64),
    Truth(bool),
    Tuple(Vec<Literal>),
    List(Vec<Literal>),
    /// In the order of the text. Invariant: the keys differ.
    Dictionary(Vec<(String, Literal)>),
}

impl Literal {
    /// Reads one literal and nothing after it but blanks. `longs` says whether a number may
    /// end in `L`, as Python 2 wrote large ones.
    ///
    /// # Errors
    /// If the text is something else, with the place and what was expected.
    pub fn read(text: &str, longs: bool) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0, longs };
        let value = reader.value(0)?;
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(reader.expected("nothing more")),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    longs: bool,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        let blanks = |c| matches!(c, ' ' | '\t' | '\n' | '\r');
        self.at = self.text.len() - self.rest().trim_start_matches(blanks).len();
        self.rest().chars().next()
    }

    /// Passes over the next character if it is this one.
    fn takes(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    fn expected(&mut self, what: &str) -> String {
        let found = self.peek().map_or("its end".to_owned(), |c| format!("{c:?}"));
        format!("expected {what} at byte {} of the header, found {found}", self.at)
    }

    fn value(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > DEEPEST {
            return Err(format!("values lie more than {DEEPEST} deep in each other"));
        }
        match self.peek() {
            Some('\'' | '"') => Ok(Literal::Text(self.string()?)),
            Some('0'..='9') => self.number(),
            Some('{') => self.dictionary(depth),
            Some('[') => Ok(Literal::List(self.sequence(depth, ']')?.0)),
            Some('(') => {
                let (mut values, comma) = self.sequence(depth, ')')?;
                // Only a comma makes a tuple of one: (3,) is one, (3) is a number.
                match values.pop() {
                    Some(value) if values.is_empty() && !comma => Ok(value),
                    last => {
                        values.extend(last);
                        Ok(Literal::Tuple(values))
                    }
                }
            }
            _ => {
                let length = self.rest().find(|c: char| !c.is_alphanumeric() && c != '_');
                let word = &self.rest()[..length.unwrap_or(self.rest().len())];
                let (length, truth) = (word.len(), word == "True");
                if !truth && word != "False" {
                    return Err(self.expected("a text, a number, True, False, (, [ or {"));
                }
                self.at += length;
                Ok(Literal::Truth(truth))
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.peek().filter(|c| matches!(c, '\'' | '"'));
        let Some(quote) = quote else { return Err(self.expected("a text in quotes")) };
        let start = self.at + 1;
        let length = self.text[start..].find([quote, '\\', '\n']);
        let end = length.map(|length| start + length);
        match end.filter(|&end| self.text[end..].starts_with(quote)) {
            Some(end) => {
                self.at = end + 1;
                Ok(self.text[start..end].to_owned())
            }
            None => {
                self.at = end.unwrap_or(self.text.len());
                Err(self.expected("the end of a text"))
            }
        }
    }

    fn number(&mut self) -> Result<Literal, String> {
        let length = self.rest().find(|c: char| !c.is_ascii_digit());
        let digits = &self.rest()[..length.unwrap_or(self.rest().len())];
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(self.expected("a number that does not begin with zero"));
        }
        let Ok(number) = digits.parse() else {
            return Err(format!("the number {digits} is too large"));
        };
        self.at += digits.len();
        if self.longs && self.rest().starts_with('L') {
            self.at += 1;
        }
        if self.rest().starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.')) {
            return Err(self.expected("the end of a whole number"));
        }
        Ok(Literal::Number(number))
    }

    /// The values up to `close`, and whether the last is followed by a comma.
    fn sequence(&mut self, depth: usize, close: char) -> Result<(Vec<Literal>, bool), String> {
        self.at += 1;
        let (mut values, mut comma) = (Vec::new(), false);
        while !self.takes(close) {
            if !values.is_empty() && !comma {
                return Err(self.expected(&format!(", or {close}")));
            }
            values.push(self.value(depth + 1)?);
            comma = self.takes(',');
        }
        Ok((values, comma))
    }

    fn dictionary(&mut self, depth: usize) -> Result<Literal, String> {
        self.at += 1;
        let (mut members, mut comma) = (Vec::<(String, Literal)>::new(), true);
        while !self.takes('}') {
            if !comma {
                return Err(self.expected(", or }"));
            }
            self.peek();
            let key = self.string()?;
            // Python keeps the last.
            if members.iter().any(|(known, _)| *known == key) {
                return Err(format!("{key} is there more than once"));
            }
            if !self.takes(':') {
                return Err(self.expected(":"));
            }
            members.push((key, self.value(depth + 1)?));
            comma = self.takes(',');
        }
        Ok(Literal::Dictionary(members))
    }
}

#[cfg(test)]
mod tests {
    use super::Literal::{Dictionary, List, Number, Text, Truth, Tuple};
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Literal {
        Text(text.to_owned())
    }

    #[track_caller]
    fn refused(text: &str, because: &str) {
        let error = Literal::read(text, false).unwrap_err();
        assert!(error.contains(because), "{error}");
    }

    #[test]
    fn what_headers_hold_is_read() {
        let header = "{'descr': \"<f4\", 'shape': (3, 4), 'list': [('a', '|u1'), ()], 'é': (7),\
                      \n'one': (7,), 'truth': [True, False, ], }  \n";
        let expected = [
            ("descr", text("<f4")),
            ("shape", Tuple(vec![Number(3), Number(4)])),
            ("list", List(vec![Tuple(vec![text("a"), text("|u1")]), Tuple(vec![])])),
            ("é", Number(7)),
            ("one", Tuple(vec![Number(7)])),
            ("truth", List(vec![Truth(true), Truth(false)])),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value)).to_vec();
        assert_eq!(Literal::read(header, false), Ok(Dictionary(expected)));
        assert_eq!(Literal::read("{}", false), Ok(Dictionary(vec![])));
    }

    #[test]
    fn long_numbers_of_python_2_are_read_where_they_may_be() {
        let expected = Tuple(vec![Number(3), Number(0)]);
        assert_eq!(Literal::read("(3L, 0L)", true), Ok(expected));
        refused("(3L,)", "expected the end of a whole number at byte 2 of the header, found 'L'");
    }

    #[test]
    fn what_python_writes_otherwise_is_refused() {
        refused("", "found its end");
        refused("(1, 2", "expected , or )");
        refused("(1, ", "expected a text, a number");
        refused("(1 2)", "expected , or )");
        refused("(,)", "found ','");
        refused("(1,,)", "found ','");
        refused("[1)", "expected , or ]");
        refused("{'a' 1}", "expected :");
        refused("{'a': 1 'b': 2}", "expected , or }");
        refused("{1: 2}", "expected a text in quotes");
        refused("{,}", "expected a text in quotes");
        refused("{'a': 1, 'a': 1}", "a is there more than once");
        refused("{} {}", "expected nothing more");
        refused("{}\0", "expected nothing more");
        refused("'a", "expected the end of a text");
        refused("'a\"", "expected the end of a text");
        refused("'a\\x41'", "expected the end of a text at byte 2 of the header, found '\\\\'");
        refused("'a\n'", "expected the end of a text");
        refused("'a' 'b'", "expected nothing more");
        refused("u'a'", "expected a text, a number");
        refused("-1", "found '-'");
        refused("1.0", "whole number");
        refused("1_0", "whole number");
        refused("0x10", "whole number");
        refused("007", "begin with zero");
        refused("18446744073709551616", "is too large");
        refused("Truely", "expected a text, a number");
        refused("None", "expected a text, a number");
        refused("1 # one", "expected nothing more");
        refused("é", "found 'é'");
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        for open in ["(", "[", "{'a':", "[(", "({'a':["] {
            refused(&open.repeat(1_000_000), "more than 16 deep");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[(){}\\[\\],:'\"0-9LTrueFals é\\\\\n-]{0,40}") {
            let _ = Literal::read(&text, true);
        }
    }
}
