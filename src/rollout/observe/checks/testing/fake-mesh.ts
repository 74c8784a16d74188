import type { Clock } from "../../../../base/index.ts";
import { matchesLabels } from "../../../../api/index.ts";
import type { Deployment, Pod } from "../../../../api/kubernetes/index.ts";
import { parsePrometheus } from "../../../../telemetry/index.ts";
import type { ClusterView } from "../../cluster-view.ts";
import type { Scrape } from "../scrape.ts";

export interface FakePod {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly containers?: readonly string[];
  readonly status?: Pod["status"];
  readonly workload?: string;
}

export function fakePod({
  name,
  namespace = "shop",
  labels = {},
  annotations = {},
  containers = ["app"],
  status = {},
  workload,
}: FakePod): Pod {
  const hash = "5d4f8";
  const owner =
    workload === undefined
      ? []
      : [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: `${workload}-${hash}`, uid: "r", controller: true }];
  return {
    metadata: {
      name,
      namespace,
      uid: name,
      labels: { ...labels, ...(workload === undefined ? {} : { "pod-template-hash": hash }) },
      annotations: { "prometheus.io/scrape": "true", ...annotations },
      ownerReferences: owner,
    },
    spec: { containers: containers.map((one) => ({ name: one, image: "x" })) },
    status: { phase: "Running", podIP: "10.0.0.1", ...status },
  };
}

export const gatewayPod = (name: string, more: Partial<FakePod> = {}): Pod =>
  fakePod({ name, labels: { "gateway.networking.k8s.io/gateway-name": "front" }, ...more });
export const ztunnelPod = (name: string): Pod =>
  fakePod({ name, namespace: "istio-system", labels: { app: "ztunnel" } });
export const waypointPod = (name: string): Pod =>
  fakePod({
    name,
    labels: {
      "gateway.networking.k8s.io/gateway-name": "way",
      "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
    },
  });
export const sidecarPod = (name: string, revision: string, workload: string): Pod =>
  fakePod({ name, workload, containers: ["app", "istio-proxy"], annotations: { "istio.io/rev": revision } });

/** A view of these pods that keeps no answers. */
export function fakeView(
  pods: readonly Pod[],
  deployments: readonly Deployment[] = [],
  reporterNamespaces?: ReadonlySet<string>,
): ClusterView {
  const view: Pick<
    ClusterView,
    | "podsIn"
    | "runningPods"
    | "scrapablePods"
    | "recently"
    | "keptLonger"
    | "controlPlaneNamespaces"
    | "reporterNamespaces"
  > & {
    readonly pods: Pick<ClusterView["pods"], "list" | "get">;
    readonly deployments: Pick<ClusterView["deployments"], "list" | "get">;
    readonly statefulSets: Pick<ClusterView["statefulSets"], "list">;
    readonly daemonSets: Pick<ClusterView["daemonSets"], "list">;
  } = {
    podsIn: (namespace) => pods.filter(({ metadata }) => (metadata.namespace ?? "") === namespace),
    deployments: {
      list: () => deployments,
      get: (key) => deployments.find(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name ?? ""}` === key),
    },
    statefulSets: { list: () => [] },
    daemonSets: { list: () => [] },
    pods: {
      list: () => pods,
      get: (key) => pods.find(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name ?? ""}` === key),
    },
    runningPods: (labels) => pods.filter((pod) => matchesLabels(labels, pod.metadata.labels)),
    scrapablePods: (labels) => pods.filter((pod) => matchesLabels(labels, pod.metadata.labels)),
    recently: async (_, ask) => await ask(),
    keptLonger: async (_, ask) => await ask(),
    reporterNamespaces,
    controlPlaneNamespaces: () => new Set(["istio-system"]),
  };
  return view as ClusterView;
}

export const labels = (all: Readonly<Record<string, string>>): string =>
  Object.entries(all)
    .map(([name, value]) => `${name}="${value}"`)
    .join(",");

/** The requests to a Service of the namespace `shop`, as a client's proxy counts them. */
export const requests = (
  service: string,
  code: string,
  count: number,
  more: Readonly<Record<string, string>> = {},
): string =>
  `istio_requests_total{${labels({ reporter: "source", destination_service_name: service, destination_service_namespace: "shop", response_code: code, ...more })}} ${count}\n`;

/** Answers scrapes by the pod's name. A pod without a text does not answer. */
export function fakeScrape(texts: Readonly<Record<string, string>>): Scrape {
  return async ({ metadata }, families) => {
    const text = texts[metadata.name ?? ""];
    if (text === undefined) throw new Error(`${metadata.name ?? ""} does not answer`);
    return await Promise.resolve(parsePrometheus(text, families === undefined ? undefined : new Set(families)).samples);
  };
}

/** A clock that stands still until the test advances it. `jumpedMs` is how far the wall clock was set forward. */
export function standingClock(): Clock & { nowAtMs: number; jumpedMs: number } {
  const clock = {
    nowAtMs: 1_700_000_000_000,
    jumpedMs: 0,
    nowMs: () => clock.nowAtMs + clock.jumpedMs,
    steadyMs: () => clock.nowAtMs,
    sleep: async () => await new Promise<void>(() => undefined),
    after: () => ({ [Symbol.dispose]: () => undefined }),
  };
  return clock;
}
