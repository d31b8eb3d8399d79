//! From merged values to a [`Site`], with all mistakes.
//!
//! serde stops at the first mistake. So what is wrong is noted, taken out (or, where it is
//! needed, exchanged for an example), and all is read again, until it holds.

use std::collections::HashSet;

use figment::error::Kind;
use figment::value::{Tag, Value};
use serde::Deserialize;

use super::file::Aim;
use super::layers::Layers;
use super::load::Mistake;
use super::{Site, words};

/// Rounds before giving up: more mistakes than anybody reads.
const MOST_MISTAKES: usize = 200;

/// The site if it can be read at all, and what is wrong. With mistakes the site is none to run
/// with, but good for finding more of them.
pub(super) fn site(layers: &Layers) -> (Option<Site>, Vec<Mistake>) {
    let mut draft =
        Draft { layers, value: layers.merged(), mended: HashSet::new(), taken: Vec::new() };
    let mut mistakes = Vec::new();
    for _ in 0..MOST_MISTAKES {
        match Site::deserialize(&draft.value) {
            Ok(site) => return (Some(site).filter(|_| layers.are_sound()), mistakes),
            Err(error) => {
                mistakes.extend(draft.mistake(&error));
                if !draft.mend(&error) {
                    break;
                }
            }
        }
    }
    (None, mistakes)
}

struct Draft<'a> {
    layers: &'a Layers,
    value: Value,
    /// What was exchanged for an example already, or taken out.
    mended: HashSet<Vec<String>>,
    /// Elements that were taken out of lists, as they were counted in the files.
    taken: Vec<(Vec<String>, usize)>,
}

impl Draft<'_> {
    fn mistake(&self, error: &figment::Error) -> Option<Mistake> {
        let path = self.original(&error.path);
        let message = words::of(&error.kind, &path);
        match &error.kind {
            Kind::MissingField(key) => {
                let missing = with(&error.path, key);
                let known = self.mended.contains(&missing) || !self.layers.are_sound();
                (!known).then(|| self.layers.mistake_in_table(&path, message))
            }
            kind => {
                let aim =
                    if matches!(kind, Kind::UnknownField(..)) { Aim::Key } else { Aim::Value };
                let tag = find(&self.value, &error.path).map_or(Tag::Default, Value::tag);
                Some(self.layers.mistake(&path, tag, aim, message))
            }
        }
    }

    /// Makes a mistake go away; says whether anything changed.
    fn mend(&mut self, error: &figment::Error) -> bool {
        let mut path = error.path.clone();
        if let Kind::MissingField(key) = &error.kind {
            path = with(&path, key);
        }
        // What is still wrong after it was mended goes with all that is around it.
        while self.mended.contains(&path) {
            path.pop();
        }
        let Some((last, table)) = path.split_last() else {
            return false;
        };
        self.mended.insert(path.clone());
        let original = self.original(table);
        let example = words::example(&path);
        match find_mut(&mut self.value, table) {
            Some(Value::Dict(_, entries)) => match example {
                Some(example) => entries.insert(last.clone(), example).is_none_or(|_| true),
                None => entries.remove(last).is_some(),
            },
            Some(Value::Array(_, elements)) => {
                let Some(index) = last.parse().ok().filter(|&index| index < elements.len()) else {
                    return false;
                };
                elements.remove(index);
                let counted = self.counted(&original, index);
                self.taken.push((original, counted));
                // The next element stands here now, and has not been mended.
                self.mended.retain(|mended| !mended.starts_with(&path));
                true
            }
            _ => false,
        }
    }

    /// A path with its elements as they are counted in the files.
    fn original(&self, path: &[String]) -> Vec<String> {
        let mut original: Vec<String> = Vec::new();
        for part in path {
            let part = match part.parse() {
                Ok(index) => self.counted(&original, index).to_string(),
                Err(_) => part.clone(),
            };
            original.push(part);
        }
        original
    }

    fn counted(&self, list: &[String], index: usize) -> usize {
        let mut gone: Vec<_> =
            self.taken.iter().filter(|(of, _)| of == list).map(|&(_, at)| at).collect();
        gone.sort_unstable();
        gone.into_iter().fold(index, |index, at| if index >= at { index + 1 } else { index })
    }
}

fn with(path: &[String], key: &str) -> Vec<String> {
    path.iter().cloned().chain([key.to_owned()]).collect()
}

pub(super) fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Dict(_, entries) => entries.get(part),
        Value::Array(_, elements) => elements.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn find_mut<'a>(value: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Dict(_, entries) => entries.get_mut(part),
        Value::Array(_, elements) => elements.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}
