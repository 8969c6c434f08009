//! What the modules may use: the core nothing of the world around it, and each module only those
//! before it in the map of `ARCHITECTURE.md`. So they form no cycle.

use std::path::Path;

use super::{files, read, root};

/// The code of a file: no comments, no tests.
fn code(path: &Path) -> String {
    let text = read(path);
    let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_core_has_no_clock_no_randomness_and_no_network() {
    for file in files(&root().join("crates/proto/src"), ".rs") {
        if file.ends_with("tests.rs") {
            continue;
        }
        for foreign in ["Instant::now", "SystemTime", "getrandom", "TcpStream", "std::thread", "tokio"] {
            assert!(!code(&file).contains(foreign), "{}: {foreign}", file.display());
        }
    }
}

#[test]
fn every_module_uses_only_modules_before_it_in_the_map() {
    for folder in ["crates/proto/src", "crates/stentor/src"] {
        let architecture = read("ARCHITECTURE.md");
        let (_, map) = architecture.split_once(&format!("### {folder}\n")).expect("a map of the modules");
        let rows = map.split('#').next().unwrap_or_default().lines();
        let map: Vec<_> = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
        let place = |module: &str| map.iter().position(|listed| *listed == module);

        let mut modules = 0;
        for file in files(&root().join(folder), ".rs") {
            let path = file.strip_prefix(root().join(folder)).expect("it was found there");
            let module = path.with_extension("").to_str().expect("a name in ASCII").replace("/mod", "");
            if module == "lib" || module.ends_with("/tests") {
                continue;
            }
            modules += 1;
            let own = place(&module).unwrap_or_else(|| panic!("{module} is not in the map of {folder}"));
            let code = code(&file);
            let siblings = module.split_once('/').map_or(String::new(), |(parent, _)| format!("{parent}/"));
            let used = names_behind("crate::", &code).into_iter().chain(
                // What a part uses of the whole is a type there, and no module.
                names_behind("super::", &code).into_iter().map(|name| siblings.clone() + &name),
            );
            for used in used {
                let known = place(&used).is_none_or(|used| used < own);
                assert!(known, "{folder}: {module} uses {used}, which does not come before it in the map");
            }
        }
        assert_eq!(modules, map.len(), "{folder}: the map names modules that do not exist");
    }
}

/// The first names behind every `prefix`, as in `crate::name::Item` and `crate::{name::Item, other}`.
fn names_behind(prefix: &str, code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.extend(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned));
            continue;
        };
        let (mut depth, mut first) = (1, true);
        for piece in
            group.split_inclusive(['{', '}', ',', ':', ';']).take_while(|piece| !piece.ends_with(';'))
        {
            let (name, end) = piece.split_at(piece.len() - 1);
            if depth == 1 && first {
                names.push(name.trim().to_owned());
            }
            depth += i32::from(end == "{") - i32::from(end == "}");
            first = end == "," || end == "{";
        }
    }
    names
}

#[test]
fn names_are_found_alone_and_in_groups() {
    let code = "use crate::close::CloseCode;\nuse crate::{mask, utf8::{is_utf8, Utf8Bytes}, error};\n";
    assert_eq!(names_behind("crate::", code), ["close", "mask", "utf8", "error"]);
}
