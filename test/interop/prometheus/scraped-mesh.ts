// A mesh of two sidecars with counters, for a Prometheus to scrape, and for the dashboard and checks to read.
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { namespaceKind, podKind, serviceKind, type Pod } from "../../../src/api/kubernetes/index.ts";
import type { QuerySpec } from "../../../src/api/serin/index.ts";
import { silentLogger, systemClock } from "../../../src/base/index.ts";
import { askPodDirectly, createDashboardReader, type DashboardReader } from "../../../src/dashboard/read/index.ts";
import { SmallCluster } from "../../../src/dashboard/read/testing/small-cluster.ts";
import { namespace, pod, service } from "../../../src/dashboard/views/testing/small-mesh.ts";
import { quantileMs, type TrafficEdge } from "../../../src/dashboard/views/index.ts";
import { observeQuery, type QueryTools } from "../../../src/rollout/observe/checks/query.ts";

const path = "/stats/prometheus";
/** By response code, per second. */
const rates: Readonly<Record<string, number>> = { 200: 40, 503: 2 };
const boundsMs = [1, 5, 10, 25, 50, 100];

/** A sidecar's metrics when it has run for so many seconds. */
function metricsOf(reporter: "source" | "destination", seconds: number): string {
  const common = `reporter="${reporter}",source_workload="client",source_workload_namespace="shop",source_app="client",source_version="v1",destination_workload="web",destination_workload_namespace="shop",destination_app="web",destination_version="v1",destination_service="web.shop.svc.cluster.local",destination_service_name="web",destination_service_namespace="shop",request_protocol="http",response_flags="-",connection_security_policy="${reporter === "source" ? "unknown" : "mutual_tls"}"`;
  return Object.entries(rates)
    .flatMap(([code, rate]) => {
      const count = Math.floor(rate * seconds);
      const labels = `${common},response_code="${code}"`;
      const buckets = [...boundsMs, "+Inf"].map(
        (bound, index) =>
          `istio_request_duration_milliseconds_bucket{${labels},le="${bound}"} ${Math.floor((count * (index + 1)) / (boundsMs.length + 1))}`,
      );
      return [`istio_requests_total{${labels}} ${count}`, ...buckets];
    })
    .concat("")
    .join("\n");
}

export class ScrapedMesh implements AsyncDisposable {
  readonly targets: readonly {
    readonly targets: readonly string[];
    readonly labels: Readonly<Record<string, string>>;
  }[];
  readonly #cluster = new SmallCluster();
  readonly #servers: readonly Server[];
  readonly #pods = askPodDirectly(systemClock);
  readonly #ended = new AbortController();

  private constructor(servers: readonly Server[]) {
    this.#servers = servers;
    this.#cluster.set(namespaceKind, namespace("shop"));
    this.#cluster.set(serviceKind, service("shop", "web", { app: "web" }));
    this.targets = servers.map((server, index) => {
      const name = index === 0 ? "client" : "web";
      const { port } = server.address() as AddressInfo;
      const made = pod("shop", name, {
        labels: { app: name },
        containers: ["app", "istio-proxy"],
        annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": String(port), "prometheus.io/path": path },
      });
      const reached: Pod = { ...made, status: { ...made.status, podIP: `10.244.0.${index + 1}` } };
      this.#cluster.set(podKind, reached);
      return {
        targets: [`127.0.0.1:${port}`],
        labels: { __metrics_path__: path, app: name, namespace: "shop", pod: made.metadata.name ?? "" },
      };
    });
  }

  static async start(): Promise<ScrapedMesh> {
    const beganMs = Date.now();
    const servers = (["source", "destination"] as const).map((reporter) =>
      createServer((_request, response) => response.end(metricsOf(reporter, (Date.now() - beganMs) / 1000))),
    );
    for (const server of servers) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new ScrapedMesh(servers);
  }

  /** A reader of the dashboard. It reads the proxies, or the Prometheus at the URL if one is given. */
  reader(prometheusUrl?: string): DashboardReader {
    const reader = createDashboardReader({
      client: this.#cluster.client,
      clock: systemClock,
      log: silentLogger,
      // The servers of this mesh are on the loopback, where the reader would ask no pod.
      askPod: async (pod, ...request) => await this.#pods.ask({ ...pod, ip: "127.0.0.1" }, ...request),
      cluster: "interop",
      ...(prometheusUrl === undefined ? {} : { prometheusUrl }),
    });
    void reader.run(this.#ended.signal);
    return reader;
  }

  /** What the check's query should return, by the proxies' own counts. */
  async counted(): Promise<number> {
    const text = await (await fetch(`http://${this.targets[0]?.targets[0] ?? ""}${path}`)).text();
    return [...text.matchAll(/^istio_requests_total\{.*\} (\d+)$/gm)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    this.#pods.close();
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

const nobody = { service: "", namespace: "", workload: "", revision: "" };

/** What a query returns, asked for as a rollout's check does. Unlike in the engine, loopback addresses are allowed. */
export async function queryOfCheck(address: string, expression: string): Promise<number> {
  const spec: QuerySpec = { provider: "prometheus", address, expression, timeoutSeconds: 10 };
  const exchange: QueryTools["exchange"] = async ({ url, method, headers }) => {
    const answer = await fetch(url, { method, headers });
    return { status: answer.status, text: await answer.text() };
  };
  const metrics = undefined as unknown as QueryTools["metrics"];
  const observation = await observeQuery(
    spec,
    { canary: nobody, stable: nobody, window: "60s" },
    { metrics, exchange },
  );
  assert.ok(observation.type === "values" && typeof observation.result === "number", JSON.stringify(observation));
  return observation.result;
}

/** The figures of each edge, by its source and destination. */
export function edgeFigures(edges: readonly TrafficEdge[]): Readonly<Record<string, Readonly<Record<string, number>>>> {
  return Object.fromEntries(
    edges.map(({ source, destination, protocol, requestRate, failureRate, durations, securedRate }) => [
      `${source.namespace}/${source.workload} > ${destination.namespace}/${destination.workload} ${protocol}`,
      {
        requestRate,
        failureRate,
        p50Ms: quantileMs(durations, 0.5) ?? 0,
        p90Ms: quantileMs(durations, 0.9) ?? 0,
        securedRate,
      },
    ]),
  );
}
