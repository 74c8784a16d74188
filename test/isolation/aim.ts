import type { UntypedObject } from "../../src/api/index.ts";
import type { Draw } from "./draw.ts";
import { openHost } from "./victim-mesh.ts";

type Spec = Record<string, unknown>;

const openHosts = ["evil.open.example.com", "other.open.example.com", openHost];
const routes: ReadonlySet<string> = new Set(["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"]);
/** Policies that select workloads or name their targets. */
const policies: ReadonlySet<string> = new Set([
  "AuthorizationPolicy",
  "RequestAuthentication",
  "Telemetry",
  "TrafficExtension",
  "WasmPlugin",
]);

/** Makes an object concern a proxy that the attacker shares, because random values seldom name one. */
export function aim(object: UntypedObject & { spec?: Spec }, draw: Draw): void {
  const { kind = "", metadata, spec } = object;
  if (spec === undefined) return;
  if (kind === "VirtualService") {
    spec["hosts"] = [draw.of(openHosts)];
    spec["gateways"] = ["edge/public"];
  } else if (routes.has(kind)) aimRoute(spec, draw);
  else if (policies.has(kind)) {
    metadata.namespace = "evil-ambient";
    delete spec["selector"];
    spec["targetRefs"] = [{ kind: "Service", group: "", name: "web" }];
  } else if (kind === "DestinationRule") {
    metadata.namespace = "evil-ambient";
    spec["host"] = draw.of(["web", "web.evil-ambient.svc.cluster.local"]);
  } else if (kind === "Gateway" && Array.isArray(spec["servers"])) {
    spec["selector"] = { istio: "ingressgateway" };
    for (const server of spec["servers"].filter(isRecord)) server["hosts"] = [draw.of(openHosts)];
  } else if (kind === "Ingress") {
    spec["ingressClassName"] = "istio";
    for (const rule of Array.isArray(spec["rules"]) ? spec["rules"].filter(isRecord) : [])
      rule["host"] = draw.of([...openHosts, "evil.example.com"]);
  } else if (kind === "ListenerSet") spec["parentRef"] = { name: "door", namespace: "edge" };
  else if (kind === "BackendTLSPolicy") {
    metadata.namespace = "evil-ambient";
    spec["targetRefs"] = [{ kind: "Service", group: "", name: "web" }];
  }
  leadToOwnService(spec);
}

/** Attaches a route to the shared gateway, or to a Service behind the shared waypoint. */
function aimRoute(spec: Spec, draw: Draw): void {
  const toGateway = draw.chance(0.6);
  spec["parentRefs"] = [toGateway ? { name: "door", namespace: "edge" } : { kind: "Service", group: "", name: "web" }];
  if (!toGateway) return;
  if (draw.chance(0.7)) spec["hostnames"] = [draw.of(openHosts)];
  else delete spec["hostnames"];
}

/** Replaces a route's targets with a Service that exists. */
function leadToOwnService(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === "destination" && isRecord(inner)) inner["host"] = "web";
    else if (key === "backendRefs" && Array.isArray(inner))
      for (const reference of inner.filter(isRecord)) {
        for (const field of ["namespace", "kind", "group"]) Reflect.deleteProperty(reference, field);
        Object.assign(reference, { name: "web", port: 80 });
      }
    leadToOwnService(inner);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
