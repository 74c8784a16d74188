// A synthetic mesh for the dashboard's server, in its own process: an API server over HTTP/2 and TLS with objects of
// realistic size, and many proxies with their own addresses, whose counters all change.
import { createServer, type RequestListener } from "node:http";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { AddressInfo } from "node:net";
import { TestAuthority } from "../../src/net/testing/certificates.ts";

export interface MeshSize {
  readonly workloads: number;
  /** The number of other workloads that each workload calls. */
  readonly calls: number;
  readonly pods: number;
}

/** What the process prints on standard output as soon as it serves the mesh. */
export interface ServedMesh {
  readonly server: string;
  readonly authority: string;
}

const bounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];
const namespaceSize = 20;
const requestMs = 20;
const podChangeMs = 1000;

export async function serveMesh(size: MeshSize): Promise<ServedMesh> {
  const { workloads, pods: podsOfEach } = size;
  const askProxy = proxiesOf(size);
  const pods: KubeObject[] = [];
  const [services, slices, deployments]: KubeObject[][] = [[], [], []];
  const namespaces = Array.from({ length: Math.ceil(workloads / namespaceSize) }, (_, index) => ({
    metadata: { ...meta("", namespaceOf(index * namespaceSize)), labels: { "istio-injection": "enabled" } },
  }));
  for (let index = 0; index < workloads; index += 1) {
    for (let number = 0; number < podsOfEach; number += 1)
      pods.push(podOf(index, number, await listen(askProxy, addressOf(index, number))));
    services?.push(serviceObject(index));
    slices?.push(sliceOf(index, podsOfEach));
    deployments?.push(deploymentOf(index, podsOfEach));
  }
  const objects = new Map<string, readonly KubeObject[]>([
    ["namespaces", namespaces],
    ["pods", pods],
    ["services", services ?? []],
    ["endpointslices", slices ?? []],
    ["deployments", deployments ?? []],
  ]);
  const api = new ApiServer(objects);
  setInterval(() => api.change("pods", Math.floor(Math.random() * pods.length)), podChangeMs);
  return await api.listen();
}

interface KubeObject {
  readonly metadata: { readonly name: string; readonly resourceVersion?: string };
}

function nameOf(index: number, workloads = Infinity): string {
  return `app-${workloads === Infinity ? index : ((index % workloads) + workloads) % workloads}`;
}

function namespaceOf(index: number): string {
  return `shop-${Math.floor(index / namespaceSize)}`;
}

function addressOf(index: number, number: number): string {
  const all = index * 16 + number;
  return `127.${64 + (all >> 16)}.${(all >> 8) & 0xff}.${all & 0xff}`;
}

/** Returns metadata that is as large as that of an object which kubectl, a Deployment and the injector have written. */
function meta(
  namespace: string,
  name: string,
): {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  creationTimestamp: string;
  managedFields: readonly object[];
} {
  const fields = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [
      `f:field-${index}`,
      { ".": {}, "f:value": {}, [`k:{"name":"item-${index}"}`]: {} },
    ]),
  );
  const managedFields = [
    {
      manager: "kube-controller-manager",
      operation: "Update",
      apiVersion: "v1",
      fieldsType: "FieldsV1",
      fieldsV1: { "f:metadata": fields },
    },
  ];
  return {
    name,
    ...(namespace === "" ? {} : { namespace }),
    uid: `00000000-0000-4000-8000-${namespace}-${name}`,
    resourceVersion: "1000",
    creationTimestamp: "2026-06-01T12:00:00Z",
    managedFields,
  };
}

function podOf(index: number, number: number, port: number): KubeObject {
  const app = nameOf(index);
  const env = Array.from({ length: 30 }, (_, at) => ({
    name: `ISTIO_META_VARIABLE_${at}`,
    value: `a value of some length ${at}`,
    valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } },
  }));
  const container = (name: string): object => ({
    name,
    image: `registry.example.org/istio/${name}:1.31.0`,
    args: Array.from({ length: 12 }, (_, at) => `--argument-${at}`),
    env,
    ports: [{ containerPort: 8080, protocol: "TCP", name: "http" }],
    resources: { limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: "100m", memory: "128Mi" } },
    volumeMounts: Array.from({ length: 8 }, (_, at) => ({ name: `volume-${at}`, mountPath: `/var/run/volume/${at}` })),
  });
  const status = (name: string): object => ({
    name,
    ready: true,
    restartCount: 0,
    started: true,
    image: `registry.example.org/istio/${name}:1.31.0`,
    imageID: `sha256:${"0".repeat(64)}`,
    containerID: `containerd://${"0".repeat(64)}`,
    state: { running: { startedAt: "2026-06-01T12:00:00Z" } },
  });
  const metadata = {
    ...meta(namespaceOf(index), `${app}-5d9c7b8f6d-${number}`),
    labels: {
      app,
      version: "v1",
      "istio.io/rev": "default",
      "pod-template-hash": "5d9c7b8f6d",
      "security.istio.io/tlsMode": "istio",
      "service.istio.io/canonical-name": app,
      "service.istio.io/canonical-revision": "v1",
    },
    annotations: {
      "prometheus.io/scrape": "true",
      "prometheus.io/port": String(port),
      "prometheus.io/path": `/${index}`,
      "sidecar.istio.io/status": JSON.stringify({
        initContainers: ["istio-init"],
        containers: ["istio-proxy"],
        volumes: Array.from({ length: 8 }, (_, at) => `volume-${at}`),
      }),
      "kubectl.kubernetes.io/default-container": "app",
    },
    ownerReferences: [
      {
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        name: `${app}-5d9c7b8f6d`,
        uid: `replicas-${index}`,
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  };
  const volumes = Array.from({ length: 8 }, (_, at) => ({
    name: `volume-${at}`,
    projected: {
      defaultMode: 420,
      sources: [{ serviceAccountToken: { audience: "istio-ca", expirationSeconds: 43_200, path: "token" } }],
    },
  }));
  return {
    metadata,
    spec: {
      containers: [container("app"), container("istio-proxy")],
      initContainers: [container("istio-init")],
      nodeName: `worker-${index % 8}`,
      serviceAccountName: app,
      volumes,
      tolerations: [
        { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 },
      ],
    },
    status: {
      phase: "Running",
      podIP: addressOf(index, number),
      podIPs: [{ ip: addressOf(index, number) }],
      startTime: "2026-06-01T12:00:00Z",
      conditions: ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(
        (type) => ({ type, status: "True", lastTransitionTime: "2026-06-01T12:00:00Z" }),
      ),
      containerStatuses: [status("app"), status("istio-proxy")],
      initContainerStatuses: [status("istio-init")],
    },
  } as KubeObject;
}

function serviceObject(index: number): KubeObject {
  return {
    metadata: meta(namespaceOf(index), nameOf(index)),
    spec: {
      clusterIP: `10.96.${index >> 8}.${index & 0xff}`,
      selector: { app: nameOf(index) },
      ports: [{ port: 80, targetPort: 8080, name: "http", protocol: "TCP" }],
      type: "ClusterIP",
      sessionAffinity: "None",
    },
  } as KubeObject;
}

function sliceOf(index: number, pods: number): KubeObject {
  const metadata = {
    ...meta(namespaceOf(index), `${nameOf(index)}-x`),
    labels: { "kubernetes.io/service-name": nameOf(index) },
  };
  const endpoints = Array.from({ length: pods }, (_, number) => ({
    addresses: [addressOf(index, number)],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `worker-${index % 8}`,
    targetRef: { kind: "Pod", namespace: namespaceOf(index), name: `${nameOf(index)}-5d9c7b8f6d-${number}` },
  }));
  return {
    metadata,
    addressType: "IPv4",
    endpoints,
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  } as KubeObject;
}

function deploymentOf(index: number, pods: number): KubeObject {
  const labels = { app: nameOf(index), version: "v1" };
  return {
    metadata: meta(namespaceOf(index), nameOf(index)),
    spec: {
      replicas: pods,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "app", image: "registry.example.org/app:1" }] } },
    },
    status: { replicas: pods, readyReplicas: pods },
  } as KubeObject;
}

type Watcher = (line: string) => void;

/** Serves paged lists and watches, and answers each access review with "allowed". */
class ApiServer {
  readonly #objects: ReadonlyMap<string, readonly KubeObject[]>;
  readonly #watchers = new Map<string, Set<Watcher>>();
  #version = 1000;

  constructor(objects: ReadonlyMap<string, readonly KubeObject[]>) {
    this.#objects = objects;
  }

  async listen(): Promise<ServedMesh> {
    const authority = await TestAuthority.create();
    const { certificateChain, privateKey, roots } = await authority.issue({ dns: "localhost" });
    const server = createSecureServer({ cert: certificateChain, key: privateKey }, (request, response) =>
      this.#answer(request, response),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { server: `https://localhost:${(server.address() as AddressInfo).port}`, authority: roots };
  }

  change(plural: string, index: number): void {
    const object = this.#objects.get(plural)?.[index];
    if (object === undefined) return;
    this.#version += 1;
    const line = `${JSON.stringify({ type: "MODIFIED", object: { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } } })}\n`;
    for (const watcher of this.#watchers.get(plural) ?? []) watcher(line);
  }

  #answer(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const url = new URL(request.url, "https://localhost");
    const plural = url.pathname.split("/").at(-1) ?? "";
    response.setHeader("content-type", "application/json");
    if (request.method === "POST")
      response.end(
        JSON.stringify({ status: { allowed: true, authenticated: true, user: { username: "bench", groups: [] } } }),
      );
    else if (plural === "version") response.end("{}");
    else if (url.searchParams.get("watch") === "true") this.#watch(plural, response);
    else
      response.end(
        this.#page(
          plural,
          Number(url.searchParams.get("limit") ?? "500"),
          Number(url.searchParams.get("continue") ?? "0"),
        ),
      );
  }

  #page(plural: string, limit: number, from: number): string {
    const all = this.#objects.get(plural) ?? [];
    const next = from + limit < all.length ? { continue: String(from + limit) } : {};
    return JSON.stringify({
      metadata: { resourceVersion: String(this.#version), ...next },
      items: all.slice(from, from + limit),
    });
  }

  #watch(plural: string, response: Http2ServerResponse): void {
    const watcher: Watcher = (line) => void response.write(line);
    const watchers = this.#watchers.get(plural) ?? new Set();
    this.#watchers.set(plural, watchers.add(watcher));
    response.on("close", () => watchers.delete(watcher));
    response.write("");
  }
}

function edgeText(reporter: string, from: number, to: number, count: number, workloads: number): string {
  const [source, destination] = [nameOf(from, workloads), nameOf(to, workloads)];
  const [fromNamespace, toNamespace] = [from, to].map((index) =>
    namespaceOf(((index % workloads) + workloads) % workloads),
  );
  const labels = `reporter="${reporter}",source_workload="${source}",source_canonical_service="${source}",source_canonical_revision="v1",source_workload_namespace="${fromNamespace}",source_principal="spiffe://cluster.local/ns/${fromNamespace}/sa/default",source_app="${source}",source_version="v1",source_cluster="Kubernetes",destination_workload="${destination}",destination_workload_namespace="${toNamespace}",destination_principal="spiffe://cluster.local/ns/${toNamespace}/sa/default",destination_app="${destination}",destination_version="v1",destination_service="${destination}.${toNamespace}.svc.cluster.local",destination_canonical_service="${destination}",destination_canonical_revision="v1",destination_service_name="${destination}",destination_service_namespace="${toNamespace}",destination_cluster="Kubernetes",request_protocol="http",response_code="200",grpc_response_status="",response_flags="-",connection_security_policy="${reporter === "source" ? "unknown" : "mutual_tls"}"`;
  const buckets = [...bounds.map(String), "+Inf"]
    .map(
      (le, index) =>
        `istio_request_duration_milliseconds_bucket{${labels},le="${le}"} ${index < 3 ? 0 : index === 3 ? Math.floor(count / 2) : count}\n`,
    )
    .join("");
  return `istio_requests_total{${labels}} ${count}\n${buckets}istio_request_bytes_sum{${labels}} ${count * 100}\n`;
}

/** Returns a listener that answers `GET /<index of the workload>` with the metrics of its proxy. */
function proxiesOf({ workloads, calls }: MeshSize): RequestListener {
  const began = Date.now();
  return (request, response) => {
    const index = Number(request.url?.slice(1));
    const count = Math.floor((Date.now() - began) / requestMs);
    const parts: string[] = [];
    for (let call = 1; call <= calls; call += 1)
      parts.push(
        edgeText("source", index, index + call, count + index, workloads),
        edgeText("destination", index - call, index, count + index, workloads),
      );
    parts.push(`process_cpu_seconds_total ${count / 1000}\nprocess_resident_memory_bytes 50000000\n`);
    response.end(parts.join(""));
  };
}

async function listen(listener: RequestListener, address: string): Promise<number> {
  const server = createServer({ keepAliveTimeout: 0 }, listener);
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return (server.address() as AddressInfo).port;
}
