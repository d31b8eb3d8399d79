//! One file of the configuration, and where in it things stand.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, ImDocument, Item, TableLike, Value};

use super::load::Mistake;

/// A file that was read. One with a mistake in its syntax has no document.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
    document: Option<ImDocument<String>>,
}

/// Which end of `key = value` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    Key,
    Value,
}

/// The files may not be larger: nobody writes such by hand.
const LARGEST: u64 = 16 << 20;

impl File {
    /// Reads a file; the mistake is one of syntax, or that it cannot be read.
    pub(super) fn read(path: &Path) -> (Option<Self>, Option<Mistake>) {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot be read: {error}");
                let place = path.display().to_string();
                return (None, Some(Mistake { place, at: None, message }));
            }
        };
        let file = Self { path: path.to_owned(), text, document: None };
        match ImDocument::parse(file.text.clone()) {
            Ok(document) => (Some(Self { document: Some(document), ..file }), None),
            Err(error) => {
                let at = error.span().map(|span| file.line_and_column(&span));
                let message = error.message().trim().replace('\n', ", ");
                (
                    Some(Self { document: None, ..file }),
                    Some(Mistake { at, ..file_mistake(path, message) }),
                )
            }
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.document.is_some()
    }

    /// Line and column of the key path, or of the last part of it that stands here.
    pub(super) fn position(&self, path: &[String], aim: Aim) -> Option<(usize, usize)> {
        let mut node = Node::of_item(self.document.as_ref()?.as_item())?;
        let mut found = None;
        for (depth, part) in path.iter().enumerate() {
            let Some((key, value)) = node.part(part) else {
                break;
            };
            let last = depth + 1 == path.len();
            let value_span = value.as_ref().and_then(Node::span);
            let (first, second) = match aim {
                Aim::Value if last => (value_span, key),
                _ => (key, value_span),
            };
            found = first.or(second).or(found);
            let Some(value) = value else {
                break;
            };
            node = value;
        }
        found.map(|span| self.line_and_column(&span))
    }

    /// Whether the whole key path stands here.
    pub(super) fn holds(&self, path: &[String]) -> bool {
        let root = self.document.as_ref().and_then(|document| Node::of_item(document.as_item()));
        let end = path.iter().try_fold(root, |node, part| Some(node?.part(part)?.1));
        end.flatten().is_some()
    }

    fn line_and_column(&self, span: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        (before.matches('\n').count() + 1, column + 1)
    }
}

fn file_mistake(path: &Path, message: String) -> Mistake {
    Mistake { place: path.display().to_string(), at: None, message }
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    std::fs::read_to_string(path)
}

/// What a key may lead to.
enum Node<'a> {
    Table(&'a dyn TableLike, Option<Range<usize>>),
    Tables(&'a ArrayOfTables),
    Value(&'a Value),
}

impl<'a> Node<'a> {
    fn of_item(item: &'a Item) -> Option<Self> {
        match item {
            Item::None => None,
            Item::Value(value) => Some(Self::Value(value)),
            Item::Table(table) => Some(Self::Table(table, table.span())),
            Item::ArrayOfTables(tables) => Some(Self::Tables(tables)),
        }
    }

    fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Table(_, span) => span.clone(),
            Self::Tables(tables) => tables.span(),
            Self::Value(value) => value.span(),
        }
    }

    /// Where the next part of a path stands, and what is there.
    fn part(&self, part: &str) -> Option<(Option<Range<usize>>, Option<Self>)> {
        let keyed = |table: &'a dyn TableLike| {
            let (key, item) = table.get_key_value(part)?;
            Some((key.span(), Self::of_item(item)))
        };
        match *self {
            Self::Table(table, _) => keyed(table),
            Self::Tables(tables) => {
                let table = tables.get(part.parse().ok()?)?;
                Some((table.span(), Some(Self::Table(table, table.span()))))
            }
            Self::Value(Value::InlineTable(table)) => keyed(table),
            Self::Value(Value::Array(array)) => {
                let value = array.get(part.parse().ok()?)?;
                Some((value.span(), Some(Self::Value(value))))
            }
            Self::Value(_) => None,
        }
    }
}
