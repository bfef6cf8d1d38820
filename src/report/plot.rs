//! Plots as SVG that takes its colours and its type from the page.

use std::fmt::Display;
use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Colour, FINE, Labels, Mark, TEXT, mesh, picture, px, style};
use super::format;
use crate::Result;

/// Values beyond this are as good as infinite: axes would lose all precision.
const HUGE: f64 = 1e12;

/// One value with its uncertainty, in a row of its own.
pub(crate) struct Row {
    pub(crate) label: String,
    /// The value as text, for the end of the row.
    pub(crate) text: String,
    pub(crate) value: f64,
    /// Half width of the bar.
    pub(crate) interval: Option<f64>,
    /// Shown faintly: what the value is the mean of.
    pub(crate) each: Vec<f64>,
    pub(crate) colour: Colour,
    pub(crate) mark: Mark,
    /// Whether the label is set in bold.
    pub(crate) strong: bool,
}

/// Where the labels of rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Beside the rows: for wide pages.
    Beside,
    /// Above each row: for narrow ones.
    Above,
}

/// One line of a plot, with fainter ones that it summarises.
pub(crate) struct Line {
    pub(crate) colour: Colour,
    pub(crate) main: Vec<(f64, f64)>,
    pub(crate) faint: Vec<Vec<(f64, f64)>>,
}

/// A point with a name.
pub(crate) struct Place {
    pub(crate) label: String,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) colour: Colour,
    pub(crate) mark: Mark,
    pub(crate) strong: bool,
}

/// Rows of values over one axis, with a dashed line at `marker`; the value that it marks.
pub(crate) fn rows(
    rows: &[Row],
    layout: Layout,
    marker: Option<(f64, Colour)>,
    labels: Labels,
    title: &str,
) -> Result<String> {
    let extent = extent(rows.iter().flat_map(|row| {
        let margin = row.interval.filter(|i| i.is_finite()).unwrap_or(0.0);
        [row.value - margin, row.value + margin].into_iter().chain(row.each.iter().copied())
    }));
    let extent = match marker {
        Some((at, _)) if usable(at) => extent.start.min(at)..extent.end.max(at),
        _ => extent,
    };
    let axis = padded(extent, 0.04);
    let (width, pitch, left, right) = match layout {
        Layout::Beside => {
            let longest = rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
            (880.0, 32.0, (7.8 * longest as f64 + 16.0).clamp(110.0, 320.0), 150.0)
        }
        Layout::Above => (400.0, 48.0, 8.0, 14.0),
    };
    let size = (width, pitch * rows.len().max(1) as f64 + 26.0);
    picture(size, title, |canvas| {
        let mut builder = ChartBuilder::on(&canvas.area);
        builder
            .margin_top(px(4.0))
            .margin_left(px(left))
            .margin_right(px(right))
            .x_label_area_size(px(22.0));
        let mut chart = builder.build_cartesian_2d(axis, 0.0..rows.len().max(1) as f64)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_labels(if layout == Layout::Beside { 8 } else { 5 })
            .x_label_formatter(&|x| labels(*x))
            .bold_line_style(Colour::GRID.rgb().stroke_width(px(1.0)))
            .light_line_style(TRANSPARENT)
            .axis_style(Colour::GRID.rgb().stroke_width(px(1.0)))
            .set_all_tick_mark_size(px(4.0))
            .label_style(style(Colour::MUTED, TEXT, HPos::Center, false))
            .draw()?;
        let place = |x: f64, row: f64| {
            let (x, y) = chart.plotting_area().map_coordinate(&(x, rows.len() as f64 - row));
            (f64::from(x) / FINE, f64::from(y) / FINE)
        };
        if let Some((at, colour)) = marker.filter(|(at, _)| usable(*at)) {
            canvas.dashes(colour, place(at, 0.0), place(at, rows.len() as f64))?;
        }
        for (at, row) in rows.iter().enumerate() {
            let line = at as f64 + if layout == Layout::Beside { 0.42 } else { 0.62 };
            let (_, middle) = place(0.0, line);
            let text_at = match layout {
                Layout::Beside => middle,
                Layout::Above => {
                    // Lines of the grid would run through the text.
                    canvas.cover((0.0, middle - 28.0), (width, middle - 9.0))?;
                    middle - 18.0
                }
            };
            let size = if layout == Layout::Beside { 13.5 } else { 12.5 };
            canvas.text(
                style(Colour::STRONG, size, HPos::Left, row.strong),
                (0.0, text_at),
                &row.label,
            )?;
            canvas.text(
                style(Colour::STRONG, size, HPos::Right, row.strong),
                (width, text_at),
                &row.text,
            )?;
            for each in row.each.iter().copied().filter(|x| usable(*x)) {
                let (x, y) = place(each, line);
                canvas.faint_dot(row.colour, (x, y + 9.0))?;
            }
            if !usable(row.value) {
                continue;
            }
            if let Some(interval) = row.interval.filter(|i| usable(*i)) {
                let ends = [row.value - interval, row.value + interval].map(|x| place(x, line));
                canvas.line(row.colour, 2.0, &ends)?;
                for (x, y) in ends {
                    canvas.line(row.colour, 2.0, &[(x, y - 4.0), (x, y + 4.0)])?;
                }
            }
            canvas.mark(row.mark, row.colour, place(row.value, line), 5.5)?;
        }
        Ok(())
    })
}

/// Lines over a common x axis, from zero.
pub(crate) fn lines(
    lines: &[Line],
    size: (f64, f64),
    y_range: Option<Range<f64>>,
    labels: Labels,
    title: &str,
) -> Result<String> {
    let points =
        || lines.iter().flat_map(|line| line.faint.iter().chain([&line.main])).flatten().copied();
    let x_end = extent(points().map(|(x, _)| x)).end.max(1.0);
    let y = match y_range {
        Some(range) => range,
        None => padded(extent(points().map(|(_, y)| y)), 0.05),
    };
    let small = size.0 < 300.0;
    picture(size, title, |canvas| {
        let mut builder = ChartBuilder::on(&canvas.area);
        builder
            .margin_top(px(8.0))
            .margin_right(px(12.0))
            .x_label_area_size(px(22.0))
            .y_label_area_size(px(if small { 30.0 } else { 44.0 }));
        let mut chart = builder.build_cartesian_2d(0.0..x_end, y)?;
        mesh(
            &mut chart,
            if small { (3, 3) } else { (6, 6) },
            |x| format!("{x:.0}"),
            labels,
            small,
        )?;
        for line in lines {
            for faint in &line.faint {
                let style = line.colour.rgb().mix(0.28).stroke_width(px(1.0));
                for part in parts(faint) {
                    chart.draw_series(LineSeries::new(part, style))?;
                }
            }
        }
        for line in lines {
            let style = line.colour.rgb().stroke_width(px(if small { 1.6 } else { 2.2 }));
            for part in parts(&line.main) {
                if let [point] = part[..] {
                    // A line of one point would not be seen.
                    chart.draw_series([Circle::new(point, px(3.0), line.colour.rgb().filled())])?;
                }
                chart.draw_series(LineSeries::new(part, style))?;
            }
        }
        Ok(())
    })
}

/// Points with names; the x axis is logarithmic.
pub(crate) fn scatter(
    places: &[Place],
    x_labels: fn(f64) -> String,
    y_labels: Labels,
    title: &str,
) -> Result<String> {
    let places: Vec<&Place> =
        places.iter().filter(|place| usable(place.y) && usable(place.x) && place.x > 0.0).collect();
    let x = extent(places.iter().map(|place| place.x.log10()));
    // Names stand at the right of their points; and half a decade holds a tick at least.
    let span = x.end - x.start;
    let x = x.start - 0.08 * span.max(0.3)..x.end + (0.4 * span).max(0.5 - span).max(0.1);
    let y = padded(extent(places.iter().map(|place| place.y)), 0.08);
    let size = (400.0, 330.0);
    let width = |place: &Place| 6.4 * place.label.chars().count() as f64;
    picture(size, title, |canvas| {
        let mut builder = ChartBuilder::on(&canvas.area);
        builder
            .margin_top(px(8.0))
            .margin_right(px(8.0))
            .x_label_area_size(px(22.0))
            .y_label_area_size(px(44.0));
        let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
        mesh(&mut chart, (0, 6), x_labels, y_labels, false)?;
        let pixels = |x: f64, y: f64| {
            let (x, y) = chart.plotting_area().map_coordinate(&(x, y));
            (f64::from(x) / FINE, f64::from(y) / FINE)
        };
        for tick in log_ticks(&x) {
            let (bottom, top) = (pixels(tick.log10(), y.start), pixels(tick.log10(), y.end));
            canvas.line(Colour::GRID, 0.8, &[(bottom.0, bottom.1 + 4.0), top])?;
            let style = style(Colour::MUTED, TEXT, HPos::Center, false);
            canvas.text(style, (bottom.0, bottom.1 + 13.0), &x_labels(tick))?;
        }
        let mut places: Vec<(&Place, (f64, f64))> =
            places.iter().map(|place| (*place, pixels(place.x.log10(), place.y))).collect();
        places.sort_by(|(_, a), (_, b)| a.0.total_cmp(&b.0));
        // Points share a column of names if their names would meet.
        for column in places.chunk_by(|(place, a), (_, b)| b.0 - a.0 < 24.0 + width(place)) {
            let mut column = column.to_vec();
            column.sort_by(|(_, a), (_, b)| a.1.total_cmp(&b.1));
            let heights: Vec<f64> = column.iter().map(|(_, at)| at.1).collect();
            let names = spread(&heights, 14.0, 12.0..size.1 - 36.0);
            let xs = || column.iter().map(|(_, at)| at.0);
            let widest = column.iter().map(|(place, _)| width(place)).fold(0.0, f64::max);
            let right = xs().fold(0.0, f64::max) + 22.0;
            let (x, side, gap) = if right + widest < size.0 {
                (right, HPos::Left, -3.0)
            } else {
                (xs().fold(size.0, f64::min) - 22.0, HPos::Right, 3.0)
            };
            for ((place, at), height) in column.iter().zip(&names) {
                canvas.line(Colour::GRID, 1.0, &[*at, (x + gap, *height)])?;
                canvas.text(
                    style(Colour::STRONG, 11.5, side, place.strong),
                    (x, *height),
                    &place.label,
                )?;
            }
            for (place, at) in column {
                canvas.mark(place.mark, place.colour, at, 5.0)?;
            }
        }
        Ok(())
    })
}

/// The numbers 1, 2 and 5 times powers of ten whose logarithms lie in `range`; if these are more
/// than six, the powers alone, as many of them as have room.
fn log_ticks(range: &Range<f64>) -> Vec<f64> {
    let powers = range.start.floor() as i32..=range.end.ceil() as i32;
    let within = |factors: &[f64], every: usize| -> Vec<f64> {
        powers
            .clone()
            .step_by(every)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
            .filter(|tick| range.contains(&tick.log10()))
            .collect()
    };
    let fine = within(&[1.0, 2.0, 5.0], 1);
    if fine.len() <= 6 { fine } else { within(&[1.0], (fine.len() / 18).max(1)) }
}

fn usable(value: f64) -> bool {
    value.is_finite() && value.abs() < HUGE
}

/// The runs of points between those that cannot be drawn.
fn parts(points: &[(f64, f64)]) -> impl Iterator<Item = Vec<(f64, f64)>> {
    points
        .split(|(x, y)| !usable(*x) || !usable(*y))
        .filter(|part| !part.is_empty())
        .map(<[_]>::to_vec)
}

/// From the least to the greatest of the usable values; 0 to 1 if there is none.
fn extent(values: impl Iterator<Item = f64>) -> Range<f64> {
    let range = values
        .filter(|value| usable(*value))
        .fold(f64::INFINITY..f64::NEG_INFINITY, |r, v| r.start.min(v)..r.end.max(v));
    if range.start <= range.end { range } else { 0.0..1.0 }
}

/// `range` with a margin of `part` of its extent at both ends, and with some extent.
fn padded(range: Range<f64>, part: f64) -> Range<f64> {
    let least = 1e-3 * range.end.abs().max(1.0);
    let margin = if range.end - range.start < least {
        10.0 * least
    } else {
        part * (range.end - range.start)
    };
    range.start - margin..range.end + margin
}

/// Moves sorted `places` apart to at least `gap`, within `range` where it has room.
fn spread(places: &[f64], gap: f64, range: Range<f64>) -> Vec<f64> {
    // Clusters of neighbours that touch, each with its first place and the sum of wishes.
    let mut clusters: Vec<(f64, f64, usize)> = Vec::new();
    for &place in places {
        let (mut sum, mut members) = (place, 1);
        loop {
            let length = gap * (members - 1) as f64;
            let start =
                (sum / members as f64 - length / 2.0).min(range.end - length).max(range.start);
            match clusters.last() {
                Some(&(first, before, n)) if first + gap * n as f64 > start => {
                    clusters.pop();
                    sum += before;
                    members += n;
                }
                _ => {
                    clusters.push((start, sum, members));
                    break;
                }
            }
        }
    }
    clusters
        .iter()
        .flat_map(|&(start, _, n)| (0..n).map(move |at| start + gap * at as f64))
        .collect()
}

/// A number at an axis of shares.
pub(crate) fn percent_label(share: f64) -> String {
    let percent = 100.0 * share;
    let decimals = if (percent - percent.round()).abs() < 1e-6 { 0 } else { 1 };
    format!("{} %", format::decimal(percent, decimals))
}

/// A number at an axis of differences of shares.
pub(crate) fn points_label(share: f64) -> String {
    let text = format::decimal(100.0 * share, 1);
    let text = text.strip_suffix(".0").unwrap_or(&text).to_owned();
    if share > 0.0 && text != "0" { format!("+{text}") } else { text }
}

/// A number at any other axis.
pub(crate) fn plain_label(value: impl Into<f64> + Display) -> String {
    let text = format::decimal(value.into(), 2);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A count at an axis.
pub(crate) fn count_label(value: f64) -> String {
    let text = format::count(value.clamp(0.0, 1e18).round() as u64);
    text.replace(".00 ", " ").replace(".0 ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64, interval: Option<f64>, each: Vec<f64>) -> Row {
        Row {
            label: "a <b> & \"c\"".into(),
            text: "1".into(),
            value,
            interval,
            each,
            colour: Colour::ZOO,
            mark: Mark::Disc,
            strong: true,
        }
    }

    #[test]
    fn no_colour_of_plotters_is_left() {
        let svg = rows(
            &[row(0.5, Some(0.1), vec![0.4, 0.6])],
            Layout::Beside,
            Some((0.55, Colour::STRONG)),
            percent_label,
            "title",
        )
        .unwrap();
        assert!(!svg.contains("\"#"), "{svg}");
        assert!(svg.contains("var(--zoo)") && svg.contains("var(--grid)"));
        assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;"));
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn values_that_are_none_are_left_out() {
        let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN];
        for value in strange {
            for layout in [Layout::Beside, Layout::Above] {
                let row = row(value, Some(value), strange.to_vec());
                let svg = rows(&[row], layout, Some((value, Colour::STRONG)), percent_label, "");
                assert!(!svg.unwrap().contains("NaN"));
            }
            let line = Line {
                colour: Colour::source(0),
                main: vec![(0.0, 1.0), (1.0, value), (2.0, 1.0)],
                faint: vec![vec![(value, 1.0)]],
            };
            lines(&[line], (400.0, 200.0), None, plain_label, "").unwrap();
            let place = Place {
                label: "x".into(),
                x: value,
                y: value,
                colour: Colour::STRONG,
                mark: Mark::Ring,
                strong: false,
            };
            scatter(&[place], count_label, percent_label, "").unwrap();
        }
    }

    #[test]
    fn empty_plots_are_drawn() {
        rows(&[], Layout::Above, None, percent_label, "").unwrap();
        lines(&[], (200.0, 100.0), None, plain_label, "").unwrap();
        scatter(&[], count_label, percent_label, "").unwrap();
    }

    #[test]
    fn names_are_spread_around_where_they_want_to_be() {
        assert_eq!(spread(&[10.0, 50.0], 10.0, 0.0..100.0), [10.0, 50.0]);
        assert_eq!(spread(&[50.0, 50.0], 10.0, 0.0..100.0), [45.0, 55.0]);
        assert_eq!(spread(&[0.0, 1.0, 50.0], 10.0, 0.0..100.0), [0.0, 10.0, 50.0]);
        assert_eq!(spread(&[99.0, 100.0], 10.0, 0.0..100.0), [90.0, 100.0]);
        // Without room for all, the first keep theirs.
        assert_eq!(spread(&[5.0; 3], 10.0, 0.0..10.0), [0.0, 10.0, 20.0]);
    }

    #[test]
    fn logarithmic_axes_have_a_few_ticks() {
        assert_eq!(log_ticks(&(6.1..6.6)), [2e6]);
        assert_eq!(log_ticks(&(5.9..7.1)), [1e6, 2e6, 5e6, 1e7]);
        assert_eq!(log_ticks(&(-0.5..3.5)), [1.0, 10.0, 100.0, 1000.0]);
        assert!(log_ticks(&(-11.0..11.0)).len() <= 9);
    }

    #[test]
    fn labels_have_no_needless_digits() {
        assert_eq!(percent_label(0.85), "85 %");
        assert_eq!(percent_label(0.855), "85.5 %");
        assert_eq!(points_label(0.02), "+2");
        assert_eq!(points_label(-0.025), "−2.5");
        assert_eq!(plain_label(0.50), "0.5");
        assert_eq!(plain_label(100.0), "100");
        assert_eq!(count_label(2e6), "2 M");
    }
}
