import { Lab, clusterName, readObjects, runSerin, serinOk } from "../lab.ts";
import { podKind, serviceKind } from "../../../src/api/kubernetes/index.ts";
import type { UntypedObject } from "../../../src/api/index.ts";
import { loadBalancerAddresses, revisionSpec } from "../mesh-inputs.ts";
import { buildRelease, releaseDirectory } from "../releases.ts";
import { namespaces, revisions, versions, type Act, type Stage } from "../stage.ts";
import { untilPage } from "../until-page.ts";

/** Creates a lab with one control plane node and two workers, which runs the older of the demo's two releases. */
export const createLab: Act = {
  name: "a lab cluster",
  async play(stage) {
    await Promise.all([createCluster(stage), buildRelease(versions.old)]);
    await Promise.all([serinOk(["release", "add", releaseDirectory(versions.old)]), connect(stage)]);
    stage.note("one control plane node and two workers are ready");
  },
};

/** Creates the lab. If this fails, deletes the lab that an earlier demo may have left, and tries once more. */
async function createCluster({ mayStay }: Pick<Stage, "mayStay">): Promise<void> {
  const owner = mayStay ? [] : ["--owner", String(process.pid)];
  const words = ["cluster", "create", "--name", clusterName, ...owner];
  const { code } = await runSerin(words);
  if (code === 0) return;
  await runSerin(["cluster", "delete", "--name", clusterName]);
  await serinOk(words);
}

async function connect(stage: Stage): Promise<void> {
  stage.lab = await Lab.connect();
  await stage.lab.apply(loadBalancerAddresses);
}

export const installMesh: Act = {
  name: "the mesh",
  async play(stage) {
    const operator = (spec: object): string =>
      JSON.stringify({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
    const cni = { profile: "empty", tag: versions.old, components: { cni: { enabled: true } } };
    const outputs = await Promise.all([
      serinOk(["install", "-y", "-f", "-"], operator({ ...cni, namespace: namespaces.gateway })),
      serinOk(["install", "-y", "-f", "-"], operator(revisionSpec(revisions.old, versions.old, stage.workers?.[0]))),
    ]);
    for (const line of outputs.join("").trim().split("\n")) stage.note(line);
  },
};

const bookinfo = "samples/bookinfo/platform/kube/bookinfo.yaml";

function ambientNamespace(name: string): UntypedObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { "istio.io/dataplane-mode": "ambient" } } };
}

/** Deploys bookinfo and the gateway with its route. Once the page answers, deploys what the other acts need. */
export const deployApps: Act = {
  name: "bookinfo and its gateway",
  async play(stage) {
    const lab = labOf(stage);
    await lab.apply([ambientNamespace(namespaces.stable)]);
    await Promise.all([lab.apply(gatewayAndRoute()), lab.apply(bookinfo, namespaces.stable)]);
    stage.gatewayAddress = await lab.until("the gateway has an address", async () => {
      const service = await lab.client.get(serviceKind, "bookinfo-gateway-istio", namespaces.gateway);
      return service?.status?.loadBalancer?.ingress?.[0]?.ip;
    });
    await serinOk(["cluster", "shell", "--name", clusterName, "--", ...untilPage(stage.gatewayAddress)]);
    stage.note(`http://${stage.gatewayAddress}/productpage answers`);
    await deployOthers(lab);
  },
};

/**
 * Deploys the clients, the echo service, and the copy of bookinfo for its canary. The client `sleep` does not run on
 * the node of the page and the echo service. So its requests cross the link between nodes, and its long connection
 * passes through two ztunnels, each of which counts it once.
 */
async function deployOthers(lab: Lab): Promise<void> {
  const { items } = await lab.client.list(podKind, { namespace: namespaces.stable, labelSelector: "app=productpage" });
  const pageIsOnFirst = items[0]?.spec?.nodeName === `${clusterName}-worker`;
  const [pageNode, clientNode] = pageIsOnFirst ? (["worker", "worker2"] as const) : (["worker2", "worker"] as const);
  await lab.apply([ambientNamespace(namespaces.canary)]);
  await Promise.all([
    lab.apply(onNode("samples/sleep/sleep.yaml", clientNode), namespaces.stable),
    lab.apply("samples/sleep/notsleep.yaml", namespaces.stable),
    lab.apply(onNode("samples/tcp-echo/tcp-echo.yaml", pageNode), namespaces.stable),
    lab.apply(bookinfo, namespaces.canary),
    lab.apply([routesToCanary]),
  ]);
}

function onNode(file: string, node: "worker" | "worker2"): UntypedObject[] {
  return readObjects(file).map((object) => {
    if (object.kind !== "Deployment") return object;
    const spec = object["spec"] as { template: { spec: Record<string, unknown> } };
    const pod = { ...spec.template.spec, nodeSelector: { "kubernetes.io/hostname": `${clusterName}-${node}` } };
    return { ...object, spec: { ...spec, template: { ...spec.template, spec: pod } } };
  });
}

/** Allows the routes of the stable namespace to refer to Services of the canary's namespace. */
const routesToCanary: UntypedObject = {
  apiVersion: "gateway.networking.k8s.io/v1beta1",
  kind: "ReferenceGrant",
  metadata: { name: "from-bookinfo", namespace: namespaces.canary },
  spec: {
    from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: namespaces.stable }],
    to: [{ group: "", kind: "Service" }],
  },
};

function gatewayAndRoute(): UntypedObject[] {
  const [gateway, route] = readObjects("samples/bookinfo/gateway-api/bookinfo-gateway.yaml");
  if (gateway === undefined || route === undefined)
    throw new Error("bookinfo-gateway.yaml must contain a Gateway and an HTTPRoute");
  const spec = gateway["spec"] as { listeners: { allowedRoutes: unknown }[] };
  for (const listener of spec.listeners) listener.allowedRoutes = { namespaces: { from: "All" } };
  const routeSpec = route["spec"] as { parentRefs: { namespace?: string }[] };
  for (const parent of routeSpec.parentRefs) parent.namespace = namespaces.gateway;
  return [
    { ...gateway, metadata: { ...gateway.metadata, namespace: namespaces.gateway } },
    { ...route, metadata: { ...route.metadata, namespace: namespaces.stable } },
  ];
}

export function labOf({ lab }: Stage): Lab {
  if (lab === undefined) throw new Error("the lab does not exist yet");
  return lab;
}
