import type { PrometheusSample } from "../../../telemetry/index.ts";
import type { PodFacts, ProbeCounts, ProbeFacts, ProbePairFacts, ProbePodFacts } from "../../decide/index.ts";
import { probeNamespace, type PlannedProbePair } from "../../plan/index.ts";
import type { PairReport, ProbeReport } from "../../probe/index.ts";

export interface ProbeSources {
  readonly pairs: readonly PlannedProbePair[];
  readonly reports: readonly ProbeReport[];
  readonly samples: readonly PrometheusSample[];
  /**
   * The trust domains that each revision accepts as its own. A revision that is missing here accepts any trust domain.
   */
  readonly trustDomains: Readonly<Record<string, readonly string[]>>;
  readonly pods: readonly PodFacts[];
  readonly serving?: ProbePodFacts;
}

/** The number of connections with one verified identity. */
interface Verified {
  /** The SPIFFE id. Empty for plain text, for which no identity is verified. */
  readonly identity: string;
  readonly count: number;
}

/** The number of responses with one pair of SPIFFE ids of client and server. */
interface PeerCount {
  readonly ends: readonly string[];
  readonly count: number;
}

const noPair: PairReport = { ok: 0, failed: 0, letIn: 0, lastError: "", peers: {} };

/**
 * Combines the facts of a probe matrix. The client reports whether it reached the server. A server behind a sidecar
 * reports the client's identity that the sidecar verified. For a server behind a ztunnel or a waypoint, the counters of
 * that proxy show the client's identity. The counters of the client's own proxy show the server's identity that this
 * proxy verified.
 */
export function probeFacts(sources: ProbeSources): ProbeFacts {
  const connections = connectionsOf(sources.samples);
  return {
    pairs: sources.pairs.map((pair) => pairFacts(pair, sources, connections)),
    reports: Object.fromEntries(sources.reports.map(({ client, number, through }) => [client, { number, through }])),
    ended: sources.pods.flatMap(({ name, lastEnd }) => (lastEnd === undefined ? [] : [`${name}: ${lastEnd}`])),
    ...(sources.serving === undefined ? {} : { pods: sources.serving }),
  };
}

function pairFacts(
  pair: PlannedProbePair,
  { reports, trustDomains }: ProbeSources,
  connections: readonly Connection[],
): ProbePairFacts {
  const { from, to, expected } = pair;
  const report = reports.find(({ client }) => client === pair.client)?.pairs[pair.name] ?? noPair;
  const peerCounts = Object.entries(report.peers).map(([peer, count]) => ({ ends: peer.split(" "), count }));
  const byServer = verifiedByServer(pair, peerCounts, connections);
  const counted = connections
    .filter(
      ({ reporter, client, service }) =>
        reporter === "source" && client === pair.clientWorkload && service === pair.service,
    )
    .map(({ serverPrincipal, count }) => ({ identity: serverPrincipal, count }));
  const byClient = counted.some(({ identity }) => identity !== "")
    ? counted
    : peerCounts.map(({ ends: [, server = ""], count }) => ({ identity: server, count }));
  const behind =
    to.dataPlane === "waypoint"
      ? connections.filter(
          ({ reporter, client, server, mutual }) =>
            reporter === "destination" && client === pair.serverWorkload && server === pair.server && !mutual,
        )
      : [];
  const isClient = identityTest(pair.clientPath, trustDomains[to.revision]);
  const isServer = identityTest(pair.serverPath, trustDomains[from.revision]);
  const wrongClient = byServer.filter(({ identity }) => identity !== "" && !isClient(identity));
  const wrongServer = byClient.filter(({ identity }) => identity !== "" && !isServer(identity));
  const counts: ProbeCounts = {
    ok: report.ok,
    failed: report.failed,
    letIn: report.letIn,
    mutual: total(byServer.filter(({ identity }) => identity !== "")),
    plain: total(byServer.filter(({ identity }) => identity === "")),
    plainBehind: total(behind),
    wrongClient: total(wrongClient),
    wrongServer: total(wrongServer),
  };
  return {
    from,
    to,
    expected,
    counts,
    clientIdentity: mostFrequent(byServer.filter(({ identity }) => isClient(identity))),
    serverIdentity: mostFrequent(byClient.filter(({ identity }) => isServer(identity))),
    wrongClientIdentity: mostFrequent(wrongClient),
    wrongServerIdentity: mostFrequent(wrongServer),
    expectedClient: `spiffe://${trustDomains[to.revision]?.[0] ?? "*"}${pair.clientPath}`,
    expectedServer: `spiffe://${trustDomains[from.revision]?.[0] ?? "*"}${pair.serverPath}`,
    ...(report.p50Ms === undefined ? {} : { p50Ms: report.p50Ms }),
    lastError: report.lastError,
  };
}

/**
 * The client's identities that the server's side verified. A sidecar sends them to the server, and ztunnels and
 * waypoints count them.
 */
function verifiedByServer(
  pair: PlannedProbePair,
  peerCounts: readonly PeerCount[],
  connections: readonly Connection[],
): Verified[] {
  const { dataPlane } = pair.to;
  if (dataPlane === "sidecar") return peerCounts.map(({ ends: [client = ""], count }) => ({ identity: client, count }));
  const reporter = dataPlane === "waypoint" ? "waypoint" : "destination";
  return connections
    .filter(
      (connection) =>
        connection.reporter === reporter &&
        connection.client === pair.clientWorkload &&
        (dataPlane === "waypoint" ? connection.service === pair.service : connection.server === pair.server),
    )
    .map(({ mutual, clientPrincipal, count }) => ({ identity: mutual ? clientPrincipal : "", count }));
}

/** Whether an identity is `spiffe://<domain><path>`, with one of the trust domains. */
function identityTest(path: string, domains: readonly string[] | undefined): (identity: string) => boolean {
  return (identity) => {
    const [, domain = "", found = ""] = /^spiffe:\/\/([^/]+)(\/.*)$/.exec(identity) ?? [];
    return found === path && (domains === undefined || domains.includes(domain));
  };
}

function total(counted: readonly { readonly count: number }[]): number {
  return counted.reduce((sum, { count }) => sum + count, 0);
}

function mostFrequent(counted: readonly Verified[]): string {
  return counted.toSorted((a, b) => b.count - a.count).find(({ identity }) => identity !== "")?.identity ?? "";
}

/** The number of connections or requests with the same labels, from one of Istio's standard counters. */
interface Connection {
  readonly reporter: string;
  readonly client: string;
  readonly server: string;
  readonly service: string;
  readonly mutual: boolean;
  readonly clientPrincipal: string;
  readonly serverPrincipal: string;
  readonly count: number;
}

export const connectionCounters = ["istio_tcp_connections_opened_total", "istio_requests_total"];

function connectionsOf(samples: readonly PrometheusSample[]): Connection[] {
  return samples
    .filter(
      ({ name, labels }) => connectionCounters.includes(name) && labels["source_workload_namespace"] === probeNamespace,
    )
    .map(({ labels, value }) => ({
      reporter: labels["reporter"] ?? "",
      client: labels["source_workload"] ?? "",
      server: labels["destination_workload"] ?? "",
      service: labels["destination_service_name"] ?? "",
      mutual: labels["connection_security_policy"] === "mutual_tls",
      clientPrincipal: known(labels["source_principal"]),
      serverPrincipal: known(labels["destination_principal"]),
      count: value,
    }));
}

function known(label = ""): string {
  return label === "unknown" ? "" : label;
}
