/**
 * The data plane at one end of a probe: a sidecar, a ztunnel (`ambient`), a ztunnel and a waypoint in front of the
 * server, an ingress gateway that a plain client calls, or none.
 */
export const probeDataPlanes = ["sidecar", "ambient", "waypoint", "gateway", "none"] as const;
export type ProbeDataPlane = (typeof probeDataPlanes)[number];

/** One end of a pair; `none` is of no revision: its is empty. */
export interface ProbeEnd {
  readonly revision: string;
  readonly dataPlane: ProbeDataPlane;
}

/** The results of the probes from one end to another. Counts begin when the step has settled. */
export interface ProbePair {
  readonly from: ProbeEnd;
  readonly to: ProbeEnd;
  /** `refusal`: a client without a mesh asks where only mTLS is let in; then a refusal is `ok`, and an answer `failed`. */
  readonly expected: "answer" | "refusal";
  readonly ok: number;
  readonly failed: number;
  /** According to the server's side: all connections use mTLS, none, or some. `unknown` until it has reported any. */
  readonly mutualTls: "yes" | "no" | "mixed" | "unknown";
  /** SPIFFE ID of the client as the server's side verified it; empty when not known. */
  readonly clientIdentity: string;
  /** SPIFFE ID of the server (of the waypoint before it) as the client's side verified it; empty when not known. */
  readonly serverIdentity: string;
  /** Latency of the latest answers, each over a new connection. Absent without any. */
  readonly p50Ms?: number;
  /** Empty without one. */
  readonly lastError: string;
  /** Why the pair is not as it must be, in words; empty while it is, or not known yet. */
  readonly problem: string;
}

/** Every pair of the ends that an upgrade's cluster has. */
export interface ProbeMatrix {
  readonly pairs: readonly ProbePair[];
}

/** `1-18-1 ambient`; `no mesh`. */
export function describeProbeEnd({ revision, dataPlane }: ProbeEnd): string {
  if (dataPlane === "none") return "no mesh";
  return `${revision} ${dataPlane}`;
}

/** `1-18-0 sidecar -> 1-18-1 ambient`: names a pair everywhere. */
export function describeProbePair({ from, to }: { readonly from: ProbeEnd; readonly to: ProbeEnd }): string {
  return `${describeProbeEnd(from)} -> ${describeProbeEnd(to)}`;
}

/** The matrix as a terminal shows it: clients down, servers across, and below it, in words, each pair that is not as it must be. */
export function renderMatrix({ pairs }: ProbeMatrix): string {
  const clients = [...new Set(pairs.map(({ from }) => describeProbeEnd(from)))];
  const servers = [...new Set(pairs.map(({ to }) => describeProbeEnd(to)))];
  const cells = new Map(pairs.map((pair) => [describeProbePair(pair), cellOf(pair)]));
  const rows = [
    ["CLIENT \\ SERVER", ...servers],
    ...clients.map((client) => [client, ...servers.map((server) => cells.get(`${client} -> ${server}`) ?? "")]),
  ];
  const widths = ["", ...servers].map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const table = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("   ")
      .trimEnd(),
  );
  const problems = pairs
    .filter(({ problem }) => problem !== "")
    .map((pair) => `✖ ${describeProbePair(pair)}: ${pair.problem}`);
  return [...table, ...problems].map((line) => `${line}\n`).join("");
}

/** `✔ 25 mTLS 3ms`, `✖ 4/25 plain`, `✔ 25 refused`. */
function cellOf({ expected, ok, failed, mutualTls, p50Ms, problem }: ProbePair): string {
  const total = ok + failed;
  if (total === 0) return "-";
  const sign = problem === "" ? (failed === 0 ? "✔" : "!") : "✖";
  const count = failed === 0 ? String(ok) : `${ok}/${total}`;
  if (expected === "refusal") return `${sign} ${count} refused`;
  const tls = { yes: "mTLS", no: "plain", mixed: "part plain", unknown: "?" }[mutualTls];
  return `${sign} ${count} ${tls}${p50Ms === undefined ? "" : ` ${p50Ms}ms`}`;
}
