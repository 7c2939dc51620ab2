-- Runs inside wrk: sets the request that load.py asks for and prints what was measured as one line of JSON.
-- Arguments after "--": method, content type, file that holds the body (left out for a request without one).
-- wrk calls init once and sends the same bytes for ever after: nothing here runs per request.

function init(args)
  wrk.method = args[1]
  if args[3] ~= nil then
    local file = assert(io.open(args[3], "rb"))
    wrk.body = file:read("*a")
    wrk.headers["Content-Type"] = args[2]
    file:close()
  end
end

function done(summary, latency, requests)
  io.write(string.format(
    '\nWRK-REPORT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, '
      .. '"connect_errors": %d, "read_errors": %d, "write_errors": %d, "status_errors": %d, "timeouts": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.connect, summary.errors.read, summary.errors.write,
    summary.errors.status, summary.errors.timeout))
end
