//! Pen and paper for plots: the page's colours, marks, and a drawing area in its pixels.
//!
//! plotters draws; what it writes as fixed colours are the codes of [`Colour`], each of which is
//! then replaced by a CSS variable, so that one picture serves light and dark. plotters places
//! everything on whole units, so pictures are drawn [`FINE`] times larger than they are shown.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::format::escape;
use crate::{Error, Result};

/// Units of the drawing for one pixel of the page.
pub(crate) const FINE: f64 = 10.0;
/// plotters takes the height of a line and writes this fraction of it as `font-size`.
const LINE: f64 = 1.24;
/// Height of text, in pixels.
pub(crate) const TEXT: f64 = 12.0;

/// A colour that the page decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour(u8);

impl Colour {
    const VARIABLES: [&str; 21] = [
        "ink",
        "muted",
        "grid",
        "panel",
        "scratch",
        "single",
        "hindsight",
        "ensemble",
        "average",
        "zoo",
        "lite",
        "collapsed",
        "routed",
        "s1",
        "s2",
        "s3",
        "s4",
        "s5",
        "s6",
        "s7",
        "s8",
    ];
    /// Text that matters, and lines that mark a value.
    pub(crate) const STRONG: Self = Self(0);
    /// Text at axes.
    pub(crate) const MUTED: Self = Self(1);
    /// Lines to read values by.
    pub(crate) const GRID: Self = Self(2);
    /// What is under the plot.
    pub(crate) const PANEL: Self = Self(3);

    /// What was trained from nothing.
    pub(crate) const SCRATCH: Self = Self(4);
    /// One source, tuned.
    pub(crate) const SINGLE: Self = Self(5);
    /// What only the test itself reveals.
    pub(crate) const HINDSIGHT: Self = Self(6);
    /// Several networks side by side.
    pub(crate) const ENSEMBLE: Self = Self(7);
    /// The mean of the sources, tuned.
    pub(crate) const AVERAGE: Self = Self(8);
    /// A zoo.
    pub(crate) const ZOO: Self = Self(9);
    /// A lite zoo.
    pub(crate) const LITE: Self = Self(10);
    /// A lite zoo as one plain network.
    pub(crate) const COLLAPSED: Self = Self(11);
    /// A zoo of which each sample takes one source.
    pub(crate) const ROUTED: Self = Self(12);

    /// The colour of the source at this place of the zoo.
    pub(crate) fn source(at: usize) -> Self {
        Self(13 + (at % 8) as u8)
    }

    /// How the page's style sheet calls the colour.
    pub(crate) fn variable(self) -> &'static str {
        Self::VARIABLES[self.0 as usize]
    }

    pub(crate) fn rgb(self) -> RGBColor {
        RGBColor(0, 250, self.0)
    }
}

/// How a value is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A method like any other.
    Disc,
    /// Known with hindsight only, or the same network again.
    Ring,
    /// A method that costs a multiple.
    Diamond,
}

/// What may go wrong while drawing into a string: nothing in practice.
pub(crate) type Drawn<T = ()> = std::result::Result<
    T,
    DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>,
>;

/// A drawing area with a few strokes in pixels of the page.
pub(crate) struct Canvas<'a> {
    pub(crate) area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl Canvas<'_> {
    pub(crate) fn line(&self, colour: Colour, width: f64, points: &[(f64, f64)]) -> Drawn {
        let points: Vec<_> = points.iter().map(|p| fine(*p)).collect();
        self.area.draw(&PathElement::new(points, colour.rgb().stroke_width(px(width))))
    }

    pub(crate) fn dashes(&self, colour: Colour, from: (f64, f64), to: (f64, f64)) -> Drawn {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |part: f64| (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1));
        let mut done = 0.0;
        while done < length {
            let end = (done + 4.0).min(length);
            self.line(colour, 1.2, &[at(done / length), at(end / length)])?;
            done += 8.0;
        }
        Ok(())
    }

    pub(crate) fn cover(&self, from: (f64, f64), to: (f64, f64)) -> Drawn {
        self.area.draw(&Rectangle::new([fine(from), fine(to)], Colour::PANEL.rgb().filled()))
    }

    pub(crate) fn faint_dot(&self, colour: Colour, at: (f64, f64)) -> Drawn {
        self.area.draw(&Circle::new(fine(at), px(2.5), colour.rgb().mix(0.6).filled()))
    }

    pub(crate) fn mark(&self, mark: Mark, colour: Colour, at: (f64, f64), radius: f64) -> Drawn {
        let disc = |radius: f64, colour: Colour| {
            self.area.draw(&Circle::new(fine(at), px(radius), colour.rgb().filled()))
        };
        let diamond = |radius: f64, colour: Colour| {
            let (x, y) = at;
            let corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)];
            self.area.draw(&Polygon::new(corners.map(fine), colour.rgb().filled()))
        };
        // A rim of the ground keeps marks apart that lie on each other.
        match mark {
            Mark::Disc => {
                disc(radius + 1.2, Colour::PANEL)?;
                disc(radius, colour)
            }
            Mark::Ring => {
                disc(radius + 1.2, Colour::PANEL)?;
                disc(radius, colour)?;
                disc(radius - 2.2, Colour::PANEL)
            }
            Mark::Diamond => {
                diamond(radius + 3.2, Colour::PANEL)?;
                diamond(radius + 1.6, colour)?;
                diamond(radius - 1.6, Colour::PANEL)
            }
        }
    }

    pub(crate) fn text(&self, style: TextStyle<'static>, at: (f64, f64), text: &str) -> Drawn {
        self.area.draw(&Text::new(text, fine(at), style))
    }
}

/// Draws and takes the colours out.
pub(crate) fn picture(
    (width, height): (f64, f64),
    title: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Drawn,
) -> Result<String> {
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, (px(width), px(height)));
        let canvas = Canvas { area: backend.into_drawing_area() };
        draw(&canvas).and_then(|()| canvas.area.present()).map_err(|error| Error::Impossible {
            request: "draw a plot",
            reason: error.to_string(),
            hint: "use --json for the numbers alone",
        })?;
    }
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    Ok(format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" style=\"--width:{width}px\">{}",
        px(width),
        px(height),
        escape(title),
        recolour(body)
    ))
}

/// Replaces the codes of colours by the page's variables.
fn recolour(svg: &str) -> String {
    let mut parts = svg.split("\"#00FA");
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let variable = part
            .split_once('"')
            .and_then(|(code, rest)| {
                let variable = Colour::VARIABLES.get(usize::from_str_radix(code, 16).ok()?)?;
                Some((variable, rest))
            })
            .map(|(variable, rest)| format!("\"var(--{variable})\"{rest}"));
        text.push_str(&variable.unwrap_or_else(|| format!("\"#00FA{part}")));
    }
    // Nothing is lost where everything is opaque.
    text.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "")
}

/// How numbers at an axis are written.
pub(crate) type Labels = fn(f64) -> String;

pub(crate) type Cartesian<'a, X> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>;

/// The usual grid with labels at both axes.
pub(crate) fn mesh<'a, X>(
    chart: &mut Cartesian<'a, X>,
    count: (usize, usize),
    x_labels: impl Fn(f64) -> String,
    y_labels: Labels,
    small: bool,
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    // Small pictures are shown smaller still on phones.
    let size = if small { 1.15 * TEXT } else { TEXT };
    chart
        .configure_mesh()
        .x_labels(count.0)
        .y_labels(count.1)
        .x_label_formatter(&|x| x_labels(*x))
        .y_label_formatter(&|y| y_labels(*y))
        .bold_line_style(Colour::GRID.rgb().stroke_width(px(0.8)))
        .light_line_style(TRANSPARENT)
        .axis_style(Colour::GRID.rgb().stroke_width(px(0.8)))
        .set_all_tick_mark_size(px(4.0))
        .x_label_style(style(Colour::MUTED, size, HPos::Center, false))
        .y_label_style(style(Colour::MUTED, size, HPos::Right, false))
        .draw()
}

pub(crate) fn style(colour: Colour, size: f64, anchor: HPos, strong: bool) -> TextStyle<'static> {
    let weight = if strong { FontStyle::Bold } else { FontStyle::Normal };
    ("sans-serif", size * LINE * FINE, weight)
        .into_font()
        .color(&colour.rgb())
        .pos(Pos::new(anchor, VPos::Center))
}

pub(crate) fn px(pixels: f64) -> u32 {
    (pixels * FINE).round().max(0.0) as u32
}

pub(crate) fn fine((x, y): (f64, f64)) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}
