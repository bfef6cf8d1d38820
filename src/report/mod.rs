//! Pages that show what came out: one HTML file each, that needs nothing else.
//!
//! A page loads nothing from anywhere, which its own content policy says to the browser, and runs
//! no script. What stands in it is computed from the numbers.
//!
//! | file | holds |
//! |---|---|
//! | `runs` | the page of a run, or of several side by side |
//! | `comparison` | the page of a comparison, and what other pages show of methods |
//! | `layers` | what is inside of a network: sources, gates, single images, alignment |
//! | `landmarks` | pictures with points, and how often they are how far off |
//! | `animation` | an episode as a picture that moves |
//! | `courses` | gates over time |
//! | `table` | tables |
//! | `plot` | plots, as SVG |
//! | `heatmap` | tables of shaded cells |
//! | `canvas` | colours, marks and the area that plots are drawn on |
//! | `format` | numbers and text as people read them |

pub mod animation;
pub(crate) mod canvas;
#[cfg(test)]
pub(crate) mod checked;
pub(crate) mod comparison;
pub(crate) mod courses;
pub(crate) mod format;
pub(crate) mod heatmap;
pub(crate) mod landmarks;
pub(crate) mod layers;
pub(crate) mod learning;
pub(crate) mod methods;
pub(crate) mod plot;
mod runs;
pub(crate) mod table;

pub use comparison::comparison;
pub use runs::{page, write};

use format::escape;
use std::fmt::Write;

/// A part of a page under a heading of its own.
pub(crate) struct Section {
    /// Where links in the page lead.
    pub(crate) id: &'static str,
    /// The heading; also, shortened to `link`, what links say.
    pub(crate) title: &'static str,
    pub(crate) link: &'static str,
    /// HTML.
    pub(crate) body: String,
}

/// A page in its parts; all but the first three are HTML.
pub(crate) struct Page<'a> {
    /// What this is, above everything else.
    pub(crate) kind: &'a str,
    pub(crate) title: &'a str,
    /// Version of the program.
    pub(crate) version: &'a str,
    pub(crate) lede: &'a str,
    /// A few numbers large enough to be seen first; may be empty.
    pub(crate) numbers: &'a str,
    pub(crate) sections: &'a [Section],
    /// Begins with a heading whose id is `settings`.
    pub(crate) footer: &'a str,
}

impl Page<'_> {
    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        let (mut nav, mut body) = (String::new(), String::new());
        for Section { id, title, link, body: inner } in self.sections {
            let _ = write!(nav, "<a href=\"#{id}\">{link}</a>");
            let _ = write!(
                body,
                "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n\
                 <h2 id=\"{id}-title\">{title}</h2>\n{inner}</section>\n"
            );
        }
        nav.push_str("<a href=\"#settings\">Settings</a>");
        let [kind, title, version] = [self.kind, self.title, self.version].map(escape);
        fill(include_str!("page.html"), |key| match key {
            "kind" => &kind,
            "title" => &title,
            "version" => &version,
            "css" => include_str!("page.css").trim_end(),
            "lede" => self.lede,
            "numbers" => self.numbers,
            "nav" => &nav,
            "sections" => &body,
            "footer" => self.footer,
            _ => "",
        })
    }
}

/// `template` with every `{{key}}` replaced, in one pass: what is filled in is not looked into.
fn fill<'a>(template: &str, value: impl Fn(&str) -> &'a str) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part.split_once("}}") {
            Some((key, rest)) => {
                page.push_str(value(key));
                page.push_str(rest);
            }
            None => page.push_str(part),
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_looked_into() {
        assert_eq!(
            fill("a {{b}} c {{d}}", |key| if key == "b" { "{{d}}" } else { "e" }),
            "a {{d}} c e"
        );
    }
}
