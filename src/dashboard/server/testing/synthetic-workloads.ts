import type { PeerRow, ServiceRow, ServiceView, WorkloadRow, WorkloadView } from "../../../api/dashboard/index.ts";
import { refusal } from "../../problem.ts";
import { configKey, configs } from "./synthetic-configs.ts";
import type { Edges, Given, Head, Nodes } from "./synthetic-view.ts";

export function workloadsOf(nodes: Nodes): ReadonlyMap<string, WorkloadRow> {
  const rows = [...nodes.values()].filter(({ kind }) => kind === "workload");
  return new Map(
    rows.map(
      ({
        namespace,
        name,
        app,
        version,
        revision,
        dataPlane,
        podsReady,
        pods,
        health,
        reason,
        requestRate,
        errorShare,
      }) =>
        [
          `${namespace}/${name}`,
          {
            namespace,
            name,
            kind: "Deployment",
            app,
            version,
            revision,
            dataPlane,
            podsReady,
            pods,
            restarts: 0,
            health,
            reason,
            requestRate,
            errorShare,
            p99Ms: 31.5,
          },
        ] as const,
    ),
  );
}

export function servicesOf(nodes: Nodes): ReadonlyMap<string, ServiceRow> {
  return new Map(
    [...workloadsOf(nodes).values()].map(
      ({ namespace, app, health, reason, requestRate, errorShare }) =>
        [
          `${namespace}/${app}`,
          {
            namespace,
            name: app,
            type: "ClusterIP",
            clusterIp: "10.96.14.7",
            ports: ["http 80", "grpc 9090"],
            endpointsReady: 2,
            endpoints: 2,
            health,
            reason,
            requestRate,
            errorShare,
            p99Ms: 31.5,
            waypoint: namespace === "shop" ? "waypoint" : "",
          },
        ] as const,
    ),
  );
}

function peersOf(edges: Edges, nodes: Nodes, key: string, side: "from" | "to"): Readonly<Record<string, PeerRow>> {
  const other = side === "from" ? "to" : "from";
  return Object.fromEntries(
    [...edges.values()]
      .filter((edge) => edge[side] === key)
      .map((edge) => [
        edge[other],
        {
          ...edge,
          peer: edge[other],
          peerNamespace: nodes.get(edge[other])?.namespace ?? "",
          peerName: nodes.get(edge[other])?.name ?? edge[other],
        },
      ]),
  );
}

function eventsAt(
  atMs: number,
  object: string,
): Readonly<
  Record<
    string,
    { atMs: number; type: "Normal" | "Warning"; reason: string; message: string; count: number; object: string }
  >
> {
  const at = atMs - (atMs % 60_000);
  return {
    a: { atMs: at, type: "Normal", reason: "Pulled", message: "the image was there already", count: 1, object },
    b: {
      atMs: at - 600_000,
      type: "Warning",
      reason: "Unhealthy",
      message: "Readiness probe failed: connection refused",
      count: 3,
      object,
    },
  };
}

export function syntheticWorkload(nodes: Nodes, edges: Edges, head: Head, given: Given): WorkloadView {
  const { namespace = "", name = "" } = given;
  const row = workloadsOf(nodes).get(`${namespace}/${name}`);
  if (row === undefined) throw refusal("not-found", `there is no workload ${name} in ${namespace}`);
  const key = `workload/${namespace}/${name}`;
  const pod = (index: number) => ({
    name: `${name}-7d4b9-${index}`,
    node: `worker-${index}`,
    ip: `10.244.1.${index + 4}`,
    state: "Running",
    ready: "2/2",
    restarts: index,
    startedAtMs: 1_700_000_000_000,
    containers: ["app", "istio-proxy"],
    revision: row.revision,
    ztunnel: row.dataPlane === "ambient" ? "ztunnel-x7k2p" : "",
  });
  return {
    head: {
      ...head,
      row,
      podCount: 2,
      labels: { app: row.app, version: row.version },
      createdAtMs: 1_700_000_000_000,
      images: [`registry.example/${row.app}:${row.version}`],
      serviceAccount: row.app,
    },
    tables: {
      pods: { [pod(0).name]: pod(0), [pod(1).name]: pod(1) },
      inbound: peersOf(edges, nodes, key, "to"),
      outbound: peersOf(edges, nodes, key, "from"),
      services: Object.fromEntries([...servicesOf(nodes)].filter(([one]) => one === `${namespace}/${row.app}`)),
      configs: Object.fromEntries(configs.map((one) => [configKey(one), one])),
      proxies: {},
      events: eventsAt(head.atMs, `Pod ${namespace}/${pod(0).name}`),
    },
  };
}

export function syntheticService(nodes: Nodes, edges: Edges, head: Head, given: Given): ServiceView {
  const { namespace = "", name = "" } = given;
  const row = servicesOf(nodes).get(`${namespace}/${name}`);
  if (row === undefined) throw refusal("not-found", `there is no service ${name} in ${namespace}`);
  const own = [...workloadsOf(nodes)].filter(([, one]) => one.namespace === namespace && one.app === name);
  return {
    head: { ...head, row, labels: { app: String(name) }, selector: { app: String(name) } },
    tables: {
      workloads: Object.fromEntries(own),
      endpoints: {
        "10.244.1.4": { address: "10.244.1.4:8080", pod: `${name}-v1-7d4b9-0`, ready: true, node: "worker-0" },
        "10.244.1.5": { address: "10.244.1.5:8080", pod: `${name}-v1-7d4b9-1`, ready: true, node: "worker-1" },
      },
      inbound: Object.assign({}, ...own.map(([key]) => peersOf(edges, nodes, `workload/${key}`, "to"))) as Record<
        string,
        PeerRow
      >,
      configs: {},
      events: eventsAt(head.atMs, `Service ${namespace}/${name}`),
    },
  };
}
