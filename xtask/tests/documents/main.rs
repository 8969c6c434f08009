//! The documents say what the code says: links, names, programs, limits, and the map of modules.

mod modules;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a folder of the workspace")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below `folder` whose names end with `ending`, without what git ignores.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if entry.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
                found.extend(files(&entry, ending));
            }
        } else if name.ends_with(ending) {
            found.push(entry);
        }
    }
    found
}

#[test]
fn every_link_leads_to_a_file_that_has_what_it_names() {
    let mut links = 0;
    for document in files(root(), ".md") {
        let text = read(&document);
        for (before, after) in text.match_indices("](").map(|(at, _)| (&text[..at], &text[at + 2..])) {
            let (label, target) = (before.rsplit('[').next(), after.split([')', '#']).next());
            let (label, target) = (label.unwrap_or_default(), target.unwrap_or_default());
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            let path = document.parent().expect("a file is in a folder").join(target);
            assert!(path.exists(), "{}: no {target}", document.display());
            let named = label.strip_prefix('`').and_then(|label| label.strip_suffix('`'));
            if let Some(name) = named.filter(|_| path.extension() == Some("rs".as_ref())) {
                assert!(read(&path).contains(name), "{}: no {name} in {target}", document.display());
            }
        }
    }
    assert!(links > 100, "only {links} links were found");
}

#[test]
fn the_readme_shows_the_programs_of_the_crates_documentation() {
    let (readme, library) = (read("README.md"), read("crates/stentor/src/lib.rs"));
    let documentation: String = library
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .flat_map(|line| [line.strip_prefix(' ').unwrap_or(line), "\n"])
        .collect();
    let programs: Vec<_> = readme.split("```rust,no_run\n").skip(1).collect();
    assert_eq!(programs.len(), 2, "a server and a client");
    for program in programs.iter().filter_map(|program| program.split("```").next()) {
        assert!(documentation.contains(program), "not in crates/stentor/src/lib.rs:\n{program}");
    }
}

#[test]
fn the_readme_tells_the_defaults_of_the_configuration() {
    let readme = read("README.md");
    let config = read("crates/proto/src/config.rs") + &read("crates/stentor/src/limits.rs");
    let (mut prefix, mut documentation, mut fields) = ("", String::new(), 0);
    for line in config.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            documentation += text;
        } else if line.starts_with("pub struct") {
            let structs = [
                ("Keepalive", "keepalive."),
                ("HandshakeLimits", "handshake."),
                ("Config", ""),
                ("Limits", "limits."),
            ];
            let known = structs.into_iter().find(|(name, _)| line.contains(name));
            (_, prefix) = known.unwrap_or_else(|| panic!("which fields does {line} hold?"));
            documentation.clear();
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|line| line.split_once(':')) {
            let default = documentation.split_once("Default: ").map_or("", |(_, text)| text);
            let default = default.trim_end_matches('.').split(", ").next().unwrap_or_default();
            if !default.is_empty() && !default.starts_with('[') {
                let row = format!("| `{prefix}{field}` | {default} |");
                assert!(readme.contains(&row), "README.md has no row {row}");
                fields += 1;
            }
            documentation.clear();
        }
    }
    let (_, table) = readme.split_once("## Limits and defaults").expect("the table");
    let rows = table.split("##").next().unwrap_or_default().matches("\n| `").count();
    assert_eq!(rows, fields, "README.md has a row for no field");
}

#[test]
fn the_chapter_on_observability_lists_every_event_with_its_level() {
    let (trace, chapter) = (read("crates/stentor/src/trace.rs"), read("docs/observability.md"));
    let (_, events) = chapter.split_once("| event | level |").expect("the table of events");
    let rows: Vec<_> = events.lines().skip(2).take_while(|row| row.starts_with('|')).collect();
    let mut calls = 0;
    for level in ["debug", "info", "warn", "error"] {
        for call in trace.split(&format!("{level}!(")).skip(1) {
            let mut depth = 1;
            let end = call.find(|c: char| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            let message = call[..end.expect("the end of the call")].rsplit('"').nth(1).unwrap_or_default();
            let (message, level) = (format!("`{message}`"), format!("| {} |", level.to_uppercase()));
            let listed = rows.iter().any(|row| row.contains(&message) && row.contains(&level));
            assert!(listed, "no row for {message} {level}");
            calls += 1;
        }
    }
    assert!(calls >= rows.len(), "{calls} events in the code, and {} rows", rows.len());
}

#[test]
fn what_is_shown_of_a_file_stands_in_that_file() {
    let chapter = read("docs/production.md");
    let mut shown = 0;
    for (name, rest) in chapter.split("<!-- ").skip(1).filter_map(|piece| piece.split_once(" -->\n```")) {
        let block = rest.split_once('\n').and_then(|(_, rest)| rest.split_once("```"));
        let (block, _) = block.expect("a block behind the name of a file");
        assert!(read(name).contains(block), "not in {name}:\n{block}");
        shown += 1;
    }
    assert_eq!(shown, 7, "two units and a file for the kernel, nginx, Apache and two parts for HAProxy");
}

#[test]
fn the_readme_tells_the_oldest_compiler() {
    let manifest = read("Cargo.toml");
    let version = manifest.split_once("rust-version = \"").and_then(|(_, rest)| rest.split('"').next());
    let version = version.expect("a rust-version");
    assert!(read("README.md").contains(&format!("Rust {version} or later")), "not {version}");
}
