//! ASGI (HTTP 2.3): a request becomes a scope, a response comes as events.

pub(crate) mod event;
pub(crate) mod http;
mod response;
pub(crate) mod scope;
