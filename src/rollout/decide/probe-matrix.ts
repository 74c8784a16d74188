import { firstNames } from "../../base/index.ts";
import {
  describeProbeEnd,
  describeProbePair,
  type CheckSpec,
  type ProbeEnd,
  type ProbeMatrix,
  type ProbePair,
  type Verdict,
} from "../../api/serin/index.ts";
import { replacedProbes, type CountedProbes, type ProbePodFacts } from "./replaced-probes.ts";

/**
 * The observation of every pair. Counts begin with the start of the probes. Only their increase after the step settled
 * is judged.
 */
export interface ProbeFacts {
  readonly pairs: readonly ProbePairFacts[];
  /**
   * By client pod: `number` is the number of its latest report. All probes that had started at the report `through` are
   * counted by now.
   */
  readonly reports: Readonly<Record<string, { readonly number: number; readonly through: number }>>;
  /**
   * Containers of the probes' own pods that ended with an error: `<pod>: istio-proxy ended with 139 (Error)`. This may
   * explain failures.
   */
  readonly ended?: readonly string[];
  readonly pods?: ProbePodFacts;
}

export interface ProbePairFacts {
  readonly from: ProbeEnd;
  readonly to: ProbeEnd;
  readonly expected: "answer" | "refusal";
  readonly counts: ProbeCounts;
  /** The correct SPIFFE ID that the other side verified. Empty if none is known. */
  readonly clientIdentity: string;
  readonly serverIdentity: string;
  /** The most frequent wrong SPIFFE ID. Empty if there was none. It may be old, so only the counts decide. */
  readonly wrongClientIdentity: string;
  readonly wrongServerIdentity: string;
  /** The expected SPIFFE ID, with `*` for an unknown trust domain. */
  readonly expectedClient: string;
  readonly expectedServer: string;
  readonly p50Ms?: number;
  readonly lastError: string;
}

export const probeCounters = [
  "ok",
  "failed",
  "letIn",
  "mutual",
  "plain",
  "plainBehind",
  "wrongClient",
  "wrongServer",
] as const;
/**
 * `ok` and `failed` are the client's counts. `letIn`: failures in which the mesh answered a probe that it had to
 * refuse. Counts of the data planes: `mutual` and `plain` connections as the server's side accepted them; `plainBehind`
 * those from a waypoint to its server; `wrongClient` and `wrongServer` those whose verified identity is not the
 * probe's, or whose identity has a trust domain that the other side does not trust.
 */
export type ProbeCounts = Readonly<Record<(typeof probeCounters)[number], number>>;

/** The state that the check stores between looks. Counts are in the order of {@link probeCounters}. */
interface MatrixState {
  readonly last: Readonly<Record<string, readonly number[]>>;
  readonly gained: Readonly<Record<string, readonly number[]>>;
  /** The number of each client's report when the step settled. Absent once all earlier probes are counted. */
  readonly reports?: Readonly<Record<string, number>>;
  readonly pods?: CountedProbes;
}

export interface MatrixJudgement {
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly statistic: unknown;
  readonly matrix: ProbeMatrix;
  /** See `Judgement`. */
  readonly waitsFor?: string;
}

/**
 * Passes when every pair has its share of the samples, all connections use mTLS between the right identities, and
 * everything that must be refused was refused. Fails at the first connection in plain text, with a wrong identity, or
 * one that had to be refused. Also fails when more connections fail than `maxErrorRate` explains, of all pairs or of
 * one.
 *
 * A probe that is deleted, for example by a drain of its node, or whose kubelet restarts, cannot answer. A missing
 * probe says nothing about the mesh, so there is no result until the probe or its successor is ready. Then counting
 * begins again.
 */
export function judgeMatrix(facts: ProbeFacts, spec: CheckSpec, before: unknown): MatrixJudgement {
  const known = before as MatrixState | undefined;
  const { absent, beginsAgain, counted } = replacedProbes(facts.pods, known?.pods);
  if (absent !== undefined) return withoutResult(facts, spec, { known, absent });
  const next = nextState(facts, beginsAgain ? undefined : known);
  const state = counted === undefined ? next : { ...next, pods: counted };
  const pairs = facts.pairs.map((pair) => judgePair(pair, state, spec, facts.pairs.length));
  const matrix: ProbeMatrix = { pairs };
  const judged = (verdict: Verdict, evidence: string): MatrixJudgement => ({
    verdict,
    evidence: verdict === "fail" ? `${evidence}${endedText(facts.ended)}` : evidence,
    statistic: state,
    matrix,
  });
  if (pairs.length === 0) return judged("error", "no pair is probed");
  const bad = pairs.filter(({ problem }) => problem !== "");
  if (bad.length > 0)
    return judged(
      "fail",
      `${bad.length} of ${pairs.length} pairs${whichOf(bad, pairs)}: ${namesOf(bad, ({ problem }) => problem)}${besides(pairs)}`,
    );
  const [ok, failed] = [sum(pairs, "ok"), sum(pairs, "failed")];
  const rate = `${failed} of ${ok + failed} failed`;
  if (failureEvidence(ok, failed, spec.maxErrorRate) >= failThreshold) {
    const failing = pairs.filter((pair) => pair.failed > 0);
    return judged(
      "fail",
      `${rate}, above the limit of ${spec.maxErrorRate * 100} %: ${namesOf(failing, (pair) => `${pair.failed} of ${pair.ok + pair.failed}, ${pair.lastError}`)}`,
    );
  }
  if (state.reports !== undefined) return judged("wait", "counting begins");
  const samplesPerPair = samplesOfEach(spec, pairs.length);
  const short = pairs.filter((pair) => pair.ok < samplesPerPair);
  if (short.length > 0)
    return {
      ...judged("wait", `${rate}; each pair needs ${samplesPerPair}; pairs with fewer: ${namesOf(short, () => "")}`),
      // The answers of the other pairs do not count as progress of the pairs that wait.
      waitsFor: `each pair needs ${samplesPerPair} answers: ${namesOf(short, ({ ok: count }) => `has ${count}`)}`,
    };
  const untold = pairs.filter(({ expected, mutualTls }) => expected === "answer" && mutualTls === "unknown");
  if (untold.length > 0)
    return judged("error", `the server has not reported whether it is mTLS: ${namesOf(untold, () => "")}`);
  return judged(
    "pass",
    `${pairs.length} pairs, ${ok} of ${ok + failed}, mTLS and identities as expected${latencies(pairs)}`,
  );
}

function withoutResult(
  { pairs }: ProbeFacts,
  spec: CheckSpec,
  { known, absent }: { readonly known: MatrixState | undefined; readonly absent: string },
): MatrixJudgement {
  const counted = known ?? { last: {}, gained: {} };
  const matrix = { pairs: pairs.map((pair) => judgePair(pair, counted, spec, pairs.length)) };
  return { verdict: "error", evidence: absent, statistic: known, matrix };
}

/** The pairs show which connections fail. The state of the pods often shows why. */
function endedText(ended: readonly string[] = []): string {
  return ended.length === 0 ? "" : `; probe containers that ended: ${firstNames(ended, namedWords)}`;
}

function latencies(pairs: readonly ProbePair[]): string {
  const medians = pairs.flatMap(({ p50Ms }) => (p50Ms === undefined ? [] : [p50Ms]));
  return medians.length === 0 ? "" : `, median of ${Math.min(...medians)} to ${Math.max(...medians)} ms`;
}

const shortestSample = 5;

function samplesOfEach({ minSamples }: CheckSpec, pairs: number): number {
  return Math.max(Math.min(shortestSample, minSamples), Math.ceil(minSamples / pairs));
}

/**
 * The counts are only a baseline until each client has counted all probes that it had started when the step settled.
 */
function nextState(facts: ProbeFacts, before: MatrixState | undefined): MatrixState {
  const last = Object.fromEntries(
    facts.pairs.map((pair) => [describeProbePair(pair), probeCounters.map((counter) => pair.counts[counter])]),
  );
  if (before === undefined)
    return {
      last,
      gained: {},
      reports: Object.fromEntries(Object.entries(facts.reports).map(([client, { number }]) => [client, number])),
    };
  if (before.reports !== undefined) {
    const known = before.reports;
    // A restarted client numbers its reports from the start again.
    const stale = Object.entries(facts.reports).some(
      ([client, { number, through }]) => number >= (known[client] ?? 0) && through <= (known[client] ?? 0),
    );
    return { last, gained: {}, ...(stale ? { reports: known } : {}) };
  }
  const gained = facts.pairs.map((pair) => {
    const name = describeProbePair(pair);
    const [counts = [], zero = [], so = []] = [last[name], before.last[name], before.gained[name]];
    const sums = counts.map((count, index) => (so[index] ?? 0) + gain(count, zero[index] ?? 0, index));
    // A restarted client counts from 0 again. If the pair had answers before the restart, this answer is not its first
    // one.
    const isFirstAnswer = (zero[okIndex] ?? 0) === 0 && (so[okIndex] ?? 0) === 0 && pair.counts.ok > 0;
    if (isFirstAnswer && mayBeLate(pair, sums[failedIndex] ?? 0)) sums[failedIndex] = 0;
    return [name, sums] as const;
  });
  return { last, gained: Object.fromEntries(gained) as MatrixState["gained"] };
}

const okIndex = probeCounters.indexOf("ok");
const failedIndex = probeCounters.indexOf("failed");
/**
 * The number of failures that a gateway's pair may have before its first answer, about 15 s of them: a connection
 * without an answer takes up to 5 s. A refused connection takes no time, and in a usual mesh the next one follows after
 * 200 ms.
 */
const lateFailures = 3;
const lateRefusals = 75;

/**
 * The plain client reaches a gateway by its Service, whose endpoints each node learns a moment after the gateway is
 * ready. Nodes do not acknowledge endpoints. Until a node has learned them, its kube-proxy refuses or drops the
 * connections.
 */
function mayBeLate({ from, lastError }: ProbePairFacts, failed: number): boolean {
  return from.dataPlane === "gateway" && failed <= (lastError.includes("ECONNREFUSED") ? lateRefusals : lateFailures);
}

/**
 * A client that restarts counts from zero, so its whole count is new. The counts of a data plane also fall when one of
 * its pods ends, so a fall says nothing about new connections.
 */
function gain(count: number, before: number, index: number): number {
  if (count >= before) return count - before;
  return index <= probeCounters.indexOf("letIn") ? count : 0;
}

function judgePair(facts: ProbePairFacts, state: MatrixState, spec: CheckSpec, pairs: number): ProbePair {
  const { from, to, expected, p50Ms } = facts;
  const numbers = state.gained[describeProbePair(facts)] ?? [];
  const gained = Object.fromEntries(
    probeCounters.map((counter, index) => [counter, numbers[index] ?? 0]),
  ) as ProbeCounts;
  const isLate = facts.counts.ok === 0 && gained.ok === 0 && mayBeLate(facts, gained.failed);
  const counts = isLate ? { ...gained, failed: 0 } : gained;
  return {
    from,
    to,
    expected,
    ok: counts.ok,
    failed: counts.failed,
    mutualTls: mutualTlsOf(counts),
    clientIdentity: counts.wrongClient > 0 ? facts.wrongClientIdentity : facts.clientIdentity,
    serverIdentity: counts.wrongServer > 0 ? facts.wrongServerIdentity : facts.serverIdentity,
    ...(p50Ms === undefined ? {} : { p50Ms }),
    lastError: counts.failed > 0 ? facts.lastError : "",
    problem: problemOf(facts, counts, spec, pairs),
  };
}

function mutualTlsOf({ mutual, plain, plainBehind }: ProbeCounts): ProbePair["mutualTls"] {
  if (plain + plainBehind === 0) return mutual === 0 ? "unknown" : "yes";
  return mutual === 0 ? "no" : "mixed";
}

/**
 * The tolerated difference between a client's answers and the data planes' counters, because the two are not read at
 * the same moment.
 */
const countingSlack = 10;
const bypassShare = 0.2;

function problemOf(
  { to, expected, wrongClientIdentity, wrongServerIdentity, expectedClient, expectedServer, lastError }: ProbePairFacts,
  counts: ProbeCounts,
  { maxErrorRate }: CheckSpec,
  pairs: number,
): string {
  const { ok, failed, letIn, mutual, plain, plainBehind, wrongClient, wrongServer } = counts;
  if (expected === "refusal" && letIn > 0) return "accepted without mTLS, on a port that requires mTLS";
  if (expected === "answer") {
    if (plain > 0) return mutual === 0 ? "in plain text" : `partly in plain text (${plain} of ${plain + mutual})`;
    if (plainBehind > 0) return "in plain text from the waypoint to its server";
    const bypassed = ok - mutual;
    if (to.dataPlane === "waypoint" && bypassed > Math.max(countingSlack, ok * bypassShare))
      return `bypassed the waypoint (${bypassed} of ${ok})`;
    if (wrongClient > 0) return `the server verified the client as ${wrongClientIdentity}, expected ${expectedClient}`;
    if (wrongServer > 0) return `the client verified the server as ${wrongServerIdentity}, expected ${expectedServer}`;
  }
  // With many pairs, one may fail by chance, so the required evidence against one pair rises with the number of pairs.
  if (failureEvidence(ok, failed, maxErrorRate) < failThreshold + Math.log(pairs)) return "";
  return `${ok === 0 ? "all" : `${failed} of ${ok + failed}`} failed: ${lastError}`;
}

/** The maximum probability that a step fails in a mesh without a fault. */
const wrongFailure = 0.001;
const failThreshold = Math.log(1 / wrongFailure);
/** The assumed error rates of a bad pair, as multiples of the limit. */
const rateMultiples = [2, 4, 10, 50, 200] as const;
const highestRate = 0.99;

/**
 * The logarithm of an e-value against "the error rate is at most the limit": a mixture of likelihood ratios, which
 * stays valid however often it is evaluated.
 */
function failureEvidence(ok: number, failed: number, limit: number): number {
  const logs = rateMultiples.map((multiple) => {
    const rate = Math.max(limit, Math.min(highestRate, limit * multiple));
    return failed * Math.log(rate / limit) + ok * Math.log((1 - rate) / (1 - limit));
  });
  const highest = Math.max(...logs);
  return highest + Math.log(logs.reduce((total, log) => total + Math.exp(log - highest), 0) / logs.length);
}

function sum(pairs: readonly ProbePair[], field: "ok" | "failed"): number {
  return pairs.reduce((total, pair) => total + pair[field], 0);
}

function whichOf(bad: readonly ProbePair[], pairs: readonly ProbePair[]): string {
  const across = pairs.filter(({ from, to }) => from.revision !== "" && from.revision !== to.revision);
  if (bad.length > 1 && bad.length === across.length && bad.every((pair) => across.includes(pair)))
    return ", exactly those that cross revisions";
  const sharedEnd = (side: "from" | "to"): string | undefined => {
    const ends = new Set(bad.map((pair) => describeProbeEnd(pair[side])));
    const all = pairs.filter((pair) => ends.has(describeProbeEnd(pair[side]))).length;
    return ends.size === 1 && bad.length > 1
      ? `, ${bad.length === all ? "all" : `${bad.length} of the ${all}`} ${side} ${[...ends].join("")}`
      : undefined;
  };
  return sharedEnd("to") ?? sharedEnd("from") ?? "";
}

function besides(pairs: readonly ProbePair[]): string {
  const few = pairs.filter(({ problem, failed }) => problem === "" && failed > 0);
  return few.length === 0 ? "" : `; some requests also failed for ${namesOf(few, () => "")}`;
}

const namedPairs = 3;
const namedWords = 4;

/** Groups pairs by their message, because many may have the same one. Names the first few pairs of each group. */
function namesOf(pairs: readonly ProbePair[], words: (pair: ProbePair) => string): string {
  const groups = new Map<string, string[]>();
  for (const pair of pairs) groups.set(words(pair), [...(groups.get(words(pair)) ?? []), describeProbePair(pair)]);
  const shortened = [...groups]
    .slice(0, namedWords)
    .map(([text, names]) => `${firstNames(names, namedPairs)}${text === "" ? "" : `: ${text}`}`);
  return [...shortened, ...(groups.size > namedWords ? ["and others"] : [])].join("; ");
}
