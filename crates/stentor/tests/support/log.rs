//! A subscriber that keeps everything that is recorded, whatever its level.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static WITHIN: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// What was recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Records>>);

#[derive(Debug, Default)]
struct Records {
    /// The fields of each span, by its number less one.
    spans: Vec<String>,
    events: Vec<Recorded>,
}

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) level: Level,
    /// Its fields, ` name=value` each, the message first.
    pub(crate) fields: String,
    /// The innermost span at that time, counted from 0.
    pub(crate) span: Option<usize>,
}

/// Listens nowhere, and lives as long as the process. While there is only one subscriber, `tracing` asks
/// that of the thread which is the first to record something whether anybody ever wants it, and there
/// are threads without: what they were first with would be lost to all others.
static ANYBODY: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Log::default()));

impl Log {
    /// Keeps what this thread records as long as the guard lives.
    pub(crate) fn of_this_thread() -> (Self, DefaultGuard) {
        LazyLock::force(&ANYBODY);
        let log = Self::default();
        (log.clone(), tracing::subscriber::set_default(log))
    }

    /// For threads that live as long as what they record is of interest.
    pub(crate) fn keep_this_thread(&self) {
        std::mem::forget(tracing::dispatcher::set_default(&Dispatch::new(self.clone())));
    }

    /// The events so far, taken.
    pub(crate) fn events(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.0.lock().unwrap().events)
    }

    /// The same as `LEVEL message field=value …`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.events().into_iter().map(|event| format!("{}{}", event.level, event.fields)).collect()
    }

    /// The fields of a span as they are now.
    pub(crate) fn span(&self, number: usize) -> String {
        self.0.lock().unwrap().spans[number].clone()
    }

    /// All that was ever recorded and is not taken, in one text.
    pub(crate) fn everything(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = attributes.metadata().name().to_owned();
        attributes.record(&mut Fields(&mut fields));
        let mut records = self.0.lock().unwrap();
        records.spans.push(fields);
        Id::from_u64(records.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let number = number(span);
        values.record(&mut Fields(&mut self.0.lock().unwrap().spans[number]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = String::new();
        event.record(&mut Fields(&mut fields));
        let span = WITHIN.with_borrow(|within| within.last().map(number));
        self.0.lock().unwrap().events.push(Recorded { level: *event.metadata().level(), fields, span });
    }

    fn enter(&self, span: &Id) {
        WITHIN.with_borrow_mut(|within| within.push(span.clone()));
    }

    fn exit(&self, span: &Id) {
        assert_eq!(WITHIN.with_borrow_mut(Vec::pop).as_ref(), Some(span), "spans cross");
    }
}

fn number(span: &Id) -> usize {
    usize::try_from(span.into_u64()).unwrap() - 1
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!(" {value:?}"));
        } else {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}
