//! Charts in SVG, with logarithmic scales: what is measured spans orders of magnitude.

use std::fmt::Write;

use super::cases::Case;
use super::rounds::Cost;
use super::servers::{Group, IDEAL, OURS};

/// A chart.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// Its name in file names.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// A line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), points: Vec::new() }
    }
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

const TEXT: &str = "#333333";
const GRID: &str = "#dddddd";

/// Colours that stay apart for eyes that see no red or green.
const COLOURS: [&str; 8] =
    ["#56b4e9", "#009e73", "#e69f00", "#cc79a7", "#0072b2", "#d55e00", "#999999", "#8a6d3b"];

/// Ours stands out.
const OURS_COLOUR: &str = "#000000";

impl Chart {
    /// Lines over logarithmic scales of both axes.
    pub(crate) fn lines(id: &str, title: &str, x_title: &str, y_title: &str, series: &[Series]) -> Self {
        const HEIGHT: f64 = 480.0;
        let points = || series.iter().flat_map(|series| &series.points);
        let x = Scale::over(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Scale::over(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut svg = head(HEIGHT, title);
        for tick in x.ticks() {
            let at = x.place(tick);
            svg += &line(at, TOP, at, HEIGHT - BOTTOM, GRID, 1.0);
            svg += &text(at, HEIGHT - BOTTOM + 18.0, "middle", &compact(tick));
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            svg += &line(LEFT, at, WIDTH - RIGHT, at, GRID, 1.0);
            svg += &text(LEFT - 8.0, at + 4.0, "end", &compact(tick));
        }
        svg += &text(f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 10.0, "middle", x_title);
        svg += &text(LEFT, TOP - 10.0, "start", y_title);
        let mut labels: Vec<(f64, &str, &str)> = Vec::new();
        let mut colours = COLOURS.iter().cycle();
        for series in series {
            let ours = series.name == OURS;
            let colour = if ours { OURS_COLOUR } else { colours.next().copied().unwrap_or(TEXT) };
            let path: Vec<String> = series
                .points
                .iter()
                .map(|&(px, py)| format!("{:.1},{:.1}", x.place(px), y.place(py)))
                .collect();
            let width = if ours { 3.0 } else { 1.8 };
            let _ = writeln!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="{width}"/>"#,
                path.join(" ")
            );
            if let Some(&(_, last)) = series.points.last() {
                labels.push((y.place(last), &series.name, colour));
            }
        }
        spread(&mut labels);
        for (at, name, colour) in labels {
            let _ = writeln!(
                svg,
                r#"<text x="{:.0}" y="{:.1}" fill="{colour}">{}</text>"#,
                WIDTH - RIGHT + 10.0,
                at + 4.0,
                escaped(name)
            );
        }
        Self { id: id.to_owned(), title: title.to_owned(), svg: svg + "</svg>\n" }
    }

    /// A row for each case, with a dot for ours, the ideal and the best of the others.
    pub(crate) fn of_cases(measured: &[(&Case, Vec<Cost>)]) -> Self {
        const ROW: f64 = 32.0;
        const NAMES: f64 = 230.0;
        let title = "server CPU per message, as a multiple of a TCP echo";
        let rows: Vec<(String, Vec<(usize, f64)>)> =
            measured.iter().map(|(case, costs)| (case.title(), dots(costs))).collect();
        let mut bottom = TOP + 10.0;
        for _ in &rows {
            bottom += ROW;
        }
        let values = rows.iter().flat_map(|(_, dots)| dots.iter().map(|dot| dot.1));
        let x = Scale::over(values.chain([1.0]), NAMES, WIDTH - 30.0);
        let mut svg = head(bottom + 70.0, title);
        for tick in x.ticks() {
            let at = x.place(tick);
            svg += &line(at, TOP, at, bottom, GRID, 1.0);
            svg += &text(at, bottom + 18.0, "middle", &compact(tick));
        }
        let mut at = TOP + ROW / 2.0 + 5.0;
        for (name, dots) in &rows {
            svg += &text(NAMES - 12.0, at + 4.0, "end", name);
            svg += &line(NAMES, at, WIDTH - 30.0, at, "#eeeeee", 1.0);
            for &(kind, ratio) in dots {
                svg += &dot(x.place(ratio), at, KINDS[kind].1);
            }
            at += ROW;
        }
        let mut left = 20.0;
        for (name, colour) in KINDS {
            svg += &dot(left, bottom + 46.0, colour);
            svg += &text(left + 12.0, bottom + 50.0, "start", name);
            left += 165.0;
        }
        Self { id: "echo".to_owned(), title: title.to_owned(), svg: svg + "</svg>\n" }
    }
}

/// The dots of the chart of cases, the ones in front last.
const KINDS: [(&str, &str); 5] = [
    ("best Rust peer", "#d55e00"),
    ("the same, batched", "#e69f00"),
    ("uWebSockets (Bun)", "#56b4e9"),
    ("ideal, tokio", "#009e73"),
    ("stentor", OURS_COLOUR),
];

fn dots(costs: &[Cost]) -> Vec<(usize, f64)> {
    let best = |wanted: &dyn Fn(&Cost) -> bool| {
        costs.iter().filter(|cost| wanted(cost)).map(|cost| cost.ratio.median).reduce(f64::min)
    };
    let figures = [
        best(&|cost| cost.server.group == Group::Peer),
        best(&|cost| cost.server.group == Group::Batched),
        best(&|cost| cost.server.name == "uWebSockets (Bun)"),
        best(&|cost| cost.server.name == IDEAL),
        best(&|cost| cost.server.name == OURS),
    ];
    figures.into_iter().enumerate().filter_map(|(kind, figure)| Some((kind, figure?))).collect()
}

/// A logarithmic scale from one place to another.
#[derive(Clone, Copy, Debug)]
struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let values = values.filter(|value| *value > 0.0);
        let (low, high) =
            values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self { low: 1.0, high: 10.0, from, to };
        }
        // A little room on both sides, so that nothing lies on the frame.
        Self { low: low / 1.15, high: high * 1.15, from, to }
    }

    /// Where a value is; what cannot be on the scale is at its beginning.
    fn place(&self, value: f64) -> f64 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.from + share * (self.to - self.from)
    }

    /// Powers of ten, and twos and fives between them where few powers are in sight.
    fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut power = 10_f64.powf(self.low.log10().floor());
        let mut ticks = Vec::new();
        while power <= self.high {
            ticks.extend(
                steps.iter().map(|step| step * power).filter(|&tick| tick >= self.low && tick <= self.high),
            );
            power *= 10.0;
        }
        ticks
    }
}

/// Moves labels apart that would lie upon each other.
fn spread(labels: &mut [(f64, &str, &str)]) {
    const GAP: f64 = 15.0;
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut least = f64::MIN;
    for label in labels {
        label.0 = label.0.max(least);
        least = label.0 + GAP;
    }
}

fn head(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{:.0}\" y=\"18\" text-anchor=\"middle\" font-size=\"15\" fill=\"{TEXT}\">{}</text>\n",
        WIDTH / 2.0,
        escaped(title)
    )
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, colour: &str, width: f64) -> String {
    format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\n"
    )
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{TEXT}\">{}</text>\n",
        escaped(words)
    )
}

fn dot(x: f64, y: f64, colour: &str) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"{colour}\" fill-opacity=\"0.85\"/>\n")
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;")
}

/// A round figure, short.
fn compact(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.0}M", value / 1e6),
        _ if value >= 1e3 => format!("{:.0}k", value / 1e3),
        _ if value >= 1.0 => format!("{value:.0}"),
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_logarithmic_and_has_round_ticks() {
        let scale = Scale::over([1.0, 10_000.0].into_iter(), 0.0, 100.0);
        assert!((scale.place(100.0) - 50.0).abs() < 0.01);
        assert_eq!(scale.ticks(), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        let narrow = Scale::over([1.0, 9.0].into_iter(), 0.0, 100.0);
        assert_eq!(narrow.ticks(), [1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn labels_keep_their_distance() {
        let mut labels = [(20.0, "b", ""), (10.0, "a", ""), (90.0, "c", "")];
        spread(&mut labels);
        assert_eq!(labels.map(|label| label.0.to_string()), ["10", "25", "90"]);
    }

    #[test]
    fn a_chart_of_lines_has_a_line_and_a_label_for_each_series() {
        let series = ["stentor", "a<b"]
            .map(|name| Series { name: name.into(), points: vec![(1.0, 2.0), (10.0, 3.0)] });
        let chart = Chart::lines("id", "title", "x", "y", &series);
        assert_eq!(chart.svg.matches("<polyline").count(), 2);
        assert!(chart.svg.contains(">a&lt;b</text>"));
    }
}
