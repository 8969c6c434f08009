//! Tables, for terminals and for documents.

use std::fmt::Write;

use serde_json::{Value, json};

/// A table whose first column is words and whose others are figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|&column| column.to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// With columns that are aligned.
    pub(crate) fn text(&self) -> String {
        let lines = || std::iter::once(&self.columns).chain(&self.rows);
        let width = |column: usize| {
            let cells = lines().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for line in lines() {
            text += " ";
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                let _ = if column == 0 {
                    write!(text, " {cell:<width$}")
                } else {
                    write!(text, "  {cell:>width$}")
                };
            }
            text.truncate(text.trim_end().len());
            text += "\n";
        }
        text
    }

    /// In Markdown.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: String =
            (0..self.columns.len()).map(|column| if column == 0 { "|---" } else { "|---:" }).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}{rule}|\n{rows}", line(&self.columns))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({ "columns": self.columns, "rows": self.rows })
    }

    /// What [`to_json`](Self::to_json) made.
    pub(crate) fn from_json(value: &Value) -> Self {
        let strings = |value: &Value| -> Vec<String> {
            let all = value.as_array().into_iter().flatten();
            all.map(|cell| cell.as_str().unwrap_or_default().to_owned()).collect()
        };
        let rows = value["rows"].as_array().into_iter().flatten().map(strings).collect();
        Self { columns: strings(&value["columns"]), rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["server", "µs"]);
        table.push(vec!["stentor".into(), "1.25".into()]);
        table.push(vec!["µ".into(), "10.5".into()]);
        table
    }

    #[test]
    fn text_is_aligned() {
        assert_eq!(table().text(), "  server     µs\n  stentor  1.25\n  µ        10.5\n");
    }

    #[test]
    fn markdown_aligns_figures_to_the_right() {
        assert_eq!(table().markdown(), "| server | µs |\n|---|---:|\n| stentor | 1.25 |\n| µ | 10.5 |\n");
    }

    #[test]
    fn json_keeps_everything() {
        assert_eq!(Table::from_json(&table().to_json()), table());
    }
}
