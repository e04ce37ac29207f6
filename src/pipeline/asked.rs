//! What the engine asks of a request beside its steps: how large its body may be, and who its client is where no step says it.

use super::Run;
use crate::features::realip;

impl Run {
    /// How large the body may be; 0 for any size. One limit holds however the body is framed and whoever reads it.
    pub fn body_limit(&self) -> u64 {
        self.most.unwrap_or(self.scope.request_body.max)
    }

    /// Whether a request that nobody reads the body for is refused if that is too large. As in nginx, the lines of a server
    /// answer before any location has a say in it: a redirect to another scheme, say.
    pub fn minds_body(&self) -> bool {
        self.most.is_some()
    }

    /// Takes the word of a proxy for who the client is, where the request never comes to the step that does.
    pub fn name_client(&mut self) {
        realip::without_head(&mut self.x, &self.scope.realip);
    }
}
