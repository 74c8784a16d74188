import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject, LabelSelector } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { checkSectionName, gatewayGroup, readHostname, warnOfUnknown } from "./references.ts";

export interface Gateway extends KubernetesObject {
  spec: {
    gatewayClassName: string;
    listeners: Listener[];
    addresses?: GatewayAddress[] | undefined;
    infrastructure?: { labels?: Record<string, string>; annotations?: Record<string, string>; parametersRef?: { group: string; kind: string; name: string } } | undefined;
  };
  status?: GatewayStatus;
}

export interface Listener {
  name: string;
  hostname?: string | undefined;
  port: number;
  /** HTTP, HTTPS, TLS, TCP, UDP, or Istio's HBONE. */
  protocol: string;
  tls?: ListenerTls | undefined;
  allowedRoutes: AllowedRoutes;
}

export interface ListenerTls {
  mode: "Terminate" | "Passthrough";
  certificateRefs: { group: string; kind: string; name: string; namespace?: string | undefined }[];
  options: Record<string, string>;
}

export interface AllowedRoutes {
  namespaces: { from: "All" | "Same" | "Selector" | "None"; selector?: LabelSelector | undefined };
  /** Empty: those of the protocol. */
  kinds: RouteGroupKind[];
}

export interface RouteGroupKind {
  group: string;
  kind: string;
}

export interface GatewayAddress {
  type?: string | undefined;
  value: string;
}

export interface GatewayStatus {
  addresses?: GatewayAddress[];
  conditions?: Condition[];
  listeners?: ListenerStatus[];
}

export interface ListenerStatus {
  name: string;
  attachedRoutes: number;
  supportedKinds: RouteGroupKind[];
  conditions: Condition[];
}

const maxPort = 65_535;
const maxListeners = 64;
/** What `listeners` defaults to in v1alpha2 (manifests/crds/gateway-api-lab.yaml). */
export const meshListener = { name: "mesh", port: 15_008, protocol: "HBONE" } as const;
const protocols = ["HTTP", "HTTPS", "TLS", "TCP", "UDP"] as const;

export function parseGateway(raw: unknown): Parsed<Gateway> {
  const object = new Reader(raw);
  const spec = object.object("spec");
  if (spec === undefined) object.required("spec", undefined);
  const gatewayClassName = spec?.required("gatewayClassName", spec.string("gatewayClassName")) ?? "";
  const listeners = spec === undefined ? [] : readListeners(spec, object.string("apiVersion"));
  if (spec !== undefined) {
    checkListeners(spec, listeners);
    spec.ignore("addresses", "infrastructure");
    warnOfUnknown(spec);
  }
  return object.finish(() => ({ ...(raw as Gateway), spec: { ...(raw as Gateway).spec, gatewayClassName, listeners } }));
}

/** Of v1alpha2 alone, Serin's lab fills in what a mesh of that time meant. */
function readListeners(spec: Reader, apiVersion: string | undefined): Listener[] {
  if (apiVersion !== `${gatewayGroup}/v1alpha2` || spec.has("listeners")) return spec.objects("listeners").map(readListener);
  spec.warn(`is absent: a cluster that serves v1alpha2 as Serin's lab does adds one HBONE listener "${meshListener.name}" on ${meshListener.port}; elsewhere write it out, in v1`, "listeners");
  return [{ ...meshListener, hostname: undefined, tls: undefined, allowedRoutes: { namespaces: { from: "Same", selector: undefined }, kinds: [] } }];
}

export function checkListeners(spec: Reader, listeners: readonly Listener[]): void {
  if (listeners.length === 0) spec.error("must have at least one listener", "listeners");
  if (listeners.length > maxListeners) spec.error(`must have at most ${maxListeners} listeners, got ${listeners.length}`, "listeners");
  const names = new Set<string>();
  for (const [index, listener] of listeners.entries()) {
    if (names.has(listener.name)) spec.error(`must be unique in the Gateway, "${listener.name}" is there twice`, `listeners[${index}].name`);
    names.add(listener.name);
  }
}

export function readListener(reader: Reader): Listener {
  const name = reader.required("name", reader.string("name")) ?? "";
  if (name !== "") checkSectionName(name, (message) => reader.error(message, "name"));
  const listener: Listener = {
    name,
    hostname: readHostname(reader, "hostname"),
    port: reader.required("port", reader.integer("port", 1, maxPort)) ?? 0,
    protocol: reader.required("protocol", reader.string("protocol")) ?? "",
    tls: readTls(reader.object("tls")),
    allowedRoutes: readAllowedRoutes(reader.object("allowedRoutes")),
  };
  if (listener.protocol !== "" && !protocols.includes(listener.protocol as "HTTP") && !/^[a-zA-Z0-9.\-/]+$/.test(listener.protocol)) {
    reader.error(`must be ${protocols.join(", ")} or a name of an implementation, got "${listener.protocol}"`, "protocol");
  }
  if (["HTTP", "TCP", "UDP"].includes(listener.protocol) && listener.tls !== undefined) reader.error(`must not be set when the protocol is ${listener.protocol}`, "tls");
  if (["TCP", "UDP"].includes(listener.protocol) && listener.hostname !== undefined) reader.error(`must not be set when the protocol is ${listener.protocol}`, "hostname");
  warnOfUnknown(reader);
  return listener;
}

function readTls(reader: Reader | undefined): ListenerTls | undefined {
  if (reader === undefined) return undefined;
  const tls: ListenerTls = {
    mode: reader.oneOf("mode", ["Terminate", "Passthrough"]) ?? "Terminate",
    certificateRefs: reader.objects("certificateRefs").map((reference) => ({
      group: reference.string("group") ?? "",
      kind: reference.string("kind") ?? "Secret",
      name: reference.required("name", reference.string("name")) ?? "",
      namespace: reference.string("namespace"),
    })),
    options: { ...reader.stringMap("options") },
  };
  warnOfUnknown(reader);
  return tls;
}

function readAllowedRoutes(reader: Reader | undefined): AllowedRoutes {
  const namespaces = reader?.object("namespaces");
  const from = namespaces?.oneOf("from", ["All", "Same", "Selector", "None"]) ?? "Same";
  const selector = namespaces?.object("selector");
  if (from === "Selector" && selector === undefined) namespaces?.error("is required when from is Selector", "selector");
  const kinds = (reader?.objects("kinds") ?? []).map((kind) => ({
    group: kind.string("group") ?? gatewayGroup,
    kind: kind.required("kind", kind.string("kind")) ?? "",
  }));
  if (reader !== undefined) warnOfUnknown(reader);
  return { namespaces: { from, selector: selector?.raw as LabelSelector | undefined }, kinds };
}

export const gatewayKind = defineKind<Gateway>({
  group: gatewayGroup,
  versions: ["v1", "v1beta1", "v1alpha2"],
  kind: "Gateway",
  plural: "gateways",
  namespaced: true,
  parse: parseGateway,
});
