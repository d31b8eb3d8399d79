//! BODY: the texts of a message, decoded, and the headers of its parts (where attachments have
//! their names). What is neither text nor message is not looked into.

use super::super::fetch::{HEADER_LIMIT, Source};
use super::matching::{Matching, header_holds};
use super::text::Finder;
use crate::message::structure::Part;
use crate::message::transfer;

/// Whether a folded text is in the body of the message at hand.
pub(super) fn holds<S: Source>(
    matching: &mut Matching<'_, S>,
    text: &str,
) -> Result<bool, S::Error> {
    if text.is_empty() {
        return Ok(true);
    }
    let structure = matching.reading.structure(matching.source)?;
    part_holds(matching, &structure, text)
}

fn part_holds<S: Source>(
    matching: &mut Matching<'_, S>,
    part: &Part,
    text: &str,
) -> Result<bool, S::Error> {
    for child in &part.parts {
        let (from, to) = (child.header, child.body);
        let header = matching.reading.stored(matching.source, from, to, HEADER_LIMIT)?;
        if header_holds(&header, text, matching.charsets) || part_holds(matching, child, text)? {
            return Ok(true);
        }
    }
    let has_text = matches!(&*part.media_type, "text" | "message");
    if !part.parts.is_empty() || !has_text {
        return Ok(false);
    }
    leaf_holds(matching, part, text)
}

fn leaf_holds<S: Source>(
    matching: &mut Matching<'_, S>,
    part: &Part,
    text: &str,
) -> Result<bool, S::Error> {
    let charset = part.parameter("charset").unwrap_or(b"utf-8");
    let mut charset = matching.charsets.decoder(charset);
    let mut transfer = transfer::Decoder::of(&part.encoding);
    let mut finder = Finder::new(text);
    let (mut octets, mut decoded) = (Vec::new(), String::new());
    let mut at = part.body.stored;
    while at < part.end.stored {
        let block = matching.reading.block(matching.source, at)?;
        if block.is_empty() {
            break;
        }
        let wanted = usize::try_from(part.end.stored - at).unwrap_or(usize::MAX);
        let block = block.get(..wanted).unwrap_or(block);
        at += block.len() as u64;
        transfer.decode(block, &mut octets);
        charset.decode(&octets, false, &mut decoded);
        if finder.push(&decoded) {
            return Ok(true);
        }
        octets.clear();
        decoded.clear();
    }
    transfer.finish(&mut octets);
    charset.decode(&octets, true, &mut decoded);
    Ok(finder.push(&decoded))
}
