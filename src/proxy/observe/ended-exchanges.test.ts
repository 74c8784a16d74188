import assert from "node:assert/strict";
import { test } from "node:test";
import { containErrors } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { AccessLog, MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import type { HttpSpec } from "../http/http-spec.ts";
import type { ListenerSpec } from "../listener/listener-spec.ts";
import { noCapture } from "../record/capture-index.ts";
import { standardStats } from "../record/stats-rules.ts";
import { plainRecord } from "../testing/plain-record.ts";
import { compileTextFormat } from "../record/log-format.ts";
import { unknownWorkload } from "../terms/workload-labels.ts";
import { ConnectionObserver } from "./connection-observer.ts";
import { EndedExchanges, maxReportWaitMs, maxWaitingExchanges } from "./ended-exchanges.ts";
import { IstioMetrics } from "./istio-metrics.ts";

const listener = { direction: "outbound" } as ListenerSpec;
const http = {} as HttpSpec;

test("ended exchanges are reported in their order, after 64 of them or 20 ms", () => {
  const clock = new HandClock();
  const reported: number[] = [];
  const ended = new EndedExchanges([(_listener, _http, { status }) => reported.push(status)], clock);
  for (let status = 0; status < maxWaitingExchanges - 1; status += 1)
    ended.add(listener, http, { ...plainRecord, status });
  assert.equal(reported.length, 0);
  ended.add(listener, http, { ...plainRecord, status: maxWaitingExchanges - 1 });
  assert.deepEqual(
    reported,
    Array.from({ length: maxWaitingExchanges }, (_, status) => status),
  );
  clock.pass(maxReportWaitMs);
  ended.add(listener, http, { ...plainRecord, status: 200 });
  clock.pass(maxReportWaitMs - 1);
  assert.equal(reported.length, maxWaitingExchanges);
  clock.pass(1);
  assert.equal(reported.at(-1), 200);
  assert.equal(reported.length, maxWaitingExchanges + 1);
});

test("each exchange is reported by the configuration that it ended with", () => {
  const reported: [ListenerSpec, HttpSpec][] = [];
  const ended = new EndedExchanges([(spec, chain) => reported.push([spec, chain])], new HandClock());
  const later = { ...listener };
  const laterHttp = { ...http };
  ended.add(listener, http, plainRecord);
  ended.add(later, laterHttp, plainRecord);
  ended.flush();
  assert.equal(reported.length, 2);
  assert.ok(reported[0]?.[0] === listener && reported[0][1] === http);
  assert.ok(reported[1]?.[0] === later && reported[1][1] === laterHttp);
});

test("metrics that are read, and a flush before the end, include exchanges that ended just before", async () => {
  const clock = new HandClock();
  const registry = new MetricsRegistry({ clock });
  const written: string[] = [];
  const log = new AccessLog({
    sink: { write: (bytes) => Promise.resolve(void written.push(Buffer.from(bytes).toString())) },
    clock,
  });
  const observer = new ConnectionObserver({
    role: "router",
    metrics: new IstioMetrics(registry, { ...unknownWorkload, principal: "unknown", app: "a", version: "v" }),
    registry,
    accessLog: () => log,
    clock,
  });
  const format = compileTextFormat("%RESPONSE_CODE% %DURATION%\n", (operator) => new Error(operator));
  const spec = {
    stats: standardStats,
    capture: noCapture,
    accessLogs: [{ path: "/log", format, wants: undefined }],
    connection: {},
  } as unknown as HttpSpec;
  const counted = (): string =>
    renderPrometheus(registry)
      .split("\n")
      .filter((line) => line.startsWith("istio_requests_total{"))
      .map((line) => line.slice(line.lastIndexOf(" ")))
      .join();
  observer.exchange(listener, spec, { ...plainRecord, status: 200, durationMs: 7 });
  assert.equal(counted(), " 1");
  observer.exchange(listener, spec, { ...plainRecord, status: 200, durationMs: 8 });
  observer.flush();
  await log.close();
  assert.equal(written.join(""), "200 7\n200 8\n");
  assert.equal(counted(), " 2");
});

test("an exchange whose report throws loses only that part of its report", () => {
  using _ = containErrors(() => undefined);
  const reported: string[] = [];
  const ended = new EndedExchanges(
    [
      (_listener, _http, { status }) => {
        if (status === 500) throw new TypeError("a fault of the metrics");
        reported.push(`metrics ${status}`);
      },
      (_listener, _http, { status }) => reported.push(`log ${status}`),
    ],
    new HandClock(),
  );
  for (const status of [200, 500, 404]) ended.add(listener, http, { ...plainRecord, status });
  ended.flush();
  assert.deepEqual(reported, ["metrics 200", "metrics 404", "log 200", "log 500", "log 404"]);
  ended.flush();
  assert.equal(reported.length, 5);
});
