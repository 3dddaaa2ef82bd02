//! The text of a scrape, in Prometheus' exposition format: what the recorder has, and behind it what is written at the scrape.

use std::fmt::Write as _;

use super::family::{Family, MetricKind};

/// A scrape while it is written.
#[derive(Debug)]
pub struct Page {
    text: String,
}

/// One family's place on the page.
pub struct Samples<'a> {
    text: &'a mut String,
    family: &'static Family,
}

impl Page {
    pub(super) fn new(text: String) -> Self {
        Self { text }
    }

    /// Begins a family. Once for each: a second heading of the same name is not valid.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let kind = match family.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram(_) => "histogram",
        };
        let _ = writeln!(self.text, "# HELP {0} {1}\n# TYPE {0} {kind}", family.name, family.help);
        Samples { text: &mut self.text, family }
    }

    /// A family with one sample, and no labels.
    pub fn value(&mut self, family: &'static Family, value: f64) {
        self.family(family).add(&[], value);
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

impl Samples<'_> {
    /// `values` in the order of the family's labels. They are enums' and tenants' names, which need no escapes.
    pub fn add(&mut self, values: &[&str], value: f64) {
        debug_assert_eq!(self.family.labels.len(), values.len(), "{}", self.family.name);
        self.text.push_str(self.family.name);
        for (n, (label, text)) in self.family.labels.iter().zip(values).enumerate() {
            debug_assert!(!text.contains(['"', '\\', '\n']), "{text:?}");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if n == 0 { '{' } else { ',' });
        }
        if !self.family.labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}
