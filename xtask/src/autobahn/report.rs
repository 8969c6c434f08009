//! The suite's report, judged strictly.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::outcome::{Context, Result, Stop};

/// The cases without one right answer: whether a large echo is finished when a close is right behind the message
/// (7.1.6), and what to do about close codes that RFC 6455 §7.4.2 gives no range (7.13.1, 7.13.2).
const INFORMATIONAL: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];

/// How the cases went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    cases: usize,
    ok: usize,
    informational: usize,
    non_strict: usize,
    unimplemented: usize,
    /// Each case that is neither ok nor rightly informational, and why.
    offending: Vec<String>,
}

impl Report {
    /// Reads the report `index.json` on `agent`, which must have a result for each of the `expected` cases and for no
    /// other.
    pub(super) fn parse(index: &str, agent: &str, expected: &[String]) -> Result<Self> {
        let index: Value = serde_json::from_str(index).context("Autobahn's report")?;
        let results: BTreeMap<&str, &Value> = match index.get(agent).and_then(Value::as_object) {
            Some(results) => results.iter().map(|(case, result)| (case.as_str(), result)).collect(),
            None => return Err(Stop::fail("Autobahn's report is empty: it could not connect")),
        };
        let mut report = Self { cases: expected.len(), ..Self::default() };
        for case in expected {
            report.judge(case, results.get(case.as_str()).copied());
        }
        if let Some(other) = results.keys().find(|&&case| !expected.iter().any(|expected| expected == case)) {
            return Err(Stop::fail(format!(
                "Autobahn's report has the case {other}, which was not asked for"
            )));
        }
        Ok(report)
    }

    fn judge(&mut self, case: &str, result: Option<&Value>) {
        let field =
            |name| result.and_then(|result| result.get(name)).and_then(Value::as_str).unwrap_or("MISSING");
        let (behavior, close) = (field("behavior"), field("behaviorClose"));
        match (behavior, close) {
            ("OK", "OK" | "INFORMATIONAL") => self.ok += 1,
            ("INFORMATIONAL", "OK" | "INFORMATIONAL") if INFORMATIONAL.contains(&case) => {
                self.informational += 1;
            }
            _ => {
                match behavior {
                    "NON-STRICT" => self.non_strict += 1,
                    "UNIMPLEMENTED" => self.unimplemented += 1,
                    _ => {}
                }
                self.offending.push(format!("{case}: {behavior}, close {close}"));
            }
        }
    }

    /// The numbers, on one line.
    pub(super) fn totals(&self) -> String {
        let Self { cases, ok, informational, non_strict, unimplemented, offending } = self;
        let failed = offending.len() - non_strict - unimplemented;
        format!(
            "{cases} cases, {ok} ok, {informational} informational, {non_strict} non-strict, \
             {unimplemented} unimplemented, {failed} failed"
        )
    }

    /// Fails unless every case is ok, or rightly informational.
    pub(super) fn verdict(&self) -> Result {
        if self.offending.is_empty() && self.cases > 0 {
            return Ok(());
        }
        let mut why = self.totals();
        for case in &self.offending {
            let _ = write!(why, "\n  {case}");
        }
        Err(Stop::Fail(why))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(results: &[(&str, &str, &str)], expected: &[&str]) -> Result<Report> {
        let results: serde_json::Map<String, Value> = results
            .iter()
            .map(|&(case, behavior, close)| {
                (case.to_owned(), json!({ "behavior": behavior, "behaviorClose": close }))
            })
            .collect();
        let expected: Vec<String> = expected.iter().map(|&case| case.to_owned()).collect();
        Report::parse(&json!({ "stentor": results }).to_string(), "stentor", &expected)
    }

    #[test]
    fn ok_and_rightly_informational_cases_pass() {
        let report = parse(
            &[
                ("1.1.1", "OK", "OK"),
                ("2.10", "OK", "INFORMATIONAL"),
                ("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            ],
            &["1.1.1", "2.10", "7.1.6"],
        )
        .unwrap();
        assert_eq!(
            report.totals(),
            "3 cases, 2 ok, 1 informational, 0 non-strict, 0 unimplemented, 0 failed"
        );
        assert_eq!(report.verdict(), Ok(()));
    }

    #[test]
    fn everything_else_is_named_and_fails() {
        let report = parse(
            &[
                ("1.1.1", "INFORMATIONAL", "OK"),
                ("6.4.1", "NON-STRICT", "OK"),
                ("7.1.6", "INFORMATIONAL", "FAILED"),
                ("7.3.1", "OK", "UNCLEAN"),
                ("12.1.1", "UNIMPLEMENTED", "OK"),
            ],
            &["1.1.1", "6.4.1", "7.1.6", "7.3.1", "9.1.1", "12.1.1"],
        )
        .unwrap();
        assert_eq!(
            report.verdict(),
            Err(Stop::fail(
                "6 cases, 0 ok, 0 informational, 1 non-strict, 1 unimplemented, 4 failed
  1.1.1: INFORMATIONAL, close OK
  6.4.1: NON-STRICT, close OK
  7.1.6: INFORMATIONAL, close FAILED
  7.3.1: OK, close UNCLEAN
  9.1.1: MISSING, close MISSING
  12.1.1: UNIMPLEMENTED, close OK"
            ))
        );
    }

    #[test]
    fn a_report_about_nothing_or_about_too_much_fails() {
        assert!(Report::parse("{}", "stentor", &["1.1.1".to_owned()]).is_err());
        assert!(parse(&[("1.1.1", "OK", "OK"), ("1.1.2", "OK", "OK")], &["1.1.1"]).is_err());
        assert!(parse(&[], &[]).unwrap().verdict().is_err());
    }
}
