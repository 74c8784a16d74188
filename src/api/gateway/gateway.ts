import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject, LabelSelector } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { areRepeated, Reader } from "../reader.ts";
import { maxPort, readPortNumber } from "../istio/fields.ts";
import { checkSectionName, gatewayGroup, readHostname, warnOfUnknown } from "./references.ts";

export interface Gateway extends KubernetesObject {
  spec: {
    gatewayClassName: string;
    listeners: Listener[];
    addresses?: GatewayAddress[] | undefined;
    infrastructure?: GatewayInfrastructure | undefined;
    /** The namespaces whose ListenerSets may add listeners to the Gateway. Absent means none. */
    allowedListeners?: AllowedNamespaces | undefined;
    tls?: GatewayTls | undefined;
  };
  status?: GatewayStatus;
}

export interface GatewayInfrastructure {
  labels?: Record<string, string> | undefined;
  annotations?: Record<string, string> | undefined;
  /** An object in the Gateway's namespace. */
  parametersRef?: { group: string; kind: string; name: string } | undefined;
}

export interface GatewayTls {
  /** How the Gateway connects to backends: with this client certificate. */
  backend?: { clientCertificateRef?: SecretObjectReference | undefined } | undefined;
  /** How clients must authenticate: a setting for each port in `perPort`, and a default for the others. */
  frontend?: { default: FrontendTls; perPort: { port: number; tls: FrontendTls }[] } | undefined;
}

export interface FrontendTls {
  validation?: FrontendValidation | undefined;
}

export interface FrontendValidation {
  caCertificateRefs: { group: string; kind: string; name: string; namespace?: string | undefined }[];
  mode: "AllowValidOnly" | "AllowInsecureFallback";
}

export interface SecretObjectReference {
  group: string;
  kind: string;
  name: string;
  namespace?: string | undefined;
}

export interface AllowedNamespaces {
  from: "All" | "Same" | "Selector" | "None";
  selector?: LabelSelector | undefined;
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
  certificateRefs: SecretObjectReference[];
  options: Record<string, string>;
}

export interface AllowedRoutes {
  namespaces: AllowedNamespaces;
  /** Empty means all kinds that fit the protocol. */
  kinds: RouteGroupKind[];
}

export interface RouteGroupKind {
  group: string;
  kind: string;
}

export interface GatewayAddress {
  type?: string | undefined;
  /** An empty value in a spec means any address of the type. */
  value: string;
}

export interface GatewayStatus {
  addresses?: GatewayAddress[];
  attachedListenerSets?: number;
  conditions?: Condition[];
  listeners?: ListenerStatus[];
}

export interface ListenerStatus {
  name: string;
  attachedRoutes: number;
  supportedKinds: RouteGroupKind[];
  conditions: Condition[];
}

const maxListeners = 64;
/** The default of `listeners` in v1alpha2 (manifests/crds/gateway-api-lab.yaml). */
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
  }
  const rest = spec === undefined ? undefined : readRest(spec);
  return object.finish(() => ({ ...(raw as Gateway), spec: { gatewayClassName, listeners, ...rest } }));
}

function readRest(spec: Reader): Omit<Gateway["spec"], "gatewayClassName" | "listeners"> {
  const allowed = spec.object("allowedListeners");
  const rest = {
    addresses: readAddresses(spec),
    infrastructure: readInfrastructure(spec.object("infrastructure")),
    allowedListeners: allowed === undefined ? undefined : readNamespaces(allowed.object("namespaces"), "None"),
    tls: readGatewayTls(spec.object("tls")),
  };
  if (spec.has("defaultScope") && spec.string("defaultScope") !== "None")
    spec.warnNoEffect("has no effect: routes have no default Gateway", "defaultScope");
  warnOfUnknown(spec);
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as typeof rest;
}

function readAddresses(spec: Reader): GatewayAddress[] | undefined {
  if (!spec.has("addresses")) return undefined;
  return spec.objects("addresses").map((reader) => {
    const address = { type: reader.string("type") ?? "IPAddress", value: reader.string("value") ?? "" };
    warnOfUnknown(reader);
    return address;
  });
}

function readInfrastructure(reader: Reader | undefined): GatewayInfrastructure | undefined {
  if (reader === undefined) return undefined;
  const parameters = reader.object("parametersRef");
  const infrastructure: GatewayInfrastructure = {
    ...(reader.has("labels") ? { labels: { ...reader.stringMap("labels") } } : {}),
    ...(reader.has("annotations") ? { annotations: { ...reader.stringMap("annotations") } } : {}),
    ...(parameters === undefined
      ? {}
      : {
          parametersRef: {
            group: parameters.string("group") ?? "",
            kind: parameters.required("kind", parameters.string("kind")) ?? "",
            name: parameters.required("name", parameters.string("name")) ?? "",
          },
        }),
  };
  warnOfUnknown(reader);
  return infrastructure;
}

function readGatewayTls(reader: Reader | undefined): GatewayTls | undefined {
  if (reader === undefined) return undefined;
  const backend = reader.object("backend");
  const client = backend?.object("clientCertificateRef");
  const frontend = reader.object("frontend");
  const tls: GatewayTls = {
    ...(backend === undefined
      ? {}
      : { backend: client === undefined ? {} : { clientCertificateRef: readSecretReference(client) } }),
    ...(frontend === undefined ? {} : { frontend: readFrontend(frontend) }),
  };
  if (client !== undefined)
    backend?.warn(
      "is checked, but not presented to backends: use a DestinationRule with TLS of mode MUTUAL",
      "clientCertificateRef",
    );
  if (backend !== undefined) warnOfUnknown(backend);
  warnOfUnknown(reader);
  return tls;
}

function readFrontend(reader: Reader): NonNullable<GatewayTls["frontend"]> {
  const otherwise = reader.required("default", reader.object("default"));
  const perPort = reader.objects("perPort").map((entry) => ({
    port: entry.required("port", readPortNumber(entry, "port")) ?? 0,
    tls: readFrontendTls(entry.required("tls", entry.object("tls")) ?? entry.empty("tls")),
  }));
  const repeated = areRepeated(perPort.map(({ port }) => port));
  for (const [index, { port }] of perPort.entries()) {
    if (repeated[index] === true) reader.error(`must be unique, ${port} appears twice`, `perPort[${index}].port`);
  }
  warnOfUnknown(reader);
  return { default: otherwise === undefined ? {} : readFrontendTls(otherwise), perPort };
}

function readFrontendTls(reader: Reader): FrontendTls {
  const validation = reader.object("validation");
  warnOfUnknown(reader);
  if (validation === undefined) return {};
  const caCertificateRefs = validation.objects("caCertificateRefs").map((reference) => ({
    group: reference.string("group") ?? "",
    kind: reference.required("kind", reference.string("kind")) ?? "",
    name: reference.required("name", reference.string("name")) ?? "",
    namespace: reference.string("namespace"),
  }));
  if (caCertificateRefs.length === 0) validation.error("must have at least one reference", "caCertificateRefs");
  const mode = validation.oneOf("mode", ["AllowValidOnly", "AllowInsecureFallback"]) ?? "AllowValidOnly";
  warnOfUnknown(validation);
  return { validation: { caCertificateRefs, mode } };
}

function readSecretReference(reference: Reader): SecretObjectReference {
  return {
    group: reference.string("group") ?? "",
    kind: reference.string("kind") ?? "Secret",
    name: reference.required("name", reference.string("name")) ?? "",
    namespace: reference.string("namespace"),
  };
}

/**
 * Reads the listeners. A Gateway of v1alpha2 without the field gets the HBONE listener that the CRD of v1alpha2 has as
 * its default.
 */
function readListeners(spec: Reader, apiVersion: string | undefined): Listener[] {
  if (apiVersion !== `${gatewayGroup}/v1alpha2` || spec.has("listeners"))
    return spec.objects("listeners").map((listener) => readListener(listener));
  spec.warn(
    `is absent: a cluster that serves v1alpha2, such as Serin's lab, adds one HBONE listener "${meshListener.name}" on ${meshListener.port}; for other clusters, write the listener, in v1`,
    "listeners",
  );
  return [
    {
      ...meshListener,
      hostname: undefined,
      tls: undefined,
      allowedRoutes: { namespaces: { from: "Same", selector: undefined }, kinds: [] },
    },
  ];
}

export function checkListeners(spec: Reader, listeners: readonly Listener[]): void {
  if (listeners.length === 0) spec.error("must have at least one listener", "listeners");
  if (listeners.length > maxListeners)
    spec.error(`must have at most ${maxListeners} listeners, got ${listeners.length}`, "listeners");
  const names = new Set<string>();
  for (const [index, listener] of listeners.entries()) {
    if (names.has(listener.name))
      spec.error(`must be unique in the Gateway, "${listener.name}" appears twice`, `listeners[${index}].name`);
    names.add(listener.name);
  }
}

/** `portOf` returns the port of a listener that sets none. */
export function readListener(
  reader: Reader,
  portOf: (protocol: string) => number | undefined = () => undefined,
): Listener {
  const name = reader.required("name", reader.string("name")) ?? "";
  if (name !== "") checkSectionName(name, (message) => reader.error(message, "name"));
  const protocol = reader.required("protocol", reader.string("protocol")) ?? "";
  const port = portOf(protocol);
  const listener: Listener = {
    name,
    hostname: readHostname(reader, "hostname"),
    port:
      (port === undefined ? reader.required("port", readPortNumber(reader, "port")) : readOptionalPort(reader, port)) ??
      0,
    protocol,
    tls: readTls(reader.object("tls")),
    allowedRoutes: readAllowedRoutes(reader.object("allowedRoutes")),
  };
  if (
    listener.protocol !== "" &&
    !protocols.includes(listener.protocol as "HTTP") &&
    !/^[a-zA-Z0-9.\-/]+$/.test(listener.protocol)
  ) {
    reader.error(
      `must be ${protocols.join(", ")} or an implementation's own name, got "${listener.protocol}"`,
      "protocol",
    );
  }
  if (["HTTP", "TCP", "UDP"].includes(listener.protocol) && listener.tls !== undefined)
    reader.error(`must not be set when the protocol is ${listener.protocol}`, "tls");
  if (["TCP", "UDP"].includes(listener.protocol) && listener.hostname !== undefined)
    reader.error(`must not be set when the protocol is ${listener.protocol}`, "hostname");
  warnOfUnknown(reader);
  return listener;
}

/** 0 means that no port is set, because the CRD sets an absent port to 0. */
function readOptionalPort(reader: Reader, otherwise: number): number | undefined {
  const port = reader.integer("port", 0, maxPort);
  return port === undefined || port === 0 ? otherwise : port;
}

function readTls(reader: Reader | undefined): ListenerTls | undefined {
  if (reader === undefined) return undefined;
  const tls: ListenerTls = {
    mode: reader.oneOf("mode", ["Terminate", "Passthrough"]) ?? "Terminate",
    certificateRefs: reader.objects("certificateRefs").map(readSecretReference),
    options: { ...reader.stringMap("options") },
  };
  warnOfUnknown(reader);
  return tls;
}

function readAllowedRoutes(reader: Reader | undefined): AllowedRoutes {
  const kinds = (reader?.objects("kinds") ?? []).map((kind) => ({
    group: kind.string("group") ?? gatewayGroup,
    kind: kind.required("kind", kind.string("kind")) ?? "",
  }));
  const routes: AllowedRoutes = { namespaces: readNamespaces(reader?.object("namespaces"), "Same"), kinds };
  if (reader !== undefined) warnOfUnknown(reader);
  return routes;
}

function readNamespaces(namespaces: Reader | undefined, otherwise: AllowedNamespaces["from"]): AllowedNamespaces {
  const from = namespaces?.oneOf("from", ["All", "Same", "Selector", "None"]) ?? otherwise;
  const selector = namespaces?.object("selector");
  if (from === "Selector" && selector === undefined) namespaces?.error("is required when from is Selector", "selector");
  return { from, selector: selector?.raw as LabelSelector | undefined };
}

export const gatewayKind = defineKind<Gateway>({
  group: gatewayGroup,
  versions: ["v1", "v1beta1", "v1alpha2"],
  kind: "Gateway",
  plural: "gateways",
  namespaced: true,
  parse: parseGateway,
});
