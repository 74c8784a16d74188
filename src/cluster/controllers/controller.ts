import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { podKind, type Pod } from "../../api/kubernetes/index.ts";
import { jsonEqual, rfc3339Seconds, type Clock, type Logger, type Random } from "../../base/index.ts";
import {
  controllerOf,
  createInformer,
  EventRecorder,
  isKubeCode,
  Reconciler,
  type EventNote,
  type Informer,
  type KubeClient,
  type ReconcilerOptions,
} from "../../kube/index.ts";
import { ObjectView, type ObjectIndex } from "./object-view.ts";

export interface ControllerDependencies {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

export interface QueueOptions {
  readonly concurrency?: number;
  /** Work begins only after these promises, in addition to the views. */
  readonly after?: readonly Promise<void>[];
}

/** A controller retries every failure forever. The delay grows to half a minute. */
const neverGiveUp = Number.POSITIVE_INFINITY;

/**
 * What all controllers of one process share: the client, one view for each kind, indexes of pods, and the tasks to run.
 * A controller is a function that takes this context, requests views and adds a queue.
 */
export class ControllerContext implements ControllerDependencies {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Pods by the uid of the object that controls them. */
  readonly podsByController: ObjectIndex<Pod>;
  readonly podsByNamespace: ObjectIndex<Pod>;
  readonly podsByNode: ObjectIndex<Pod>;
  readonly #views = new Map<string, ObjectView<KubernetesObject>>();
  readonly #runs: ((signal: AbortSignal) => Promise<void>)[] = [];
  readonly #synced = new Set<Promise<void>>();

  constructor(dependencies: ControllerDependencies) {
    this.client = dependencies.client;
    this.log = dependencies.log;
    this.clock = dependencies.clock;
    this.random = dependencies.random;
    const pods = this.view(podKind);
    this.podsByController = pods.index((pod) => asList(controllerOf(pod)?.uid));
    this.podsByNamespace = pods.index((pod) => asList(pod.metadata.namespace));
    this.podsByNode = pods.index((pod) => asList(pod.spec?.nodeName));
  }

  /** The shared view of this kind and field selector. Its informer runs with the context. */
  view<Value extends KubernetesObject>(kind: KindDefinition<Value>, fieldSelector?: string): ObjectView<Value> {
    const view = this.lateView(kind, fieldSelector);
    this.#synced.add(view.informer.synced);
    return view;
  }

  /** The shared view of a kind that may not exist yet. Only controllers that request this view wait for it. */
  lateView<Value extends KubernetesObject>(kind: KindDefinition<Value>, fieldSelector?: string): ObjectView<Value> {
    const key = `${kind.group}/${kind.plural}?${fieldSelector ?? ""}`;
    const known = this.#views.get(key);
    if (known !== undefined) return known as unknown as ObjectView<Value>;
    const informer: Informer<Value> = createInformer(this.client, kind, {
      ...this.dependencies(),
      streamsList: true,
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    });
    const view = new ObjectView(informer, this.clock);
    this.#views.set(key, view as unknown as ObjectView<KubernetesObject>);
    this.#runs.push((signal) => informer.run(signal));
    return view;
  }

  /** A queue whose work begins when all views have been filled. */
  queue(
    name: string,
    reconcile: ReconcilerOptions["reconcile"],
    { concurrency = 4, after = [] }: QueueOptions = {},
  ): Reconciler {
    const reconciler = new Reconciler({
      name,
      reconcile,
      concurrency,
      maxAttempts: neverGiveUp,
      retryInitialMs: 10,
      after: [this.allSynced(), ...after],
      log: this.log,
      clock: this.clock,
      random: this.random,
    });
    this.#runs.push((signal) => reconciler.run(signal));
    return reconciler;
  }

  events(component: string): (kind: KindDefinition, object: KubernetesObject, note: EventNote) => void {
    const recorder = new EventRecorder({ ...this.dependencies(), component });
    return (kind, object, note) => recorder.record(kind, object, note);
  }

  dependencies(): ControllerDependencies {
    return { client: this.client, log: this.log, clock: this.clock, random: this.random };
  }

  /** Adds another task, which runs as long as the controllers. */
  runs(run: (signal: AbortSignal) => Promise<void>): void {
    this.#runs.push(run);
  }

  /** Resolves when all views are filled, except the late ones. */
  async allSynced(): Promise<void> {
    // Wait a turn, until all controllers have requested their views.
    await Promise.resolve();
    await Promise.all(this.#synced);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#runs.map((run) => run(signal)));
  }

  /** The time as the API writes it, to the second. */
  now(): string {
    return rfc3339Seconds(this.clock.nowMs());
  }
}

type StatusWriter = Pick<ControllerContext, "client" | "view">;

/**
 * Whether a status would change the object's status. The server does not store most zeros, empty texts and empty lists,
 * so such a value equals a missing field. Otherwise every reconciliation would write the zeros again.
 */
export function changesStatus(before: object | undefined, status: object): boolean {
  return !jsonEqual(withoutZeros({ ...before }), withoutZeros({ ...before, ...status }));
}

function withoutZeros(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutZeros);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).map(([name, field]) => [name, withoutZeros(field)] as const);
  return Object.fromEntries(fields.filter(([, field]) => !isZero(field)));
}

function isZero(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return value === undefined || value === null || value === 0 || value === "" || value === false;
}

/** The same as {@link patchStatus}, but writes only if the status changes. */
export async function writeStatus<Value extends KubernetesObject & { readonly status?: unknown }>(
  context: StatusWriter,
  kind: KindDefinition<Value>,
  object: Value,
  status: NonNullable<Value["status"]>,
): Promise<Value | undefined> {
  const before = object.status as object | undefined;
  return changesStatus(before, status) ? await patchStatus(context, kind, object, status) : undefined;
}

/**
 * Merges the patch into an object's status, and updates the kind's view at once. Returns the written object, or
 * undefined if the object no longer exists.
 */
export async function patchStatus<Value extends KubernetesObject>(
  context: StatusWriter,
  kind: KindDefinition<Value>,
  { metadata: { name = "", namespace } }: Value,
  status: object,
): Promise<Value | undefined> {
  try {
    const written = await context.client.patchMerge(kind, name, namespace, { status }, { subresource: "status" });
    context.view(kind).wrote(written);
    return written;
  } catch (error) {
    if (!isKubeCode(error, "not-found")) throw error;
    return undefined;
  }
}

/**
 * Runs a write to an object that another client may delete or change first. Ignores the failure in that case, because
 * the other client's change queues the object again.
 */
export async function ignoreRace(write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!isKubeCode(error, "not-found") && !isKubeCode(error, "conflict")) throw error;
  }
}

/** Adds the key of each object that changes to the queue. */
export function enqueueOn<Value extends KubernetesObject>(view: ObjectView<Value>, queue: Reconciler): void {
  view.onChange(({ key }) => queue.add(key));
}

/**
 * Adds the key of each changed object's controlling owner, before and after the change, if the owner is of that kind.
 */
export function enqueueControllerOn<Value extends KubernetesObject>(
  view: ObjectView<Value>,
  ownerKind: KindDefinition,
  queue: Reconciler,
): void {
  view.onChange((change) => {
    for (const object of change.type === "set" && change.previous !== undefined
      ? [change.object, change.previous]
      : [change.object]) {
      const owner = controllerOf(object);
      if (owner?.kind === ownerKind.kind && owner.apiVersion.split("/")[0] === (ownerKind.group || owner.apiVersion)) {
        queue.add(ownerKind.namespaced ? `${object.metadata.namespace ?? ""}/${owner.name}` : owner.name);
      }
    }
  });
}

export function asList<Item>(item: Item | undefined): readonly Item[] {
  return item === undefined ? [] : [item];
}
