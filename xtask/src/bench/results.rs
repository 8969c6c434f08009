//! What `--write` keeps: `docs/bench/results.json` with every figure, and what is made of it, a page and
//! charts. Each section is kept with the day, the machine and the command that measured it.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::machine;
use super::rounds::Plan;
use super::sections::{Outcome, SECTIONS, Section};
use super::servers::{Group, SERVERS};
use super::table::Table;
use crate::outcome::{Context, Result};
use crate::workspace::root;

fn file(name: &str) -> PathBuf {
    root().join("docs/bench").join(name)
}

/// Keeps what a section has measured, in place of what was kept before.
pub(crate) fn keep(section: &Section, outcome: &Outcome, plan: &Plan) -> Result {
    let path = file("results.json");
    fs::create_dir_all(file("")).context("docs/bench")?;
    let mut all: Value = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).context("docs/bench/results.json")?,
        Err(_) => json!({}),
    };
    let tables =
        outcome.tables.iter().map(|(caption, table)| json!({ "caption": caption, "table": table.to_json() }));
    all[section.id] = json!({
        "date": machine::date()?,
        "machine": machine::description()?,
        "command": format!("cargo xtask bench {} --rounds {} --seconds {} --write",
            section.id, plan.rounds, plan.sample.as_secs_f64()),
        "tables": tables.collect::<Vec<_>>(),
        "charts": outcome.charts.iter().map(|chart| json!([chart.id, chart.title])).collect::<Vec<_>>(),
        "figures": outcome.data,
    });
    for chart in &outcome.charts {
        let path = file(&format!("{}.svg", chart.id));
        fs::write(&path, &chart.svg).context(path.display())?;
    }
    fs::write(&path, lines(&all)?).context(path.display())?;
    let page = file("results.md");
    fs::write(&page, markdown(&all)?).context(page.display())
}

/// JSON with a line for each section and each of its parts, so that a new measurement is a small change.
fn lines(all: &Value) -> Result<String> {
    let mut text = String::from("{\n");
    let sections = all.as_object().into_iter().flatten();
    for (number, (id, section)) in sections.enumerate() {
        let _ = write!(text, "{}{}: {{", if number == 0 { "" } else { ",\n" }, json!(id));
        for (number, (name, part)) in section.as_object().into_iter().flatten().enumerate() {
            let part = serde_json::to_string(part).context(name)?;
            let _ = write!(text, "{}\n  {}: {part}", if number == 0 { "" } else { "," }, json!(name));
        }
        text += "\n}";
    }
    Ok(text + "\n}\n")
}

/// The page.
fn markdown(all: &Value) -> Result<String> {
    let mut page = String::from(
        "# Measurements\n\n\
         Written by `cargo xtask bench --write`; [performance](../performance.md) explains the figures, and\n\
         [results.json](results.json) has all of them.\n",
    );
    for section in SECTIONS {
        let Some(kept) = all.get(section.id) else { continue };
        let word = |name: &str| kept[name].as_str().unwrap_or_default().to_owned();
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\n{}, {}: `{}`\n",
            section.title,
            section.about,
            word("date"),
            word("machine"),
            word("command")
        );
        for chart in kept["charts"].as_array().into_iter().flatten() {
            let (id, title) = (chart[0].as_str().unwrap_or_default(), chart[1].as_str().unwrap_or_default());
            let _ = write!(page, "\n![{title}]({id}.svg)\n");
        }
        for entry in kept["tables"].as_array().into_iter().flatten() {
            let caption = entry["caption"].as_str().unwrap_or_default();
            let gap = if caption.is_empty() { "" } else { "\n" };
            let _ = write!(page, "\n{caption}{gap}{gap}{}", Table::from_json(&entry["table"]).markdown());
        }
    }
    page += "\n## Versions\n\n";
    let mut versions = Table::new(&["server", "version"]);
    for server in SERVERS
        .iter()
        .filter(|server| !matches!(server.group, Group::Batched | Group::Tcp | Group::Ideal | Group::Ours))
    {
        if let Some(version) = server.version()? {
            versions.push(vec![server.name.to_owned(), version]);
        }
    }
    Ok(page + &versions.markdown())
}
