//! The records that rows point to.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use mail_common::disk::Dir;
use mail_common::log::Id;

use crate::record::Part;
use crate::recovery::Survey;
use crate::row::Place;
use crate::scan::{self, Record};
use crate::segment::Segments;

/// The records of the segments that are there.
pub(crate) struct Records {
    segments: Segments,
    generations: HashMap<u32, u64>,
}

impl Records {
    pub(crate) fn new(segments: &Dir, survey: &Survey) -> Self {
        let known = survey.segments.iter();
        let generations = known.filter_map(|s| Some((s.slot, s.generation()?))).collect();
        Self { segments: Segments::new(segments.clone()), generations }
    }

    /// A part of a message that stands here, and its file.
    pub(crate) fn record(&self, place: Place, of: (Id, Part)) -> Option<(Arc<File>, Record)> {
        let generation = *self.generations.get(&place.slot)?;
        let file = self.segments.reader(place.slot).ok()?;
        let record = scan::stored(&*file, generation, of, place).ok()?;
        Some((file, record))
    }
}
