import { randomUUID } from "node:crypto";
import { messageOf } from "../../../base/index.ts";
import type { PrometheusSample } from "../../../telemetry/index.ts";
import type { CheckObservation, CheckSubject, OutcomeCounts } from "../../decide/index.ts";
import { plainClientName, probeNamespace } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { LastSeen } from "./last-seen.ts";
import { describeSubject, mayReport, proxiesFor, type ProxyPod } from "./proxies.ts";
import { groupingOf, KnownServers, reporterOf, type Group, type Grouping, type Reporter } from "./sample-groups.ts";
import { podName } from "../live-pods.ts";
import type { Scrape } from "./scrape.ts";

export const requestsMetric = "istio_requests_total";
const openedMetric = "istio_tcp_connections_opened_total";
const failedMetric = "istio_tcp_connections_failed_total";
/** A metric of Serin's own proxies. Envoy's metric of listeners also counts internal ones. */
export const listenersMetric = "serin_proxy_listeners";
export const requestMetrics = [requestsMetric, listenersMetric];
const connectionMetrics = [requestsMetric, openedMetric, failedMetric];

export const noOutcomes: OutcomeCounts = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };

/** gRPC statuses that blame the server: unknown, deadline exceeded, unimplemented, internal, unavailable, data loss. */
const serverFaults = new Set(["2", "4", "12", "13", "14", "15"]);

/** Counts the requests to both versions, for each proxy that answers. */
export async function observeRequests(
  view: ClusterView,
  subject: CheckSubject,
  scrape: Scrape,
  choice = new ReporterChoice(),
  step = "",
): Promise<CheckObservation> {
  const { answers, problem } = await scrapeAll(view, subject, scrape, requestMetrics, step);
  if (answers.length === 0) return { type: "unavailable", detail: problem };
  const grouping = groupingOf(view, subject, choice.servers);
  const reporter = choice.of(answers, subject, grouping);
  // The counters of another reporter cannot be compared with those from before, so each source gets a new name after a
  // change. Its first counters then become its baseline.
  const again = choice.changes === 0 ? "" : ` (as ${reporter}${choice.changes === 1 ? "" : `, ${choice.changes}`})`;
  const sources = Object.fromEntries(
    answers.map(({ proxy, samples }) => [
      `${podName(proxy.pod)}${again}`,
      requestCounts(samples, proxy, grouping, reporter),
    ]),
  );
  return { type: "counters", sources, ...(subject.type === "revisions" ? { epoch: choice.epoch } : {}) };
}

/**
 * Counts opened and failed connections, as ztunnels and proxies report them. A proxy reports TCP connections and
 * requests, and each request counts as a connection. A check of the whole mesh uses only the ztunnels' counts if there
 * are ztunnels, because every connection passes one.
 */
export async function observeConnections(
  view: ClusterView,
  subject: CheckSubject,
  scrape: Scrape,
  step = "",
): Promise<CheckObservation> {
  const counting: CheckSubject =
    subject.type === "backends" || subject.type === "revisions" ? { type: "mesh" } : subject;
  const scraped = await scrapeAll(view, counting, scrape, connectionMetrics, step);
  if (scraped.answers.length === 0) return { type: "unavailable", detail: scraped.problem };
  const ztunnels = scraped.answers.filter(({ proxy }) => proxy.kind === "ztunnel");
  const counted = scraped.answers.filter(({ proxy }) => mayReport(view, subject, proxy));
  const answers = subject.type === "mesh" && ztunnels.length > 0 ? ztunnels : counted;
  const grouping = groupingOf(view, subject);
  const sources = Object.fromEntries(
    answers.map(({ proxy, samples }) => [podName(proxy.pod), connectionCounts(samples, proxy, grouping)]),
  );
  return { type: "counters", sources };
}

export interface Answer {
  readonly proxy: ProxyPod;
  readonly samples: readonly PrometheusSample[];
}

/**
 * Scrapes these families of metrics, or all if `families` is undefined, from all proxies of the subject. `problem` says
 * why none answered. With `families`, a proxy that reports a value that cannot be a count is treated as one that has
 * not answered. Only looks of the same step share answers: a step counts from its first look, and an older answer would
 * add requests that still had the weight of the step before.
 */
export async function scrapeAll(
  view: ClusterView,
  subject: CheckSubject,
  scrape: Scrape,
  families?: readonly string[],
  step = "",
): Promise<{ readonly answers: readonly Answer[]; readonly problem: string }> {
  const proxies = proxiesFor(view, subject);
  let problem = `no proxy that counts requests of ${describeSubject(subject)} is running`;
  const answers = await Promise.all(
    proxies.map(async (proxy): Promise<Answer | undefined> => {
      try {
        const samples = await view.recently(
          `metrics ${proxy.pod.metadata.uid ?? podName(proxy.pod)} ${families?.join() ?? ""} ${step}`,
          async () => await scrape(proxy.pod, families),
        );
        const wrong = families === undefined ? undefined : samples.find(({ value }) => !isCount(value));
        if (wrong === undefined) return { proxy, samples };
        problem = `pod ${podName(proxy.pod)} reports ${wrong.value} for ${wrong.name}, which is no count, so it is left out`;
        return undefined;
      } catch (error) {
        problem = messageOf(error);
        return undefined;
      }
    }),
  );
  return { answers: answers.filter((answer) => answer !== undefined), problem };
}

/**
 * Whether a value can be a count: finite and not negative. A proxy that reports any other value is left out with all
 * its series. If the value stayed, every later sum would be meaningless. If only its series were left out, the proxy's
 * sums would fall, as after a restart.
 */
function isCount(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

/** The reporter changes only if another one has counted this many requests since the chosen one last counted any. */
const silentSamples = 10;
/**
 * The servers' sidecars are chosen only after this many looks in which they counted requests and the chosen reporter
 * counted none. They count a request a little earlier than the client's proxy, and never see requests that do not reach
 * them.
 */
const silentLooks = 3;

type ReporterTotals = Readonly<Record<Reporter, number>>;

const noTotals: ReporterTotals = { source: 0, waypoint: 0, destination: 0 };

/**
 * Chooses the reporter whose counters are used, so that no request is counted twice. The first choice for a Canary is
 * the waypoint if it has counted any requests. Otherwise the first choice is the proxies of the clients. The choice
 * changes if the chosen reporter counts nothing while another one does. For a wave of an upgrade, this may be the
 * servers' sidecars, because clients in ambient and outside the mesh have no proxy that counts. For a Canary it may
 * not: requests of such clients do not follow its weights.
 */
export class ReporterChoice {
  readonly servers = new KnownServers();
  /** Changes if this instance is lost with the engine, and its knowledge in `servers` with it. */
  readonly epoch = randomUUID();
  readonly #last = new LastSeen<ReporterTotals>();
  #chosen: Reporter | undefined;
  /**
   * For each reporter: how many requests it has counted since the chosen one last counted any, and in how many looks.
   */
  #others: Record<Reporter, { samples: number; looks: number }> = noneCounted();
  #changes = 0;

  /** How often the choice has changed. Counters from before a change cannot be compared with later ones. */
  get changes(): number {
    return this.#changes;
  }

  of(answers: readonly Answer[], subject: CheckSubject, grouping: Grouping): Reporter {
    const reporters = choicesFor(subject);
    if (reporters.length === 1) return "source";
    const gained = { ...noTotals };
    const all = { ...noTotals };
    for (const { proxy, samples } of answers) {
      const now = reporterTotals(samples, proxy, grouping, subject);
      const key = podName(proxy.pod);
      const before = this.#last.get(key) ?? now;
      this.#last.set(key, now);
      for (const reporter of reporters) {
        gained[reporter] += Math.max(0, now[reporter] - before[reporter]);
        all[reporter] += now[reporter];
      }
    }
    this.#chosen ??= reporters.includes("waypoint") && all.waypoint > 0 ? "waypoint" : "source";
    const next = this.#successor(this.#chosen, reporters, gained);
    if (next === undefined) return this.#chosen;
    this.#others = noneCounted();
    this.#changes += 1;
    return (this.#chosen = next);
  }

  #successor(chosen: Reporter, reporters: readonly Reporter[], gained: ReporterTotals): Reporter | undefined {
    if (gained[chosen] > 0) this.#others = noneCounted();
    else
      for (const reporter of reporters)
        if (gained[reporter] > 0) {
          this.#others[reporter].samples += gained[reporter];
          this.#others[reporter].looks += 1;
        }
    return reporters.find((reporter) => {
      const { samples, looks } = this.#others[reporter];
      return samples >= silentSamples && (reporter !== "destination" || looks >= silentLooks);
    });
  }
}

function noneCounted(): Record<Reporter, { samples: number; looks: number }> {
  const none = (): { samples: number; looks: number } => ({ samples: 0, looks: 0 });
  return { source: none(), waypoint: none(), destination: none() };
}

function choicesFor({ type }: CheckSubject): readonly Reporter[] {
  if (type === "backends") return ["source", "waypoint"];
  return type === "revisions" ? ["source", "destination"] : ["source"];
}

function reporterTotals(
  samples: readonly PrometheusSample[],
  proxy: ProxyPod,
  grouping: Grouping,
  { type }: CheckSubject,
): ReporterTotals {
  const totals = { ...noTotals };
  for (const sample of samples) {
    const reporter = sample.name === requestsMetric ? reporterOf(sample) : undefined;
    if (reporter === undefined || grouping(sample, proxy) === undefined) continue;
    const isOwnWaypoint = type === "revisions" && isCounted(sample, proxy, "source");
    totals[isOwnWaypoint ? "source" : reporter] += sample.value;
  }
  return totals;
}

function requestCounts(
  samples: readonly PrometheusSample[],
  proxy: ProxyPod,
  grouping: Grouping,
  reporter: Reporter,
): OutcomeCounts {
  let sum = noOutcomes;
  for (const sample of samples) {
    if (sample.name !== requestsMetric || !isCounted(sample, proxy, reporter)) continue;
    const group = grouping(sample, proxy);
    if (group !== undefined) sum = added(sum, group, sample.value, isFailure(sample) ? sample.value : 0);
  }
  return sum;
}

/**
 * Whether a proxy's sample counts for the reporter. With `source`, the waypoints' own counters count too, because no
 * other proxy sees the requests that they send. With `destination`, other proxies' counts of requests that never
 * reached a server count too.
 */
export function isCounted(sample: PrometheusSample, proxy: ProxyPod, reporter: Reporter): boolean {
  const found = reporterOf(sample);
  if (found === reporter) return true;
  if (reporter === "destination")
    return found !== undefined && neverArrived.test(sample.labels["response_flags"] ?? "");
  return found === "waypoint" && proxy.kind === "waypoint" && reporter === "source";
}

function isFailure({ labels }: PrometheusSample): boolean {
  const code = Number(labels["response_code"] ?? 0);
  return (
    code >= 500 ||
    code === 0 ||
    (labels["request_protocol"] === "grpc" && serverFaults.has(labels["grpc_response_status"] ?? ""))
  );
}

function connectionCounts(samples: readonly PrometheusSample[], proxy: ProxyPod, grouping: Grouping): OutcomeCounts {
  let sum = noOutcomes;
  for (const sample of samples) {
    const attempt = connectionOf(sample);
    const group = attempt === undefined ? undefined : grouping(sample, proxy);
    if (group !== undefined) sum = added(sum, group, sample.value, attempt === "failed" ? sample.value : 0);
  }
  return sum;
}

/** Envoy's response flag for a failed connection to the server. */
const connectFailure = /\bUF\b/;
/**
 * The response flags of requests that reached no server: a failed connection, or a cluster without a usable endpoint.
 */
const neverArrived = /\b(?:UF|UH)\b/;

function connectionOf({ name, labels }: PrometheusSample): "opened" | "failed" | undefined {
  // The probe outside the mesh expects that servers refuse its connections, so these do not count.
  if (labels["source_workload"] === plainClientName && labels["source_workload_namespace"] === probeNamespace)
    return undefined;
  if (name === failedMetric) return "failed";
  // Only the proxy that opens the connection counts it: the client's proxy, a gateway or a waypoint. The destination's
  // proxy sees only connections that have arrived.
  if (name !== requestsMetric && (name !== openedMetric || labels["reporter"] === undefined)) return undefined;
  if (labels["reporter"] === "destination") return undefined;
  return connectFailure.test(labels["response_flags"] ?? "") ? "failed" : "opened";
}

export function added(sum: OutcomeCounts, group: Group, total: number, errors: number): OutcomeCounts {
  if (group === "canary")
    return { ...sum, canaryTotal: sum.canaryTotal + total, canaryErrors: sum.canaryErrors + errors };
  return { ...sum, stableTotal: sum.stableTotal + total, stableErrors: sum.stableErrors + errors };
}
