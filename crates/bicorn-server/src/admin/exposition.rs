//! Prometheus' text format, version 0.0.4: families of samples, each with its help and its type.

use std::fmt::{Display, Write};

use crate::board::histogram::{BUCKETS, Counted};
use std::time::Duration;

/// Names and values of labels.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text that grows by families.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Begin a family of gauges.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begin a family of counters.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Begin a family of histograms, of times.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let text = &mut self.0;
        // Writing to a string does not fail; the same below.
        let _ = writeln!(text, "# HELP {name} {}", escape(help, false));
        let _ = writeln!(text, "# TYPE {name} {kind}");
        Family { text, name }
    }
}

/// A family that is being written.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Write a value.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.line("", labels, value);
        self
    }

    /// Write a histogram, the bounds of which are in nanoseconds.
    pub(super) fn buckets(
        &mut self,
        labels: Labels<'_>,
        bounds: &[u64; BUCKETS],
        counted: &Counted,
    ) -> &mut Self {
        let mut below = 0;
        let bounds = bounds.iter().map(|bound| seconds(*bound).to_string());
        for (bound, count) in bounds.chain(std::iter::once("+Inf".to_owned())).zip(counted.buckets) {
            below += count;
            self.line("_bucket", &[labels, &[("le", &bound)]].concat(), below);
        }
        self.line("_sum", labels, seconds(counted.sum));
        self.line("_count", labels, below);
        self
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (place, (name, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{}\"", escape(value, true));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// What may not stand in a help text or a label's value as it is.
fn escape(text: &str, is_label: bool) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if is_label { escaped.replace('"', "\\\"") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::histogram::WAITS;

    #[test]
    fn samples_stand_below_help_and_type() {
        let mut exposition = Exposition::default();
        exposition
            .gauge("some_name", "What \\ it\nis.")
            .sample(&[], 1)
            .sample(&[("one", "a\"b\\c\nd"), ("two", "")], 0.25);
        let expected = "# HELP some_name What \\\\ it\\nis.\n# TYPE some_name gauge\nsome_name 1\n\
            some_name{one=\"a\\\"b\\\\c\\nd\",two=\"\"} 0.25\n";
        assert_eq!(exposition.into_text(), expected);
    }

    #[test]
    fn buckets_count_everything_below_their_bound() {
        let mut counted = Counted { sum: 1_500_000_000, ..Counted::default() };
        (counted.buckets[0], counted.buckets[1], counted.buckets[BUCKETS]) = (1, 2, 3);
        let mut exposition = Exposition::default();
        exposition.histogram("some_seconds", "How long.").buckets(&[("to", "x")], &WAITS, &counted);
        let text = exposition.into_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2..4],
            [
                "some_seconds_bucket{to=\"x\",le=\"0.00005\"} 1",
                "some_seconds_bucket{to=\"x\",le=\"0.0001\"} 3"
            ]
        );
        assert_eq!(
            lines[lines.len() - 4..],
            [
                "some_seconds_bucket{to=\"x\",le=\"5\"} 3",
                "some_seconds_bucket{to=\"x\",le=\"+Inf\"} 6",
                "some_seconds_sum{to=\"x\"} 1.5",
                "some_seconds_count{to=\"x\"} 6"
            ]
        );
    }
}
