import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { seededRandom, systemClock } from "../../base/index.ts";
import { HTTPFaultSchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileFault } from "../config/filters/fault-config.ts";
import { neverAborted, testRequest } from "../testing/filter-request.ts";
import { FaultFilter } from "./fault-filter.ts";
import { standaloneServices } from "./filter-services.ts";

const notes = new ConfigNotes(() => undefined);
const compile = (config: JsonObject): ReturnType<typeof compileFault> =>
  compileFault(fromJson(HTTPFaultSchema, config), "test", notes);

function filterWith(config: JsonObject, seed = 1): { filter: FaultFilter; slept: number[] } {
  const slept: number[] = [];
  const clock = { ...systemClock, sleep: (ms: number) => (slept.push(ms), Promise.resolve()) };
  return {
    filter: new FaultFilter(
      "envoy.filters.http.fault",
      compile(config),
      { ...standaloneServices(), clock, random: seededRandom(seed) },
      "http.in.",
    ),
    slept,
  };
}

const all = { numerator: 100 };

test("the configured percentage of requests is aborted", async () => {
  const { filter } = filterWith({
    abort: { httpStatus: 503, percentage: { numerator: 250_000, denominator: "MILLION" } },
  });
  let aborted = 0;
  for (let index = 0; index < 4000; index += 1)
    if ((await filter.onRequest(testRequest(), neverAborted))?.status === 503) aborted += 1;
  // The number may deviate by four standard deviations of a binomial distribution.
  assert.ok(Math.abs(aborted - 1000) < 4 * Math.sqrt(4000 * 0.25 * 0.75), String(aborted));
});

test("a delay precedes an abort; the abort's body is `fault filter abort`, and a gRPC status sets its HTTP status", async () => {
  const { filter, slept } = filterWith({
    delay: { fixedDelay: "5s", percentage: all },
    abort: { grpcStatus: 14, percentage: all },
  });
  const reply = await filter.onRequest(testRequest(), neverAborted);
  assert.deepEqual(slept, [5000]);
  assert.deepEqual(
    [reply?.status, reply?.grpcStatus, reply?.body, reply?.details],
    [503, 14, "fault filter abort", "fault_filter_abort"],
  );
});

test("a route's fault replaces the filter's and applies to the requests that it names", async () => {
  const { filter } = filterWith({});
  const own = new Map([
    [
      "envoy.filters.http.fault",
      compile({
        abort: { httpStatus: 418, percentage: all },
        headers: [{ name: "end-user", stringMatch: { exact: "jason" } }],
      }),
    ],
  ]);
  assert.equal(
    (await filter.onRequest(testRequest("/", { filterConfigs: own, headers: { "end-user": "jason" } }), neverAborted))
      ?.status,
    418,
  );
  assert.equal(filter.onRequest(testRequest("/", { filterConfigs: own }), neverAborted), undefined);
});

test("a request may ask for its own fault where that is allowed, up to the allowed percentage", async () => {
  const { filter, slept } = filterWith({
    delay: { headerDelay: {}, percentage: all },
    abort: { headerAbort: {}, percentage: all },
  });
  const reply = await filter.onRequest(
    testRequest("/", { headers: { "x-envoy-fault-delay-request": "20", "x-envoy-fault-abort-request": "404" } }),
    neverAborted,
  );
  assert.deepEqual([slept, reply?.status], [[20], 404]);
  const none = { "x-envoy-fault-abort-request": "404", "x-envoy-fault-abort-request-percentage": "0" };
  assert.equal(await filter.onRequest(testRequest("/", { headers: none }), neverAborted), undefined);
});

test("the percentage in a request's header uses the denominator of the configuration", async () => {
  const percentage = { numerator: 500_000, denominator: "MILLION" };
  const random = (): number => 0.01;
  const filter = new FaultFilter(
    "f",
    compile({ abort: { headerAbort: {}, percentage } }),
    { ...standaloneServices(), random },
    "http.in.",
  );
  const statusFor = async (part: string): Promise<number | undefined> =>
    (
      await filter.onRequest(
        testRequest("/", {
          headers: { "x-envoy-fault-abort-request": "404", "x-envoy-fault-abort-request-percentage": part },
        }),
        neverAborted,
      )
    )?.status;
  assert.deepEqual([await statusFor("100"), await statusFor("20000")], [undefined, 404]);
});

test("no more requests are delayed at once than maxActiveFaults", async () => {
  const gate = Promise.withResolvers<void>();
  const services = { ...standaloneServices(), clock: { ...systemClock, sleep: () => gate.promise }, random: () => 0 };
  const filter = new FaultFilter(
    "f",
    compile({ delay: { fixedDelay: "1s", percentage: all }, maxActiveFaults: 1 }),
    services,
    "http.in.",
  );
  const first = filter.onRequest(testRequest(), neverAborted);
  assert.equal(filter.onRequest(testRequest(), neverAborted), undefined);
  gate.resolve();
  assert.equal(await first, undefined);
  assert.equal(services.statistics.counter("http.in.fault.faults_overflow").value, 1);
});
