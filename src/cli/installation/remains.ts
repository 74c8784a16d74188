import { gatewayClassKind, storedGatewayClass } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { configMapKind, deploymentKind, namespaceKind } from "../../api/kubernetes/index.ts";
import { keyOf } from "../../api/index.ts";
import { counted, messageOf } from "../../base/index.ts";
import { installedKinds } from "../../install/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";

interface Remains {
  readonly title: string;
  readonly command: string;
}

/** Namespaces in which only the mesh has objects. A MeshUpgrade creates `serin-probes`. */
const ownNamespaces = ["istio-system", "serin-system", "serin-probes"];
/** What a control plane copies into every namespace, with the names of the ConfigMaps. */
const copies = [
  ["the mesh's root", "istio-ca-root-cert"],
  ["the mesh's revocation lists", "istio-ca-crl"],
] as const;
const partOfIstio = "app.kubernetes.io/part-of=istio";
const istioControllers = /^istio\.io\//;

/**
 * Describes everything that a purge has left, with the commands that remove it. As in istioctl, a purge keeps the CRDs
 * with the users' objects, and the mesh's CA. `namespaces` are those of the removed control planes.
 */
export async function remainsText(client: KubeClient, namespaces: ReadonlySet<string>): Promise<string> {
  try {
    const found = [
      ...(await gateways(client)),
      ...(await definitions(client)),
      ...(await gatewayClasses(client)),
      ...(await copiesInNamespaces(client)),
      ...(await ownedNamespaces(client, namespaces)),
      ...(await operators(client)),
    ];
    if (found.length === 0) return "";
    const lines = found.map(({ title, command }) => `  ${title}\n    ${command}\n`);
    return `These stay, so that another installation goes on with them. To remove them:\n${lines.join("")}`;
  } catch (error) {
    return `! What stays in the cluster could not be read: ${messageOf(error)}. docs/kubernetes.md, "Uninstall", has the commands that remove it\n`;
  }
}

/** Controllers of IstioOperator objects, by their ClusterRoles, which outlive a deleted namespace. */
async function operators(client: KubeClient): Promise<Remains[]> {
  const kind = installedKinds.find((installed) => installed.kind === "ClusterRole");
  if (kind === undefined) return [];
  const labelSelector = "operator.istio.io/managed-by=serin";
  const roles = await client.list(kind, { labelSelector });
  const { items: running } = await client.list(deploymentKind, { labelSelector });
  const names = new Set(running.map(({ metadata }) => metadata.name));
  const stale = roles.items.map(({ metadata }) => metadata.name ?? "").filter((name) => !names.has(name));
  return [
    ...(running.length === 0
      ? []
      : [{ title: `operators ${running.map(keyOf).join(", ")}`, command: "serin operator remove --purge" }]),
    ...(stale.length === 0
      ? []
      : [
          {
            title: `the rights of operators that are gone: ClusterRoles ${stale.join(", ")}`,
            command: `kubectl delete clusterrole,clusterrolebinding ${stale.join(" ")}`,
          },
        ]),
  ];
}

/**
 * Gateways whose proxies stay, by namespace. Their certificates expire without a control plane. Leaves out the mesh's
 * own namespaces, because {@link ownedNamespaces} lists them as a whole.
 */
async function gateways(client: KubeClient): Promise<Remains[]> {
  const { items } = await client.list(deploymentKind, { labelSelector: istioLabels.gatewayManaged });
  return [...Map.groupBy(items, ({ metadata }) => metadata.namespace ?? "")]
    .filter(([namespace]) => !ownNamespaces.includes(namespace))
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([namespace, proxies]) => {
      const names = new Set(proxies.map(({ metadata }) => metadata.labels?.[istioLabels.gatewayName] ?? ""));
      const listed = [...names].filter((name) => name !== "").toSorted();
      return {
        title: `Gateways of namespace ${namespace}, whose proxies run without a control plane: ${listed.join(", ")}`,
        command: `kubectl delete gateways.gateway.networking.k8s.io -n ${namespace} ${listed.join(" ")}`,
      };
    });
}

async function definitions(client: KubeClient): Promise<Remains[]> {
  const kind = installedKinds.find((installed) => installed.kind === "CustomResourceDefinition");
  if (kind === undefined) return [];
  const { items } = await client.list(kind, { labelSelector: partOfIstio });
  if (items.length === 0) return [];
  return [
    {
      title: `${counted(items.length, "definition")} of kinds, with all objects of these kinds`,
      command: `kubectl delete customresourcedefinition -l ${partOfIstio}`,
    },
  ];
}

async function gatewayClasses(client: KubeClient): Promise<Remains[]> {
  const { items } = await client.list(gatewayClassKind).catch((error: unknown) => {
    if (isKubeCode(error, "not-found")) return { items: [] };
    throw error;
  });
  const names = items
    .map(storedGatewayClass)
    .filter(({ spec }) => istioControllers.test(spec.controllerName))
    .map(({ metadata }) => metadata.name ?? "");
  if (names.length === 0) return [];
  return [{ title: `GatewayClasses ${names.join(", ")}`, command: `kubectl delete gatewayclass ${names.join(" ")}` }];
}

async function copiesInNamespaces(client: KubeClient): Promise<Remains[]> {
  const found: Remains[] = [];
  for (const [what, name] of copies) {
    const selector = `metadata.name=${name}`;
    const read = await client.list(configMapKind, { fieldSelector: selector });
    const items = read.items.filter(({ metadata }) => metadata.name === name);
    if (items.length > 0)
      found.push({
        title: `${what}, ConfigMap ${name} in ${counted(items.length, "namespace")}`,
        command: `kubectl delete configmap -A --field-selector ${selector}`,
      });
  }
  return found;
}

async function ownedNamespaces(client: KubeClient, ofControlPlanes: ReadonlySet<string>): Promise<Remains[]> {
  const { items } = await client.list(namespaceKind);
  const names = items
    .map(({ metadata }) => metadata.name ?? "")
    .filter((name) => ownNamespaces.includes(name) || (ofControlPlanes.has(name) && !/^(kube-|default$)/.test(name)));
  if (names.length === 0) return [];
  return [
    {
      title: `namespaces ${names.join(", ")}, with everything in them, such as the mesh's authority`,
      command: `kubectl delete namespace ${names.join(" ")}`,
    },
  ];
}
