import { matchesLabels, type UntypedObject } from "../../api/index.ts";
import type { Inventory, Workload } from "./inventory.ts";
import { isVisible, type VisibleNamespaces } from "./view-input.ts";

interface LooseSpec {
  readonly host?: string;
  readonly hosts?: readonly unknown[];
  readonly selector?: { readonly matchLabels?: Record<string, string> } & Record<string, unknown>;
  readonly workloadSelector?: { readonly labels?: Record<string, string> };
  readonly targetRef?: Reference;
  readonly targetRefs?: readonly Reference[];
  readonly parentRefs?: readonly Reference[];
  readonly rules?: readonly { readonly backendRefs?: readonly Reference[] }[];
  readonly http?: readonly { readonly route?: readonly { readonly destination?: { readonly host?: string } }[] }[];
  readonly tcp?: LooseSpec["http"];
  readonly tls?: LooseSpec["http"];
}

interface Reference {
  readonly kind?: string;
  readonly name?: string;
  readonly namespace?: string;
}

const bySelector = new Set(["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "Telemetry", "WasmPlugin", "Sidecar", "EnvoyFilter", "ProxyConfig", "TrafficExtension"]);

/** Objects that say something of the workload: policies that select it, and what concerns its services; those that may be seen. */
export function configsOfWorkload(workload: Workload, inventory: Inventory, visible: VisibleNamespaces): UntypedObject[] {
  const services = new Set(inventory.servicesOf.get(workload.key) ?? []);
  return inventory.objects.configs.filter((object) => isVisible(visible, object.metadata.namespace ?? "")).filter((object) => selects(object, workload) || [...services].some((service) => concernsService(object, service)));
}

export function configsOfService(key: string, inventory: Inventory, visible: VisibleNamespaces): UntypedObject[] {
  return inventory.objects.configs.filter((object) => isVisible(visible, object.metadata.namespace ?? "") && concernsService(object, key));
}

function selects(object: UntypedObject, workload: Workload): boolean {
  if (!bySelector.has(object.kind ?? "") || object.metadata.namespace !== workload.namespace) return false;
  const spec = (object["spec"] ?? {}) as LooseSpec;
  if (spec.targetRef !== undefined || (spec.targetRefs?.length ?? 0) > 0) return false;
  const labels = spec.workloadSelector?.labels ?? spec.selector?.matchLabels ?? {};
  return Object.keys(labels).length === 0 || matchesLabels(labels, workload.labels);
}

/** Whether it routes to the Service, or says how it is reached. */
function concernsService({ kind, metadata, ...rest }: UntypedObject, key: string): boolean {
  const spec = (rest["spec"] ?? {}) as LooseSpec;
  const home = metadata.namespace ?? "";
  const isHost = (host: unknown): boolean => typeof host === "string" && serviceKeyOf(host, home) === key;
  const isReference = ({ kind: of = "Service", name = "", namespace = home }: Reference): boolean => of === "Service" && `${namespace}/${name}` === key;
  switch (kind) {
    case "DestinationRule":
      return isHost(spec.host);
    case "ServiceEntry":
      return spec.hosts?.some(isHost) === true;
    case "VirtualService":
      return spec.hosts?.some(isHost) === true || [...(spec.http ?? []), ...(spec.tcp ?? []), ...(spec.tls ?? [])].some(({ route = [] }) => route.some(({ destination }) => isHost(destination?.host)));
    default: {
      const named = [...(spec.targetRefs ?? []), ...(spec.targetRef === undefined ? [] : [spec.targetRef]), ...(spec.parentRefs ?? []).filter(({ kind: of }) => of === "Service")];
      const backends = Array.isArray(spec.rules) && kind?.endsWith("Route") === true ? spec.rules.flatMap(({ backendRefs = [] }) => backendRefs) : [];
      return [...named, ...backends].some(isReference);
    }
  }
}

function serviceKeyOf(host: string, home: string): string {
  const [name = "", namespace = home] = host.replace(/\.svc(\..*)?$/, "").split(".");
  return `${namespace}/${name}`;
}
