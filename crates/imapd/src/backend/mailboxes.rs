//! What answers a session after its login.

use std::future::pending;
use std::sync::Arc;

use mail_common::auth::User;
use mail_common::daemon::Parts;
use mail_common::serve::Backend;
use mail_proto::imap::{Answer, Failure, Request, Server};
use tracing::info;

use super::failure::unfinished;
use super::work::Work;

/// A user's mailboxes, one of them selected perhaps. All work on them is done on the pool, in one
/// hop for each question.
#[derive(Debug)]
pub struct Mailboxes {
    parts: Arc<Parts>,
    user: User,
    /// Travels to the pool and back; lost only where work panics.
    work: Option<Box<Work>>,
}

impl Mailboxes {
    pub(crate) fn new(parts: Arc<Parts>, user: User) -> Self {
        Self { parts, user, work: None }
    }
}

impl Backend<Server> for Mailboxes {
    async fn perform(&mut self, request: Request) -> Answer {
        if let Some(answer) = self.work.as_mut().and_then(|work| work.answer_at_once(&request)) {
            return answer;
        }
        let unfinished = unfinished(&request, Failure::Unavailable);
        let (parts, user) = (Arc::clone(&self.parts), self.user.clone());
        let mut work = self.work.take().unwrap_or_default();
        let done = self.parts.pool.run(move || {
            let answer = work.answer(request, &user, &parts.site.mail);
            (work, answer)
        });
        let Some((work, answer)) = done.await else { return unfinished };
        self.work = Some(work);
        answer
    }

    async fn news(&mut self) -> Answer {
        match self.work.as_mut().and_then(|work| work.watch()) {
            Some(watch) => watch.changed().await,
            None => pending().await,
        }
        Answer::News
    }
}

impl Drop for Mailboxes {
    fn drop(&mut self) {
        info!(user = %self.user.address(), "logged out");
    }
}
