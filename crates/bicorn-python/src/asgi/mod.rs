//! ASGI (HTTP 2.3, or 2.5 with `--asgi-spec`; WebSocket 2.4): a request becomes a scope, a response comes as events.

pub(crate) mod denial;
pub(crate) mod disconnect;
mod ending;
mod event;
pub(crate) mod exchange;
mod extensions;
mod file_event;
pub(crate) mod http;
pub(crate) mod percent;
mod response;
pub(crate) mod scope;
mod send;
pub(crate) mod waiters;
pub(crate) mod websocket;
