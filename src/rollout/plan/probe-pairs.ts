import type { ProbeDataPlane, ProbeEnd } from "../../api/serin/index.ts";
import { describeProbePair } from "../../api/serin/index.ts";

/** Where probe pods live: enrolled and injected one by one, and nobody's application. */
export const probeNamespace = "serin-probes";
/** On the namespace: the data planes that the probes in it are of, parted by commas. */
export const probePlanesAnnotation = "rollout.serin.dev/probe-data-planes";
/** Takes plain text as well, so that what is not encrypted shows. */
export const probePort = 9191;
/** Takes mTLS only, whatever the mesh's policy is. */
export const strictProbePort = 9192;

/** What a matrix is made of. */
export interface ProbeScope {
  readonly revisions: readonly string[];
  /** Those that the upgrade's cluster has. `waypoint` brings `ambient`, which stands behind it. */
  readonly dataPlanes: readonly ProbeDataPlane[];
}

/** One pair as it is probed, and what is expected of it. */
export interface PlannedProbePair {
  /** As {@link describeProbePair} says it. */
  readonly name: string;
  readonly from: ProbeEnd;
  readonly to: ProbeEnd;
  readonly expected: "answer" | "refusal";
  /** The pod that asks: of a gateway's pairs the plain one. */
  readonly client: string;
  readonly url: string;
  /** The Service that is asked. */
  readonly service: string;
  /** The pod that must answer. */
  readonly server: string;
  /** The workload that speaks to the server's side first hand, and the one that the client's side speaks to, as metrics name them. */
  readonly clientWorkload: string;
  readonly serverWorkload: string;
  /** Their SPIFFE IDs behind the trust domain: `/ns/<namespace>/sa/<account>`. */
  readonly clientPath: string;
  readonly serverPath: string;
}

const clientPlanes = ["sidecar", "ambient", "gateway", "none"] as const;
const serverPlanes = ["sidecar", "ambient", "waypoint"] as const;

/** Every pair of ends, but for those that no traffic takes: sidecars send past waypoints, and so does what is of no mesh. */
export function probePairs(scope: ProbeScope): PlannedProbePair[] {
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

/** Revisions of Banzai's operators hold a dot, which no Service's name may. */
function nameOf(prefix: string, revision: string): string {
  return `${prefix}-${revision.replaceAll(".", "-")}`;
}

export const plainClientName = "client-none";

export function clientName({ revision, dataPlane }: ProbeEnd): string {
  return dataPlane === "none" ? plainClientName : nameOf(`client-${dataPlane}`, revision);
}

/** The Service of a server end. */
export function serverName({ revision, dataPlane }: ProbeEnd): string {
  return nameOf(`server-${dataPlane}`, revision);
}

/** A waypoint stands before the ambient server of its revision. */
export function serverPodName({ revision, dataPlane }: ProbeEnd): string {
  return serverName({ revision, dataPlane: dataPlane === "waypoint" ? "ambient" : dataPlane });
}

/** The Gateway, and of a waypoint also its Deployment, Service and account. */
export function waypointName(revision: string): string {
  return nameOf("waypoint", revision);
}

export function gatewayName(revision: string): string {
  return nameOf("gateway", revision);
}

/** Deployment, Service and account that a control plane makes for an ingress Gateway. */
export function gatewayProxyName(revision: string): string {
  return `${gatewayName(revision)}-istio`;
}
