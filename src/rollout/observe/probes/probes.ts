import { messageOf, type Clock } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { CheckObservation } from "../../decide/index.ts";
import {
  probeNamespace,
  probePacePort,
  probePairs,
  probePlanesAnnotation,
  type PlannedProbePair,
  type ProbeScope,
} from "../../plan/index.ts";
import type { ProbeReport } from "../../probe/index.ts";
import { isRunning, type ClusterView } from "../cluster-view.ts";
import { isZtunnel } from "../pilot-answers.ts";
import { podFacts } from "../checks/pod-facts.ts";
import { scrapePod, type Scrape } from "../checks/scrape.ts";
import { readPodLog } from "../pod-log.ts";
import { httpGet } from "../http-get.ts";
import { EventAges } from "../event-ages.ts";
import { connectionCounters, probeFacts } from "./probe-facts.ts";
import { probePodFacts } from "./probe-pods.ts";
import { trustedDomains } from "./probe-roots.ts";
import { RecentValues } from "../recent-values.ts";

export interface ProbeObserverOptions {
  readonly client: KubeClient;
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly scrape?: Scrape;
  readonly get?: typeof httpGet;
}

/**
 * Looks within this time share the logs of the probes and the metrics of the data planes. The longer time ({@link
 * unhurriedMaxAgeMs}) applies if the step has enough probes: it may then soak for hours, and each look reads from every
 * probe.
 */
const maxAgeMs = 150;
const unhurriedMaxAgeMs = 2000;
const maxKept = 16;
/**
 * How often the engine requests that a client probes at its full pace. The client must not slow down between two
 * requests, so this is shorter than the effect of one.
 */
const askEveryMs = 500;

/**
 * Observes the probe matrix. The results of clients come from the pods' logs, which the engine can read even if the
 * mesh lets no connection through. The identities that the data planes verified come from their metrics.
 */
export class ProbeObserver {
  readonly #options: ProbeObserverOptions;
  readonly #kept: RecentValues<Promise<CheckObservation>>;
  readonly #keptLonger: RecentValues<Promise<CheckObservation>>;
  readonly #asked: RecentValues<true>;
  readonly #ages: EventAges;

  constructor(options: ProbeObserverOptions) {
    this.#options = options;
    this.#ages = new EventAges(options.clock);
    this.#kept = new RecentValues(options.clock, { maxAgeMs, maxValues: maxKept });
    this.#keptLonger = new RecentValues(options.clock, { maxAgeMs: unhurriedMaxAgeMs, maxValues: maxKept });
    this.#asked = new RecentValues(options.clock, { maxAgeMs: askEveryMs, maxValues: maxKept });
  }

  /**
   * The results of the probes. With `isWaiting`, the step waits for more of them, so the engine lets the clients probe
   * at their full pace.
   */
  observe(scope: ProbeScope, isWaiting: boolean): Promise<CheckObservation> {
    const key = JSON.stringify([scope.revisions, scope.dataPlanes]);
    if (isWaiting && this.#asked.get(key) === undefined) {
      this.#asked.set(key, true);
      this.#askToProbe(clientsOf(probePairs(madeOf(this.#options.view, scope))));
    }
    const kept = (isWaiting ? this.#kept : this.#keptLonger).get(key);
    if (kept !== undefined) return kept;
    const observation = this.#look(scope).catch((error: unknown): CheckObservation => ({
      type: "unavailable",
      detail: messageOf(error),
    }));
    this.#kept.set(key, observation);
    this.#keptLonger.set(key, observation);
    return observation;
  }

  #askToProbe(clients: readonly string[]): void {
    const { view, get = httpGet } = this.#options;
    for (const name of clients) {
      const address = view.pods.get(`${probeNamespace}/${name}`)?.status?.podIP ?? "";
      if (address !== "") void get(address, probePacePort, "/").catch(() => undefined);
    }
  }

  async #look(scope: ProbeScope): Promise<CheckObservation> {
    const { client, view, scrape = scrapePod } = this.#options;
    const pairs = probePairs(madeOf(view, scope));
    const clients = clientsOf(pairs);
    const [reports, samples, domains] = await Promise.all([
      Promise.all(clients.map((name) => readReport(client, view, name))),
      Promise.all(dataPlanePods(view).map(async (pod) => await scrape(pod, connectionCounters))),
      Promise.all(
        scope.revisions.map(async (revision) => [revision, await trustedDomains(client, view, revision)] as const),
      ),
    ]);
    const missing = pairs.find(
      (pair) => reports.find((report) => report.client === pair.client)?.pairs[pair.name] === undefined,
    );
    if (missing !== undefined)
      return {
        type: "unavailable",
        detail: `${missing.client} does not probe ${missing.name}: it was made for another plan, delete the namespace ${probeNamespace} and start again`,
      };
    const pods = view.pods
      .list()
      .filter(({ metadata }) => metadata.namespace === probeNamespace)
      .map(podFacts);
    return {
      type: "matrix",
      facts: probeFacts({
        pairs,
        reports,
        pods,
        samples: samples.flat(),
        // Read after the reports, which may count failures of a pod that was deleted meanwhile.
        serving: probePodFacts(view, pairs, (event, atMs) => this.#ages.ageMs(event, atMs, Infinity)),
        trustDomains: Object.fromEntries(domains.filter(([, names]) => names.length > 0)),
      }),
    };
  }
}

function clientsOf(pairs: readonly PlannedProbePair[]): string[] {
  return [...new Set(pairs.map(({ client }) => client))];
}

/**
 * Limits the scope to the data planes for which probes were created, because the data planes of the cluster may have
 * changed since.
 */
function madeOf(view: ClusterView, scope: ProbeScope): ProbeScope {
  const made = view.namespaces.get(probeNamespace)?.metadata.annotations?.[probePlanesAnnotation];
  return made === undefined
    ? scope
    : { ...scope, dataPlanes: scope.dataPlanes.filter((plane) => made.split(",").includes(plane)) };
}

/** The probes' own sidecars, gateways and waypoints, and the ztunnels of the probes' nodes. */
function dataPlanePods(view: ClusterView): Pod[] {
  const own = view.pods.list().filter((pod) => pod.metadata.namespace === probeNamespace && isScrapable(pod));
  const nodes = new Set(
    view.pods.list().flatMap(({ metadata, spec }) => (metadata.namespace === probeNamespace ? [spec?.nodeName] : [])),
  );
  // A ztunnel that is ending may not answer, and its counters no longer change.
  return [
    ...own,
    ...view
      .scrapablePods({ app: "ztunnel" })
      .filter(
        (pod) => isZtunnel(view, pod) && pod.metadata.deletionTimestamp === undefined && nodes.has(pod.spec?.nodeName),
      ),
  ];
}

function isScrapable(pod: Pod): boolean {
  const { metadata } = pod;
  return (
    metadata.annotations?.["prometheus.io/scrape"] === "true" &&
    metadata.deletionTimestamp === undefined &&
    isRunning(pod)
  );
}

async function readReport(client: KubeClient, view: ClusterView, name: string): Promise<ProbeReport> {
  const pod = (): Pod | undefined => view.pods.get(`${probeNamespace}/${name}`);
  const place = { namespace: probeNamespace, name, node: pod()?.spec?.nodeName };
  let text = "";
  try {
    text = await readPodLog(client, place, { container: "probe", tailLines: "1" });
  } catch (error) {
    if (pod() !== undefined) throw error;
  }
  if (pod() === undefined)
    throw new Error(`probe ${name} is gone: ${probeNamespace}/${name} was deleted, or its node was`);
  const report = parseReport(text);
  if (report === undefined) throw new Error(`probe ${name} has not reported yet`);
  return report;
}

function parseReport(text: string): ProbeReport | undefined {
  const line = text.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as ProbeReport;
  } catch {
    return undefined;
  }
}
