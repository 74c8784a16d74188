import type { UntypedObject } from "../../api/index.ts";
import { probeNamespace } from "../decide/index.ts";
import {
  gatewayName,
  hasPlane,
  probePairs,
  probePort,
  serverName,
  strictProbePort,
  waypointName,
  type ProbeScope,
} from "./probe-pairs.ts";

/**
 * Policies that make the probes independent of the mesh's own policies. All probes may talk to each other. One port
 * accepts plain text, so that unencrypted traffic is noticed, and one port refuses it, to probe the refusal. Clients
 * accept plain text, because the engine, which asks them to probe, may be outside the mesh.
 */
export function probePolicies(): UntypedObject[] {
  const named = (kind: string, spec: object, name = "probes"): UntypedObject => ({
    apiVersion: "security.istio.io/v1",
    kind,
    metadata: { name, namespace: probeNamespace },
    spec,
  });
  const clients = { selector: { matchLabels: { app: "probe-client" } }, mtls: { mode: "PERMISSIVE" } };
  return [
    named("PeerAuthentication", clients, "probe-clients"),
    named("PeerAuthentication", {
      selector: { matchLabels: { app: "probe-server" } },
      mtls: { mode: "PERMISSIVE" },
      portLevelMtls: { [strictProbePort]: { mode: "STRICT" } },
    }),
    named("AuthorizationPolicy", { action: "ALLOW", rules: [{}] }),
  ];
}

export function waypointLabels(revision: string): Record<string, string> {
  return { "istio.io/use-waypoint": waypointName(revision), "istio.io/ingress-use-waypoint": "true" };
}

export interface ProbePlacement {
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly object[];
}

const parametersName = "probe-proxies";

/**
 * How long a proxy of the probes may take to end. With the hour that a Gateway's proxy has by default, the probes'
 * namespace would be deleted late: Kubernetes looks at it again only after half of the longest grace period of its
 * pods, or after five minutes. No probe keeps a connection open for longer than this.
 */
const graceSeconds = 30;

/** The ConfigMap with the fields of the proxies' pods. The control planes that deploy them read it. */
export function probeParameters(placement: ProbePlacement = {}): UntypedObject {
  const pod = { terminationGracePeriodSeconds: graceSeconds, ...placement };
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: parametersName, namespace: probeNamespace },
    data: { deployment: JSON.stringify({ spec: { template: { spec: pod } } }) },
  };
}

/** The gateways and waypoints of the matrix, and the routes from gateways to servers. */
export function probeMeshObjects(scope: ProbeScope): UntypedObject[] {
  const gateways = hasPlane(scope, "gateway") ? scope.revisions : [];
  const waypoints = hasPlane(scope, "waypoint") ? scope.revisions : [];
  const infrastructure = { parametersRef: { group: "", kind: "ConfigMap", name: parametersName } };
  return [
    ...waypoints.map((revision) => waypoint(revision, infrastructure)),
    ...gateways.map((revision) => gateway(revision, infrastructure)),
    ...gateways.map((revision) => routes(revision, scope)),
  ];
}

function waypoint(revision: string, infrastructure: object): UntypedObject {
  return {
    apiVersion: gatewayApiVersion,
    kind: "Gateway",
    metadata: {
      name: waypointName(revision),
      namespace: probeNamespace,
      labels: { "istio.io/rev": revision, "istio.io/waypoint-for": "service" },
    },
    spec: {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
      infrastructure,
    },
  };
}

const gatewayApiVersion = "gateway.networking.k8s.io/v1";
const gatewayPort = 80;

function gateway(revision: string, infrastructure: object): UntypedObject {
  return {
    apiVersion: gatewayApiVersion,
    kind: "Gateway",
    metadata: {
      name: gatewayName(revision),
      namespace: probeNamespace,
      labels: { "istio.io/rev": revision },
      annotations: { "networking.istio.io/service-type": "ClusterIP" },
    },
    spec: {
      gatewayClassName: "istio",
      listeners: [{ name: "http", port: gatewayPort, protocol: "HTTP" }],
      infrastructure,
    },
  };
}

/** Routes each path such as `/server-ambient-1-18-1` to the Service of that name. */
function routes(revision: string, scope: ProbeScope): UntypedObject {
  const servers = probePairs(scope)
    .filter(({ from }) => from.dataPlane === "gateway" && from.revision === revision)
    .map(({ to }) => serverName(to));
  return {
    apiVersion: gatewayApiVersion,
    kind: "HTTPRoute",
    metadata: { name: gatewayName(revision), namespace: probeNamespace },
    spec: {
      parentRefs: [{ name: gatewayName(revision) }],
      rules: servers.map((name) => ({
        matches: [{ path: { type: "PathPrefix", value: `/${name}` } }],
        backendRefs: [{ name, port: probePort }],
      })),
    },
  };
}
