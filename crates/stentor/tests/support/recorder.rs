//! A recorder of metrics that can be read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// What was registered and described. Keys are names, or `name{label=value,…}`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings(Arc<Mutex<Registered>>);

#[derive(Debug, Default)]
struct Registered {
    counters: BTreeMap<String, Arc<AtomicU64>>,
    gauges: BTreeMap<String, Arc<AtomicU64>>,
    histograms: BTreeMap<String, Arc<Values>>,
    /// Kind and unit by name.
    described: BTreeMap<String, (&'static str, &'static str)>,
}

#[derive(Debug, Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl Readings {
    /// Makes something with this as the recorder.
    pub(crate) fn recording<T>(make: impl FnOnce() -> T) -> (Self, T) {
        let readings = Self::default();
        let made = metrics::with_local_recorder(&readings, make);
        (readings, made)
    }

    pub(crate) fn counter(&self, key: &str) -> u64 {
        self.0.lock().unwrap().counters[key].load(Ordering::Relaxed)
    }

    pub(crate) fn gauge(&self, key: &str) -> f64 {
        f64::from_bits(self.0.lock().unwrap().gauges[key].load(Ordering::Relaxed))
    }

    pub(crate) fn histogram(&self, key: &str) -> Vec<f64> {
        self.0.lock().unwrap().histograms[key].0.lock().unwrap().clone()
    }

    /// The counters that are not 0.
    pub(crate) fn counted(&self) -> BTreeMap<String, u64> {
        let registered = self.0.lock().unwrap();
        let counters = registered.counters.iter();
        let counted = counters.map(|(key, value)| (key.clone(), value.load(Ordering::Relaxed)));
        counted.filter(|(_, value)| *value > 0).collect()
    }

    /// Every key that was registered.
    pub(crate) fn keys(&self) -> Vec<String> {
        let registered = self.0.lock().unwrap();
        let Registered { counters, gauges, histograms, .. } = &*registered;
        counters.keys().chain(gauges.keys()).chain(histograms.keys()).cloned().collect()
    }

    /// Name, kind and unit of everything that was described.
    pub(crate) fn described(&self) -> Vec<(String, &'static str, &'static str)> {
        let registered = self.0.lock().unwrap();
        registered.described.iter().map(|(name, (kind, unit))| (name.clone(), *kind, *unit)).collect()
    }

    fn describe(&self, name: &KeyName, kind: &'static str, unit: Option<Unit>) {
        let unit = unit.map_or("", |unit| unit.as_str());
        self.0.lock().unwrap().described.insert(name.as_str().to_owned(), (kind, unit));
    }
}

impl Recorder for Readings {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, "counter", unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, "gauge", unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.describe(&name, "histogram", unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().counters.entry(text(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(self.0.lock().unwrap().gauges.entry(text(key)).or_default()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(self.0.lock().unwrap().histograms.entry(text(key)).or_default()))
    }
}

fn text(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    if labels.is_empty() { key.name().to_owned() } else { format!("{}{{{}}}", key.name(), labels.join(",")) }
}
