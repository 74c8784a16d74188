import { stringOf } from "../../base/index.ts";
import { matchesLabels, type UntypedObject } from "../../api/index.ts";
import type { Inventory, Workload } from "./inventory.ts";
import { isVisible, type VisibleNamespaces } from "./view-input.ts";

/** An object as somebody wrote it, whose fields may have any form. */
type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

/** The elements of a list that are objects. */
function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value)
    ? (value as readonly unknown[]).filter(
        (element): element is Fields => typeof element === "object" && element !== null,
      )
    : [];
}

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

/** The visible objects that concern the workload: policies that select it, and objects that concern its services. */
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
  const { targetRef, targetRefs, workloadSelector, selector } = fieldsOf(object["spec"]);
  if (targetRef !== undefined || listOf(targetRefs).length > 0) return false;
  const labels = fieldsOf(fieldsOf(workloadSelector)["labels"] ?? fieldsOf(selector)["matchLabels"]) as Readonly<
    Record<string, string>
  >;
  return Object.keys(labels).length === 0 || matchesLabels(labels, workload.labels);
}

/** Whether an object routes to the Service, or configures connections to it. */
function concernsService({ kind, metadata, ...rest }: UntypedObject, key: string): boolean {
  const spec = fieldsOf(rest["spec"]);
  const home = metadata.namespace ?? "";
  const isHost = (host: unknown): boolean => typeof host === "string" && serviceKeyOf(host, home) === key;
  const isOneHost = (hosts: unknown): boolean => Array.isArray(hosts) && hosts.some(isHost);
  const isReference = ({ kind: of = "Service", name = "", namespace = home }: Fields): boolean =>
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
          .flatMap((section) => listOf(spec[section]))
          .some(({ route }) => listOf(route).some(({ destination }) => isHost(fieldsOf(destination)["host"])))
      );
    default: {
      const named = [
        ...listOf(spec["targetRefs"]),
        ...listOf([spec["targetRef"]]),
        ...listOf(spec["parentRefs"]).filter(({ kind: of }) => of === "Service"),
      ];
      const backends =
        kind?.endsWith("Route") === true ? listOf(spec["rules"]).flatMap(({ backendRefs }) => listOf(backendRefs)) : [];
      return [...named, ...backends].some(isReference);
    }
  }
}

export function serviceKeyOf(host: string, home: string): string {
  const [name = "", namespace = home] = host.replace(/\.svc(\..*)?$/, "").split(".");
  return `${namespace}/${name}`;
}
