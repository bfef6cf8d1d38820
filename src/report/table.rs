//! Tables of a page.

use super::format::{self, escape};
use std::fmt::Write;

/// The heading of a page's settings, and a list of their names and values.
pub(crate) fn settings(entries: &[(&str, String)]) -> String {
    let mut html = String::from("<h2 id=\"settings\">Settings</h2>\n<dl>\n");
    for (name, value) in entries {
        let _ = writeln!(html, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(value));
    }
    html + "</dl>\n"
}

/// A table up to its first row.
pub(crate) fn open(caption: &str, first: &str, titles: &[String]) -> String {
    let mut html = format!(
        "<table class=\"data\" role=\"table\">\n<caption class=\"unseen\">{}</caption>\n\
         <thead role=\"rowgroup\"><tr role=\"row\">\
         <th scope=\"col\" role=\"columnheader\">{}</th>",
        escape(caption),
        escape(first)
    );
    for title in titles {
        let title = escape(&format::capital_letter(title));
        let _ = write!(html, "<th scope=\"col\" role=\"columnheader\">{title}</th>");
    }
    html.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    html
}

/// A row of such a table; its cells are HTML.
pub(crate) fn row(html: &mut String, head: &str, titles: &[String], cells: &[String]) {
    let _ = write!(html, "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">{head}</th>");
    for (title, cell) in titles.iter().zip(cells) {
        let title = escape(&format::capital_letter(title));
        let _ = write!(html, "<td role=\"cell\" data-label=\"{title}\">{cell}</td>");
    }
    html.push_str("</tr>\n");
}
