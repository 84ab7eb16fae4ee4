//! What is drawn: SVG with attributes, because the page allows no styles of its own.

use super::super::change::Micros;
use super::super::histogram::Histogram;
use super::super::index::AttemptRow;
use super::super::index::depths::Level;
use super::super::state::State;
use super::shown::{Html, day, minute, took};
use std::fmt::Write;

const CHART: f64 = 144.0;

/// Where a chart goes back further than this, its times have their days.
const DAY: Micros = 86_400_000_000;

/// How many ended how in a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bar {
    pub(super) at: Micros,
    pub(super) ok: i64,
    pub(super) again: i64,
    pub(super) bad: i64,
}

/// A small line has so many points at most.
const POINTS: usize = 60;

/// A small line; nothing where there are fewer than two points.
pub(super) fn spark(values: &[f64], class: &str) -> Html {
    if values.len() < 2 {
        return Html::default();
    }
    let values = thin(values);
    let top = values.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let mut points = String::new();
    for (at, value) in values.iter().enumerate() {
        let (x, y) = (at as f64 * 100.0 / (values.len() - 1) as f64, 23.0 - value / top * 21.0);
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    Html::safe(format!(
        "<svg class=\"spark {class}\" viewBox=\"0 0 100 24\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <polygon class=\"area\" points=\"0,24 {points}100,24\"/><polyline class=\"stroke\" points=\"{points}\"/></svg>"
    ))
}

/// The highest of each stretch, so that no peak is left out.
fn thin(values: &[f64]) -> Vec<f64> {
    let highest = |chunk: &[f64]| chunk.iter().copied().fold(0.0, f64::max);
    values.chunks(values.len().div_ceil(POINTS).max(1)).map(highest).collect()
}

/// Columns: what ended in each stretch of `step`, per second, up to `now`.
pub(super) fn columns(bars: &[Bar], step: Micros) -> Html {
    let seconds = step as f64 / 1e6;
    let highest = bars.iter().map(Bar::sum).max().unwrap_or_default() as f64 / seconds;
    let top = round_up(highest);
    let width = 1000.0 / bars.len().max(1) as f64;
    let mut drawn = String::new();
    for (at, bar) in bars.iter().enumerate() {
        bar.draw(&mut drawn, at as f64 * width, width, CHART / (top * seconds));
    }
    let all: i64 = bars.iter().map(Bar::sum).sum();
    let bad: i64 = bars.iter().map(|bar| bar.bad).sum();
    let label = format!(
        "Attempts that ended: {all}, of which {bad} failed; at most {highest:.1} per second"
    );
    let times: Vec<Micros> = bars.iter().map(|bar| bar.at).collect();
    chart(&drawn, &label, [format!("{}/s", short(top)), short(top / 2.0)], &times)
}

/// How much there was at most in each stretch of `step` from `since` to `now`; nothing is drawn where
/// nobody looked.
pub(super) fn levels(levels: &[Level], step: Micros, since: Micros, now: Micros) -> Html {
    let begin = since - since % step;
    let many = usize::try_from((now - begin) / step + 1).unwrap_or_default();
    let mut most = vec![None; many];
    for level in levels {
        let at = usize::try_from((level.at - begin) / step).ok();
        if let Some(most) = at.and_then(|at| most.get_mut(at)) {
            *most = (*most).max(Some(level.most));
        }
    }
    let highest = most.iter().flatten().copied().max().unwrap_or_default();
    let top = round_up(f64::from(highest));
    let width = 1000.0 / many.max(1) as f64;
    let mut drawn = String::new();
    for (at, most) in most.iter().enumerate() {
        let Some(most) = most else { continue };
        // An empty queue that was looked at is to be seen too.
        let height = (f64::from(*most) * CHART / top).max(0.5);
        let (x, y) = (at as f64 * width, CHART - height);
        let _ = write!(
            drawn,
            "<g><title>{most}</title>\
             <rect class=\"catch\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"144\"/>\
             <rect class=\"level\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/></g>"
        );
    }
    let times: Vec<Micros> = (0..many).map(|at| begin + at as Micros * step).collect();
    let label = format!("Messages that were ready: {highest} at most");
    chart(&drawn, &label, [short(top), short(top / 2.0)], &times)
}

/// What was drawn, within its axes: the top and the middle of the upright one, and the times at which
/// what is drawn begins.
fn chart(drawn: &str, label: &str, [top, middle]: [String; 2], times: &[Micros]) -> Html {
    let (first, between, last) = (times.first(), times.get(times.len() / 2), times.last());
    let span = last.zip(first).map_or(0, |(last, first)| last - first);
    let show = if span > DAY { day } else { minute };
    let at = |time: Option<&Micros>| time.map_or(String::new(), |at| show(*at).to_string());
    Html::safe(format!(
        "<div class=\"chart\"><span class=\"y y-top\">{top}</span><span class=\"y y-mid\">{middle}</span>\
         <span class=\"y y-low\">0</span><svg viewBox=\"0 0 1000 144\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{label}\">\
         <line class=\"rule\" x1=\"0\" x2=\"1000\" y1=\"0.5\" y2=\"0.5\"/>\
         <line class=\"rule\" x1=\"0\" x2=\"1000\" y1=\"72\" y2=\"72\"/>{drawn}\
         <line class=\"rule\" x1=\"0\" x2=\"1000\" y1=\"144\" y2=\"144\"/></svg>\
         <p class=\"x\">{}{}{}</p></div>",
        at(first),
        at(between),
        at(last),
    ))
}

impl Bar {
    pub(super) fn sum(&self) -> i64 {
        self.ok + self.again + self.bad
    }

    fn draw(&self, out: &mut String, x: f64, width: f64, scale: f64) {
        let _ = write!(
            out,
            "<g><title>{} succeeded, {} retried, {} failed</title>\
             <rect class=\"catch\" x=\"{x:.1}\" y=\"0\" width=\"{width:.1}\" height=\"144\"/>",
            self.ok, self.again, self.bad
        );
        let mut y = CHART;
        for (class, count) in [("ok", self.ok), ("again", self.again), ("fail", self.bad)] {
            if count > 0 {
                // One failure among a thousand successes is to be seen too.
                let height = (count as f64 * scale).max(1.0);
                y -= height;
                let (x, width) = (x + width * 0.12, width * 0.76);
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                );
            }
        }
        out.push_str("</g>");
    }
}

/// How long things took: a column for each bucket; a dash where nothing was counted.
pub(super) fn spread(histogram: &Histogram) -> Html {
    let buckets: Vec<_> = histogram.buckets().collect();
    let most = buckets.iter().map(|(_, count)| *count).max().unwrap_or_default();
    let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else {
        return Html::unknown();
    };
    let all: u64 = buckets.iter().map(|(_, count)| u64::from(*count)).sum();
    let width = 1000.0 / buckets.len() as f64;
    let mut drawn = String::new();
    for (at, (to, count)) in buckets.iter().enumerate() {
        // What has happened once is to be seen too.
        let height =
            if *count == 0 { 0.0 } else { (f64::from(*count) * 72.0 / f64::from(most)).max(1.0) };
        let (x, y) = (at as f64 * width + width * 0.06, 72.0 - height);
        let _ = write!(
            drawn,
            "<g><title>{count} up to {}</title><rect class=\"bar\" x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{:.1}\" height=\"{height:.1}\"/></g>",
            took(*to),
            width * 0.88,
        );
    }
    let (first, last) = (took(first / 2), took(*last));
    Html::safe(format!(
        "<div class=\"spread\"><svg viewBox=\"0 0 1000 72\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{all} in all, from {first} to {last}\">{drawn}\
         <line class=\"rule\" x1=\"0\" x2=\"1000\" y1=\"72\" y2=\"72\"/></svg>\
         <p class=\"x\"><span>{first}</span><span>{last}</span></p></div>"
    ))
}

/// The next of 1, 2, 4, 5 and 8 times a power of ten, so that the lines of a chart have names.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 5.0, 8.0, 10.0]
        .map(|it| it * power)
        .into_iter()
        .find(|it| *it >= value)
        .unwrap_or(value)
}

fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A task's life from its first event to its last: what waits is a line, what runs a block.
/// Nothing where less than two moments are known.
pub(super) fn timeline(
    sent: Option<Micros>,
    received: Option<Micros>,
    attempts: &[AttemptRow],
    until: Micros,
) -> Html {
    let started = attempts.iter().filter_map(|it| it.attempt.started.or(it.attempt.ended)).min();
    let Some(begin) = [sent, received, started].into_iter().flatten().min() else {
        return Html::default();
    };
    let span = (until - begin).max(1);
    let x = |at: Micros| (at - begin).clamp(0, span) as f64 * 1000.0 / span as f64;
    let mut out = format!(
        "<svg class=\"timeline\" viewBox=\"0 0 1000 36\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"From the first event to the last: {}\">\
         <line class=\"hold\" x1=\"0\" y1=\"18\" x2=\"1000\" y2=\"18\"/>",
        took(span)
    );
    if let Some(received) = received {
        let _ = write!(
            out,
            "<line class=\"base\" x1=\"0\" y1=\"18\" x2=\"{:.1}\" y2=\"18\"/>",
            x(received)
        );
    }
    for row in attempts {
        let it = &row.attempt;
        let Some(started) = it.started.or(it.ended) else { continue };
        let ended = it.ended.unwrap_or(if it.outcome.is_none() { until } else { started });
        let width = (x(ended) - x(started)).max(4.0);
        let (class, word) = it.outcome.map_or(("t-run", "runs"), |it| (colour(it), it.as_str()));
        let _ = write!(
            out,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"6\" width=\"{width:.1}\" height=\"24\" rx=\"2\">\
             <title>#{} {word}, {}</title></rect>",
            x(started).min(1000.0 - width),
            it.no,
            took(ended - started),
        );
    }
    out.push_str("</svg>");
    Html::safe(out)
}

fn colour(outcome: State) -> &'static str {
    match outcome {
        State::Success => "t-ok",
        State::Retry => "t-retry",
        state if state.is_bad() => "t-bad",
        _ => "t-idle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_round_numbers_and_shows_the_one_failure() {
        for (value, top) in [(0.0, 1.0), (0.3, 0.4), (3.0, 4.0), (51.0, 80.0), (412.0, 500.0)] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}");
        }
        let bars = [Bar { at: 0, ok: 10_000, again: 0, bad: 1 }, Bar::default()];
        let drawn = columns(&bars, 10_000_000).to_string();
        assert!(drawn.contains("class=\"fail\"") && drawn.contains("height=\"1.0\""), "{drawn}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert!(!columns(&[], 10_000_000).to_string().contains("NaN"));
    }

    #[test]
    fn levels_are_the_most_of_their_stretch_and_nothing_where_nobody_looked() {
        const MINUTE: Micros = 60_000_000;
        let level = |at: Micros, most| Level { at: at * MINUTE, most };
        let drawn = levels(&[level(1, 40), level(3, 0)], MINUTE, 0, 4 * MINUTE).to_string();
        assert_eq!(drawn.matches("class=\"level\"").count(), 2, "{drawn}");
        assert!(drawn.contains("height=\"144.0\"") && drawn.contains("height=\"0.5\""), "{drawn}");
        assert!(drawn.contains(">00:04</time>"), "{drawn}");
        // A week has its days.
        let drawn = levels(&[level(60, 2)], 60 * MINUTE, 0, 7 * 1_440 * MINUTE).to_string();
        assert!(drawn.contains(">01-08 00:00</time>"), "{drawn}");
        assert!(!levels(&[], MINUTE, 0, 0).to_string().contains("NaN"));
    }

    #[test]
    fn what_happened_once_among_thousands_is_drawn() {
        let mut histogram = Histogram::default();
        assert_eq!(spread(&histogram), Html::unknown());
        (0..5_000).for_each(|_| histogram.add(10_000));
        histogram.add(60_000_000);
        let drawn = spread(&histogram).to_string();
        assert!(drawn.contains("1 up to 1 min") && drawn.contains("height=\"1.0\""), "{drawn}");
        assert!(drawn.contains("5001 in all"), "{drawn}");
    }

    #[test]
    fn a_line_needs_two_points() {
        assert_eq!(spark(&[1.0], ""), Html::default());
        let flat = spark(&[0.0, 0.0], "").to_string();
        assert!(flat.contains("0.0,23.0 100.0,23.0"), "{flat}");
        let mut long = vec![1.0; 720];
        long[333] = 9.0;
        let drawn = spark(&long, "").to_string();
        assert!(drawn.len() < 1_600 && drawn.contains(",2.0 "), "its peak stays: {drawn}");
    }
}
