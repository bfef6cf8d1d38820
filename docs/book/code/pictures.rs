//! The book's pictures as SVG: what they are drawn with.

use std::fmt::Write;

pub const INK: &str = "#222222";
pub const GREY: &str = "#8a8a8a";
pub const PALE: &str = "#e4e4de";
pub const BLUE: &str = "#2b6cb0";
pub const ORANGE: &str = "#c05621";
pub const GREEN: &str = "#2f855a";

/// A picture on a light ground of its own, so that it can be read on a dark page.
pub struct Canvas {
    size: [f64; 2],
    body: String,
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        Self { size: [width, height], body: String::new() }
    }

    pub fn rect(&mut self, [x, y]: [f64; 2], [w, h]: [f64; 2], fill: &str, stroke: &str) {
        let shape = format!(r#"x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}""#);
        writeln!(self.body, r#"<rect {shape} fill="{fill}" stroke="{stroke}"/>"#).unwrap();
    }

    pub fn line(&mut self, points: &[[f64; 2]], colour: &str, width: f64) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
        let style = format!(r#"fill="none" stroke="{colour}" stroke-width="{width}""#);
        writeln!(self.body, r#"<polyline points="{}" {style}/>"#, points.join(" ")).unwrap();
    }

    /// A line with a head at its end.
    pub fn arrow(&mut self, from: [f64; 2], to: [f64; 2], colour: &str) {
        let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
        let length = (dx * dx + dy * dy).sqrt();
        let [ux, uy] = [7.0 * dx / length, 7.0 * dy / length];
        self.line(&[from, to], colour, 1.5);
        let side = |s: f64| [to[0] - ux - s * uy / 2.0, to[1] - uy + s * ux / 2.0];
        self.line(&[side(1.0), to, side(-1.0)], colour, 1.5);
    }

    pub fn dot(&mut self, [x, y]: [f64; 2], radius: f64, colour: &str) {
        let shape = format!(r#"cx="{x:.1}" cy="{y:.1}" r="{radius}""#);
        writeln!(self.body, r#"<circle {shape} fill="{colour}"/>"#).unwrap();
    }

    /// A text whose middle is at `x`.
    pub fn text(&mut self, at: [f64; 2], text: &str, colour: &str) {
        self.write(at, text, colour, "middle");
    }

    /// A text that begins at `x`.
    pub fn label(&mut self, at: [f64; 2], text: &str, colour: &str) {
        self.write(at, text, colour, "start");
    }

    fn write(&mut self, [x, y]: [f64; 2], text: &str, colour: &str, anchor: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let style = format!(r#"fill="{colour}" text-anchor="{anchor}""#);
        writeln!(self.body, r#"<text x="{x:.1}" y="{y:.1}" {style}>{text}</text>"#).unwrap();
    }

    pub fn finish(self) -> String {
        let Self { size: [width, height], body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"#fdfdf8\"/>\n{body}</svg>\n"
        )
    }
}

/// A place for curves, with its axes.
pub struct Plot {
    pub origin: [f64; 2],
    pub size: [f64; 2],
    pub x: [f64; 2],
    pub y: [f64; 2],
}

impl Plot {
    pub fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let share = |value: f64, [from, to]: [f64; 2]| (value - from) / (to - from);
        [
            self.origin[0] + self.size[0] * share(x, self.x),
            self.origin[1] - self.size[1] * share(y, self.y),
        ]
    }

    pub fn axes(&self, canvas: &mut Canvas, ticks: [&[(f64, &str)]; 2], names: [&str; 2]) {
        let [left, bottom] = self.origin;
        for &(value, name) in ticks[1] {
            let [_, y] = self.place([self.x[0], value]);
            canvas.line(&[[left, y], [left + self.size[0], y]], PALE, 1.0);
            canvas.write([left - 6.0, y + 4.0], name, GREY, "end");
        }
        for &(value, name) in ticks[0] {
            let [x, _] = self.place([value, self.y[0]]);
            canvas.line(&[[x, bottom], [x, bottom + 4.0]], GREY, 1.0);
            canvas.text([x, bottom + 18.0], name, GREY);
        }
        canvas.line(&[[left, bottom], [left + self.size[0], bottom]], GREY, 1.0);
        canvas.text([left + self.size[0] / 2.0, bottom + 36.0], names[0], INK);
        canvas.label([left - 34.0, bottom - self.size[1] - 14.0], names[1], INK);
    }

    pub fn curve(&self, canvas: &mut Canvas, points: &[[f64; 2]], colour: &str) {
        let places: Vec<[f64; 2]> = points.iter().map(|&point| self.place(point)).collect();
        canvas.line(&places, colour, 2.0);
    }
}
