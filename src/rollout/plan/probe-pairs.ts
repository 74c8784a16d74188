import { moduleCache } from "../../base/index.ts";
import { describeProbePair, type ProbeDataPlane, type ProbeEnd } from "../../api/serin/index.ts";
import { probeNamespace } from "../decide/index.ts";

/** An annotation of the probes' namespace: the data planes that its probes use, separated by commas. */
export const probePlanesAnnotation = "rollout.serin.dev/probe-data-planes";
/** The port that also accepts plain text, so that unencrypted traffic is noticed. */
export const probePort = 9191;
/** The port that accepts only mTLS, whatever the mesh's policy is. */
export const strictProbePort = 9192;
/** The port at which the engine asks a client to probe at its full pace. */
export const probePacePort = 9193;

export interface ProbeScope {
  readonly revisions: readonly string[];
  /** The data planes of the cluster. `waypoint` includes `ambient`, because a waypoint needs an ambient server. */
  readonly dataPlanes: readonly ProbeDataPlane[];
}

export interface PlannedProbePair {
  readonly name: string;
  readonly from: ProbeEnd;
  readonly to: ProbeEnd;
  readonly expected: "answer" | "refusal";
  /** The client pod. For the pairs of a gateway, it is the client outside the mesh. */
  readonly client: string;
  readonly url: string;
  readonly service: string;
  /** The pod that must answer. */
  readonly server: string;
  /**
   * The workloads that metrics name at the two ends of the connection. The first one sends (client or gateway), the
   * second one receives (server or waypoint).
   */
  readonly clientWorkload: string;
  readonly serverWorkload: string;
  /** The parts of their SPIFFE ids after the trust domain: `/ns/<namespace>/sa/<account>`. */
  readonly clientPath: string;
  readonly serverPath: string;
}

const clientPlanes = ["sidecar", "ambient", "gateway", "none"] as const;
const serverPlanes = ["sidecar", "ambient", "waypoint"] as const;

/** Each plan of an upgrade needs the pairs several times, and the engine plans in each round, so they are cached. */
const pairsByScope = moduleCache<string, readonly PlannedProbePair[]>("rollout-probe-pairs", 64);

/**
 * All pairs of a client and a server end, except impossible ones: sidecars and clients outside the mesh do not send
 * through waypoints.
 */
export function probePairs(scope: ProbeScope): readonly PlannedProbePair[] {
  const key = JSON.stringify([scope.revisions, scope.dataPlanes]);
  const known = pairsByScope.get(key);
  if (known !== undefined) return known;
  const pairs = pairsOf(scope);
  pairsByScope.set(key, pairs);
  return pairs;
}

function pairsOf(scope: ProbeScope): readonly PlannedProbePair[] {
  const clients = clientPlanes.filter((plane) => hasPlane(scope, plane)).flatMap((plane) => endsOf(plane, scope));
  const servers = serverPlanes.filter((plane) => hasPlane(scope, plane)).flatMap((plane) => endsOf(plane, scope));
  return clients.flatMap((from) =>
    servers
      .filter((to) => to.dataPlane !== "waypoint" || from.dataPlane === "ambient" || from.dataPlane === "gateway")
      .map((to) => plannedPair(from, to)),
  );
}

export function hasPlane({ dataPlanes }: ProbeScope, plane: ProbeDataPlane): boolean {
  return dataPlanes.includes(plane) || (plane === "ambient" && dataPlanes.includes("waypoint"));
}

function endsOf(dataPlane: ProbeDataPlane, { revisions }: ProbeScope): ProbeEnd[] {
  return dataPlane === "none" ? [{ dataPlane, revision: "" }] : revisions.map((revision) => ({ dataPlane, revision }));
}

function plannedPair(from: ProbeEnd, to: ProbeEnd): PlannedProbePair {
  const refused = from.dataPlane === "none";
  const viaGateway = from.dataPlane === "gateway";
  const service = serverName(to);
  const clientWorkload = viaGateway ? gatewayProxyName(from.revision) : clientName(from);
  const serverWorkload = to.dataPlane === "waypoint" ? waypointName(to.revision) : service;
  const host = (name: string): string => `http://${name}.${probeNamespace}.svc`;
  return {
    name: describeProbePair({ from, to }),
    from,
    to,
    expected: refused ? "refusal" : "answer",
    client: viaGateway ? plainClientName : clientName(from),
    url: viaGateway
      ? `${host(clientWorkload)}/${service}`
      : `${host(service)}:${refused ? strictProbePort : probePort}/`,
    service,
    server: serverPodName(to),
    clientWorkload,
    serverWorkload,
    clientPath: identityPath(clientWorkload),
    serverPath: identityPath(serverWorkload),
  };
}

function identityPath(account: string): string {
  return `/ns/${probeNamespace}/sa/${account}`;
}

/** Replaces dots: the revisions of Banzai's operator contain dots, which the names of Services must not contain. */
function nameOf(prefix: string, revision: string): string {
  return `${prefix}-${revision.replaceAll(".", "-")}`;
}

export const plainClientName = "client-none";

export function clientName({ revision, dataPlane }: ProbeEnd): string {
  return dataPlane === "none" ? plainClientName : nameOf(`client-${dataPlane}`, revision);
}

export function serverName({ revision, dataPlane }: ProbeEnd): string {
  return nameOf(`server-${dataPlane}`, revision);
}

/** The pod of a server end. The server behind a waypoint is the ambient server of the same revision. */
export function serverPodName({ revision, dataPlane }: ProbeEnd): string {
  return serverName({ revision, dataPlane: dataPlane === "waypoint" ? "ambient" : dataPlane });
}

/** The name of a waypoint's Gateway, Deployment, Service and account. */
export function waypointName(revision: string): string {
  return nameOf("waypoint", revision);
}

export function gatewayName(revision: string): string {
  return nameOf("gateway", revision);
}

/** The name of the Deployment, Service and account that a control plane makes for an ingress Gateway. */
export function gatewayProxyName(revision: string): string {
  return `${gatewayName(revision)}-istio`;
}
