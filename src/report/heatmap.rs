//! Tables whose cells are shaded by their values, and strips of shaded cells without text.

use std::fmt::Write;

use super::format::{decimal, escape};

/// A table of one row for each layer and one column for each source.
pub(crate) struct Heatmap<'a> {
    /// What the table shows, for those who do not see it.
    pub(crate) caption: &'a str,
    /// CSS class with the hue: `gate` or `align`.
    pub(crate) hue: &'static str,
    /// Names of the columns, in order.
    pub(crate) columns: &'a [String],
    /// The value that is shaded fully.
    pub(crate) top: f64,
    /// Digits after the point.
    pub(crate) decimals: usize,
    /// The rows.
    pub(crate) rows: Vec<Row<'a>>,
}

/// One row.
pub(crate) struct Row<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its values, in the order of the columns.
    pub(crate) values: &'a [f64],
    /// Their stds, shown small; may be empty.
    pub(crate) stds: &'a [f64],
}

impl Heatmap<'_> {
    /// The table, in a box that scrolls sideways when it is wider than the page.
    pub(crate) fn html(&self) -> String {
        let caption = escape(self.caption);
        let mut html = format!(
            "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\
             <table class=\"heat {}\" style=\"--columns:{}\"><caption class=\"unseen\">{caption}</caption>\n\
             <thead><tr><th scope=\"col\">layer</th>",
            self.hue,
            self.columns.len().max(1)
        );
        for (at, column) in self.columns.iter().enumerate() {
            let _ = write!(html, "<th scope=\"col\">{}</th>", source_label(at, column));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", path(row.name));
            for at in 0..self.columns.len() {
                let value = row.values.get(at).copied().unwrap_or(f64::NAN);
                let _ =
                    write!(html, "<td{}>{}", shade(value, self.top), decimal(value, self.decimals));
                if let Some(std) = row.stds.get(at).filter(|d| d.is_finite()) {
                    let _ = write!(html, " <small>±{}</small>", decimal(*std, 2));
                }
                html.push_str("</td>");
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }

    /// The scale of the shades, with its ends written beside it.
    pub(crate) fn legend(&self) -> String {
        format!(
            "<span class=\"ramp {}\"><span>0</span><i></i><span>{}</span></span>",
            self.hue,
            decimal(self.top, if self.top < 10.0 { self.decimals } else { 0 })
        )
    }
}

/// A grid of shaded cells without text, read as one picture that `label` describes.
pub(crate) fn strip(values: &[Vec<f64>], columns: usize, layers: &[String], label: &str) -> String {
    let mut html = format!(
        "<div class=\"strip gate\" role=\"img\" aria-label=\"{}\" style=\"--columns:{}\">",
        escape(label),
        columns.max(1)
    );
    for (at, row) in values.iter().enumerate() {
        let layer = layers.get(at).map_or("", String::as_str);
        for source in 0..columns {
            let value = row.get(source).copied().unwrap_or(f64::NAN);
            let _ = write!(
                html,
                "<i{} title=\"{}: {}\"></i>",
                shade(value, 1.0),
                escape(layer),
                decimal(value, 2)
            );
        }
    }
    html.push_str("</div>");
    html
}

/// A dotted name that may be broken after its dots.
pub(crate) fn path(name: &str) -> String {
    escape(name).replace('.', ".<wbr>")
}

/// A source's name with its number on its colour, as it stands at columns and in legends.
pub(crate) fn source_label(at: usize, name: &str) -> String {
    format!("{} {}", source_key(at), escape(name))
}

/// The number of a source on its colour alone.
pub(crate) fn source_key(at: usize) -> String {
    format!("<b class=\"key\" style=\"--key:var(--s{})\">{}</b>", at % 8 + 1, at + 1)
}

/// The attributes of a cell: how far its shade goes from none to full, and the class that says
/// which colour of text can be read on it. `low` and `high` shades want opposite colours in light
/// and dark, the middle wants black in both. The limits are where black and white have the same
/// contrast on the style sheet's colours, 0.545 in dark and 0.675 in light.
fn shade(value: f64, top: f64) -> String {
    let part = value / top;
    if !part.is_finite() {
        return " class=\"none\"".to_owned();
    }
    let part = part.clamp(0.0, 1.0);
    let class = match part {
        p if p < 0.545 => "low",
        p if p < 0.675 => "middle",
        _ => "high",
    };
    format!(" class=\"{class}\" style=\"--part:{part:.3}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_cell_for_every_column() {
        let columns = ["a".to_owned(), "<b>".to_owned(), "c".to_owned()];
        let map = Heatmap {
            caption: "gates",
            hue: "gate",
            columns: &columns,
            top: 1.0,
            decimals: 2,
            rows: vec![
                Row { name: "conv1", values: &[0.25, 0.75], stds: &[0.125] },
                Row { name: "conv2", values: &[f64::NAN, f64::INFINITY, 7.0], stds: &[] },
            ],
        };
        let html = map.html();
        assert_eq!(html.matches("<td").count(), 6);
        assert_eq!(html.matches("class=\"none\"").count(), 3);
        assert!(html.contains("--part:0.250"));
        assert!(html.contains("--part:1.000"));
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"));
    }

    #[test]
    fn a_scale_without_extent_shades_nothing() {
        assert_eq!(shade(0.0, 0.0), " class=\"none\"");
        assert_eq!(shade(-1.0, 1.0), " class=\"low\" style=\"--part:0.000\"");
    }

    #[test]
    fn a_strip_fills_rows_that_are_too_short() {
        let html = strip(&[vec![0.5], vec![]], 2, &["conv1".to_owned()], "what \"it\" is");
        assert_eq!(html.matches("<i").count(), 4);
        assert!(html.contains("what &quot;it&quot; is"));
    }
}
