import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import type { KubeClient, ListOptions } from "../../kube/index.ts";
import { findingsText } from "./cluster-finding.ts";
import { meshFindings } from "./mesh-findings.ts";
import { policyFindings } from "./policy-findings.ts";

type Objects = Readonly<Record<string, readonly (KubernetesObject & Readonly<Record<string, unknown>>)[]>>;

/** A cluster with these objects. Its lists match a label selector of one label. */
function clusterOf(objects: Objects): KubeClient {
  const list = async ({ kind }: KindDefinition, { namespace, labelSelector = "" }: ListOptions = {}) =>
    await Promise.resolve({
      items: (objects[kind] ?? []).filter(({ metadata }) => {
        const [key = "", value] = labelSelector.split("=");
        const label = metadata.labels?.[key];
        const isSelected = key === "" || (label !== undefined && (value === undefined || label === value));
        return isSelected && (namespace === undefined || metadata.namespace === namespace);
      }),
      resourceVersion: "1",
    });
  const get = async ({ kind }: KindDefinition, name: string) =>
    await Promise.resolve((objects[kind] ?? []).find(({ metadata }) => metadata.name === name));
  const raw = async () =>
    await Promise.resolve({ status: 200, text: "serin: no nf_tables\n  hint: load its module\n" });
  return { list, get, raw } as unknown as KubeClient;
}

const own = (name: string, component: string): KubernetesObject["metadata"] => ({
  name,
  namespace: "istio-system",
  labels: { "operator.istio.io/component": component },
});
const selecting = (app: string): object => ({ selector: { matchLabels: { app } } });

const texts = async (objects: Objects): Promise<string[]> =>
  (await meshFindings(clusterOf(objects))).map((finding) => findingsText([finding]));

test("a ready workload of the mesh is good, and an unready one has the kubelet's reason", async () => {
  const waiting = { reason: "ImagePullBackOff", message: "no such image" };
  const found = await texts({
    DaemonSet: [
      {
        metadata: own("ztunnel", "Ztunnel"),
        spec: selecting("ztunnel"),
        status: { desiredNumberScheduled: 2, numberReady: 1 },
      },
      {
        metadata: own("istio-cni-node", "Cni"),
        status: { desiredNumberScheduled: 2, numberReady: 2, updatedNumberScheduled: 2 },
      },
      { metadata: { name: "kube-proxy", namespace: "kube-system" }, status: { desiredNumberScheduled: 2 } },
    ],
    Deployment: [{ metadata: own("istiod", "Pilot"), spec: selecting("istiod"), status: { readyReplicas: 1 } }],
    Pod: [
      {
        metadata: { name: "ztunnel-a", namespace: "istio-system", labels: { app: "ztunnel" } },
        spec: { nodeName: "n2" },
        status: { containerStatuses: [{ name: "istio-proxy", restartCount: 0, state: { waiting } }] },
      },
    ],
  });
  assert.deepEqual(
    found.map((text) => text.split("\n")[0]),
    [
      "! mesh (DaemonSet istio-system/ztunnel): 1 of 2 pods are ready; pod istio-system/ztunnel-a on node n2: container istio-proxy: ImagePullBackOff: no such image",
      "✓ mesh (DaemonSet istio-system/istio-cni-node): 2 of 2 pods are ready",
      "✓ mesh (Deployment istio-system/istiod): 1 of 1 pods are ready",
    ],
  );
});

test("the proxies of Gateways that an uninstall has left are reported, with the command that removes them", async () => {
  const labels = { "gateway.istio.io/managed": "istio.io-mesh-controller" };
  const metadata = {
    name: "waypoint",
    namespace: "shop",
    labels: { ...labels, "gateway.networking.k8s.io/gateway-name": "waypoint" },
  };
  const left = { Deployment: [{ metadata, spec: selecting("waypoint"), status: { readyReplicas: 1 } }] };
  assert.deepEqual(await texts(left), [
    "! mesh (Deployment shop/waypoint): 1 of 1 pods are ready, and there is no control plane: the proxy continues with its last configuration, and a new pod of it does not become ready\n    remedy: install a control plane, or delete the Gateway: kubectl delete gateways.gateway.networking.k8s.io -n shop waypoint\n",
  ]);
  // The Service also exists in a cluster whose control plane runs in another cluster.
  const Service = [{ metadata: { name: "istiod", namespace: "istio-system", labels: { app: "istiod" } } }];
  assert.deepEqual(await texts({ ...left, Service }), ["✓ mesh (Deployment shop/waypoint): 1 of 1 pods are ready\n"]);
});

test("a newer pod that cannot start is reported although the older ones are ready, with the end of its log", async () => {
  const terminated = { exitCode: 2, reason: "Error" };
  const newer = {
    metadata: { name: "istiod-b", namespace: "istio-system", labels: { app: "istiod" } },
    spec: { nodeName: "n2" },
    status: { containerStatuses: [{ name: "discovery", restartCount: 5, state: { terminated } }] },
  };
  const rolling = (unavailableReplicas: number): Objects => ({
    Deployment: [
      {
        metadata: own("istiod", "Pilot"),
        spec: selecting("istiod"),
        status: { readyReplicas: 1, updatedReplicas: 1, unavailableReplicas },
      },
    ],
    Pod: [newer],
  });
  assert.deepEqual(await texts(rolling(1)), [
    "! mesh (Deployment istio-system/istiod): 1 of 1 pods are ready, and a newer pod does not start; pod istio-system/istiod-b on node n2: container discovery: it ended with 2 (Error), after 5 restarts\n  its last lines:\n    serin: no nf_tables\n      hint: load its module\n    remedy: The container's log shows why it ended. kubectl logs -n istio-system istiod-b -c discovery --tail=20\n",
  ]);
  assert.deepEqual(await texts(rolling(0)), ["✓ mesh (Deployment istio-system/istiod): 1 of 1 pods are ready\n"]);
});

test("an update of a DaemonSet that does not go on is reported although every node has a ready pod", async () => {
  const pods = ["True", "False"].map((status, index) => ({
    metadata: { name: `ztunnel-${index}`, namespace: "istio-system", labels: { app: "ztunnel" } },
    spec: { nodeName: "n1" },
    status: { phase: "Running", conditions: [{ type: "Ready", status }] },
  }));
  const updating = (updated: { readonly updatedNumberScheduled?: number }): Objects => ({
    DaemonSet: [
      {
        metadata: own("ztunnel", "Ztunnel"),
        spec: selecting("ztunnel"),
        status: { desiredNumberScheduled: 1, numberReady: 1, ...updated },
      },
      { metadata: own("istio-cni-node", "Cni"), status: { desiredNumberScheduled: 1, numberReady: 1 } },
    ],
    Pod: pods,
  });
  const [found] = await texts(updating({}));
  assert.equal(
    found?.split("\n")[0],
    "! mesh (DaemonSet istio-system/ztunnel): 1 of 1 pods are ready, and a newer pod does not start; pod istio-system/ztunnel-1 on node n1 runs and is not ready",
  );
  assert.deepEqual(
    (await texts(updating({ updatedNumberScheduled: 1 })))[0],
    "✓ mesh (DaemonSet istio-system/ztunnel): 1 of 1 pods are ready\n",
  );
});

test("a pod that runs and is not ready is named with its node and the command that prints its log", async () => {
  const found = await texts({
    DaemonSet: [
      {
        metadata: own("ztunnel", "Ztunnel"),
        spec: selecting("ztunnel"),
        status: { desiredNumberScheduled: 2, numberReady: 1 },
      },
      {
        metadata: own("istio-cni-node", "Cni"),
        status: { desiredNumberScheduled: 2, numberReady: 2, updatedNumberScheduled: 2 },
      },
    ],
    Pod: ["True", "False"].map((status, index) => ({
      metadata: { name: `ztunnel-${index}`, namespace: "istio-system", labels: { app: "ztunnel" } },
      spec: { nodeName: `n${index}` },
      status: { phase: "Running", conditions: [{ type: "Ready", status }] },
    })),
  });
  assert.equal(
    found[0],
    "! mesh (DaemonSet istio-system/ztunnel): 1 of 2 pods are ready; pod istio-system/ztunnel-1 on node n1 runs and is not ready\n    remedy: kubectl logs -n istio-system ztunnel-1 --tail=20\n",
  );
});

test("a workload whose pods the API server refuses has its refusal, with the quota's name", async () => {
  const message =
    'pods "istiod-1" is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3';
  const found = await texts({
    Deployment: [
      {
        metadata: own("istiod", "Pilot"),
        spec: selecting("istiod"),
        status: { conditions: [{ type: "ReplicaFailure", status: "True", message }] },
      },
    ],
  });
  assert.deepEqual(found, [
    `! mesh (Deployment istio-system/istiod): 0 of 1 pods are ready; ${message}\n    remedy: A ResourceQuota refuses the pods: kubectl describe quota -n istio-system. Raise it, or give the containers the requests and limits that it counts.\n`,
  ]);
});

test("a ztunnel without a CNI agent is reported, because its own pods do not show why they are not ready", async () => {
  const found = await texts({
    DaemonSet: [
      {
        metadata: own("ztunnel", "Ztunnel"),
        spec: selecting("ztunnel"),
        status: { desiredNumberScheduled: 2, numberReady: 0 },
      },
    ],
  });
  assert.deepEqual(
    found.map((text) => text.split("\n")[0]),
    [
      "! mesh (DaemonSet istio-system/ztunnel): 0 of 2 pods are ready",
      "! mesh (DaemonSet istio-cni-node): does not exist, and a ztunnel needs it: new pods start outside the ambient mesh, and new pods with a sidecar wait for their redirect",
    ],
  );
});

test("a workload of Istio is a warning that names the way to install Serin beside it", async () => {
  const running = (image: string): object => ({
    spec: { replicas: 1, template: { spec: { containers: [{ name: "discovery", image }] } } },
    status: { readyReplicas: 1, updatedReplicas: 1 },
  });
  const Deployment = [
    { metadata: own("istiod", "Pilot"), ...running("registry.istio.io/release/pilot:1.27.1") },
    { metadata: own("istiod-serin", "Pilot"), ...running("ghcr.io/serin-mesh/pilot:0.2.0") },
  ];
  assert.deepEqual(
    (await texts({ Deployment })).filter((text) => text.startsWith("! ")).map((text) => text.split("\n")[0]),
    [
      "! Istio (Deployment istio-system/istiod): runs registry.istio.io/release/pilot:1.27.1; an installation of this name would replace it",
    ],
  );
});

test("a user who may not list events gets the findings without the reason that only events have", async () => {
  const client = clusterOf({
    DaemonSet: [
      {
        metadata: { ...own("istio-cni-node", "Cni"), uid: "1" },
        spec: selecting("istio-cni-node"),
        status: { desiredNumberScheduled: 2, numberReady: 1, currentNumberScheduled: 1 },
      },
    ],
  });
  const list = client.list.bind(client);
  const limited = Object.assign(client, {
    list: async (...args: Parameters<typeof list>) =>
      args[0].kind === "Event"
        ? await Promise.reject(userError("forbidden", "bob may not list events"))
        : await list(...args),
  });
  assert.deepEqual(
    (await meshFindings(limited)).map(({ detail }) => detail),
    ["1 of 2 pods are ready"],
  );
});

test("a cluster without a mesh has no findings of it, and unreadable workloads are reported", async () => {
  assert.deepEqual(await texts({}), []);
  const refusing = {
    list: async () => await Promise.reject(userError("forbidden", "bob may not list daemonsets")),
  } as unknown as KubeClient;
  assert.deepEqual(
    [...(await meshFindings(refusing)), ...(await policyFindings(refusing))].map(({ subject, detail }) => [
      subject,
      detail,
    ]),
    [
      ["mesh", "cannot be checked: bob may not list daemonsets"],
      ["NetworkPolicy", "cannot be checked: bob may not list daemonsets"],
    ],
  );
});

const captured = (name: string, labels: Record<string, string> = {}): KubernetesObject => ({
  metadata: {
    name,
    namespace: "shop",
    labels,
    annotations: { "ambient.istio.io/redirection": "enabled" },
  },
});
const policy = (name: string, spec: object, namespace = "shop"): KubernetesObject & Record<string, unknown> => ({
  metadata: { name, namespace },
  spec,
});
const policyDetails = async (policies: readonly KubernetesObject[], pods: readonly KubernetesObject[]) =>
  (await policyFindings(clusterOf({ NetworkPolicy: policies, Pod: pods } as unknown as Objects))).map(
    ({ object, detail }) => `${object}: ${detail}`,
  );

test("a policy that closes the port of HBONE for captured pods is a warning with their number", async () => {
  const pods = [captured("web", { app: "web" }), captured("db", { app: "db" })];
  const denyAll = policy("deny-all", { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
  assert.deepEqual(await policyDetails([denyAll], pods), [
    "NetworkPolicy shop/deny-all: isolates 2 pods of the mesh, and no policy permits connections to their port 15008, by which pods of the mesh reach them",
    "NetworkPolicy shop/deny-all: isolates 2 pods of the mesh, and no policy permits their connections to port 15008, by which they reach other pods of the mesh",
  ]);
  const open = (ports: readonly object[], app: string): KubernetesObject =>
    policy(`open-${app}`, { podSelector: { matchLabels: { app } }, ingress: [{ ports }], egress: [{}] });
  assert.deepEqual(await policyDetails([denyAll, open([{ port: 15_000, endPort: 15_010 }], "web")], pods), [
    "NetworkPolicy shop/deny-all: isolates 1 pod of the mesh, and no policy permits connections to their port 15008, by which pods of the mesh reach them",
    "NetworkPolicy shop/deny-all: isolates 1 pod of the mesh, and no policy permits their connections to port 15008, by which they reach other pods of the mesh",
  ]);
  assert.deepEqual(await policyDetails([open([{ port: 8080 }, { protocol: "UDP", port: 15_008 }], "db")], pods), [
    "NetworkPolicy shop/open-db: isolates 1 pod of the mesh, and no policy permits connections to their port 15008, by which pods of the mesh reach them",
  ]);
});

test("policies that isolate other pods, or other directions, are no finding", async () => {
  const plain = { metadata: { name: "plain", namespace: "shop" } };
  const denyAll = policy("deny-all", { podSelector: {} });
  assert.deepEqual(await policyDetails([denyAll], [plain]), []);
  assert.deepEqual(await policyDetails([policy("deny-all", { podSelector: {} }, "other")], [captured("web")]), []);
  const sidecar = {
    metadata: { name: "s", namespace: "shop", annotations: { "sidecar.istio.io/status": "{}" } },
  };
  assert.deepEqual(await policyDetails([denyAll], [sidecar]), []);
});

test("a policy that keeps the kubelet's probes from unready captured pods is a warning with the address of the probes", async () => {
  const probed = (ready: "True" | "False", probe: object = { httpGet: { port: 80 } }): KubernetesObject =>
    ({
      ...captured("web"),
      spec: { containers: [{ name: "web", readinessProbe: probe }] },
      status: { phase: "Running", conditions: [{ type: "Ready", status: ready }] },
    }) as unknown as KubernetesObject;
  const hbone = { ports: [{ port: 15_008 }], from: [{ podSelector: {} }] };
  const only = (...from: readonly object[]): KubernetesObject =>
    policy("own", { podSelector: {}, ingress: [hbone, ...(from.length === 0 ? [] : [{ from }])] });
  assert.deepEqual(await policyDetails([only()], [probed("False"), probed("False")]), [
    "NetworkPolicy shop/own: isolates 2 pods of the ambient mesh that are not ready, and no policy permits the kubelet's probes of these pods, which come from 169.254.7.127",
  ]);
  const block = (cidr: string, ...except: readonly string[]): object => ({ ipBlock: { cidr, except } });
  for (const foreign of [block("10.0.0.0/8"), block("0.0.0.0/0", "169.254.0.0/16"), { namespaceSelector: {} }])
    assert.equal((await policyDetails([only(foreign)], [probed("False")])).length, 1, JSON.stringify(foreign));
  for (const enough of [block("169.254.7.127/32"), block("0.0.0.0/0", "10.0.0.0/8")])
    assert.deepEqual(await policyDetails([only(enough)], [probed("False")]), [], JSON.stringify(enough));
  assert.deepEqual(
    await policyDetails([only(), policy("open", { podSelector: {}, ingress: [{}] })], [probed("False")]),
    [],
  );
  assert.deepEqual(await policyDetails([only()], [probed("True"), probed("False", { exec: {} })]), []);
});

test("ports of a policy may have names, and pods on the node's network are not isolated", async () => {
  const ports = [
    { name: "tls-xds", containerPort: 15_012 },
    { name: "https-webhooks", containerPort: 15_017 },
  ];
  const istiod = {
    metadata: { name: "istiod-1", namespace: "istio-system", labels: { app: "istiod" } },
    spec: { containers: [{ name: "discovery", ports }] },
  };
  const open = (...names: readonly string[]): KubernetesObject =>
    policy("open", { podSelector: {}, ingress: [{ ports: names.map((port) => ({ port })) }] }, "istio-system");
  assert.deepEqual(await policyDetails([open("tls-xds", "https-webhooks")], [istiod]), []);
  const found = await policyDetails([open("tls-xds", "http")], [istiod]);
  assert.deepEqual(
    found.map((text) => /port (\d+)/.exec(text)?.[1]),
    ["15017"],
  );
  const onNode = { ...istiod, spec: { ...istiod.spec, hostNetwork: true } };
  assert.deepEqual(await policyDetails([open("http")], [onNode]), []);
});

test("a sidecar that cannot reach istiod, and an istiod that nobody reaches, are warnings", async () => {
  const sidecar = {
    metadata: { name: "s", namespace: "shop", annotations: { "sidecar.istio.io/status": "{}" } },
  };
  const istiod = { metadata: { name: "istiod-1", namespace: "istio-system", labels: { app: "istiod" } } };
  const found = await policyDetails(
    [
      policy("no-egress", { podSelector: {}, policyTypes: ["Egress"] }),
      policy("deny-all", { podSelector: {} }, "istio-system"),
    ],
    [sidecar, istiod],
  );
  assert.deepEqual(
    found.map((text) => [text.split(":")[0], /port (\d+)/.exec(text)?.[1]]),
    [
      ["NetworkPolicy istio-system/deny-all", "15012"],
      ["NetworkPolicy istio-system/deny-all", "15017"],
      ["NetworkPolicy shop/no-egress", "15012"],
    ],
  );
});

test("a rollout engine that cannot reach istiods is a warning", async () => {
  const engine = { metadata: { name: "engine-1", namespace: "serin-system", labels: { app: "serin-rollout" } } };
  const noEgress = policy("no-egress", { podSelector: {}, policyTypes: ["Egress"] }, "serin-system");
  assert.deepEqual(await policyDetails([noEgress], [engine]), [
    "NetworkPolicy serin-system/no-egress: isolates 1 pod of the mesh, and no policy permits their connections to port 15012, istiod's, whose debug pages the rollout engine reads",
  ]);
});

test("workloads of a namespace that is being deleted, and deleted ones, are no finding", async () => {
  const deletionTimestamp = "2026-01-01T00:00:00Z";
  const gateway = (name: string, namespace: string, more: object = {}) => ({
    metadata: { name, namespace, labels: { "gateway.istio.io/managed": "istio.io-gateway-controller" }, ...more },
    spec: selecting(name),
    status: {},
  });
  const found = await texts({
    Namespace: [{ metadata: { name: "serin-probes", deletionTimestamp } }, { metadata: { name: "shop" } }],
    Deployment: [
      gateway("waypoint-next", "serin-probes"),
      gateway("former", "shop", { deletionTimestamp }),
      gateway("present", "shop"),
    ],
  });
  assert.equal(found.length, 1);
  assert.match(found[0] ?? "", /^! mesh \(Deployment shop\/present\): 0 of 1 pods are ready/);
});
