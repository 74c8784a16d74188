import assert from "node:assert/strict";
import { test } from "node:test";
import { TargetCounters } from "./target-counters.ts";
import { TrafficHistory } from "./traffic-history.ts";

const labels =
  'reporter="source",source_workload="client",source_workload_namespace="shop",destination_workload="web",destination_workload_namespace="shop",response_code="200",request_protocol="http"';
const scrape = (requests: number, buckets: readonly (readonly [string, number])[] = []): Buffer =>
  Buffer.from(text(requests, buckets));
const text = (requests: number, buckets: readonly (readonly [string, number])[] = []): string =>
  [
    "# HELP istio_requests_total Requests.",
    "# TYPE istio_requests_total counter",
    `istio_requests_total{${labels}} ${requests}`,
    `istio_requests_total_of_something_else{${labels}} 999`,
    ...buckets.map(([le, count]) => `istio_request_duration_milliseconds_bucket{${labels},le="${le}"} ${count}`),
    `istio_request_bytes_bucket{${labels},le="1"} 5`,
    "process_cpu_seconds_total 12.5",
    "process_resident_memory_bytes 1e+07 1700000000000",
    "",
  ].join("\n");

test("the first scrape sets the baseline, and the next ones report the gain", () => {
  const counters = new TargetCounters();
  assert.deepEqual(counters.take(scrape(100), false), []);
  assert.deepEqual(
    counters.take(scrape(107), false).map(({ requests }) => requests),
    [7],
  );
  assert.deepEqual(counters.take(scrape(107), false), []);
});

test("the first scrape of a newly started pod counts", () => {
  assert.deepEqual(
    new TargetCounters().take(scrape(3), true).map(({ requests }) => requests),
    [3],
  );
});

test("a counter that fell was restarted, and a new series gains its whole value", () => {
  const counters = new TargetCounters();
  counters.take(scrape(100), false);
  assert.deepEqual(
    counters.take(scrape(4), false).map(({ requests }) => requests),
    [4],
  );
  const other = text(4).replace('response_code="200"', 'response_code="503"');
  assert.deepEqual(
    counters
      .take(Buffer.from(`${text(4)}${other}`), false)
      .map(({ labels: { response }, requests }) => [response, requests]),
    [["503", 4]],
  );
});

test("cumulative buckets become gains for each bucket", () => {
  const counters = new TargetCounters();
  counters.take(
    scrape(10, [
      ["5", 2],
      ["10", 8],
      ["+Inf", 10],
    ]),
    false,
  );
  const [gain] = counters.take(
    scrape(20, [
      ["5", 2],
      ["10", 14],
      ["+Inf", 20],
    ]),
    false,
  );
  assert.deepEqual(gain?.durations, [
    [10, 6],
    [Infinity, 4],
  ]);
});

test("process metrics are kept, and garbage is skipped", () => {
  const counters = new TargetCounters();
  counters.take(
    Buffer.from(`${text(1)}istio_requests_total{broken\nistio_requests_total{${labels}} NaN\n\u0000\u0001garbage`),
    false,
  );
  assert.deepEqual(counters.process, { cpuSeconds: 12.5, memoryBytes: 10_000_000 });
});

test("series that a proxy removed are forgotten, and the others continue", () => {
  const counters = new TargetCounters();
  const other = (count: number): string => text(count).replaceAll('response_code="200"', 'response_code="404"');
  counters.take(Buffer.from(`${other(5)}${text(10)}`), false);
  for (let at = 0; at < 125; at += 1) counters.take(scrape(10), false);
  assert.deepEqual(
    counters.take(scrape(12), false).map(({ requests }) => requests),
    [2],
  );
  // The series is new, so its whole value is an increase.
  assert.deepEqual(
    counters.take(Buffer.from(`${other(5)}${text(12)}`), false).map(({ requests }) => requests),
    [5],
  );
});

test("counts near the greatest number are bounded without failing the server", () => {
  const history = new TrafficHistory();
  history.begin(0);
  const counters = new TargetCounters();
  const huge = ["sent", "received"].map((way) => `istio_tcp_${way}_bytes_total{${labels}} 1.7e308\n`).join("");
  for (const gain of counters.take(
    Buffer.from(
      `${huge}${text(1, [
        ["nothing", 5],
        ["5", 1e300],
        ["+Inf", 1.7e308],
      ])}`,
    ),
    true,
  ))
    history.add(gain);
  history.close(1000);
  assert.deepEqual(
    history.counted(0, 1000).map(({ byteRate, requestRate }) => [byteRate, requestRate]),
    [[Number.MAX_SAFE_INTEGER, 1]],
  );
});

test("a target's labels are bounded", () => {
  const counters = new TargetCounters();
  const long = "x".repeat(8000);
  const lines = Array.from(
    { length: 1500 },
    (_, index) => `istio_requests_total{source_workload="${long}${index}"} 1\n`,
  );
  const gained = counters.take(Buffer.from(lines.join("")), true).length;
  assert.ok(gained > 900 && gained < 1100, `${gained} of 1500`);
});

test("series that a target may not report never count, also after others have been removed", () => {
  const counters = new TargetCounters("", ({ source_workload: source }) => source === "client");
  const series = (source: string, count: number): string =>
    text(count).replaceAll('source_workload="client"', `source_workload="${source}"`);
  const read = (...parts: readonly string[]): number[] =>
    counters.take(Buffer.from(parts.join("")), true).map(({ requests }) => requests);
  assert.deepEqual(read(series("forged", 5), series("client", 1)), [1]);
  for (let scrapes = 0; scrapes < 130; scrapes += 1) read(series("forged", 6 + scrapes));
  assert.deepEqual(read(series("forged", 500), series("client", 3)), [3]);
  assert.deepEqual(read(series("forged", 900), series("client", 4)), [1]);
});
