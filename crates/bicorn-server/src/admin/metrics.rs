//! The board as metrics: one text for all workers. `docs/metrics.md` tells what each means.

use super::exposition::{Exposition, seconds};
use crate::board::histogram::{self, Counted};
use crate::board::{Board, Cause, Counter, EndpointThreads, Method, Protocol, Slot, State};

/// Labels of the classes of a status; the first is for requests that were never answered.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Write all that the board says.
pub(super) fn write(board: &Board) -> String {
    let workers: Vec<Worker> = board.all_slots().filter(is_known).map(Worker::new).collect();
    let mut exposition = Exposition::default();
    write_service(board, &mut exposition);
    write_requests(&workers, &mut exposition);
    write_content(&workers, &mut exposition);
    write_connections(&workers, &mut exposition);
    write_loop(&workers, &mut exposition);
    write_endpoints(&workers, &mut exposition);
    exposition.into_text()
}

/// A slot that somebody has, or had.
struct Worker {
    slot: Slot,
    /// The value of its label.
    name: String,
}

impl Worker {
    fn new(slot: Slot) -> Self {
        Self { name: slot.index().to_string(), slot }
    }
}

fn is_known(slot: &Slot) -> bool {
    slot.state() != State::Free || slot.started_at() > 0 || slot.accepted() > 0
}

fn sum(workers: &[Worker], counter: Counter) -> u64 {
    workers.iter().map(|worker| worker.slot.counted(counter)).sum()
}

fn write_service(board: &Board, exposition: &mut Exposition) {
    exposition
        .gauge("bicorn_build_info", "Always 1; the labels say what serves.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    exposition
        .gauge("bicorn_start_time_seconds", "When the service was started, in Unix time.")
        .sample(&[], seconds(board.created_at().saturating_mul(1_000_000)));
    exposition
        .gauge("bicorn_draining", "1 once the service is about to end.")
        .sample(&[], u8::from(board.is_draining()));
    let mut states = exposition.gauge("bicorn_workers", "Workers by where they are in their life.");
    for state in State::ALL.into_iter().filter(|state| *state != State::Free) {
        let count = board.all_slots().filter(|slot| slot.state() == state).count();
        states.sample(&[("state", state.name())], count);
    }
    let mut restarts =
        exposition.counter("bicorn_worker_restarts_total", "Workers that were replaced, by the reason.");
    for cause in Cause::ALL {
        restarts.sample(&[("cause", cause.name())], board.restarts(cause));
    }
}

fn write_requests(workers: &[Worker], exposition: &mut Exposition) {
    let mut requests = exposition.counter(
        "bicorn_http_requests_total",
        "Requests that are over, by method and status; status none is for those that were never answered.",
    );
    for method in Method::ALL {
        // In the order of the statuses, whichever worker had them.
        let mut counts = std::collections::BTreeMap::new();
        for (status, count) in workers.iter().flat_map(|worker| worker.slot.requests(method)) {
            *counts.entry(status).or_insert(0_u64) += count;
        }
        for (status, count) in counts {
            let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            requests.sample(&[("method", method.name()), ("status", &status)], count);
        }
    }
    let mut durations = exposition.histogram(
        "bicorn_http_request_duration_seconds",
        "From the last byte of a request's head to the last byte of its response on the way to the socket.",
    );
    for method in Method::ALL {
        let all = workers.iter().map(|worker| worker.slot.durations(method));
        let classes = all.fold([Counted::default(); CLASSES.len()], |sums, next| {
            std::array::from_fn(|class| sums[class].and(&next[class]))
        });
        for (class, counted) in CLASSES.into_iter().zip(classes).filter(|(_, counted)| counted.count() > 0) {
            let labels = [("method", method.name()), ("status", class)];
            durations.buckets(&labels, &histogram::REQUESTS, &counted);
        }
    }
    let mut in_flight = exposition.gauge("bicorn_http_requests_in_flight", "Requests that are not over.");
    for Worker { slot, name } in workers {
        in_flight.sample(&[("worker", name)], slot.requests_in_flight());
    }
}

fn write_content(workers: &[Worker], exposition: &mut Exposition) {
    exposition
        .counter(
            "bicorn_http_request_content_bytes_total",
            "Request content given to applications, in bytes.",
        )
        .sample(&[], sum(workers, Counter::RequestBytes));
    exposition
        .counter("bicorn_http_response_content_bytes_total", "Response content of applications, in bytes.")
        .sample(&[], sum(workers, Counter::ResponseBytes));
    exposition
        .counter("bicorn_websocket_messages_total", "WebSocket messages, by the side they came from.")
        .sample(&[("direction", "received")], sum(workers, Counter::MessagesReceived))
        .sample(&[("direction", "sent")], sum(workers, Counter::MessagesSent));
}

fn write_connections(workers: &[Worker], exposition: &mut Exposition) {
    let mut open = exposition.gauge("bicorn_connections", "Open connections, by what is spoken on them.");
    for Worker { slot, name } in workers {
        for protocol in Protocol::ALL {
            let labels = [("worker", name.as_str()), ("protocol", protocol.name())];
            open.sample(&labels, slot.connections(protocol));
        }
    }
    let mut accepted =
        exposition.counter("bicorn_connections_accepted_total", "Connections that were accepted.");
    for Worker { slot, name } in workers {
        accepted.sample(&[("worker", name)], slot.accepted());
    }
}

fn write_loop(workers: &[Worker], exposition: &mut Exposition) {
    let waits = workers.iter().map(|worker| worker.slot.handoff_waits());
    exposition
        .histogram(
            "bicorn_handoff_wait_seconds",
            "How long exchanges waited before the event loop began them; one of eight is looked at.",
        )
        .buckets(&[], &histogram::WAITS, &waits.fold(Counted::default(), |sum, next| sum.and(&next)));
    let mut lags = exposition
        .histogram("bicorn_loop_lag_seconds", "How long the event loop took to begin after it was woken.");
    for Worker { slot, name } in workers {
        lags.buckets(&[("worker", name)], &histogram::WAITS, &slot.loop_lags());
    }
    let mut stalls = exposition.gauge(
        "bicorn_loop_stalled_seconds",
        "For how long the event loop has been at one piece of work, or was woken and has not begun; 0 at rest.",
    );
    for Worker { slot, name } in workers {
        stalls.sample(&[("worker", name)], slot.loop_stalled_for().as_secs_f64());
    }
    let mut turns = exposition
        .counter("bicorn_loop_turns_total", "How often the event loop has begun to work on what arrived.");
    for Worker { slot, name } in workers {
        turns.sample(&[("worker", name)], slot.turn());
    }
    let mut starts = exposition.gauge(
        "bicorn_worker_start_time_seconds",
        "When the worker, or whoever had its slot last, began to start, in Unix time.",
    );
    for Worker { slot, name } in workers {
        starts.sample(&[("worker", name)], seconds(slot.started_at().saturating_mul(1_000_000)));
    }
}

fn write_endpoints(workers: &[Worker], exposition: &mut Exposition) {
    type Figure = fn(&EndpointThreads) -> u64;
    let gauges: [(&'static str, &str, Figure); 4] = [
        ("bicorn_endpoint_threads", "Threads for sync endpoints.", |figures| figures.threads),
        ("bicorn_endpoint_threads_busy", "Endpoint threads that are not asleep.", |figures| figures.busy),
        ("bicorn_endpoint_threads_limit", "Endpoint threads that there may be.", |figures| figures.limit),
        ("bicorn_endpoint_jobs_queued", "Calls that wait for an endpoint thread.", |figures| figures.queued),
    ];
    for (family, help, figure) in gauges {
        let mut gauge = exposition.gauge(family, help);
        for Worker { slot, name } in workers {
            gauge.sample(&[("worker", name)], figure(&slot.endpoint_threads()));
        }
    }
    let mut jobs =
        exposition.counter("bicorn_endpoint_jobs_total", "Calls that endpoint threads have taken.");
    for Worker { slot, name } in workers {
        jobs.sample(&[("worker", name)], slot.endpoint_jobs().0);
    }
    let mut waited = exposition.counter(
        "bicorn_endpoint_wait_seconds_total",
        "How long the calls that were taken had waited, together.",
    );
    for Worker { slot, name } in workers {
        waited.sample(&[("worker", name)], slot.endpoint_jobs().1.as_secs_f64());
    }
}
