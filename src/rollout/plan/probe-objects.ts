import { jsonEqual } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { nonRootUser, restrictedContext } from "../../api/pod-security/index.ts";
import { ztunnelRevisionLabel, type ObjectReference, type ProbeEnd } from "../../api/serin/index.ts";
import { probeNamespace, type SettleCondition } from "../decide/index.ts";
import {
  probeMeshObjects,
  probeParameters,
  probePolicies,
  waypointLabels,
  type ProbePlacement,
} from "./probe-mesh-objects.ts";
import {
  clientName,
  gatewayProxyName,
  hasPlane,
  plainClientName,
  probePairs,
  probePacePort,
  probePlanesAnnotation,
  probePort,
  serverName,
  serverPodName,
  strictProbePort,
  waypointName,
  type PlannedProbePair,
  type ProbeScope,
} from "./probe-pairs.ts";
import { reference, referenceTo } from "./references.ts";

export interface ProbePod extends ProbeEnd {
  readonly role: "client" | "server";
  readonly reference: ObjectReference;
}

/** Fields of the engine's pod that its probes need too: they pull from the same registry and run on the same nodes. */
export interface ProbePodSource extends ProbePlacement {
  /** Pull Secrets in the namespace of the probes. */
  readonly imagePullSecrets?: readonly { readonly name: string }[];
}

export interface ProbeObjectsInput extends ProbeScope {
  readonly image: string;
  readonly pod?: ProbePodSource;
}

/** The default node selector. A cluster may have nodes with Windows, which do not always have taints. */
const usualNodes = { "kubernetes.io/os": "linux" };

/**
 * The connections per second of all clients together while a step waits for them. At twice this rate, the probe pods
 * alone took 12 % of an upgrade's processor time.
 */
const totalConnectionsPerSecond = 50;
const shortestIntervalMs = 40;
/**
 * The longest time between the rounds of a client. A step waits for about five rounds, so the rounds of a large matrix
 * must not take much longer.
 */
const longestIntervalMs = 500;

/**
 * A client and a server pod for each revision and data plane. If gateways or refusals are probed, there is also one
 * client outside the mesh.
 */
export function probePods(scope: ProbeScope): ProbePod[] {
  const pod = (role: ProbePod["role"], end: ProbeEnd, name: string): ProbePod => ({
    ...end,
    role,
    reference: reference("v1", "Pod", name, probeNamespace),
  });
  const planes = (["sidecar", "ambient"] as const).filter((plane) => hasPlane(scope, plane));
  const ends = planes.flatMap((dataPlane) => scope.revisions.map((revision): ProbeEnd => ({ revision, dataPlane })));
  const plain = hasPlane(scope, "none") || hasPlane(scope, "gateway");
  return [
    ...ends.map((end) => pod("server", end, serverName(end))),
    ...ends.map((end) => pod("client", end, clientName(end))),
    ...(plain ? [pod("client", { revision: "", dataPlane: "none" }, plainClientName)] : []),
  ];
}

/**
 * All objects of the matrix: the namespace, the pods with one account each, a Service for each server, gateways,
 * waypoints and policies.
 */
export function probeObjects(input: ProbeObjectsInput): UntypedObject[] {
  const pods = probePods(input);
  const pairs = probePairs(input);
  const servers = [...new Map(pairs.map(({ to }) => [serverName(to), to])).values()];
  const hasProxies = hasPlane(input, "gateway") || hasPlane(input, "waypoint");
  return [
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: probeNamespace, annotations: { [probePlanesAnnotation]: input.dataPlanes.join(",") } },
    },
    ...probePolicies(),
    ...pods.map(({ reference: { name } }): UntypedObject => ({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name, namespace: probeNamespace },
    })),
    ...servers.map(service),
    ...(hasProxies ? [probeParameters(chosenPlacement(input.pod))] : []),
    ...probeMeshObjects(input),
    ...pods.map((pod) => probePod(pod, pairs, input)),
  ];
}

/** The placement of the gateways' and waypoints' proxies. Undefined if administrators have chosen none. */
function chosenPlacement({ nodeSelector = usualNodes, tolerations = [] }: ProbePodSource = {}):
  | ProbePlacement
  | undefined {
  return tolerations.length === 0 && jsonEqual(nodeSelector, usualNodes) ? undefined : { nodeSelector, tolerations };
}

/**
 * The conditions under which counting may begin: every probe runs and has the ztunnel of its revision, and every proxy
 * has acknowledged the objects of the probes.
 */
export function probeSettle(scope: ProbeScope): SettleCondition[] {
  const pods = probePods(scope);
  const deployments = scope.revisions.flatMap((revision) => [
    ...(hasPlane(scope, "gateway") ? [gatewayProxyName(revision)] : []),
    ...(hasPlane(scope, "waypoint") ? [waypointName(revision)] : []),
  ]);
  const servers = [...new Set(probePairs(scope).map(({ to }) => serverName(to)))];
  return [
    ...pods
      .filter(({ dataPlane }) => dataPlane === "ambient")
      .map(({ reference: object, revision }): SettleCondition => ({ type: "owner", object, revision })),
    ...pods.map(({ reference: object }): SettleCondition => ({ type: "podReady", object })),
    ...deployments.map((name): SettleCondition => ({
      type: "ready",
      object: reference("apps/v1", "Deployment", name, probeNamespace),
    })),
    ...servers.map((name): SettleCondition => ({
      type: "acknowledged",
      object: reference("v1", "Service", name, probeNamespace),
    })),
    ...probeMeshObjects(scope).map((object): SettleCondition => ({
      type: "acknowledged",
      object: referenceTo(object),
    })),
    ...pods.map(({ reference: object }): SettleCondition => ({ type: "acknowledged", object })),
  ];
}

function service(end: ProbeEnd): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: serverName(end),
      namespace: probeNamespace,
      ...(end.dataPlane === "waypoint" ? { labels: waypointLabels(end.revision) } : {}),
    },
    spec: {
      selector: { [probeLabel]: serverPodName(end) },
      ports: [
        { name: "http", port: probePort },
        { name: "http-strict", port: strictProbePort },
      ],
    },
  };
}

const probeLabel = "serin.dev/probe";

function probePod(
  { revision, dataPlane, role, reference: { name } }: ProbePod,
  pairs: readonly PlannedProbePair[],
  { image, pod: { imagePullSecrets = [], nodeSelector = usualNodes, tolerations = [] } = {} }: ProbeObjectsInput,
): UntypedObject {
  const labels = { app: `probe-${role}`, [probeLabel]: name, ...planeLabels(dataPlane, revision) };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: probeNamespace,
      labels,
      annotations: {
        "sidecar.istio.io/proxyCPU": "10m",
        "sidecar.istio.io/proxyMemory": "96Mi",
        // By default, an autoscaler does not remove a node with a pod that has no controller. It may remove one with
        // probes, because the engine replaces evicted probes.
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
      },
    },
    spec: {
      serviceAccountName: name,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      ...(role === "client" ? { affinity: awayFromServers } : {}),
      nodeSelector,
      ...(tolerations.length === 0 ? {} : { tolerations }),
      ...(imagePullSecrets.length === 0 ? {} : { imagePullSecrets }),
      containers: [
        {
          name: "probe",
          image,
          args: ["probe", role],
          env: role === "server" ? serverEnvironment(name) : clientEnvironment(name, pairs),
          resources: { requests: { cpu: "5m", memory: "64Mi" } },
          securityContext: restrictedContext(nonRootUser),
          ...(role === "server"
            ? {
                ports: [{ containerPort: probePort }, { containerPort: strictProbePort }],
                readinessProbe: { httpGet: { path: "/", port: probePort }, periodSeconds: 1 },
              }
            : { ports: [{ containerPort: probePacePort }] }),
        },
      ],
    },
  };
}

function planeLabels(dataPlane: ProbeEnd["dataPlane"], revision: string): Record<string, string> {
  if (dataPlane === "sidecar") return { "istio.io/rev": revision, "istio.io/dataplane-mode": "none" };
  const plain = { "sidecar.istio.io/inject": "false" };
  if (dataPlane === "none") return { ...plain, "istio.io/dataplane-mode": "none" };
  return { ...plain, "istio.io/dataplane-mode": "ambient", [ztunnelRevisionLabel]: revision };
}

/** Prefer nodes without servers, because a connection between nodes tests more than one within a node. */
const awayFromServers = {
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: {
          topologyKey: "kubernetes.io/hostname",
          labelSelector: { matchLabels: { app: "probe-server" } },
        },
      },
    ],
  },
};

function serverEnvironment(name: string): unknown[] {
  return [
    { name: "PROBE_NAME", value: name },
    { name: "PROBE_PORTS", value: `${probePort},${strictProbePort}` },
  ];
}

function clientEnvironment(name: string, pairs: readonly PlannedProbePair[]): unknown[] {
  const targets = pairs
    .filter(({ client }) => client === name)
    .map(({ name: pair, url, server, expected }) => ({ pair, url, server, expected }));
  const fairMs = Math.ceil((pairs.length * 1000) / totalConnectionsPerSecond);
  const intervalMs = Math.min(longestIntervalMs, Math.max(shortestIntervalMs, fairMs));
  return [
    { name: "PROBE_NAME", value: name },
    { name: "PROBE_TARGETS", value: JSON.stringify(targets) },
    { name: "PROBE_INTERVAL_MS", value: String(intervalMs) },
    { name: "PROBE_PACE_PORT", value: String(probePacePort) },
  ];
}
