import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphView, WorkloadRow, WorkloadsView } from "../../api/dashboard/index.ts";
import type { FollowMesh } from "../context.ts";
import { createProgram } from "../index.ts";
import { followViews } from "../mesh-views.ts";
import { FakeContext, type FakeCluster } from "../testing/fake-context.ts";
import { sortedRows, topRows, type TopRow } from "./top-rows.ts";
import { renderTop } from "./top-table.ts";

const row = (name: string, more: Partial<TopRow> = {}): TopRow => ({
  namespace: "shop",
  name,
  health: "healthy",
  reason: "",
  revision: "1-31-0",
  ready: "1/1",
  restarts: 0,
  requestRate: 0,
  errorShare: 0,
  byteRate: 0,
  ...more,
});
const rows = [
  row("cart", { requestRate: 5, errorShare: 0.5, p99Ms: 10, health: "failing", reason: "50 % of its requests fail" }),
  row("web", { requestRate: 250.4, p99Ms: 1234, mutualTlsShare: 1 }),
  row("pay", { requestRate: 20, errorShare: 0.001, p99Ms: 2 }),
];

test("rows are sorted by the chosen column", () => {
  const by = (sort: Parameters<typeof sortedRows>[1]): string[] => sortedRows(rows, sort).map(({ name }) => name);
  assert.deepEqual(
    [by("rate"), by("errors"), by("p99"), by("name")],
    [
      ["web", "pay", "cart"],
      ["cart", "pay", "web"],
      ["web", "cart", "pay"],
      ["cart", "pay", "web"],
    ],
  );
});

test("the table fits the terminal, and always shows name, rate and errors", () => {
  for (const columns of [40, 60, 80, 140]) {
    const text = renderTop(rows, { subject: "workloads", columns, colour: false, rows: undefined });
    assert.ok(
      text.split("\n").every((line) => line.length <= columns),
      text,
    );
    assert.match(text, /NAME +.*RATE +ERRORS/);
  }
  assert.match(
    renderTop(rows, { subject: "workloads", columns: 140, colour: false, rows: undefined }),
    /✘ {2}shop +cart +1\/1 +5\.00\/s +50 % +10 ms .* 50 % of its requests fail/,
  );
});

test("a long namespace is shortened in a narrow terminal, so that workloads of the same name can be told apart", () => {
  const long = "a-namespace-with-as-many-characters-as-kubernetes-allows-for-one";
  const text = renderTop([row("web"), row("web", { namespace: long })], {
    subject: "workloads",
    columns: 80,
    colour: false,
    rows: undefined,
  });
  assert.match(text, /NAMESPACE +NAME/);
  assert.match(text, /shop +web/);
  assert.match(text, /a-namespace-with-as…  web/);
  assert.ok(
    text.split("\n").every((line) => line.length <= 80),
    text,
  );
});

test("rows that do not fit are counted", () => {
  assert.match(renderTop(rows, { subject: "workloads", columns: 80, colour: false, rows: 2 }), /and 1 more\n$/);
});

const workload: WorkloadRow = {
  namespace: "shop",
  name: "web",
  kind: "Deployment",
  app: "web",
  version: "",
  revision: "default",
  dataPlane: "ambient",
  podsReady: 1,
  pods: 1,
  restarts: 0,
  health: "healthy",
  reason: "",
  requestRate: 12,
  errorShare: 0,
};
const sources = [{ name: "metrics", ok: true, asOfMs: 1 }];
const workloads: WorkloadsView = { head: { atMs: 0, sources }, tables: { workloads: { "shop/web": workload } } };
const graph = {
  head: { atMs: 0, sources, windowSeconds: 60, shownAtMs: 0, live: true, namespaces: [], omitted: 0 },
  tables: {
    nodes: { n: { kind: "workload", namespace: "shop", name: "web" } },
    edges: { e: { from: "x", to: "n", requestRate: 12, byteRate: 0, openedRate: 0, mutualTlsShare: 0.5 } },
    routes: {},
  },
} as unknown as GraphView;

test("a workload's row has the graph's measurements, and workloads outside the mesh have no row", () => {
  const outside = { ...workload, name: "dns", dataPlane: "none" as const, requestRate: 0 };
  const rows = topRows(
    { ...workloads, tables: { workloads: { ...workloads.tables.workloads, "kube-system/dns": outside } } },
    graph,
  );
  assert.deepEqual(
    rows.map(({ name, mutualTlsShare }) => [name, mutualTlsShare]),
    [["web", 0.5]],
  );
});

const podsReadable = { answers: { "/api/v1/pods?limit=1": "{}" } };

class MeshContext extends FakeContext {
  #nowMs = 0;
  constructor(cluster: FakeCluster = podsReadable) {
    super(cluster);
  }
  override readonly clock = { ...this.#base, nowMs: () => (this.#nowMs += 3000) };
  readonly followMesh: FollowMesh = async (_flags, { name }, sink, signal) => {
    while (!signal.aborted) {
      sink.view(name === "graph" ? graph : workloads);
      await Promise.resolve();
    }
  };
  get #base(): FakeContext["clock"] {
    return new FakeContext().clock;
  }
}

test("top -o json measures for a few seconds and prints one object", async () => {
  const context = new MeshContext();
  await createProgram(context).parseAsync(["top", "-o", "json"], { from: "user" });
  const { subject, rows: told } = JSON.parse(context.output) as {
    subject: string;
    rows: { name: string; requestRate: number }[];
  };
  assert.deepEqual([subject, told.map(({ name, requestRate }) => [name, requestRate])], ["workloads", [["web", 12]]]);
});

test("top and graph end although no proxy ever reports metrics, and say so", async () => {
  const problem = "no pod has a proxy that reports its metrics";
  const silent = [{ name: "metrics", ok: false, problem }];
  class SilentContext extends MeshContext {
    readonly #timers: (() => void)[] = [];
    override readonly clock = {
      ...new FakeContext().clock,
      after: (delayMs: number, run: () => void): Disposable => {
        if (delayMs < 30_000) this.#timers.push(run);
        return { [Symbol.dispose]: () => undefined };
      },
    };
    override readonly followMesh: FollowMesh = async (_flags, { name }, sink, signal) => {
      const view = name === "graph" ? graph : workloads;
      sink.view({ ...view, head: { ...view.head, sources: silent } } as GraphView);
      await Promise.resolve();
      for (const run of this.#timers.splice(0)) run();
      assert.ok(signal.aborted, "the last view ends the command");
    };
  }
  for (const verb of ["top", "graph"]) {
    const context = new SilentContext();
    await createProgram(context).parseAsync([verb], { from: "user" });
    assert.match(context.output, /web/, verb);
    assert.match(context.errors, /^metrics: no pod has a proxy that reports its metrics$/m, verb);
  }
});

test("reports a problem once while it lasts, and again when it comes back", async () => {
  const told: string[] = [];
  class FailingContext extends MeshContext {
    override readonly followMesh: FollowMesh = async (_flags, { name }, { view, problem }) => {
      const fail = (): void => problem({ code: "unavailable", message: "the connection broke" });
      fail();
      fail();
      view(workloads);
      if (name === "overview") fail();
      await Promise.resolve();
    };
  }
  const take = { onViews: () => undefined, problem: (text: string) => void told.push(text) };
  const followed = [
    { name: "workloads", parameters: { namespaces: "" } },
    { name: "overview", parameters: {} },
  ] as const;
  await followViews(followed, new FailingContext(), {}, take, new AbortController().signal);
  assert.equal(told.length, 3, "one for each loss");
});

test("a user who may not list pods is refused at once", async () => {
  const answers = { "/api/v1/pods?limit=1": '{"kind":"Status","message":"pods is forbidden","reason":"Forbidden"}' };
  const statuses = { "/api/v1/pods?limit=1": 403 };
  for (const verb of ["top", "graph"])
    await assert.rejects(createProgram(new MeshContext({ answers, statuses })).parseAsync([verb], { from: "user" }), {
      kind: "user",
      message: "list of pods in all namespaces: pods is forbidden",
    });
});

test("an unknown subject is rejected, and the error names it", async () => {
  await assert.rejects(
    createProgram(new MeshContext()).parseAsync(["top", "nodes"], { from: "user" }),
    /"nodes" is not a subject of top: expected workloads, services, namespaces/,
  );
});
