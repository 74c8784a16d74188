// A small application in each mode of the mesh, for cases that install the mesh in their own way. It moves to the next
// release and back while requests pass through its gateway.
import { podKind } from "../../../src/api/kubernetes/index.ts";
import { eventually } from "../../support/eventually.ts";
import type { Bench } from "../bench.ts";
import { boundedGet } from "../real-cluster.ts";
import { busyboxImage } from "../base-images.ts";
import { ambient, deploymentObject, namespaceObject } from "../objects.ts";
import { addressOf } from "./bookinfo.ts";
import { ended, upgradeObject } from "./mesh-upgrade.ts";
import { applyText, restricted, restrictedContainer, restrictedWeb } from "./policies.ts";
import { deleteGateways } from "./uninstall.ts";

export const inAmbient = "small-ambient";
export const withSidecars = "small-sidecars";
const namespaces = [inAmbient, withSidecars] as const;
const file = "/passwd";
const expected = "root:";

/** The application's namespaces, which enforce the level `restricted`. */
export function smallNamespaces(): object[] {
  return [
    namespaceObject(inAmbient, { ...ambient, ...restricted }),
    namespaceObject(withSidecars, { "istio-injection": "enabled", ...restricted }),
  ];
}

/** Applies the application with a gateway and a waypoint. Resolves when it answers requests. */
export async function applySmallApplication(bench: Bench): Promise<void> {
  const { cluster } = bench;
  const parentRefs = [{ name: "door" }];
  const listener = { name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "Same" } } };
  await applyText(bench, [
    ...namespaces.flatMap(restrictedWeb),
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "Gateway",
      metadata: { name: "door", namespace: inAmbient },
      spec: { gatewayClassName: "istio", listeners: [listener] },
    },
    {
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name: "door", namespace: inAmbient },
      spec: { parentRefs, rules: [{ backendRefs: [{ name: "web", port: 80 }] }] },
    },
  ]);
  await cluster.serin("waypoint", "apply", "-n", inAmbient, "--enroll-namespace", "--wait");
  for (const namespace of namespaces) await cluster.available(namespace);
  await everyModeAnswers(bench);
}

async function doorUrl(bench: Bench): Promise<string> {
  return `http://${await addressOf(bench, "door-istio", inAmbient)}${file}`;
}

async function everyModeAnswers(bench: Bench): Promise<void> {
  const { cluster } = bench;
  const url = await doorUrl(bench);
  await eventually(`${url} answers`, async () => {
    const { output } = await cluster.run(["curl", "-s", "-m", "3", url]);
    return output.includes(expected);
  });
  for (const from of namespaces)
    for (const to of namespaces)
      await eventually(`a pod of ${from} is answered by ${to}`, async () => {
        const { code, output } = await cluster.ask({ namespace: from, pod: "deploy/web" }, `http://web.${to}${file}`);
        return code === 0 && output.includes(expected);
      });
}

const asker = "asker";
const failed = "got no answer";

/**
 * A pod that calls both applications all the time: the checks of an upgrade count requests at waypoints and at clients'
 * sidecars.
 */
function askerObject(namespace: string): object {
  const asks = namespaces.map((name) => {
    const url = `http://web.${name}${file}`;
    return `${boundedGet(url, 10).join(" ")} | grep -q ${expected} || echo "$(date) ${url} ${failed}"`;
  });
  return deploymentObject({
    name: asker,
    namespace,
    image: busyboxImage,
    command: ["sh", "-c", `while sleep 0.1; do ${asks.join("; ")}; done`],
    container: restrictedContainer,
  });
}

interface SmallUpgrade {
  readonly values?: object;
  readonly hub?: string;
}

/** Moves the mesh to the next release and back, while requests pass through the gateway. */
export async function thereAndBack(bench: Bench, { values = {}, hub }: SmallUpgrade = {}): Promise<number> {
  const { cluster, load, next } = bench;
  const url = await doorUrl(bench);
  const stop = load.begin("door", [{ name: "door", url, expected, perSecond: 8 }]);
  const name = "small";
  try {
    const upgrade = upgradeObject(name, "next", next.version, values);
    if (hub !== undefined) {
      // The CNI agent inherits it.
      const { to } = upgrade["spec"] as { to: { install: { hub?: string }[] } };
      for (const part of to.install) part.hub = hub;
    }
    // A MeshUpgrade of this name that an earlier case has left would not run again.
    await cluster.kubectl("delete", "meshupgrade", name, "--ignore-not-found", "--timeout=120s");
    await applyText(bench, namespaces.map(askerObject));
    for (const namespace of namespaces) await cluster.available(namespace);
    await cluster.api.apply([upgrade]);
    const { completedSteps } = await ended(bench, name, ["Completed"]);
    await everyModeAnswers(bench);
    await cluster.serin("upgrade", "rollback", name);
    await ended(bench, name, ["RolledBack"]);
    await everyModeAnswers(bench);
    await cluster.kubectl("delete", "meshupgrade", name);
    for (const namespace of namespaces) await nothingFailed(bench, namespace);
    return completedSteps.length;
  } finally {
    await stop();
  }
}

async function nothingFailed({ cluster }: Bench, namespace: string): Promise<void> {
  const log = await cluster.kubectl("logs", "-n", namespace, `deploy/${asker}`, "-c", "main");
  const faults = log.split("\n").filter((line) => line.includes(failed));
  if (faults.length > 0) throw new Error(`${faults.length} requests failed:\n${faults.slice(0, 5).join("\n")}`);
}

/** Removes the application. Deletes its Gateways first, as the guide says. */
export async function removeSmallApplication(bench: Bench): Promise<void> {
  await deleteGateways(bench, inAmbient);
  await bench.cluster.deleteNamespaces(...namespaces, "serin-probes");
}

/** The images of all containers in the mesh and the application, with the pods that run them. */
export async function imagesInUse({ cluster }: Bench): Promise<string[]> {
  const lists = await Promise.all(
    ["istio-system", "serin-system", ...namespaces].map(
      async (namespace) => (await cluster.api.client.list(podKind, { namespace })).items,
    ),
  );
  return lists
    .flat()
    .flatMap(({ metadata, spec }) =>
      [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ image }) => `${metadata.name} ${image}`),
    );
}
