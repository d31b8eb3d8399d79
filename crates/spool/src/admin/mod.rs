//! What is done to a queue by who looks after it. The same for mtad, which does it for its control
//! socket, and for `posthorn queue` while mtad is down.

mod action;
mod desk;
mod filter;
mod glob;
mod item;
mod outage;
pub mod protocol;
mod serve;
mod standing;
mod summary;
mod under_way;

pub use action::{Action, Changed};
pub use desk::{Desk, Parts, Say, Tell};
pub use filter::Filter;
pub use glob::Glob;
pub use item::{Became, Event, Item, Ret, To};
pub use outage::{Outage, OutageOf};
pub use serve::serve;
pub use standing::Standing;
pub use summary::{AGES, Group, Summary};
pub use under_way::{Claim, UnderWay};

pub(crate) use action::{Effect, Refusal};
pub(crate) use filter::{Match, Search};
pub(crate) use item::BadItem;
pub(crate) use summary::Counting;
