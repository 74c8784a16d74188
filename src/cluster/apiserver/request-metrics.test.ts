import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { requestInfoOf } from "./request-info.ts";
import { RequestMetrics } from "./request-metrics.ts";

test("methods and parameters that clients invent count as one, and do not end the server", () => {
  const metrics = new RequestMetrics({ steadyMs: () => 0 });
  const request = (method: string, dryRun: string): void => {
    const query = new URLSearchParams({ dryRun });
    const info = requestInfoOf(method, "/api/v1/namespaces/a/pods/b", query);
    if (info.kind !== "resource") return;
    const response = Object.assign(new EventEmitter(), { statusCode: 405 });
    metrics.follow(info, query, response as unknown as ServerResponse);
    response.emit("close");
  };
  for (let index = 0; index < 3_000; index += 1) request(`METHOD${index}`, `invented-${index}`);
  for (const method of ["constructor", "toString", "__proto__"]) request(method, "");
  request("PUT", "All");
  const lines = metrics
    .text()
    .split("\n")
    .filter((line) => line.startsWith("apiserver_request_total"))
    .map((line) => line.replace(/group=.*component="apiserver",/, ""));
  assert.deepEqual(lines, [
    'apiserver_request_total{verb="OTHER",dry_run="",code="405"} 3003',
    'apiserver_request_total{verb="PUT",dry_run="All",code="405"} 1',
  ]);
});
