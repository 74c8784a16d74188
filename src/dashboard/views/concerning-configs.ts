import { treeOf, treesOf, stringOf, type Tree } from "../../base/index.ts";
import { matchesLabels, type UntypedObject } from "../../api/index.ts";
import type { Inventory, Workload } from "./inventory.ts";
import { isVisible, type VisibleNamespaces } from "./view-input.ts";

const bySelector = new Set([
  "AuthorizationPolicy",
  "PeerAuthentication",
  "RequestAuthentication",
  "Telemetry",
  "WasmPlugin",
  "Sidecar",
  "EnvoyFilter",
  "ProxyConfig",
  "TrafficExtension",
]);

export function configsOfWorkload(
  workload: Workload,
  inventory: Inventory,
  visible: VisibleNamespaces,
): UntypedObject[] {
  const services = new Set(inventory.servicesOf.get(workload.key) ?? []);
  return inventory.objects.configs
    .filter((object) => isVisible(visible, object.metadata.namespace ?? ""))
    .filter((object) => selects(object, workload) || [...services].some((service) => concernsService(object, service)));
}

export function configsOfService(key: string, inventory: Inventory, visible: VisibleNamespaces): UntypedObject[] {
  return inventory.objects.configs.filter(
    (object) => isVisible(visible, object.metadata.namespace ?? "") && concernsService(object, key),
  );
}

function selects(object: UntypedObject, workload: Workload): boolean {
  if (!bySelector.has(object.kind ?? "") || object.metadata.namespace !== workload.namespace) return false;
  const { targetRef, targetRefs, workloadSelector, selector } = treeOf(object["spec"]);
  if (targetRef !== undefined || treesOf(targetRefs).length > 0) return false;
  const labels = treeOf(treeOf(workloadSelector)["labels"] ?? treeOf(selector)["matchLabels"]) as Readonly<
    Record<string, string>
  >;
  return Object.keys(labels).length === 0 || matchesLabels(labels, workload.labels);
}

function concernsService({ kind, metadata, ...rest }: UntypedObject, key: string): boolean {
  const spec = treeOf(rest["spec"]);
  const home = metadata.namespace ?? "";
  const isHost = (host: unknown): boolean => typeof host === "string" && serviceKeyOf(host, home) === key;
  const isOneHost = (hosts: unknown): boolean => Array.isArray(hosts) && hosts.some(isHost);
  const isReference = ({ kind: of = "Service", name = "", namespace = home }: Tree): boolean =>
    of === "Service" && `${stringOf(namespace)}/${stringOf(name)}` === key;
  switch (kind) {
    case "DestinationRule":
      return isHost(spec["host"]);
    case "ServiceEntry":
      return isOneHost(spec["hosts"]);
    case "VirtualService":
      return (
        isOneHost(spec["hosts"]) ||
        ["http", "tcp", "tls"]
          .flatMap((section) => treesOf(spec[section]))
          .some(({ route }) => treesOf(route).some(({ destination }) => isHost(treeOf(destination)["host"])))
      );
    default: {
      const named = [
        ...treesOf(spec["targetRefs"]),
        ...treesOf([spec["targetRef"]]),
        ...treesOf(spec["parentRefs"]).filter(({ kind: of }) => of === "Service"),
      ];
      const backends =
        kind?.endsWith("Route") === true
          ? treesOf(spec["rules"]).flatMap(({ backendRefs }) => treesOf(backendRefs))
          : [];
      return [...named, ...backends].some(isReference);
    }
  }
}

export function serviceKeyOf(host: string, home: string): string {
  const [name = "", namespace = home] = host.replace(/\.svc(\..*)?$/, "").split(".");
  return `${namespace}/${name}`;
}
