//! ASGI (HTTP 2.3, or 2.5 with `--asgi-spec`): a request becomes a scope, a response comes as events.

pub(crate) mod disconnect;
mod ending;
pub(crate) mod event;
mod extensions;
mod file_event;
pub(crate) mod http;
mod response;
pub(crate) mod scope;
mod send;
