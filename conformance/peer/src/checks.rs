//! Runs named checks one after another and reports them in the form that `cargo xtask` reads.

use std::time::Duration;

use crate::Result;

/// For one check. Servers give a client that does not hang up 30 seconds: whoever runs into that is to be noticed.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Checks {
    ok: usize,
    failed: usize,
}

impl Checks {
    pub(crate) async fn check(&mut self, name: &str, check: impl Future<Output = Result>) {
        let result = tokio::time::timeout(LIMIT, check).await;
        match result.unwrap_or_else(|_| Err(format!("nothing after {LIMIT:?}").into())) {
            Ok(()) => {
                self.ok += 1;
                println!("ok {name}");
            }
            Err(why) => {
                self.failed += 1;
                println!("not ok {name}: {why}");
            }
        }
    }

    pub(crate) fn finish(self) -> Result {
        println!("checks: {} ok, {} failed", self.ok, self.failed);
        if self.failed == 0 { Ok(()) } else { Err("a check failed".into()) }
    }
}
