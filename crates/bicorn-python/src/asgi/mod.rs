//! ASGI (HTTP 2.3): a request becomes a scope, a response comes as events.

pub(crate) mod denial;
mod event;
pub(crate) mod exchange;
pub(crate) mod http;
mod response;
pub(crate) mod scope;
mod waiters;
pub(crate) mod websocket;
