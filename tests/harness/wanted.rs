//! How much of a long test is wanted.

use std::fmt::Debug;
use std::str::FromStr;

/// What a variable of the environment says, `otherwise` if nobody has set it.
///
/// # Panics
/// If it is no number.
#[must_use]
pub fn number<N: FromStr<Err: Debug>>(variable: &str, otherwise: N) -> N {
    let said = std::env::var(variable).ok();
    said.map_or(otherwise, |text| text.parse().expect("is a number"))
}
