/**
 * The data plane at one end of a probe. `ambient` means a ztunnel, `waypoint` a ztunnel with a waypoint in front of the
 * server, and `gateway` an ingress gateway that a client outside the mesh calls.
 */
export const probeDataPlanes = ["sidecar", "ambient", "waypoint", "gateway", "none"] as const;
export type ProbeDataPlane = (typeof probeDataPlanes)[number];

/** One end of a pair. With the data plane `none`, the revision is empty. */
export interface ProbeEnd {
  readonly revision: string;
  readonly dataPlane: ProbeDataPlane;
}

/** The results of the probes from one end to another, since the step settled. */
export interface ProbePair {
  readonly from: ProbeEnd;
  readonly to: ProbeEnd;
  /**
   * With `refusal`, a client outside the mesh sends requests to a port that accepts only mTLS. A refusal then counts as
   * `ok`, and an answer as `failed`.
   */
  readonly expected: "answer" | "refusal";
  readonly ok: number;
  readonly failed: number;
  /**
   * Whether all connections use mTLS, none, or some, as the server's side reports. `unknown` until that side has
   * reported a connection.
   */
  readonly mutualTls: "yes" | "no" | "mixed" | "unknown";
  /** The client's SPIFFE ID, as the server's side has verified it. Empty if unknown. */
  readonly clientIdentity: string;
  /**
   * The SPIFFE ID of the server, or of the waypoint in front of it, as the client's side has verified it. Empty if
   * unknown.
   */
  readonly serverIdentity: string;
  /** The latency of the latest answers. Each came over a new connection. Absent if there are no answers. */
  readonly p50Ms?: number;
  /** Empty if there was no error. */
  readonly lastError: string;
  /** What is wrong with the pair. Empty if nothing is, or if the result is not known yet. */
  readonly problem: string;
}

export interface ProbeMatrix {
  readonly pairs: readonly ProbePair[];
}

/** The end in words, such as `1-18-1 ambient` or `no mesh`. */
export function describeProbeEnd({ revision, dataPlane }: ProbeEnd): string {
  if (dataPlane === "none") return "no mesh";
  return `${revision} ${dataPlane}`;
}

/** The name of a pair in all texts, such as `1-18-0 sidecar -> 1-18-1 ambient`. */
export function describeProbePair({ from, to }: { readonly from: ProbeEnd; readonly to: ProbeEnd }): string {
  return `${describeProbeEnd(from)} -> ${describeProbeEnd(to)}`;
}

/**
 * The matrix for a terminal: a row for each client, a column for each server, and below them a sentence for each faulty
 * pair.
 */
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

/** The text of a cell, such as `✔ 25 mTLS 3ms`, `✖ 4/25 plain` or `✔ 25 refused`. */
function cellOf({ expected, ok, failed, mutualTls, p50Ms, problem }: ProbePair): string {
  const total = ok + failed;
  if (total === 0) return "-";
  const sign = problem === "" ? (failed === 0 ? "✔" : "!") : "✖";
  const count = failed === 0 ? String(ok) : `${ok}/${total}`;
  if (expected === "refusal") return `${sign} ${count} refused`;
  const tls = { yes: "mTLS", no: "plain", mixed: "part plain", unknown: "?" }[mutualTls];
  return `${sign} ${count} ${tls}${p50Ms === undefined ? "" : ` ${p50Ms}ms`}`;
}
