import { BoundedCache, messageOf, rfc3339Seconds, type Clock } from "../../../base/index.ts";
import { namesWindow, type QuerySpec, type TemplateSide, type TemplateValues } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import {
  intervalMsOf,
  type CheckObservation,
  type CheckSubject,
  type PlannedCheck,
  type WorkloadMatch,
} from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { controlPlanePods, controlPlaneRevision } from "../pilot-answers.ts";
import { observeRejections } from "../rejections.ts";
import { namespacesConcerned } from "../trusted-reporters.ts";
import { observeConvergence, revisionsOf } from "./convergence.ts";
import { observeConnections, observeRequests, ReporterChoice } from "./counters.ts";
import { ErrorLogObserver } from "./error-logs.ts";
import { DurationObserver } from "./histograms.ts";
import type { CheckDestination } from "./allowed-destinations.ts";
import { gatewayWithoutListeners } from "./gateway-without-listeners.ts";
import { httpExchange, type HttpExchange } from "./http-exchange.ts";
import type * as MeshMetricsModule from "./mesh-metrics.ts";
import { podFacts } from "./pod-facts.ts";
import { observeRoots } from "./roots.ts";
import { scrapePod, type Scrape } from "./scrape.ts";
import { SharedCache } from "./shared-cache.ts";
import { podsOfSubject, readyPodsOfCheck } from "./subject-pods.ts";
import { TimeShares } from "../../shares/time-shares.ts";
import { observeWebhook } from "./webhook.ts";

export interface CheckOrigin {
  readonly rollout: string;
  readonly step: string;
  /** The rollout's namespace. Absent for a cluster-scoped rollout. */
  readonly namespace?: string;
  /** The namespaces that the rollout has changed, or is changing. Absent for a check outside any rollout. */
  readonly concerned?: readonly string[];
  /** The time since the step settled. If absent, queries measure the time from the first look. */
  readonly settledForMs?: number;
}

export interface CheckObserverOptions {
  readonly client: KubeClient;
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly scrape?: Scrape;
  readonly exchange?: HttpExchange;
  /**
   * Decides which servers a check may call. If absent, a check may call any server, for example because a person runs
   * it.
   */
  readonly destination?: CheckDestination;
}

interface Watched {
  readonly firstMs: number;
  /** When a round last asked for the check's result, whether or not that caused a look. */
  askedMs: number;
  lookedMs: number;
  look: number;
  latest: Promise<CheckObservation> | undefined;
  isAnswered: boolean;
  /** Whether a round has received the result of the latest look. The next look begins only after that. */
  isDelivered: boolean;
  problem: string;
  readonly durations: DurationObserver;
  readonly reporter: ReporterChoice;
  readonly logs: ErrorLogObserver;
}

const maxWatched = 512;
/** How long a round waits for a result. A later round gets a slower result, so slow checks do not delay an abort. */
const patienceMs = 1000;
/** The state of a check is dropped if no round has asked for its result for this long. */
const forgottenAfterMs = 60_000;

/**
 * Gathers the measurements of each check at its own interval. Only reads. Losing its state with the engine does no
 * harm.
 */
export class CheckObserver {
  readonly #options: CheckObserverOptions;
  readonly #scrape: Scrape;
  readonly #exchange: HttpExchange;
  #metrics: MeshMetricsModule.MeshMetrics | undefined;
  /**
   * The checks. The rollouts' namespaces share the room fairly, because a check that is dropped must begin to measure
   * again.
   */
  readonly #watched = new SharedCache<Watched>(maxWatched);
  readonly #shares: TimeShares;
  /**
   * How often the checks of a step have begun anew. Part of the key of scrapes, so that no scrape from before counts.
   */
  readonly #begun = new BoundedCache<string, number>(maxWatched);

  constructor(options: CheckObserverOptions) {
    this.#options = options;
    this.#scrape = options.scrape ?? scrapePod;
    this.#exchange = options.exchange ?? httpExchange;
    this.#shares = new TimeShares(options.clock);
  }

  /**
   * Forgets the looks of a step that has not settled. Such a step may have settled before, or belong to a rollout that
   * somebody has deleted and created again. Then earlier answers say nothing about the step.
   */
  beginAnew({ rollout, step }: Pick<CheckOrigin, "rollout" | "step">): void {
    const owner = `${rollout}|${step}|`;
    for (const [key] of this.#watched.entries()) if (key.startsWith(owner)) this.#watched.delete(key);
    this.#begun.set(owner, (this.#begun.get(owner) ?? 0) + 1);
  }

  /**
   * Looks if the check's interval is over, and otherwise returns the result of the last look. Never throws. A failed
   * look is `unavailable`, and one that takes longer than {@link patienceMs} is `pending`.
   */
  async observe(check: PlannedCheck, origin: CheckOrigin): Promise<CheckObservation> {
    const nowMs = this.#options.clock.steadyMs();
    const watched = this.#watch(check, origin, nowMs);
    const intervalMs = intervalMsOf(check.spec);
    if (watched.latest === undefined || (watched.isDelivered && nowMs - watched.lookedMs >= intervalMs)) {
      watched.lookedMs = nowMs;
      watched.look = this.#options.clock.nowMs();
      watched.latest = this.#begin(check, origin, watched, nowMs);
    }
    const { look, latest } = watched;
    const observation = watched.isAnswered ? await latest : await this.#within(latest, watched);
    if (observation.type === "pending") return observation;
    watched.isDelivered = true;
    return intervalMs === 0 ? observation : { ...observation, look };
  }

  async #begin(check: PlannedCheck, origin: CheckOrigin, watched: Watched, nowMs: number): Promise<CheckObservation> {
    watched.isAnswered = false;
    watched.isDelivered = false;
    const observation = await this.#look(check, origin, watched, nowMs).catch((error: unknown): CheckObservation => ({
      type: "unavailable",
      detail: messageOf(error),
    }));
    watched.isAnswered = true;
    // A pending look has measured nothing, so the next round looks again, before the interval is over.
    if (observation.type === "pending") watched.latest = undefined;
    watched.problem = observation.type === "unavailable" ? observation.detail : "";
    return observation;
  }

  /**
   * The result of a look, or `pending` if it takes too long. Then the status also shows why the previous look had no
   * answer.
   */
  async #within(latest: Promise<CheckObservation>, { look, problem }: Watched): Promise<CheckObservation> {
    const { clock } = this.#options;
    const before = problem === "" ? "" : `; the previous attempt had no answer either: ${problem}`;
    const ended = new AbortController();
    const tooLong = clock.sleep(patienceMs, ended.signal).then((): CheckObservation => ({
      type: "pending",
      // The status keeps this text for long, so the text contains the time of the request and not its age.
      detail: `asked at ${rfc3339Seconds(look)}, no answer yet${before}`,
    }));
    try {
      return await Promise.race([latest, tooLong.catch(() => latest)]);
    } finally {
      ended.abort();
    }
  }

  #watch({ spec, subject }: PlannedCheck, { rollout, step, namespace = "" }: CheckOrigin, nowMs: number): Watched {
    // A changed request needs a new answer, so the request is part of the key.
    const question = [subject, spec.type, spec.query, spec.webhook, spec.roots];
    const key = `${rollout}|${step}|${spec.name ?? spec.type}|${JSON.stringify(question)}`;
    for (const [other, { askedMs }] of this.#watched.entries())
      if (other !== key && nowMs - askedMs > forgottenAfterMs) this.#watched.delete(other);
    const known = this.#watched.get(key);
    if (known !== undefined) {
      known.askedMs = nowMs;
      return known;
    }
    const { client, clock } = this.#options;
    const made: Watched = {
      firstMs: nowMs,
      askedMs: nowMs,
      lookedMs: nowMs,
      look: 0,
      latest: undefined,
      isAnswered: true,
      isDelivered: true,
      problem: "",
      durations: new DurationObserver(),
      reporter: new ReporterChoice(),
      logs: new ErrorLogObserver(client, clock),
    };
    this.#watched.set(namespace, key, made);
    return made;
  }

  async #look(check: PlannedCheck, origin: CheckOrigin, watched: Watched, nowMs: number): Promise<CheckObservation> {
    const { client, view } = this.#options;
    const [seen, ready] = await Promise.all([
      this.#measure(check, origin, watched, nowMs),
      readyPodsOfCheck(client, view, check),
    ]);
    return ready === undefined ? seen : { ...seen, ready };
  }

  async #measure(
    { spec, subject }: PlannedCheck,
    origin: CheckOrigin,
    { firstMs, durations, logs, reporter }: Watched,
    nowMs: number,
  ): Promise<CheckObservation> {
    const { client, view } = this.#options;
    const owner = `${origin.rollout}|${origin.step}|`;
    const step = `${owner} ${this.#begun.get(owner) ?? 0}`;
    switch (spec.type) {
      case "request-success-rate":
      case "request-share":
        return (
          (await gatewayWithoutListeners(view, subject, this.#scrape, step)) ??
          (await observeRequests(view, subject, this.#scrape, reporter, step))
        );
      case "tcp-connect-failures":
        return await observeConnections(view, subject, this.#scrape, step);
      case "request-duration":
        return (
          (await gatewayWithoutListeners(view, subject, this.#scrape, step)) ??
          (await durations.observe(view, subject, this.#scrape, step))
        );
      case "pod-health":
      case "restarts": {
        const { canary, stable } = await podsOfSubject(client, view, subject);
        return { type: "pods", canary: canary.map(podFacts), stable: stable.map(podFacts) };
      }
      case "error-log-rate":
        return await logs.observe(await podsOfSubject(client, view, subject));
      case "xds-convergence":
        return await observeConvergence(view, subject, origin.concerned);
      case "xds-nacks":
        return await this.#rejections(subject, origin.concerned);
      case "certificate-roots":
        return await observeRoots(view, subject, spec.roots ?? [], this.#scrape);
      case "query":
        if (spec.query === undefined) break;
        return await this.#query(spec.query, subject, {
          ...origin,
          settledForMs: origin.settledForMs ?? nowMs - firstMs,
        });
      case "webhook":
        if (spec.webhook === undefined) break;
        return await observeWebhook(
          spec.webhook,
          { rollout: origin.rollout, step: origin.step },
          valuesOf(subject, origin.settledForMs ?? nowMs - firstMs),
          await this.#exchangeWith(spec.webhook.url, origin.namespace),
        );
      case "mtls-probe-matrix":
      case "approval":
        break;
    }
    return { type: "unavailable", detail: `${spec.type} does not apply to this step` };
  }

  /**
   * A query over the time since the step settled waits until that time is as long as the shortest window. Otherwise its
   * answer would include the step before. The first query loads the evaluator.
   */
  async #query(
    query: QuerySpec,
    subject: CheckSubject,
    { rollout, namespace, settledForMs }: CheckOrigin & { readonly settledForMs: number },
  ): Promise<CheckObservation> {
    const { view, clock } = this.#options;
    const [{ observeQuery }, { MeshMetrics }] = await Promise.all([import("./query.ts"), import("./mesh-metrics.ts")]);
    this.#metrics ??= new MeshMetrics(view, this.#scrape, clock);
    const earlyMs = shortestWindowSeconds * 1000 - settledForMs;
    if (rollout !== "" && earlyMs > 0 && [query.expression, query.baseline ?? ""].some(namesWindow)) {
      // The first answer needs samples from the whole window, so collect them from the beginning.
      if (query.provider === "mesh") await this.#metrics.refresh(earlyRefreshMs);
      const detail = `its window of ${shortestWindowSeconds} s is not over, it is asked in ${Math.ceil(earlyMs / 1000)} s`;
      return { type: "pending", detail };
    }
    const values = valuesOf(subject, settledForMs);
    // A MeshUpgrade has no namespace. The mesh's operator writes it, so its queries need no share.
    const owner = namespace ?? "";
    const share = { waitMs: () => this.#shares.waitMs(owner), spent: (ms: number) => this.#shares.spent(owner, ms) };
    return await observeQuery(query, values, {
      metrics: this.#metrics,
      exchange: await this.#exchangeWith(query.address, namespace),
      ...(namespace === undefined ? {} : { share }),
    });
  }

  /** Returns the function that calls a server. Throws if rollouts of the namespace must not call it. */
  async #exchangeWith(url: string | undefined, namespace: string | undefined): Promise<HttpExchange> {
    const addresses = url === undefined ? undefined : await this.#options.destination?.(url, namespace);
    return addresses === undefined
      ? this.#exchange
      : async (question) => await this.#exchange({ ...question, addresses });
  }

  /**
   * Returns the observation of the first revision whose proxies have rejected something. If there is none, returns the
   * first one that does not pass, or the last one.
   */
  async #rejections(subject: CheckSubject, touched: readonly string[] | undefined): Promise<CheckObservation> {
    const { view } = this.#options;
    const found = revisionsOf(subject) ?? [...new Set(controlPlanePods(view).map(controlPlaneRevision))];
    const concerned = namespacesConcerned(subject, touched);
    const observations = await Promise.all(
      found.map(async (revision) => await observeRejections(view, revision, concerned)),
    );
    const notPassed =
      observations.find((observation) => observation.type === "verdict" && observation.verdict === "fail") ??
      observations.find((observation) => observation.type !== "verdict" || observation.verdict !== "pass");
    return notPassed ?? observations.at(-1) ?? { type: "unavailable", detail: "there is no control plane" };
  }
}

/** A shorter window has too few samples for a rate. */
const shortestWindowSeconds = 15;
/**
 * How old stored metrics may be until the shortest window is over. Until then every round gets here, and need not
 * scrape the whole mesh.
 */
const earlyRefreshMs = 5000;

export function valuesOf(subject: CheckSubject, windowMs: number): TemplateValues {
  const window = `${Math.max(shortestWindowSeconds, Math.ceil(windowMs / 1000))}s`;
  const nobody: TemplateSide = { service: "", namespace: "", workload: "", revision: "" };
  const named = ({ service = "", namespace, workload = "" }: WorkloadMatch): TemplateSide => ({
    ...nobody,
    service,
    namespace,
    workload,
  });
  switch (subject.type) {
    case "backends":
      return { canary: named(subject.canary), stable: named(subject.stable), window };
    case "gatewayRevisions": {
      const { name: workload, namespace } = subject.gateway;
      return {
        canary: { ...nobody, namespace, workload, revision: subject.canary },
        stable: { ...nobody, namespace, workload, revision: subject.stable },
        window,
      };
    }
    case "revisions":
      return {
        canary: { ...nobody, revision: subject.canary },
        stable: { ...nobody, revision: subject.stable },
        window,
      };
    case "proxies":
      return { canary: { ...nobody, revision: subject.revision }, stable: nobody, window };
    case "probes":
      return {
        canary: { ...nobody, revision: subject.revisions.at(-1) ?? "" },
        stable: { ...nobody, revision: subject.revisions[0] ?? "" },
        window,
      };
    case "mesh":
      return { canary: nobody, stable: nobody, window };
  }
}
