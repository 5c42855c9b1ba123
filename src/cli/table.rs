//! Columns of text.

use std::{fmt, iter};

use crate::models::visible;

/// A table with a heading. It is as wide as its contents, and nothing is cut. A row is one
/// line, with any text in its cells.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|&name| name.to_owned()).collect()] }
    }

    /// Adds a row, one cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| visible(&cell).into_owned());
        self.rows.push(cells.collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            // Blanks come before the next cell, and none after the last one, which is the data of
            // tokens: a row would be as long as the longest. A width of `format!` is 65,535 at most.
            let mut blanks = 0;
            for (cell, width) in row.iter().zip(&widths) {
                line.extend(iter::repeat_n(' ', blanks));
                line.push_str(cell);
                blanks = width - cell.chars().count() + 2;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_do_not_end_in_spaces() {
        let mut table = Table::new(&["ID", "NAME"]);
        table.row(["a".to_owned(), "Änderung".to_owned()]);
        table.row(["longer".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "ID      NAME\na       Änderung\nlonger\n");
    }

    #[test]
    fn a_cell_may_be_as_long_as_what_is_in_it() {
        let long = "x".repeat(70_000);
        for row in [[long.clone(), "b".to_owned()], ["a".to_owned(), long.clone()]] {
            let mut table = Table::new(&["ID", "DATA"]);
            table.row(row);
            table.row(["c".to_owned(), "d".to_owned()]);
            let text = table.to_string();
            assert!(text.contains(&long) && text.ends_with("d\n"));
        }
    }
}
