//! A server's own decisions about a request that is in order: who is let in, which subprotocol is
//! spoken, what the answer says besides (RFC 6455 §4.2.2).
//!
//! ```text
//!  UpgradeRequest ─► authorize ─► subprotocol ─► response ─► Acceptance
//!                      │             │              │
//!                      └─────────────┴──────────────┴──────► Refusal ─► status and body
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, StatusCode};
use stentor_proto::handshake::Acceptance;

use crate::handler::{Panicked, catch_panic};
use crate::rejection::Rejection;
use crate::request::{UpgradeRequest, context_of};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Authorize = Arc<dyn Fn(UpgradeRequest) -> BoxFuture<Result<Extensions, Rejection>> + Send + Sync>;
type Subprotocol = Arc<dyn Fn(&UpgradeRequest) -> Option<String> + Send + Sync>;
type Response = Arc<dyn Fn(&UpgradeRequest, &mut Acceptance) + Send + Sync>;

/// The hooks, and the habits where there is none.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) authorize: Option<Authorize>,
    /// The subprotocols spoken, the most wanted first.
    pub(crate) subprotocols: Arc<[String]>,
    pub(crate) subprotocol: Option<Subprotocol>,
    pub(crate) subprotocol_required: bool,
    pub(crate) response: Option<Response>,
}

/// Why a hook lets nobody in.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What the client is told.
    pub(crate) rejection: Rejection,
    /// The hook that panicked, which the client is not told.
    pub(crate) panicked: Option<&'static str>,
}

impl Hooks {
    pub(crate) fn new() -> Self {
        Self {
            authorize: None,
            subprotocols: Arc::new([]),
            subprotocol: None,
            subprotocol_required: false,
            response: None,
        }
    }

    /// Takes the authorize hook, of whose types only the map that holds their output is left.
    pub(crate) fn set_authorize<F, T, R>(
        &mut self,
        hook: impl Fn(UpgradeRequest) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<T, R>> + Send + 'static,
        T: Clone + Send + Sync + 'static,
        R: Into<Rejection>,
    {
        self.authorize = Some(Arc::new(move |request| {
            let decision = hook(request);
            Box::pin(async move { decision.await.map(context_of).map_err(Into::into) })
        }));
    }

    /// Asks the hooks in their order.
    pub(crate) async fn decide(
        &self,
        mut request: UpgradeRequest,
        patience: Duration,
    ) -> Result<(UpgradeRequest, Acceptance), Refusal> {
        if let Some(authorize) = &self.authorize {
            let asked = request.clone();
            let decision = catch_panic(async { authorize(asked).await });
            match tokio::time::timeout(patience, decision).await {
                Ok(Ok(Ok(context))) => request.extend_context(context),
                Ok(Ok(Err(rejection))) => return Err(rejection.into()),
                Ok(Err(Panicked)) => return Err(Refusal::panic("authorize hook")),
                Err(_) => {
                    let message = "the decision took too long";
                    return Err(Rejection::new(StatusCode::REQUEST_TIMEOUT, message).into());
                }
            }
        }
        let mut acceptance = Acceptance::new();
        acceptance.subprotocol = calling("subprotocol hook", || self.choose_subprotocol(&request))?;
        if acceptance.subprotocol.is_none() && self.subprotocol_required {
            let message = "none of the subprotocols offered is spoken here";
            return Err(Rejection::new(StatusCode::BAD_REQUEST, message).into());
        }
        if let Some(edit) = &self.response {
            calling("response hook", || edit(&request, &mut acceptance))?;
        }
        Ok((request, acceptance))
    }

    fn choose_subprotocol(&self, request: &UpgradeRequest) -> Option<String> {
        if let Some(choose) = &self.subprotocol {
            return choose(request);
        }
        let offered = |ours: &&String| request.offer().subprotocols().any(|theirs| theirs == *ours);
        self.subprotocols.iter().find(offered).cloned()
    }
}

/// What a hook gives, unless it panics.
fn calling<T>(hook: &'static str, call: impl FnOnce() -> T) -> Result<T, Refusal> {
    // The hook's own state is the server's, which the next request finds as this one has left it,
    // as after an error. Of ours nothing outlives the refusal.
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Refusal::panic(hook))
}

impl Refusal {
    fn panic(hook: &'static str) -> Self {
        let rejection = Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        Self { rejection, panicked: Some(hook) }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, panicked: None }
    }
}
