//! Every picture of the book, drawn from what the chapters' code computes.

use super::pictures::{BLUE, Canvas, GREEN, GREY, INK, ORANGE, PALE, Plot};
use super::{convolution, gates, matching, tape, testing, winograd};

/// The example by hand: values on the way there, gradients on the way back.
fn tape_by_hand() -> String {
    let mut c = Canvas::new(640.0, 190.0);
    let (loss, dw) = tape::by_hand();
    let dy = 2.0 * (3.0 - 2.0); // of the mean of one square
    let nodes = [
        (70.0, 50.0, "x".to_owned(), "3".to_owned()),
        (70.0, 140.0, "w".to_owned(), "1".to_owned()),
        (300.0, 95.0, "y = x w".to_owned(), "3".to_owned()),
        (540.0, 95.0, "loss = (y - 2)²".to_owned(), format!("{loss}")),
    ];
    for (x, y, name, value) in &nodes {
        c.rect([x - 58.0, y - 24.0], [116.0, 48.0], "#ffffff", INK);
        c.text([*x, y - 5.0], name, INK);
        c.text([*x, y + 14.0], value, BLUE);
    }
    c.arrow([130.0, 50.0], [238.0, 82.0], BLUE);
    c.arrow([130.0, 132.0], [238.0, 100.0], BLUE);
    c.arrow([362.0, 88.0], [478.0, 88.0], BLUE);
    c.arrow([478.0, 106.0], [362.0, 106.0], ORANGE);
    c.arrow([238.0, 114.0], [130.0, 146.0], ORANGE);
    c.text([420.0, 126.0], &format!("dy = 2 (y - 2) = {dy}"), ORANGE);
    c.text([232.0, 158.0], &format!("dw = x dy = {dw}"), ORANGE);
    c.text([420.0, 78.0], "values", BLUE);
    c.finish()
}

/// What the network answers before, during and after training.
fn tape_fit() -> String {
    let mut c = Canvas::new(640.0, 300.0);
    let (x, goal) = tape::points();
    let plot = Plot { origin: [60.0, 245.0], size: [430.0, 200.0], x: [-1.0, 1.0], y: [-2.0, 2.0] };
    let xs = [(-1.0, "-1"), (0.0, "0"), (1.0, "1")];
    let ys = [(-2.0, "-2"), (-1.0, "-1"), (0.0, "0"), (1.0, "1"), (2.0, "2")];
    plot.axes(&mut c, [&xs, &ys], ["x", "y"]);
    let steps = [0, 10, 100, 3000];
    let colours = [GREY, GREEN, ORANGE, BLUE];
    for (at, (parameters, colour)) in tape::trained(&steps).iter().zip(colours).enumerate() {
        let y = tape::answer(parameters, &x);
        let points: Vec<[f64; 2]> =
            x.values.iter().zip(&y.values).map(|(&x, &y)| [x, y.clamp(-2.0, 2.0)]).collect();
        plot.curve(&mut c, &points, colour);
        c.label([510.0, 70.0 + 22.0 * at as f64], &format!("after {} steps", steps[at]), colour);
    }
    for (&x, &y) in x.values.iter().zip(&goal.values) {
        c.dot(plot.place([x, y]), 2.0, INK);
    }
    c.label([510.0, 70.0 + 88.0], "the points", INK);
    c.finish()
}

/// A picture of 4 x 4, two of its windows, and all windows as columns.
fn unfolded() -> String {
    let mut c = Canvas::new(640.0, 230.0);
    let (s, x, _) = convolution::example();
    let side = 32.0;
    c.text([20.0 + 2.0 * side, 30.0], "x [1, 1, 4, 4]", INK);
    for (at, value) in x.iter().enumerate() {
        let place = [20.0 + side * (at % 4) as f64, 45.0 + side * (at / 4) as f64];
        c.rect(place, [side, side], "#ffffff", GREY);
        c.text([place[0] + side / 2.0, place[1] + 21.0], &value.to_string(), INK);
    }
    let columns = s.positions();
    let left = 240.0;
    c.text([left + columns as f64 * side / 2.0, 30.0], "X [C k k, N P] = [4, 9]", INK);
    for (at, value) in convolution::unfold(&s, &x, 0..columns).iter().enumerate() {
        let (row, column) = (at / columns, at % columns);
        let place = [left + side * column as f64, 45.0 + side * row as f64];
        let fill = match column {
            0 => "#cfe0f3",
            5 => "#f6d9c6",
            _ => "#ffffff",
        };
        c.rect(place, [side, side], fill, GREY);
        c.text([place[0] + side / 2.0, place[1] + 21.0], &value.to_string(), INK);
    }
    for tap in 0..4 {
        let y = 66.0 + side * tap as f64;
        c.label(
            [left + side * columns as f64 + 8.0, y],
            &format!("tap ({}, {})", tap / 2, tap % 2),
            GREY,
        );
    }
    // The windows of columns 0 and 5.
    for (column, colour) in [(0, BLUE), (5, ORANGE)] {
        let (i, j) = (column / 3, column % 3);
        let corner = [20.0 + side * j as f64, 45.0 + side * i as f64];
        for grow in [1.0, 2.0] {
            let place = [corner[0] + grow, corner[1] + grow];
            c.rect(place, [2.0 * (side - grow), 2.0 * (side - grow)], "none", colour);
        }
        let x = left + side * (column as f64 + 0.5);
        c.text([x, 45.0 + 4.0 * side + 20.0], &format!("({i}, {j})"), colour);
    }
    c.text([left + columns as f64 * side / 2.0, 215.0], "a column for each output place", GREY);
    c.finish()
}

/// Products for an output, and the largest error of single precision.
fn winograd_measured() -> String {
    let mut c = Canvas::new(640.0, 230.0);
    c.label([90.0, 30.0], "products for an output and channel", INK);
    c.label([380.0, 30.0], "largest error, times the plain sum's", INK);
    let rows = winograd::rows();
    for (at, (name, m)) in rows.iter().enumerate() {
        let y = 50.0 + 42.0 * at as f64;
        let name = if at == 0 { "plain".to_owned() } else { format!("tiles {name}") };
        c.label([16.0, y + 19.0], &name, INK);
        c.rect([90.0, y], [25.0 * m.products, 28.0], BLUE, BLUE);
        c.label([98.0 + 25.0 * m.products, y + 19.0], &format!("{:.2}", m.products), BLUE);
        let times = m.error / rows[0].1.error;
        c.rect([380.0, y], [16.0 * times, 28.0], ORANGE, ORANGE);
        c.label([388.0 + 16.0 * times, y + 19.0], &format!("{times:.1}"), ORANGE);
    }
    c.finish()
}

/// A layer of a zoo.
fn zoo_layer() -> String {
    let mut c = Canvas::new(640.0, 250.0);
    let boxed =
        |c: &mut Canvas, [x, y]: [f64; 2], width: f64, name: &str, below: &str, colour: &str| {
            c.rect([x, y], [width, 46.0], "#ffffff", colour);
            c.text([x + width / 2.0, y + 20.0], name, INK);
            c.text([x + width / 2.0, y + 37.0], below, GREY);
        };
    boxed(&mut c, [16.0, 180.0], 100.0, "x", "[N, C, H, W]", INK);
    boxed(&mut c, [160.0, 110.0], 110.0, "mean", "[N, C]", BLUE);
    boxed(&mut c, [300.0, 110.0], 130.0, "linear, relu, linear", "[N, m]", BLUE);
    boxed(&mut c, [460.0, 110.0], 160.0, "softmax: g", "[N, m]", BLUE);
    boxed(&mut c, [16.0, 24.0], 150.0, "W 1 .. W m", "[m, O, C, k, k]", ORANGE);
    boxed(&mut c, [210.0, 24.0], 150.0, "A i = T i W i", "[m, O, C, k, k]", ORANGE);
    boxed(
        &mut c,
        [410.0, 24.0],
        210.0,
        "K n = sum of g[n, i] A i",
        "[O, C, k, k], for a sample",
        GREEN,
    );
    boxed(&mut c, [470.0, 190.0], 150.0, "y n = conv(x n, K n)", "[N, O, H', W']", GREEN);
    c.arrow([166.0, 47.0], [210.0, 47.0], ORANGE);
    c.arrow([360.0, 47.0], [410.0, 47.0], ORANGE);
    c.arrow([90.0, 180.0], [160.0, 140.0], BLUE);
    c.arrow([270.0, 133.0], [300.0, 133.0], BLUE);
    c.arrow([430.0, 133.0], [460.0, 133.0], BLUE);
    c.arrow([520.0, 110.0], [520.0, 72.0], BLUE);
    c.arrow([116.0, 213.0], [470.0, 213.0], INK);
    c.line(&[[620.0, 47.0], [631.0, 47.0], [631.0, 206.0]], GREEN, 1.5);
    c.arrow([631.0, 206.0], [620.0, 206.0], GREEN);
    c.finish()
}

/// The learned gate, by brightness.
fn gate_learned() -> String {
    let mut c = Canvas::new(640.0, 260.0);
    let plot = Plot { origin: [60.0, 205.0], size: [400.0, 160.0], x: [-1.0, 1.0], y: [0.0, 1.0] };
    let xs = [(-1.0, "-1"), (0.0, "0"), (1.0, "1")];
    let ys = [(0.0, "0"), (0.5, "0.5"), (1.0, "1")];
    plot.axes(&mut c, [&xs, &ys], ["brightness", "share of the second source"]);
    for (at, (steps, colour)) in [(0, GREY), (100, ORANGE), (2000, BLUE)].into_iter().enumerate() {
        let weights = gates::learned(steps);
        let point = |k: i32| {
            let brightness = f64::from(k) / 40.0;
            [brightness, gates::gate_of(&weights, brightness)[1]]
        };
        let points: Vec<[f64; 2]> = (-40..=40).map(point).collect();
        plot.curve(&mut c, &points, colour);
        c.label([480.0, 80.0 + 22.0 * at as f64], &format!("after {steps} steps"), colour);
    }
    c.finish()
}

/// Accuracy on the straight way from one network to another.
fn averages() -> String {
    let mut c = Canvas::new(640.0, 260.0);
    let plot = Plot { origin: [60.0, 225.0], size: [400.0, 180.0], x: [0.0, 1.0], y: [0.0, 100.0] };
    let xs = [(0.0, "a"), (0.5, "the average"), (1.0, "b")];
    let ys = [(0.0, "0"), (50.0, "50"), (100.0, "100")];
    plot.axes(&mut c, [&xs, &ys], ["", "accuracy, %"]);
    let matching::Ways { plain, matched } = matching::ways();
    for (at, (name, ways, colour)) in
        [("channels matched", matched, BLUE), ("as they are", plain, ORANGE)]
            .into_iter()
            .enumerate()
    {
        let point = |(t, accuracy): (usize, &f64)| [t as f64 / 10.0, 100.0 * accuracy];
        let points: Vec<[f64; 2]> = ways.iter().enumerate().map(point).collect();
        plot.curve(&mut c, &points, colour);
        points.iter().for_each(|&point| c.dot(plot.place(point), 3.0, colour));
        c.label([480.0, 80.0 + 22.0 * at as f64], name, colour);
    }
    c.finish()
}

/// A mapped file: what is read of it, page by page.
fn pages() -> String {
    let mut c = Canvas::new(640.0, 190.0);
    c.label([20.0, 30.0], "the file on the disk, in pages of 4096 bytes", INK);
    c.label([60.0, 140.0], "the process's addresses", INK);
    let count = 24;
    for page in 0..count {
        let x = 20.0 + 25.0 * page as f64;
        let is_read = page == 0 || page + 1 == count;
        let fill = if is_read { "#cfe0f3" } else { "#ffffff" };
        c.rect([x, 45.0], [25.0, 30.0], fill, GREY);
        c.rect([x, 150.0], [25.0, 26.0], if is_read { "#cfe0f3" } else { PALE }, GREY);
        if is_read {
            c.arrow([x + 12.5, 77.0], [x + 12.5, 148.0], BLUE);
        }
    }
    c.text([70.0, 95.0], "header", BLUE);
    c.text([320.0, 95.0], "large: never looked at, never read", GREY);
    c.text([578.0, 95.0], "small", BLUE);
    c.finish()
}

/// The 37 values of the example, in runs of 16 lanes, for three work-items.
fn work_items() -> String {
    let mut c = Canvas::new(640.0, 210.0);
    let (len, lanes, side) = (37, 16, 16.0);
    let colours = [BLUE, ORANGE, GREEN];
    for (at, name) in ["source 1", "source 2", "out"].into_iter().enumerate() {
        let y = 40.0 + 44.0 * at as f64;
        c.label([10.0, y + 14.0], name, INK);
        for k in 0..len {
            let x = 80.0 + 14.0 * k as f64;
            c.rect([x, y], [14.0, side], "#ffffff", colours[k / lanes]);
        }
    }
    for (number, colour) in colours.into_iter().enumerate() {
        let first = number * lanes;
        let there = lanes.min(len - first);
        let x = 80.0 + 14.0 * (first as f64 + there as f64 / 2.0);
        c.text([x, 26.0], &format!("{there} there"), colour);
        c.arrow([x, 58.0], [x, 82.0], colour);
        c.arrow([x, 102.0], [x, 126.0], colour);
        c.text([x, 166.0], &format!("work-item {number}"), colour);
        c.text([x, 184.0], &format!("begins at {first}"), GREY);
    }
    c.finish()
}

/// The error of a difference by its step, in both precisions.
fn difference_steps() -> String {
    let mut c = Canvas::new(640.0, 280.0);
    let plot =
        Plot { origin: [80.0, 225.0], size: [380.0, 180.0], x: [-8.0, -1.0], y: [-12.0, 0.0] };
    let xs = [(-7.0, "1e-7"), (-5.0, "1e-5"), (-3.0, "1e-3"), (-1.0, "1e-1")];
    let ys = [(-12.0, "1e-12"), (-8.0, "1e-8"), (-4.0, "1e-4"), (0.0, "1")];
    plot.axes(&mut c, [&xs, &ys], ["step h", "relative error of the slope"]);
    for (which, (name, colour)) in [("f64", BLUE), ("f32", ORANGE)].into_iter().enumerate() {
        let point = |h: &f64| [h.log10(), testing::slope_error(*h)[which].log10()];
        let points: Vec<[f64; 2]> = testing::STEPS.iter().map(point).collect();
        plot.curve(&mut c, &points, colour);
        points.iter().for_each(|&point| c.dot(plot.place(point), 3.0, colour));
        c.label([480.0, 80.0 + 22.0 * which as f64], name, colour);
    }
    c.finish()
}

/// The committed pictures are what is drawn here.
#[test]
fn pictures_are_drawn_by_this_code() {
    for (name, picture) in [
        ("tape", tape_by_hand()),
        ("tape_fit", tape_fit()),
        ("unfolded", unfolded()),
        ("winograd", winograd_measured()),
        ("zoo_layer", zoo_layer()),
        ("gate_learned", gate_learned()),
        ("averages", averages()),
        ("pages", pages()),
        ("work_items", work_items()),
        ("difference_steps", difference_steps()),
    ] {
        super::printed::check_file(&format!("src/pictures/{name}.svg"), &picture);
    }
}
