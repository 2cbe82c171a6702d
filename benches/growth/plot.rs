//! Curves over two logarithmic axes, as SVG.

use std::{fmt::Write as _, ops::RangeInclusive};

/// The picture, and what its axes and names take of it, in pixels.
const SIZE: (f64, f64) = (720.0, 400.0);
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 50.0;

/// One curve.
pub(super) struct Curve {
    pub(super) name: &'static str,
    pub(super) color: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Powers of ten, from one to another.
struct Axis {
    powers: RangeInclusive<i32>,
    /// Where it begins and ends, in pixels.
    ends: (f64, f64),
}

/// Draws curves whose values are all above zero.
pub(super) fn svg(above: &str, below: &str, curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (right, bottom) = (SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
    let x = Axis::over(points().map(|point| point.0), (LEFT, right));
    let y = Axis::over(points().map(|point| point.1), (bottom, TOP));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\">{above}</text>\n\
         <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">{below}</text>\n",
        SIZE.0,
        SIZE.1,
        SIZE.1 - 8.0,
    );
    // Writing to a String does not fail.
    for (at, value) in x.ticks() {
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#dddddd\"/><text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            bottom + 16.0,
        );
    }
    for (at, value) in y.ticks() {
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#dddddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            at + 4.0,
        );
    }
    for (rank, curve) in curves.iter().enumerate() {
        curve.draw(&mut svg, (&x, &y), TOP + 16.0 * (rank as f64 + 1.0));
    }
    svg.push_str("</svg>\n");
    svg
}

// === impl Curve ===

impl Curve {
    /// The line, its points, and its name at this height.
    fn draw(&self, svg: &mut String, (x, y): (&Axis, &Axis), height: f64) {
        let color = self.color;
        let places: Vec<(f64, f64)> = self
            .points
            .iter()
            .map(|point| (x.at(point.0), y.at(point.1)))
            .collect();
        let line: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            line.join(" "),
        );
        for (x, y) in places {
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{height:.1}\" fill=\"{color}\">{}</text>",
            LEFT + 12.0,
            self.name,
        );
    }
}

// === impl Axis ===

impl Axis {
    /// From the power of ten at or below the least value to the one at or above the greatest.
    fn over(values: impl Iterator<Item = f64> + Clone, ends: (f64, f64)) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let greatest = values.fold(f64::NEG_INFINITY, f64::max);
        let first = least.log10().floor() as i32;
        let last = (greatest.log10().ceil() as i32).max(first + 1);
        Self {
            powers: first..=last,
            ends,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let (first, last) = (*self.powers.start(), *self.powers.end());
        let share = (value.log10() - f64::from(first)) / f64::from(last - first);
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }

    /// Each power's place and value.
    fn ticks(&self) -> impl Iterator<Item = (f64, f64)> {
        self.powers.clone().map(|power| {
            let value = 10_f64.powi(power);
            (self.at(value), value)
        })
    }
}
