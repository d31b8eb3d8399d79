//! The fields of a part's header that its structure shows.

use super::Part;
use super::parameters;

/// A field that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentField {
    Type,
    Encoding,
    Id,
    Description,
    Md5,
    Disposition,
    Language,
    Location,
}

const NAMES: [(&str, ContentField); 8] = [
    ("type", ContentField::Type),
    ("transfer-encoding", ContentField::Encoding),
    ("id", ContentField::Id),
    ("description", ContentField::Description),
    ("md5", ContentField::Md5),
    ("disposition", ContentField::Disposition),
    ("language", ContentField::Language),
    ("location", ContentField::Location),
];

/// A colon farther away ends no name.
const NAME_LIMIT: usize = 64;

const PREFIX: &[u8] = b"content-";

/// The field that a line begins, if it matters, and what stands behind the colon.
pub(super) fn begun_by(line: &[u8]) -> Option<(ContentField, &[u8])> {
    let (prefix, _) = line.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let colon = line.iter().take(NAME_LIMIT).position(|&octet| octet == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    // RFC 5322, 4.5: obsolete syntax has white space before the colon.
    let name = name.get(PREFIX.len()..)?.trim_ascii_end();
    let (_, field) = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))?;
    Some((*field, value.get(1..)?))
}

impl ContentField {
    /// Puts a value, unfolded, into a part. Of several fields of one name the first counts.
    pub(super) fn put(self, part: &mut Part, value: &[u8]) {
        let value = value.trim_ascii();
        match self {
            Self::Type => put_type(part, value),
            Self::Encoding if part.encoding.is_empty() => {
                part.encoding = parameters::token(value).unwrap_or_default();
            }
            Self::Disposition if part.disposition.is_none() => {
                part.disposition = parameters::disposition(value);
            }
            Self::Language if part.language.is_empty() => part.language = languages(value),
            Self::Id => put_text(&mut part.id, value),
            Self::Description => put_text(&mut part.description, value),
            Self::Md5 => put_text(&mut part.md5, value),
            Self::Location => put_text(&mut part.location, value),
            Self::Encoding | Self::Disposition | Self::Language => {}
        }
    }
}

fn put_type(part: &mut Part, value: &[u8]) {
    if !part.media_type.is_empty() {
        return;
    }
    if let Some(read) = parameters::content_type(value) {
        part.media_type = read.media_type;
        part.subtype = read.subtype;
        part.parameters = read.parameters;
    }
}

fn put_text(text: &mut Option<Vec<u8>>, value: &[u8]) {
    if text.is_none() {
        *text = Some(value.to_vec());
    }
}

/// RFC 3282, 2: language tags between commas.
fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    value
        .split(|&octet| octet == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|tag| !tag.is_empty())
        .take(LANGUAGES)
        .map(<[u8]>::to_vec)
        .collect()
}

/// Languages beyond these are not kept.
const LANGUAGES: usize = 32;
