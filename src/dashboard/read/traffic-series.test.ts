import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import type { SeriesRequest } from "../../api/dashboard/index.ts";
import { makeInventory, type CountedTraffic } from "../views/index.ts";
import { noObjects } from "../views/mesh-objects.ts";
import { counted, deployment, service, type Sent } from "../views/testing/small-mesh.ts";
import type { TrafficSource } from "./traffic-source.ts";
import { TrafficSeries } from "./traffic-series.ts";

const inventory = makeInventory({
  ...noObjects,
  deployments: [
    deployment("shop", "web-v1", { app: "web", version: "v1" }),
    deployment("shop", "web-v2", { app: "web", version: "v2" }),
  ],
  services: [service("shop", "web", { app: "web" })],
});
const sent: readonly Sent[] = [
  { from: "shop/client", to: "shop/web-v1", rate: 9, upToMs: 10 },
  { from: "shop/client", to: "shop/web-v2", rate: 1, code: "500", upToMs: 50 },
  { from: "bank/ledger", to: "bank/pay", rate: 100 },
];

function series(steps: readonly (readonly CountedTraffic[] | undefined)[]): TrafficSeries {
  const traffic: TrafficSource = {
    measure: async () => await Promise.reject(new Error("not asked")),
    steps: async (_, valueOf) =>
      await Promise.resolve(steps.map((counted) => (counted === undefined ? undefined : valueOf(counted)))),
    processes: async ({ subjects, of, points }) =>
      await Promise.resolve(Array.from({ length: points }, () => (of === "memoryBytes" ? subjects.length : null))),
    version: 0,
    source: () => ({ name: "metrics", ok: true }),
    run: async () => await Promise.resolve(),
  };
  return new TrafficSeries({ traffic, clock: systemClock, inventory: () => inventory });
}

const request = (more: Partial<SeriesRequest>): SeriesRequest => ({
  measure: "requestRate",
  namespace: "",
  workload: "",
  service: "",
  backend: "",
  fromMs: 0,
  toMs: 60_000,
  points: 2,
  ...more,
});
const reader = (namespaces: ReadonlySet<string> | "*") => ({
  key: "me",
  namespaces,
  hiddenKinds: new Set<string>(),
  may: async () => await Promise.resolve(true),
});
const full = sent.map(counted);

test("time without counting has no value, and time without requests has zero", async () => {
  assert.deepEqual(await series([undefined, []]).series(request({}), reader("*")), {
    timesMs: [0, 60_000],
    values: [null, 0],
  });
  assert.deepEqual(
    (await series([[], full]).series(request({ measure: "errorShare", namespace: "shop" }), reader("*"))).values,
    [null, 0.1],
  );
});

test("the whole mesh excludes the engine's own probes, which their namespace shows", async () => {
  const probes: Sent = { from: "serin-probes/client-old", to: "serin-probes/server-new", rate: 50 };
  const all = [...sent, probes].map(counted);
  const rate = async (more: Partial<SeriesRequest>) =>
    (await series([[], all]).series(request(more), reader("*"))).values.at(-1);
  assert.deepEqual([await rate({}), await rate({ namespace: "serin-probes" })], [110, 50]);
});

test("process charts query exactly the selected workloads", async () => {
  const valuesOf = async (more: Partial<SeriesRequest>): Promise<readonly (number | null)[]> =>
    (await series([]).series(request(more), reader("*"))).values;
  assert.deepEqual(await valuesOf({ measure: "memoryBytes", namespace: "shop", workload: "web-v1" }), [1, 1]);
  assert.deepEqual(await valuesOf({ measure: "memoryBytes", backend: "service shop/web" }), [2, 2]);
  assert.deepEqual(await valuesOf({ measure: "cpuSeconds", namespace: "shop", workload: "web-v1" }), [null, null]);
});

test("each side of a rollout has its own series", async () => {
  const valuesOf = async (backend: string, measure: SeriesRequest["measure"]): Promise<readonly (number | null)[]> =>
    (await series([full, full]).series(request({ backend, measure }), reader("*"))).values;
  assert.deepEqual(await valuesOf("service shop/web version=v2", "errorShare"), [1, 1]);
  assert.deepEqual(await valuesOf("workload shop/web-v1", "requestRate"), [9, 9]);
  assert.deepEqual(await valuesOf("service shop/web", "requestRate"), [10, 10]);
});

test("an unreadable namespace is refused, and excluded from the whole", async () => {
  await assert.rejects(
    series([full, full]).series(request({ namespace: "bank", workload: "pay" }), reader(new Set(["shop"]))),
    /you may not see namespace bank/,
  );
  await assert.rejects(
    series([full, full]).series(request({ backend: "workload bank/pay" }), reader(new Set(["shop"]))),
    /you may not see namespace bank/,
  );
  assert.deepEqual((await series([full, full]).series(request({}), reader(new Set(["shop"])))).values, [10, 10]);
});
