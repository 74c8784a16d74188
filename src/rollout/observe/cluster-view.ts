import { isInsideAddress, type Clock, type Logger } from "../../base/index.ts";
import { matchesLabels, type KubernetesObject } from "../../api/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podDisruptionBudgetKind,
  podKind,
  statefulSetKind,
  type DaemonSet,
  type Deployment,
  type Namespace,
  type Pod,
  type PodDisruptionBudget,
  type StatefulSet,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import { controlPlaneNamespaces } from "../../api/mesh-namespaces/index.ts";
import { createInformer, type Informer, type InformerChange, type KubeClient } from "../../kube/index.ts";
import { PilotDebug } from "./pilot-debug/pilot-debug.ts";
import { RecentValues } from "./recent-values.ts";
import { SilentPods } from "./silent-pods.ts";

const answerMaxAgeMs = 300;
const longerMs = 10_000;
const maxAnswers = 512;

/**
 * The cluster as the engine sees it: informers for the objects that it watches, and the recent answers of pilots and
 * pods. The engine reads other objects from the API server when it needs them.
 */
export class ClusterView {
  readonly pods: Informer<Pod>;
  readonly namespaces: Informer<Namespace>;
  readonly deployments: Informer<Deployment>;
  readonly daemonSets: Informer<DaemonSet>;
  readonly statefulSets: Informer<StatefulSet>;
  readonly disruptionBudgets: Informer<PodDisruptionBudget>;
  readonly injectors: Informer<WebhookConfiguration>;
  readonly pilotDebug: PilotDebug;
  readonly silentPods: SilentPods;
  /**
   * The namespaces whose proxies may report requests to backends of other namespaces, besides those of control planes.
   * Undefined means all namespaces.
   */
  readonly reporterNamespaces: ReadonlySet<string> | undefined;
  readonly #podsIn = new Map<string, Map<string, Pod>>();
  readonly #answers: RecentValues<Promise<unknown>>;
  readonly #keptLonger: RecentValues<unknown>;

  constructor(
    client: KubeClient,
    options: {
      readonly log: Logger;
      readonly clock: Clock;
      readonly reporterNamespaces?: readonly string[] | undefined;
    },
  ) {
    const { reporterNamespaces } = options;
    this.reporterNamespaces = reporterNamespaces === undefined ? undefined : new Set(reporterNamespaces);
    this.pods = createInformer(client, podKind, { ...options, transform: withoutWriters });
    this.pods.subscribe((change) => this.#notePod(change));
    this.namespaces = createInformer(client, namespaceKind, options);
    this.deployments = createInformer(client, deploymentKind, options);
    this.daemonSets = createInformer(client, daemonSetKind, options);
    this.statefulSets = createInformer(client, statefulSetKind, options);
    this.disruptionBudgets = createInformer(client, podDisruptionBudgetKind, options);
    this.injectors = createInformer(client, mutatingWebhookConfigurationKind, options);
    this.pilotDebug = new PilotDebug(client, { clock: options.clock, injectors: () => this.injectors.list() });
    this.silentPods = new SilentPods(options.clock);
    this.#answers = new RecentValues(options.clock, { maxAgeMs: answerMaxAgeMs, maxValues: maxAnswers });
    this.#keptLonger = new RecentValues(options.clock, { maxAgeMs: longerMs, maxValues: maxAnswers });
  }

  get #informers(): readonly { run(signal: AbortSignal): Promise<void>; readonly synced: Promise<void> }[] {
    return [this.pods, this.namespaces, this.deployments, this.daemonSets, this.statefulSets, this.disruptionBudgets];
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers, this.injectors].map(async (informer) => await informer.run(signal)));
  }

  /**
   * Resolves when all watches except the injectors have their first list. A user with read access may not be allowed to
   * list injectors, so those have their own `synced`.
   */
  get synced(): Promise<unknown> {
    return Promise.all(this.#informers.map(({ synced }) => synced));
  }

  /**
   * Returns the answer to this key if it is younger than {@link answerMaxAgeMs}, and asks otherwise. Several conditions
   * of a step need the same answers. A failure is kept like an answer.
   */
  async recently<Answer>(key: string, ask: () => Promise<Answer>): Promise<Answer> {
    const kept = this.#answers.get(key);
    if (kept !== undefined) return (await kept) as Answer;
    const answer = ask();
    this.#answers.set(key, answer);
    return await answer;
  }

  /**
   * The same as {@link recently}, but keeps an answer for {@link longerMs}, and keeps no failure. Use it for answers
   * that seldom change, if nothing waits for the change.
   */
  async keptLonger<Answer>(key: string, ask: () => Promise<Answer>): Promise<Answer> {
    const kept = this.#keptLonger.get(key);
    if (kept !== undefined) return kept as Answer;
    const answer = await ask();
    this.#keptLonger.set(key, answer);
    return answer;
  }

  controlPlaneNamespaces(): ReadonlySet<string> {
    return controlPlaneNamespaces(this.injectors.list());
  }

  #notePod({ type, key, object }: InformerChange<Pod>): void {
    const { namespace = "" } = object.metadata;
    const own = this.#podsIn.get(namespace) ?? new Map<string, Pod>();
    if (type === "set") own.set(key, object);
    else own.delete(key);
    if (own.size === 0) this.#podsIn.delete(namespace);
    else this.#podsIn.set(namespace, own);
  }

  podsIn(namespace: string): readonly Pod[] {
    return [...(this.#podsIn.get(namespace)?.values() ?? [])];
  }

  /** Pods with these labels that have an address and have not ended, including those that are ending. */
  runningPods(labels: Readonly<Record<string, string>>): Pod[] {
    return this.pods.list().filter((pod) => matchesLabels(labels, pod.metadata.labels) && isRunning(pod));
  }

  scrapablePods(labels: Readonly<Record<string, string>>): Pod[] {
    return this.runningPods(labels).filter((pod) => pod.metadata.annotations?.["prometheus.io/scrape"] === "true");
  }
}

/**
 * Whether the pod runs at an address that the engine may call. A user who may write a pod's status could set the
 * engine's own loopback address there, or the address where clouds serve credentials, so the engine calls neither.
 */
export function isRunning({ status }: Pod): boolean {
  return status?.phase === "Running" && !isInsideAddress(status.podIP ?? "");
}

/**
 * Removes `managedFields`, which are half of a usual pod. The engine holds all pods of the cluster, and needs the
 * writers of fields only for the objects that it changes.
 */
function withoutWriters<Value extends KubernetesObject>(object: Value): Value {
  const { managedFields: _writers, ...metadata } = object.metadata;
  return { ...object, metadata };
}
