import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, systemClock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { findingsText, type ClusterFinding } from "./cluster-finding.ts";
import { examineCluster } from "./examine-cluster.ts";

interface Access {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
}

interface Answers {
  /** The answers by path. A path without an answer gives 404. A number is an error status. */
  readonly [path: string]: object | number;
}

const accessReviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** An API server with the given answers. `may` decides access reviews. */
function server(answers: Answers, may: (access: Access) => boolean = () => true): KubeClient {
  const raw: KubeClient["raw"] = async (_method, path, { body } = {}) => {
    const answer = (status: number, value: unknown) => ({ status, headers: {}, text: JSON.stringify(value) });
    const given = answers[path];
    if (typeof given === "number") return answer(given, { kind: "Status", message: `refused with ${given}` });
    if (path !== accessReviews) return given === undefined ? answer(404, {}) : answer(200, given);
    const { spec } = body as { readonly spec: { readonly resourceAttributes: Access } };
    return answer(201, { status: { allowed: may(spec.resourceAttributes), reason: "" } });
  };
  const list: KubeClient["list"] = async () => await Promise.resolve({ items: [], resourceVersion: "1" });
  return { raw, list } as KubeClient;
}

const node = (name: string, nodeInfo: Record<string, string> = {}, more: object = {}) => ({
  metadata: { name, labels: { "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "m5.large" } },
  spec: { providerID: `aws:///eu-west-1a/i-0${name}` },
  status: {
    conditions: [
      { type: "MemoryPressure", status: "False", message: "kubelet has sufficient memory available" },
      { type: "Ready", status: "True", message: "kubelet is posting ready status" },
    ],
    nodeInfo: {
      architecture: "amd64",
      containerRuntimeVersion: "containerd://2.1.5",
      kernelVersion: "6.12.53-69.119.amzn2023.x86_64",
      kubeletVersion: "v1.34.2-eks-ecaa3a6",
      operatingSystem: "linux",
      osImage: "Amazon Linux 2023.9.20251110",
      ...nodeInfo,
    },
  },
  ...more,
});
const definition = (kind: string, plural: string, ...served: string[]) => ({
  metadata: {
    name: `${plural}.gateway.networking.k8s.io`,
    annotations: {
      "gateway.networking.k8s.io/bundle-version": "v1.4.0",
      "gateway.networking.k8s.io/channel": "standard",
    },
  },
  spec: {
    group: "gateway.networking.k8s.io",
    names: { kind },
    versions: served.map((name) => ({ name, served: true })),
  },
});
const eks: Answers = {
  "/version": { major: "1", minor: "34", gitVersion: "v1.34.2-eks-ecaa3a6" },
  "/apis/authentication.k8s.io/v1/selfsubjectreviews": { status: { userInfo: { username: "admin@example.org" } } },
  "/api/v1/namespaces/istio-system": { metadata: { name: "istio-system", labels: {} } },
  "/api/v1/nodes": { items: [node("a"), node("b", { architecture: "arm64" })] },
  "/apis/apps/v1/daemonsets": {
    items: [
      { metadata: { name: "kube-proxy", namespace: "kube-system" } },
      { metadata: { name: "aws-node", namespace: "kube-system" } },
    ],
  },
  "/api/v1/services": { items: [{ metadata: { name: "kubernetes" }, spec: { type: "ClusterIP" } }] },
  [definitions]: { items: [definition("Gateway", "gateways", "v1", "v1beta1")] },
};

const namespace = "istio-system";
const examine = async (answers: Answers, may?: (access: Access) => boolean): Promise<ClusterFinding[]> =>
  await examineCluster(server({ ...eks, ...answers }, may), namespace, systemClock);

const complaints = (findings: readonly ClusterFinding[]): string[] =>
  findings.filter(({ level }) => level !== "ok").map((finding) => findingsText([finding]));

test("a complete cluster is described, object by object", async () => {
  const findings = await examine({});
  assert.deepEqual(complaints(findings), []);
  assert.deepEqual(
    findings.map(({ subject, object }) => `${subject}: ${object}`),
    [
      "Kubernetes version: Cluster",
      "rights: User admin@example.org",
      "PodSecurity: Namespace istio-system",
      "network plugin: DaemonSet kube-system/aws-node",
      "Gateway API: CustomResourceDefinition gateways.gateway.networking.k8s.io",
      "LoadBalancer: Node a",
      "node: Node a",
      "node: Node b",
    ],
  );
  assert.equal(
    findings.at(-1)?.detail,
    "kubelet v1.34.2-eks-ecaa3a6, containerd://2.1.5, Amazon Linux 2023.9.20251110, Linux 6.12.53-69.119.amzn2023.x86_64, arm64",
  );
});

test("an unsupported version of the server or of a kubelet is an error that names the supported ones", async () => {
  const findings = await examine({
    "/version": { gitVersion: "v1.31.9" },
    "/api/v1/nodes": { items: [node("a", { kubeletVersion: "v1.31.9" }), node("b")] },
  });
  assert.deepEqual(complaints(findings), [
    "✗ Kubernetes version (Cluster): v1.31.9; the oldest supported version is 1.32\n    remedy: upgrade the cluster to Kubernetes 1.32 or newer\n",
    "✗ node (Node a): its kubelet is v1.31.9; the oldest supported version is 1.32\n    remedy: upgrade the node to Kubernetes 1.32 or newer\n",
  ]);
});

test("IPv6 addresses of pods or of a node are a warning", async () => {
  const pods = node("a", {}, { spec: { podCIDRs: ["10.244.1.0/24", "fd00:10:244:1::/64"] } });
  const healthy = node("b");
  const itself = {
    ...healthy,
    status: { ...healthy.status, addresses: [{ type: "InternalIP", address: "fd00::12" }] },
  };
  const findings = await examine({ "/api/v1/nodes": { items: [pods, itself, node("c")] } });
  const remedy = "try the mesh on a cluster that is not in use yet, or use IPv4 for pods and Services";
  assert.deepEqual(
    complaints(findings).filter((text) => text.includes("IPv6")),
    [
      `! node (Node a): has IPv6 addresses (fd00:10:244:1::/64); the mesh has been tested with IPv4 only\n    remedy: ${remedy}\n`,
      `! node (Node b): has IPv6 addresses (fd00::12); the mesh has been tested with IPv4 only\n    remedy: ${remedy}\n`,
    ],
  );
});

test("missing rights are named by verb and kind, with the command that grants them", async () => {
  const findings = await examine({}, ({ verb, resource }) => verb !== "*" && resource !== "daemonsets");
  assert.deepEqual(complaints(findings), [
    "✗ rights (User admin@example.org): may not get, list, create, patch daemonsets.apps in namespace istio-system\n    remedy: run as an administrator: kubectl create clusterrolebinding serin-installer --clusterrole=cluster-admin --user=admin@example.org\n",
  ]);
  const account = {
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": {
      status: { userInfo: { username: "system:serviceaccount:ci:deployer" } },
    },
  };
  const escalating = await examine(account, ({ verb }) => verb !== "*" && verb !== "escalate");
  assert.deepEqual(
    complaints(escalating).map((text) => text.replaceAll("\n", " ")),
    [
      "! rights (User system:serviceaccount:ci:deployer): may not escalate clusterroles: the API server refuses roles with rights that this user does not have     remedy: run as an administrator: kubectl create clusterrolebinding serin-installer --clusterrole=cluster-admin --serviceaccount=ci:deployer ",
    ],
  );
});

test("findings with the same remedy are followed by it once, with their number", async () => {
  const text = findingsText(
    await examine(
      {},
      ({ verb, resource }) => verb !== "*" && !["daemonsets", "deployments", "services"].includes(resource),
    ),
  );
  const user = String.raw`✗ rights \(User admin@example\.org\): may not`;
  assert.match(
    text,
    new RegExp(`${user} .*\\n${user} .*\\n${user} .*\\n    remedy for these 3: run as .*\\n(?!.*remedy)`),
  );
  assert.equal(text.match(/clusterrolebinding/g)?.length, 1);
  assert.doesNotMatch(text, /^✓.*\n {4}remedy/m);
});

test("unreadable resources are reported as not checked, and all others are checked", async () => {
  const findings = await examine({ "/api/v1/nodes": 403, "/api/v1/services": 403, "/apis/apps/v1/daemonsets": 403 });
  assert.deepEqual(
    findings.filter(({ level }) => level === "warning").map(({ subject, detail }) => `${subject}: ${detail}`),
    [
      "network plugin: cannot be checked: refused with 403",
      "LoadBalancer: cannot be checked: refused with 403",
      "nodes: cannot be checked: refused with 403",
    ],
  );
});

test("rejected credentials, a failing server and a server that is not Kubernetes each end the examination with their own error", async () => {
  const ended = async (answers: Answers): Promise<string> =>
    await examine(answers).then(() => assert.fail("it went on"), describeError);
  assert.match(
    await ended({ "/version": 401 }),
    /^the API server does not accept the credentials \(401, GET \/version\): refused with 401\n {2}hint: .*kubectl config view/,
  );
  assert.match(
    await ended({ [accessReviews]: 401 }),
    /^the API server does not accept the credentials \(401, SelfSubject/,
  );
  assert.match(await ended({ "/api/v1/nodes": 500 }), /^the API server answered 500 to GET \/api\/v1\/nodes: refused/);
  assert.match(
    await ended({ "/version": 302 }),
    /answered 302 to GET \/version.*\n {2}hint: .* a login page or another/,
  );
  for (const path of ["/api/v1/nodes", accessReviews])
    for (const [status, kind] of Object.entries({ 418: "user", 429: "transient", 503: "transient" }))
      if (path !== accessReviews || kind === "transient")
        await assert.rejects(examine({ [path]: Number(status) }), { code: "api-server", kind });
  const page = { raw: async () => ({ status: 200, headers: {}, text: "<html>" }) } as unknown as KubeClient;
  await assert.rejects(
    examineCluster(page, namespace, systemClock),
    /GET \/version is not JSON: no Kubernetes API server answers/,
  );
});

test("a namespace whose PodSecurity refuses privileged pods is an error, with the command that permits them", async () => {
  const labelled = (level: string) => ({
    "/api/v1/namespaces/istio-system": { metadata: { labels: { "pod-security.kubernetes.io/enforce": level } } },
  });
  assert.deepEqual(complaints(await examine(labelled("privileged"))), []);
  assert.deepEqual(complaints(await examine(labelled("restricted"))), [
    "✗ PodSecurity (Namespace istio-system): pod-security.kubernetes.io/enforce is restricted: the API server will refuse the pods of istio-cni-node and ztunnel, and accept the others\n    remedy: kubectl label namespace istio-system pod-security.kubernetes.io/enforce=privileged --overwrite\n",
  ]);
});

test("nodes that are unready, of another system or architecture, or with an old kernel are reported", async () => {
  const status = (type: string, message: string) => ({ conditions: [{ type: "Ready", status: type, message }] });
  const { status: healthy } = node("x");
  const findings = await examine({
    "/api/v1/nodes": {
      items: [
        node(
          "a",
          {},
          {
            status: {
              ...healthy,
              ...status("False", "NetworkReady=false reason:NetworkPluginNotReady message: cni plugin not initialized"),
            },
          },
        ),
        node("b", {}, { status: { ...healthy, ...status("Unknown", "Kubelet stopped posting node status.") } }),
        node("c", { operatingSystem: "windows", kernelVersion: "10.0.20348" }),
        node("d", { architecture: "s390x" }),
        node("e", { kernelVersion: "4.18.0-553.el8_10.x86_64" }),
        node("f", {}, { metadata: { name: "f", labels: { "eks.amazonaws.com/compute-type": "fargate" } } }),
        node("g", {}, { metadata: { name: "g", labels: { type: "virtual-kubelet" } } }),
      ],
    },
  });
  assert.deepEqual(
    findings
      .filter(({ level }) => level !== "ok")
      .map(({ level, object, detail, remedy }) => [level, object, detail.slice(0, 24), remedy.slice(0, 24)]),
    [
      ["error", "Node a", "is not ready: NetworkRea", "install the cluster's ow"],
      ["error", "Node b", "is not ready: Kubelet st", "kubectl describe node b"],
      ["warning", "Node c", "runs Windows: its pods s", "no remedy: the mesh need"],
      ["error", "Node d", "is s390x; the images are", "take the node out of the"],
      ["warning", "Node e", "its kernel is 4.18.0-553", "use a newer kernel, unle"],
      ["warning", "Node f", "runs no DaemonSets, so n", "keep pods of the mesh of"],
      ["warning", "Node g", "runs no DaemonSets, so n", "keep pods of the mesh of"],
    ],
  );
});

test("a platform with its own CNI paths is reported with its flag", async () => {
  const platform = async (one: object): Promise<string | undefined> =>
    (await examine({ "/api/v1/nodes": { items: [one] } })).find(({ subject }) => subject === "platform")?.remedy;
  const flag = (name: string): string =>
    `serin install --set values.global.platform=${name} (with Helm: --set global.platform=${name})`;
  assert.equal(await platform(node("a")), undefined);
  assert.equal(await platform(node("a", { kubeletVersion: "v1.34.1-gke.2037000" })), flag("gke"));
  assert.equal(await platform(node("a", { kubeletVersion: "v1.34.2+k3s1" })), flag("k3s"));
  assert.equal(await platform(node("k3d-lab-agent-0", { kubeletVersion: "v1.34.2+k3s1" })), flag("k3d"));
  assert.equal(
    await platform(node("a", {}, { metadata: { name: "a", labels: { "microk8s.io/cluster": "true" } } })),
    flag("microk8s"),
  );
  assert.equal(
    await platform(node("a", {}, { metadata: { name: "a", labels: { "node.openshift.io/os_id": "rhel" } } })),
    `${flag("openshift")}; docs/platforms.md, "OpenShift", says what else it needs`,
  );
});

test("missing or old Gateway API definitions are reported, with the command that installs them", async () => {
  const findings = async (items: readonly object[]): Promise<string[]> =>
    (await examine({ [definitions]: { items } }))
      .filter(({ subject }) => subject === "Gateway API")
      .map(({ level, object, detail, remedy }) => `${level} ${object.split(" ")[1] ?? ""} ${detail}; ${remedy}`);
  assert.deepEqual(
    await findings([definition("Gateway", "gateways", "v1"), definition("GRPCRoute", "grpcroutes", "v1alpha2")]),
    [
      "error gateways.gateway.networking.k8s.io serves v1, not v1beta1; serin gateway-api install",
      "warning grpcroutes.gateway.networking.k8s.io serves v1alpha2, not v1; serin gateway-api install",
    ],
  );
  assert.deepEqual(await findings([]), [
    "warning gateways.gateway.networking.k8s.io does not exist: waypoints and Gateways need it; serin gateway-api install",
  ]);
  assert.deepEqual(await findings([definition("Gateway", "gateways", "v1", "v1beta1")]), [
    "ok gateways.gateway.networking.k8s.io v1.4.0, channel standard, 1 kind; ",
  ]);
});

test("a LoadBalancer is recognized by an address, a pool or a cloud, and its absence is reported", async () => {
  const bare = { "/api/v1/nodes": { items: [node("a", {}, { spec: {} })] } };
  const finding = async (answers: Answers): Promise<string> => {
    const found = (await examine({ ...bare, ...answers })).find(({ subject }) => subject === "LoadBalancer");
    return `${found?.level ?? ""} ${found?.object ?? ""}: ${found?.detail ?? ""}`;
  };
  const service = (name: string, ingress: readonly object[]) => ({
    metadata: { name, namespace: "shop" },
    spec: { type: "LoadBalancer" },
    status: { loadBalancer: { ingress } },
  });
  const pools = "/apis/metallb.io/v1beta1/ipaddresspools";
  assert.equal(
    await finding({
      "/api/v1/services": { items: [service("old", []), service("web", [{ hostname: "web.elb.example.org" }])] },
    }),
    "ok Service shop/web: has the address web.elb.example.org",
  );
  assert.equal(
    await finding({ "/api/v1/services": { items: [service("old", [])] } }),
    "warning Service shop/old: waits for an address, like every Service of type LoadBalancer",
  );
  assert.equal(
    await finding({ [pools]: { items: [{ metadata: { name: "lan", namespace: "metallb-system" } }] } }),
    "ok IPAddressPool metallb-system/lan: MetalLB",
  );
  assert.equal(
    await finding({ [pools]: { items: [] } }),
    "warning Cluster: MetalLB is installed and has no IPAddressPool",
  );
  const ofLab = node("a", { containerRuntimeVersion: "serin://0.2.0" }, { spec: {} });
  assert.equal(
    await finding({ [pools]: { items: [] }, "/api/v1/nodes": { items: [ofLab] } }),
    "ok Cluster: the lab assigns addresses",
  );
  assert.match(await finding({}), /^warning Cluster: no known implementation runs in the cluster/);
});
