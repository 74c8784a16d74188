import { messageOf, SerinError, type Clock, type Logger } from "../base/index.ts";
import { formatIssues, keyOf, type KindDefinition, type UntypedObject } from "../api/index.ts";
import {
  canaryKind,
  meshUpgradeKind,
  parseCanary,
  parseMeshUpgrade,
  type Canary,
  type JournalEntry,
  type MeshUpgrade,
  type RolloutStatus,
} from "../api/serin/index.ts";
import { createInformer, EventRecorder, Reconciler, type Informer, type KubeClient } from "../kube/index.ts";
import { JournalStore } from "./act/journal-store.ts";
import { fieldManager, ObjectAccess, sameJson } from "./act/object-access.ts";
import { performWrite, undoEntry } from "./act/perform.ts";
import { currentStep, decide, initialStatus, type Action, type RolloutOrders, type Step } from "./decide/index.ts";
import { observeCanaryWorld } from "./observe/canary-world.ts";
import { ClusterView } from "./observe/cluster-view.ts";
import { observeMeshWorld, type EngineImage } from "./observe/mesh-world/mesh-world.ts";
import { Observer } from "./observe/observer.ts";
import { planCanary, planMeshUpgrade, type MeshWorld } from "./plan/index.ts";

export interface EngineOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly clock: Clock;
  /** The engine's own image, which also is that of the probes, and the hub and tag of specs that name none. */
  readonly image: EngineImage;
}

type Rollout = Canary | MeshUpgrade;

/** How often a rollout that is under way is looked at. */
const tickMs = 150;
/** How often one is looked at that waits for a person or for live connections. */
const idleTickMs = 1000;
const concurrentRollouts = 8;
const worldMaxAgeMs = 1000;
const maxWorlds = 64;

/**
 * Moves every Canary and MeshUpgrade: observe, decide, act, and again. All memory is in the cluster (status and journal),
 * so that an engine that is killed at any line goes on where it was.
 */
export class RolloutEngine {
  readonly #options: EngineOptions;
  readonly #log: Logger;
  readonly #objects: ObjectAccess;
  readonly #journals: JournalStore;
  readonly #view: ClusterView;
  readonly #observer: Observer;
  readonly #canaries: Informer<Canary>;
  readonly #upgrades: Informer<MeshUpgrade>;
  readonly #events: EventRecorder;
  readonly #worlds = new Map<string, { readonly world: MeshWorld; readonly stepsDone: number; readonly generation: number; readonly atMs: number }>();

  constructor(options: EngineOptions) {
    const { client, log, clock } = options;
    this.#options = options;
    this.#log = log.scoped("rollout");
    this.#objects = new ObjectAccess(client);
    this.#journals = new JournalStore(client);
    this.#view = new ClusterView(client, { log, clock });
    this.#observer = new Observer(client, this.#objects, this.#view, clock);
    this.#canaries = createInformer(client, canaryKind, { log, clock });
    this.#upgrades = createInformer(client, meshUpgradeKind, { log, clock });
    this.#events = new EventRecorder({ client, component: fieldManager, log, clock });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#options;
    const reconciler = new Reconciler({
      name: "rollout",
      reconcile: async (key) => await this.#reconcile(key),
      concurrency: concurrentRollouts,
      maxAttempts: Number.POSITIVE_INFINITY,
      retryMaxMs: 5000,
      after: [this.#canaries.synced, this.#upgrades.synced, this.#view.synced.then(() => undefined)],
      log,
      clock,
    });
    using _canaries = this.#canaries.subscribe(({ key }) => reconciler.add(`Canary ${key}`));
    using _upgrades = this.#upgrades.subscribe(({ key }) => reconciler.add(`MeshUpgrade ${key}`));
    await Promise.all([this.#canaries.run(signal), this.#upgrades.run(signal), this.#view.run(signal), reconciler.run(signal)]);
  }

  async #reconcile(key: string): Promise<number | void> {
    const [kind = "", name = ""] = key.split(" ");
    if (kind === "Canary") {
      const object = this.#canaries.get(name);
      if (object !== undefined) return await this.#advance(canaryKind, object);
    } else {
      const object = this.#upgrades.get(name);
      if (object !== undefined) return await this.#advance(meshUpgradeKind, object);
    }
  }

  /** One round: the answer is when to look again, nothing when only a change of the object matters. */
  async #advance<Value extends Rollout>(kind: KindDefinition<Value>, seen: Value): Promise<number | void> {
    // Status decides what is done already, so it is read from the server and never from a copy that may be late.
    const fresh = await this.#options.client.get(kind, seen.metadata.name ?? "", seen.metadata.namespace);
    if (fresh === undefined) return;
    const parsed: { value: Rollout | undefined; errors: readonly { path: string; message: string }[] } = fresh.kind === "Canary" ? parseCanary(fresh) : parseMeshUpgrade(fresh);
    if (parsed.value === undefined) return await this.#refuse(kind, fresh, formatIssues(parsed.errors));
    const rollout = parsed.value;
    const status = { ...initialStatus, ...rollout.status };
    if (isAtRest(rollout, status)) return;
    const journalName = journalNameOf(rollout);
    const journal = await this.#journals.read(journalName);
    let steps: readonly Step[];
    try {
      steps = status.phase === "RollingBack" ? [] : await this.#plan(rollout, journal);
    } catch (error) {
      if (error instanceof SerinError && error.kind === "user") return await this.#refuse(kind, fresh, error.message);
      throw error;
    }
    const step = currentStep(steps, status);
    const observing = step !== undefined && status.step?.id === step.id && !rollout.spec.abort;
    const observation = observing ? await this.#observer.observe(step, journal) : undefined;
    const decision = decide({ orders: ordersOf(rollout), status, steps, observation, journalEntries: journal.length, nowMs: this.#options.clock.nowMs() });
    // A new phase is stored before what it does, so that a crash between the two ends in doing it again, not in forgetting it.
    await this.#writeStatus(kind, fresh, decision.status);
    for (const action of decision.actions) {
      const stuck = await this.#perform(action, fresh, journalName);
      if (stuck !== undefined) await this.#writeStatus(kind, fresh, { ...decision.status, phase: "Stuck", message: stuck, cause: stuck });
    }
    return ["Paused", "Stuck", "Completed", "RolledBack"].includes(decision.status.phase) ? idleTickMs : tickMs;
  }

  async #plan(rollout: Rollout, journal: readonly JournalEntry[]): Promise<readonly Step[]> {
    if (isMeshUpgrade(rollout)) return planMeshUpgrade(rollout, await this.#meshWorld(rollout, journal));
    return planCanary(rollout, await observeCanaryWorld({ client: this.#options.client, objects: this.#objects, view: this.#view }, rollout, journal));
  }

  /** The world is asked for anew when a step has ended, and about once a second besides. */
  async #meshWorld(upgrade: MeshUpgrade, journal: readonly JournalEntry[]): Promise<MeshWorld> {
    const { client, clock, image } = this.#options;
    const stepsDone = upgrade.status?.completedSteps.length ?? 0;
    const generation = upgrade.metadata.generation ?? 0;
    const kept = this.#worlds.get(keyOf(upgrade));
    if (kept !== undefined && kept.stepsDone === stepsDone && kept.generation === generation && clock.steadyMs() - kept.atMs < worldMaxAgeMs) return kept.world;
    const world = await observeMeshWorld({ client, view: this.#view, clock, image }, upgrade, journal);
    if (this.#worlds.size >= maxWorlds) this.#worlds.clear();
    this.#worlds.set(keyOf(upgrade), { world, stepsDone, generation, atMs: clock.steadyMs() });
    return world;
  }

  /** Does one action. The answer is why a person is needed, if one is. */
  async #perform(action: Action, rollout: Rollout, journalName: string): Promise<string | undefined> {
    switch (action.type) {
      case "journal":
        await this.#journals.append(journalName, action.entries);
        return undefined;
      case "write":
        await performWrite(this.#objects, action.write, action.prior);
        return undefined;
      case "event":
        this.#log.info(action.message, { rollout: keyOf(rollout), reason: action.reason });
        this.#events.record(rollout.kind === "Canary" ? canaryKind : meshUpgradeKind, rollout, {
          type: action.warning ? "Warning" : "Normal",
          reason: action.reason,
          message: action.message,
        });
        return undefined;
      case "undo":
        return await this.#undo(journalName);
    }
  }

  /** Plays the journal backwards as far as it goes now; what is put back is struck from it. */
  async #undo(journalName: string): Promise<string | undefined> {
    let left = [...(await this.#journals.read(journalName))];
    const before = left.length;
    let stuck: string | undefined;
    while (left.length > 0 && stuck === undefined) {
      const entry = left.at(-1);
      if (entry === undefined) break;
      const result = await undoEntry(this.#objects, entry, (candidate) => this.#observer.stillServes(candidate));
      if (result.state === "waiting") break;
      if (result.state === "conflict") stuck = result.detail;
      else left = left.slice(0, -1);
    }
    if (left.length !== before) await this.#journals.replace(journalName, left);
    return stuck;
  }

  async #refuse<Value extends Rollout>(kind: KindDefinition<Value>, object: Value, problem: string): Promise<void> {
    const status = { ...initialStatus, ...object.status };
    if (status.phase === "Stuck" && status.message === problem) return;
    await this.#writeStatus(kind, object, { ...status, phase: "Stuck", message: problem, cause: problem, observedGeneration: object.metadata.generation ?? 0 });
  }

  async #writeStatus<Value extends Rollout>(kind: KindDefinition<Value>, object: Value, status: RolloutStatus): Promise<void> {
    if (sameJson(object.status, status)) return;
    try {
      // The whole status is replaced: members that are gone must not stay.
      const body = { ...(object as unknown as UntypedObject), status } as unknown as Value;
      const written = await this.#options.client.update(kind, body, { subresource: "status", fieldManager });
      object.metadata.resourceVersion = written.metadata.resourceVersion ?? "";
      object.status = status;
    } catch (error) {
      this.#log.debug("the status was written by somebody else, trying again", { error: messageOf(error) });
      throw error;
    }
  }
}

function isMeshUpgrade(rollout: Rollout): rollout is MeshUpgrade {
  return rollout.kind === "MeshUpgrade";
}

/** Nothing will change until the object does. */
function isAtRest({ spec }: Rollout, status: RolloutStatus): boolean {
  if (status.phase === "RolledBack") return true;
  return status.phase === "Completed" && !spec.abort;
}

function ordersOf({ spec, metadata }: Rollout): RolloutOrders {
  return {
    generation: metadata.generation ?? 0,
    paused: spec.paused,
    abort: spec.abort,
    automaticRollback: spec.rollback === "Automatic",
  };
}

function journalNameOf({ kind = "", metadata }: Rollout): string {
  return [kind.toLowerCase(), metadata.namespace, metadata.name].filter((part) => part !== undefined && part !== "").join(".");
}
