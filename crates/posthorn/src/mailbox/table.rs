//! Tables that a person reads: columns as wide as what is in them.

use std::fmt;

/// Rows of cells. The first column is text, those behind it as they are told to be.
pub(super) struct Table {
    aligned: &'static [Aligned],
    rows: Vec<Vec<String>>,
}

/// At which side a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aligned {
    Left,
    Right,
}

impl Table {
    pub(super) fn new(aligned: &'static [Aligned], head: &[&str]) -> Self {
        Self { aligned, rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.aligned.len()).map(|column| self.width(column)).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(self.aligned).zip(&widths);
            let cells = cells.map(|((cell, aligned), &width)| match aligned {
                Aligned::Left => format!("{cell:<width$}"),
                Aligned::Right => format!("{cell:>width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            write!(f, "{}{}", if number == 0 { "" } else { "\n" }, line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(&[Aligned::Left, Aligned::Right], &["name", "messages"]);
        table.row(vec!["Entwürfe".to_owned(), "7".to_owned()]);
        assert_eq!(table.to_string(), "name      messages\nEntwürfe         7");
    }
}
