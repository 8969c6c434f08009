//! An echo, and its metrics as a page for Prometheus, on the same port.
//! `cargo run --release --features metrics --example metrics -- --listen 127.0.0.1:8080`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use stentor::http::{Request, Response, StatusCode};
use stentor::proto::bytes::Bytes;
use stentor::{MetricsObserver, Server, WebSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let page = Page::default();
    metrics::set_global_recorder(page.clone()).map_err(|_| "there is a recorder already")?;
    let server = Server::bind(listen_address()).await?.observe(MetricsObserver::new());
    println!("listening on http://{}", server.local_addr()?);
    let server = server.http(move |request: Request<Bytes>| {
        let found = request.uri().path() == "/metrics";
        let (status, text) =
            if found { (StatusCode::OK, page.text()) } else { (StatusCode::NOT_FOUND, String::new()) };
        let response = Response::builder().status(status).header("content-type", "text/plain; version=0.0.4");
        async move { response.body(text.into()).expect("status and header are in order") }
    });
    server.serve(echo).await?;
    Ok(())
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// The address after `--listen`, or the default.
fn listen_address() -> String {
    let mut args = std::env::args().skip_while(|arg| arg != "--listen").skip(1);
    args.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned())
}

/// A recorder in a few lines. In production, metrics-exporter-prometheus has histograms with buckets,
/// and forgets what is old.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<BTreeMap<String, Family>>>);

/// All metrics of one name.
#[derive(Default)]
struct Family {
    kind: &'static str,
    description: String,
    by_labels: BTreeMap<String, Value>,
}

enum Value {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicU64>),
    Summary(Arc<Summary>),
}

/// How many values there were, and their sum.
#[derive(Default)]
struct Summary(Mutex<(u64, f64)>);

impl HistogramFn for Summary {
    fn record(&self, value: f64) {
        let mut summary = self.0.lock().expect("nobody panics with it");
        *summary = (summary.0 + 1, summary.1 + value);
    }
}

impl Page {
    fn family<T>(&self, name: &str, change: impl FnOnce(&mut Family) -> T) -> T {
        change(self.0.lock().expect("nobody panics with it").entry(name.to_owned()).or_default())
    }

    fn describe(&self, name: &KeyName, kind: &'static str, description: &SharedString) {
        self.family(name.as_str(), |family| {
            (family.kind, family.description) = (kind, description.to_string());
        });
    }

    fn register(&self, key: &Key, value: Value) {
        let labels = key.labels().map(|label| format!("{}={:?}", label.key(), label.value()));
        let labels = labels.collect::<Vec<_>>().join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        self.family(key.name(), |family| family.by_labels.insert(labels, value));
    }

    /// The text format of Prometheus.
    fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &*self.0.lock().expect("nobody panics with it") {
            let Family { kind, description, by_labels } = family;
            let _ = writeln!(text, "# HELP {name} {description}\n# TYPE {name} {kind}");
            for (labels, value) in by_labels {
                let _ = match value {
                    Value::Counter(counter) => {
                        writeln!(text, "{name}{labels} {}", counter.load(Ordering::Relaxed))
                    }
                    Value::Gauge(gauge) => {
                        writeln!(text, "{name}{labels} {}", f64::from_bits(gauge.load(Ordering::Relaxed)))
                    }
                    Value::Summary(summary) => {
                        let (count, sum) = *summary.0.lock().expect("nobody panics with it");
                        writeln!(text, "{name}_count{labels} {count}\n{name}_sum{labels} {sum}")
                    }
                };
            }
        }
        text
    }
}

impl Recorder for Page {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&name, "counter", &description);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&name, "gauge", &description);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&name, "summary", &description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counter = Arc::new(AtomicU64::new(0));
        self.register(key, Value::Counter(Arc::clone(&counter)));
        Counter::from_arc(counter)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let gauge = Arc::new(AtomicU64::new(0));
        self.register(key, Value::Gauge(Arc::clone(&gauge)));
        Gauge::from_arc(gauge)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let summary = Arc::new(Summary::default());
        self.register(key, Value::Summary(Arc::clone(&summary)));
        Histogram::from_arc(summary)
    }
}
