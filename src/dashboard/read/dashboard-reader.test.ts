import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { hastyClock } from "../../base/testing/index.ts";
import type { Problem, TopicName, Topics } from "../../api/dashboard/index.ts";
import { httpRouteKind } from "../../api/gateway/index.ts";
import { istioGatewayKind } from "../../api/istio/index.ts";
import { namespaceKind, podKind, serviceKind } from "../../api/kubernetes/index.ts";
import { canaryKind, freezeKind, meshUpgradeKind, rolloutJournalKind } from "../../api/serin/index.ts";
import { namespace, pod, service } from "../views/testing/small-mesh.ts";
import { createDashboardReader } from "./index.ts";
import type { AskPod } from "./pod-http.ts";
import { SmallCluster } from "./testing/small-cluster.ts";

const labels =
  'reporter="source",source_workload="client",source_workload_namespace="shop",source_app="client",source_version="v1",destination_workload="web",destination_workload_namespace="shop",destination_app="web",destination_version="v1",destination_service="web.shop.svc.cluster.local",destination_service_name="web",destination_service_namespace="shop",request_protocol="http",response_code="200",response_flags="-",connection_security_policy="unknown"';

class Reading implements Disposable {
  readonly cluster = new SmallCluster();
  readonly #end = new AbortController();
  readonly #reader;
  requests = 100;
  /** What the proxy answers instead of its metrics. Empty for its metrics. */
  garbage = "";

  constructor() {
    const askPod: AskPod = async ({ port }, _path, _signal, read) => {
      if (port !== 15_020) return { status: 404, text: "" };
      read?.(Buffer.from(this.garbage || `istio_requests_total{${labels}} ${this.requests}\n`));
      return { status: 200, text: "" };
    };
    this.cluster.set(namespaceKind, namespace("shop"));
    this.cluster.set(
      podKind,
      pod("shop", "web", {
        labels: { app: "web" },
        containers: ["app", "istio-proxy"],
        annotations: {
          "prometheus.io/scrape": "true",
          "prometheus.io/port": "15020",
          "prometheus.io/path": "/stats/prometheus",
        },
      }),
    );
    this.cluster.set(podKind, pod("shop", "client", { labels: { app: "client" } }));
    this.cluster.set(serviceKind, service("shop", "web", { app: "web" }));
    this.#reader = createDashboardReader({
      client: this.cluster.client,
      clock: hastyClock(5),
      log: silentLogger,
      askPod,
      cluster: "test",
    });
    void this.#reader.run(this.#end.signal);
  }

  async see<Name extends TopicName>(
    name: Name,
    parameters: Topics[Name]["parameters"],
    is: (view: Topics[Name]["view"]) => boolean,
  ): Promise<Topics[Name]["view"]> {
    return await this.#until<Topics[Name]["view"]>(
      name,
      parameters,
      (view) => is(view as Topics[Name]["view"]),
      () => false,
    );
  }

  async first<Name extends TopicName>(
    name: Name,
    parameters: Topics[Name]["parameters"],
  ): Promise<Topics[Name]["view"] | Problem> {
    return await this.#until<Topics[Name]["view"] | Problem>(
      name,
      parameters,
      () => true,
      () => true,
    );
  }

  async problem<Name extends TopicName>(name: Name, parameters: Topics[Name]["parameters"]): Promise<Problem> {
    return await this.#until<Problem>(
      name,
      parameters,
      () => false,
      () => true,
    );
  }

  async #until<Seen>(
    name: TopicName,
    parameters: Topics[TopicName]["parameters"],
    isView: (view: unknown) => boolean,
    isProblem: (problem: Problem) => boolean,
  ): Promise<Seen> {
    const end = new AbortController();
    return await new Promise<Seen>((resolve) => {
      const take = (seen: unknown, isIt: boolean): void => {
        if (!isIt) return;
        end.abort();
        resolve(seen as Seen);
      };
      void this.#reader.views.follow(
        name,
        parameters,
        { key: "me", namespaces: "*", hiddenKinds: new Set(), may: async () => true },
        { view: (view) => take(view, isView(view)), problem: (problem) => take(problem, isProblem(problem)) },
        end.signal,
      );
    });
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }
}

const graph = { namespaces: "", windowSeconds: 60, atMs: 0, by: "workload" } as const;

test("requests that a proxy counts appear in the graph after the next scrape", async () => {
  using reading = new Reading();
  await reading.see("graph", graph, ({ head }) => head.sources.some(({ name, ok }) => name === "metrics" && ok));
  reading.requests += 50;
  const { tables } = await reading.see("graph", graph, (view) => Object.keys(view.tables.edges).length > 0);
  const [edge] = Object.values(tables.edges);
  assert.deepEqual(
    [edge?.from, edge?.to, edge?.service, (edge?.requestRate ?? 0) > 0],
    ["workload shop/client", "workload shop/web", "shop/web", true],
  );
});

test("incomplete or foreign rollouts, freezes and journals are shown as far as possible", async () => {
  using reading = new Reading();
  const { cluster } = reading;
  await reading.first("rollouts", {});
  const kinds = [canaryKind, meshUpgradeKind, freezeKind, rolloutJournalKind] as const;
  const odd: readonly object[] = [
    {},
    { spec: {} },
    { spec: null, status: null },
    { spec: "x", status: [] },
    { spec: { from: null, to: 5, scope: "all", steps: {}, windows: 5 }, status: { step: {}, phase: "Progressing" } },
    {
      status: { phase: 5, step: { id: 5, checks: {} }, conditions: {}, plannedSteps: [null] },
      entries: [null, { type: "deleted" }],
      decisions: {},
    },
  ];
  for (const { group, versions, kind, plural, namespaced } of kinds) {
    for (const [index, more] of odd.entries()) {
      const name = plural === "rolloutjournals" ? `canary.shop.odd-${index}` : `odd-${index}`;
      cluster.set(
        { group, versions, kind, plural, namespaced },
        {
          apiVersion: `${group}/${versions[0]}`,
          kind,
          metadata: namespaced ? { name, namespace: "shop" } : { name },
          ...more,
        },
      );
    }
  }
  const { tables } = await reading.see(
    "rollouts",
    {},
    (view) => Object.keys(view.tables.rollouts).length === odd.length * 2,
  );
  assert.equal(Object.keys(tables.freezes).length, odd.length);
  const views: object[] = [
    await reading.first("overview", {}),
    await reading.first("ladder", {}),
    await reading.first("configs", { namespaces: "" }),
    await reading.first("graph", graph),
  ];
  for (const index of odd.keys()) {
    for (const kind of ["Canary", "MeshUpgrade"] as const)
      views.push(
        await reading.first("rollout", { kind, namespace: kind === "Canary" ? "shop" : "", name: `odd-${index}` }),
      );
  }
  for (const view of views) assert.ok("tables" in view, JSON.stringify(view));
});

test("a proxy with malformed metrics is named until it returns valid ones", async () => {
  using reading = new Reading();
  reading.garbage = "<html><body>istio_requests_total 5</body></html>";
  const isSaid = (problem = ""): boolean =>
    problem.startsWith("none of 1 proxies reports its metrics: its answer is not in the text format of metrics");
  await reading.see("graph", graph, ({ head }) =>
    head.sources.some(({ name, problem }) => name === "metrics" && isSaid(problem)),
  );
  reading.garbage = "";
  await reading.see("graph", graph, ({ head }) => head.sources.some(({ name, ok }) => name === "metrics" && ok));
});

test("a written object appears in the view, and a deleted one is reported as gone", async () => {
  using reading = new Reading();
  const route = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "web", namespace: "shop" },
    spec: { rules: [{ backendRefs: [{ name: "web", port: 80 }] }] },
  };
  const parameters = { apiVersion: route.apiVersion, kind: route.kind, namespace: "shop", name: "web" };
  assert.equal((await reading.problem("config", parameters)).code, "not-found");
  reading.cluster.set(httpRouteKind, route);
  const { head } = await reading.see("config", parameters, () => true);
  assert.deepEqual([head.row.kind, head.mayWrite, head.resourceVersion !== ""], ["HTTPRoute", true, true]);
  reading.cluster.delete(httpRouteKind, "shop/web");
  assert.match((await reading.problem("config", parameters)).message, /there is no HTTPRoute shop\/web/);
});

test("an unreadable kind is reported as missing, and the rest is shown", async () => {
  using reading = new Reading();
  reading.cluster.forbidden.add("httproutes");
  const { head, tables } = await reading.see("workloads", { namespaces: "" }, () => true);
  assert.match(head.sources.find(({ name }) => name === "rights")?.problem ?? "", /httproutes/);
  assert.ok("shop/web" in tables.workloads);
});

test("configuration that cannot be analysed is reported, until the analysis succeeds", async () => {
  using reading = new Reading();
  await reading.first("configs", { namespaces: "" });
  let isOdd = true;
  // An object whose form the analyzer does not expect.
  const spec = {
    get servers(): readonly unknown[] {
      if (isOdd) throw new Error("odd");
      return [];
    },
  };
  const gateway = {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { name: "odd", namespace: "shop" },
    spec,
  };
  reading.cluster.set(istioGatewayKind, gateway);
  const { head } = await reading.see("configs", { namespaces: "" }, (view) =>
    view.head.sources.some(({ name }) => name === "analysis"),
  );
  assert.match(
    head.sources.find(({ name }) => name === "analysis")?.problem ?? "",
    /cannot be analysed, so messages are missing: odd/,
  );
  isOdd = false;
  reading.cluster.set(istioGatewayKind, gateway);
  await reading.see("configs", { namespaces: "" }, (view) => view.head.sources.every(({ ok }) => ok));
});
