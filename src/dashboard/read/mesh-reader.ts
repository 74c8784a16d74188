import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { ReportersObjects } from "./reported-traffic.ts";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../../api/index.ts";
import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import type { SourceState } from "../../api/dashboard/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  endpointSliceKind,
  jobKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podDisruptionBudgetKind,
  podKind,
  serviceKind,
  statefulSetKind,
  type Pod,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import {
  canaryKind,
  checkKind,
  freezeKind,
  meshUpgradeKind,
  rolloutJournalKind,
  type Canary,
  type Check,
  type Freeze,
  type MeshUpgrade,
} from "../../api/serin/index.ts";
import { createInformer, type Excerpt, type Informer, type KubeClient } from "../../kube/index.ts";
import type { MeshObjects } from "../views/index.ts";
import { EventLog } from "./event-log.ts";
import { KindStates } from "./kind-states.ts";
import {
  trimmedPodExcerpt,
  trimConfig,
  trimJournal,
  trimObject,
  trimPod,
  trimService,
  trimSlice,
  trimWorkload,
} from "./trim.ts";

const heartbeatMs = 3000;
/**
 * The number of objects in each page of a list. Only a few fields of an object are kept, so most memory during the
 * start is that of a page.
 */
const pageSize = 100;
const heartbeatTimeoutMs = 2500;

export interface MeshReaderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onChange: () => void;
}

export class MeshReader {
  readonly #options: MeshReaderOptions;
  readonly #states: KindStates;
  readonly #informers: Informer<KubernetesObject>[] = [];
  readonly #configs: Informer<UntypedObject>[] = [];
  readonly #pods: Informer<Pod>;
  readonly #injectors: Informer<WebhookConfiguration>;
  readonly #kinds: KindDefinition[] = [];
  readonly #events: EventLog;
  readonly #reporters: () => ReportersObjects;
  readonly #snapshot: () => MeshObjects;
  #version = 0;
  #answeredAtMs: number | undefined;
  #problem: string | undefined = "the API server has not answered yet";

  constructor(options: MeshReaderOptions) {
    const { client, clock, log } = options;
    this.#options = options;
    this.#states = new KindStates(clock);
    const watched = this.#states.watching(client);
    this.#events = new EventLog({ client: watched, clock, log, onChange: () => this.#changed() });
    const of = <Value extends KubernetesObject>(
      kind: KindDefinition<Value>,
      transform: (object: Value) => Value,
      excerpt?: Excerpt,
    ): Informer<Value> => this.#informerOf(watched, kind, transform, excerpt);
    const config = <Value extends KubernetesObject>(kind: KindDefinition<Value>): Informer<Value> =>
      this.#configInformerOf(watched, kind);
    const namespaces = of(namespaceKind, trimObject);
    const pods = of(podKind, trimPod, trimmedPodExcerpt);
    this.#pods = pods;
    const services = of(serviceKind, trimService);
    const endpointSlices = of(endpointSliceKind, trimSlice);
    const deployments = of(deploymentKind, trimWorkload);
    const statefulSets = of(statefulSetKind, trimWorkload);
    const daemonSets = of(daemonSetKind, trimWorkload);
    const jobs = of(jobKind, trimWorkload);
    const budgets = of(podDisruptionBudgetKind, trimObject);
    const injectors = of(mutatingWebhookConfigurationKind, trimWebhooks);
    this.#injectors = injectors;
    const journals = of(rolloutJournalKind, trimJournal);
    for (const kind of [...istioKinds, ...gatewayApiKinds]) config(kind);
    const canaries = config<Canary>(canaryKind);
    const checks = config<Check>(checkKind);
    const freezes = config<Freeze>(freezeKind);
    const upgrades = config<MeshUpgrade>(meshUpgradeKind);
    this.#reporters = () => ({
      injectors: injectors.list(),
      namespaces: namespaces.list(),
      services: services.list(),
    });
    this.#snapshot = () => ({
      namespaces: namespaces.list(),
      pods: pods.list(),
      services: services.list(),
      endpointSlices: endpointSlices.list(),
      deployments: deployments.list(),
      statefulSets: statefulSets.list(),
      daemonSets: daemonSets.list(),
      jobs: jobs.list(),
      budgets: budgets.list(),
      injectors: injectors.list(),
      configs: this.#configs.flatMap((informer) => informer.list()),
      canaries: canaries.list(),
      upgrades: upgrades.list(),
      checks: checks.list(),
      freezes: freezes.list(),
      journals: journals.list(),
      events: this.#events.list(),
    });
    for (const informer of this.#informers) informer.subscribe(() => this.#changed());
  }

  #informerOf<Value extends KubernetesObject>(
    client: KubeClient,
    kind: KindDefinition<Value>,
    transform: (object: Value) => Value,
    excerpt?: Excerpt,
  ): Informer<Value> {
    const { clock, log } = this.#options;
    const informer = createInformer(client, kind, {
      clock,
      log,
      transform,
      pageSize,
      ...(excerpt === undefined ? {} : { excerpt }),
    });
    this.#informers.push(informer);
    return informer;
  }

  #configInformerOf<Value extends KubernetesObject>(client: KubeClient, kind: KindDefinition<Value>): Informer<Value> {
    const informer = this.#informerOf(client, kind, trimConfig as unknown as (object: Value) => Value);
    this.#configs.push(informer as unknown as Informer<UntypedObject>);
    this.#kinds.push(kind);
    return informer;
  }

  /** Rises with every change. */
  get version(): number {
    return this.#version;
  }

  objects(): MeshObjects {
    return this.#snapshot();
  }

  /** The kinds that may not be read, as `group/Kind`. */
  get unread(): ReadonlySet<string> {
    return this.#states.unread;
  }

  pods(): readonly Pod[] {
    return this.#pods.list();
  }

  injectors(): readonly WebhookConfiguration[] {
    return this.#injectors.list();
  }

  /** The objects that decide whose traffic a pod may report. Undefined until they have been read. */
  reporters(): ReportersObjects | undefined {
    return this.isSynced ? this.#reporters() : undefined;
  }

  /** Whether each kind has been read once, or is known to be absent or forbidden. */
  get isSynced(): boolean {
    return this.#states.isKnown(this.#informers.length);
  }

  /** The plural of an object's kind. Undefined if the kind is not read as configuration. */
  resourceOf({ apiVersion = "", kind }: UntypedObject): string | undefined {
    return this.#kinds.find((known) => known.kind === kind && apiVersion.startsWith(`${known.group}/`))?.plural;
  }

  sources(): SourceState[] {
    return this.#states.sources(this.#answeredAtMs, this.#problem);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      ...this.#informers.map(async (informer) => await informer.run(signal)),
      this.#events.run(signal),
      this.#heartbeat(signal),
    ]);
  }

  #changed(): void {
    this.#version += 1;
    this.#options.onChange();
  }

  /** Asks the API server regularly, because a watch is silent while nothing changes, even if the server is gone. */
  async #heartbeat(signal: AbortSignal): Promise<void> {
    const { client, clock, onChange } = this.#options;
    while (!signal.aborted) {
      const before = this.#problem;
      try {
        const { status } = await client.raw("GET", "/version", {
          signal: AbortSignal.any([signal, AbortSignal.timeout(heartbeatTimeoutMs)]),
        });
        if (status >= 500) throw new Error(`it answers ${status}`);
        this.#answeredAtMs = clock.nowMs();
        this.#problem = undefined;
      } catch (error) {
        this.#problem = `the API server does not answer: ${messageOf(error)}; this is the last known state`;
      }
      if (before !== this.#problem) onChange();
      await clock.sleep(heartbeatMs, signal).catch(() => undefined);
    }
  }
}

/** Removes CA bundles, which are large, and which no view shows. */
function trimWebhooks(object: WebhookConfiguration): WebhookConfiguration {
  return {
    ...trimObject(object),
    webhooks: (object.webhooks ?? []).map(({ clientConfig: { caBundle: _bundle, ...clientConfig }, ...webhook }) => ({
      ...webhook,
      clientConfig,
    })),
  };
}
