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

pub use action::{Action, Changed, Effect, Refusal};
pub use desk::{Desk, Parts, Say, Tell};
pub use filter::{Filter, Match, Search};
pub use glob::Glob;
pub use item::{BadItem, Became, Event, Item, Ret, To};
pub use outage::{Outage, OutageOf};
pub use serve::serve;
pub use standing::Standing;
pub use summary::{AGES, COLUMNS, Counting, GROUPS, Group, Summary};
pub use under_way::{Turn, UnderWay};
