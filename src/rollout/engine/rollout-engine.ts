import { aborted, messageOf, SerinError, transientError, type Clock, type Logger } from "../../base/index.ts";
import { keyOf, type KindDefinition, type UntypedObject } from "../../api/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import {
  canaryKind,
  freezeKind,
  meshUpgradeKind,
  type Canary,
  type Freeze,
  type JournalEntry,
  type MeshUpgrade,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import {
  createInformer,
  EventRecorder,
  isKubeCode,
  Reconciler,
  type Informer,
  type KubeClient,
  type QueueMetrics,
} from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import type { AuthorRights, RightsRefusal } from "../access/index.ts";
import { JournalStore } from "../act/journal-store.ts";
import { Notifier, serverOf } from "../act/notifier.ts";
import { ObjectAccess } from "../act/object-access.ts";
import {
  currentStep,
  initialStatus,
  isDone,
  isPuttingBack,
  journalCounts,
  noticed,
  orderedSteps,
  refusedStatus,
  type Decision,
  type Refusal,
  type RolloutOrders,
  type Step,
} from "../decide/index.ts";
import { checkDestination, type CheckDestination } from "../observe/checks/destinations.ts";
import { httpExchange } from "../observe/checks/http-exchange.ts";
import type { CheckOrigin } from "../observe/checks/check-observer.ts";
import { ClusterView } from "../observe/cluster-view.ts";
import { EventAges } from "../observe/event-ages.ts";
import type { EngineImage } from "../observe/mesh-world/render-install.ts";
import { Observer } from "../observe/observer.ts";
import { undoSurroundings } from "../observe/undo-surroundings.ts";
import { Actions } from "./actions.ts";
import { contenderOf } from "./contender-table.ts";
import { EngineMetrics } from "./engine-metrics.ts";
import { addFinalizer, hasFinalizer, needsFinalizer, removeFinalizer } from "./finalizer.ts";
import { isAtRest, lateReadLookMs, nextLookMs, refusedTickMs, restAfterMs } from "./next-look.ts";
import { Planner, planRefusal, unplannedChange, type Plan } from "./planner.ts";
import {
  asksForRun,
  isWatched,
  journalNameOf,
  kindOfRollout,
  ordersOf,
  ordersOfRefused,
  parseRollout,
  strayProblem,
  type Rollout,
} from "./rollout-object.ts";
import { OrphanedJournals } from "./orphaned-journals.ts";
import { RoundBoard } from "./round-board.ts";

export interface EngineOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly clock: Clock;
  /** The engine's own image, which probes also use, and its hub and tag for specs without these. */
  readonly image: EngineImage;
  /** Whether this engine is still the leader. Called before each write. Absent: always. */
  readonly mayWrite?: () => boolean;
  /** The maximum number of concurrent runs. 8 if absent. */
  readonly maxConcurrentRollouts?: number;
  readonly registry?: MetricsRegistry;
  readonly queues?: QueueMetrics;
  /** Hosts that a Canary's webhooks, notifications and queries may call, besides Services of its own namespace. */
  readonly allowedHosts?: readonly string[];
  /** The rights that a rollout must have. Absent: the engine's own rights suffice. */
  readonly rights?: AuthorRights;
}

/** How many rollouts are processed at once. */
const roundsAtOnce = 8;
const defaultMaxConcurrent = 8;
/** How long to wait for the first list of freezes. If the cluster lacks the kind, there are none. */
const freezeSyncMs = 5000;

/** A rollout as one round sees it. */
interface Round {
  readonly key: string;
  readonly raw: Rollout;
  /** The parsed object, or the stored one if the parser refuses it. */
  readonly rollout: Rollout;
  readonly status: RolloutStatus;
  readonly orders: RolloutOrders;
  /** The fault of the spec. */
  readonly problem: string | undefined;
}

/**
 * Moves every Canary and MeshUpgrade in rounds: observe, decide, act. The cluster stores its whole memory (status and
 * journal), so an engine that is killed at any line continues where it was.
 */
export class RolloutEngine {
  readonly #options: EngineOptions;
  readonly #log: Logger;
  readonly #objects: ObjectAccess;
  readonly #journals: JournalStore;
  readonly #view: ClusterView;
  readonly #destination: CheckDestination;
  readonly #observer: Observer;
  readonly #planner: Planner;
  readonly #actions: Actions;
  readonly #metrics: EngineMetrics;
  readonly #events: EventRecorder;
  readonly #canaries: Informer<Canary>;
  readonly #upgrades: Informer<MeshUpgrade>;
  readonly #freezes: Informer<Freeze>;
  readonly #board: RoundBoard;
  readonly #orphans: OrphanedJournals;
  #reconciler: Reconciler | undefined;

  constructor(options: EngineOptions) {
    const { client, log, clock, image } = options;
    this.#options = options;
    this.#log = log.scoped("rollout");
    this.#objects = new ObjectAccess(client);
    this.#journals = new JournalStore(client, clock);
    this.#view = new ClusterView(client, { log, clock });
    this.#destination = checkDestination(client, options.allowedHosts ?? []);
    this.#observer = new Observer(client, this.#objects, this.#view, clock, this.#destination);
    this.#planner = new Planner({ client, objects: this.#objects, view: this.#view, clock, image });
    this.#metrics = new EngineMetrics(options.registry ?? new MetricsRegistry());
    this.#canaries = createInformer(client, canaryKind, { log, clock });
    this.#upgrades = createInformer(client, meshUpgradeKind, { log, clock });
    this.#freezes = createInformer(client, freezeKind, { log, clock });
    this.#events = new EventRecorder({ client, component: fieldManager, log, clock });
    this.#actions = this.#createActions();
    const owned = (): Set<string> => {
      const canaries = this.#canaries.list().map(({ metadata }) => journalNameOf({ kind: "Canary", metadata }));
      const upgrades = this.#upgrades.list().map(({ metadata }) => journalNameOf({ kind: "MeshUpgrade", metadata }));
      return new Set([...canaries, ...upgrades]);
    };
    this.#orphans = new OrphanedJournals({ client, events: this.#events, log: this.#log, owned });
    this.#board = new RoundBoard(options.maxConcurrentRollouts ?? defaultMaxConcurrent);
  }

  #createActions(): Actions {
    const { client, clock, mayWrite = () => true } = this.#options;
    const events = this.#events;
    const notifier = new Notifier({
      clock,
      post: async (url, body, timeoutMs, { kind, namespace }) => {
        await this.#destination(url, kind === canaryKind.kind ? namespace : undefined);
        const { status } = await httpExchange({
          url,
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
          timeoutMs,
          shownAs: serverOf(url),
        });
        if (status < 200 || status > 299) throw new Error(`the server answered ${status}`);
      },
      onFailure: ({ kind, namespace, name, event }, url, problem) => {
        const key = namespace === "" ? name : `${namespace}/${name}`;
        const message = `${event} could not be sent to ${url}: ${problem}`;
        this.#log.warn(message, { rollout: `${kind} ${key}` });
        this.#warn(kind, key, "NotificationFailed", message);
      },
    });
    const ages = new EventAges(clock);
    const surroundings = () => undoSurroundings({ client, objects: this.#objects, view: this.#view, clock, ages });
    return new Actions({
      objects: this.#objects,
      journals: this.#journals,
      events,
      notifier,
      metrics: this.#metrics,
      surroundings,
      mayWrite,
      clock,
      log: this.#log,
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { queues, log, clock } = this.#options;
    const reconciler = new Reconciler({
      name: "rollout",
      reconcile: async (key) => await this.#reconcile(key),
      concurrency: roundsAtOnce,
      queues,
      maxAttempts: Number.POSITIVE_INFINITY,
      retryMaxMs: 5000,
      after: [
        this.#canaries.synced,
        this.#upgrades.synced,
        this.#view.synced.then(() => undefined),
        this.#view.injectors.synced,
        Promise.race([this.#freezes.synced, clock.sleep(freezeSyncMs, signal).catch(() => undefined)]),
      ],
      log,
      clock,
    });
    this.#reconciler = reconciler;
    using _canaries = this.#canaries.subscribe(({ key }) =>
      this.#noticed(reconciler, `Canary ${key}`, this.#canaries.get(key)),
    );
    using _upgrades = this.#upgrades.subscribe(({ key }) =>
      this.#noticed(reconciler, `MeshUpgrade ${key}`, this.#upgrades.get(key)),
    );
    const named = Promise.all([this.#canaries.synced, this.#upgrades.synced]).then(
      async () => await this.#orphans.lookAtAll(),
    );
    await Promise.all([
      Promise.race([named, aborted(signal)]),
      this.#canaries.run(signal),
      this.#upgrades.run(signal),
      this.#freezes.run(signal),
      this.#view.run(signal),
      reconciler.run(signal),
    ]);
  }

  /** Reads all running rollouts before any other begins. */
  #noticed(reconciler: Reconciler, key: string, object: Rollout | undefined): void {
    if (object !== undefined && !this.#board.table.has(key)) {
      const parsed = parseRollout(object);
      if ("rollout" in parsed)
        this.#board.table.set(
          contenderOf(parsed.rollout, { ...initialStatus, ...object.status }, { wants: [], heldUp: false }),
        );
    }
    reconciler.add(key);
  }

  async #reconcile(key: string): Promise<number | void> {
    const [kind = "", name = ""] = key.split(" ");
    try {
      if (kind === "Canary") return await this.#look(canaryKind, key, name);
      return await this.#look(meshUpgradeKind, key, name);
    } catch (error) {
      this.#metrics.error(kind);
      // The engine repeats a failing round without end, so its error must be visible. A conflict or a stale read is no
      // error.
      if (!isRace(error) && (this.#options.mayWrite?.() ?? true))
        this.#warn(kind, name, "RoundFailed", `failed, trying again: ${messageOf(error)}`);
      throw error;
    }
  }

  #warn(kind: string, key: string, reason: string, message: string): void {
    const object = this.#watched(kind, key);
    if (object !== undefined)
      this.#events.record(kind === "Canary" ? canaryKind : meshUpgradeKind, object, {
        type: "Warning",
        reason,
        message,
      });
  }

  /** One round. Returns when to look again, or undefined if only a change of the object matters. */
  async #look<Value extends Rollout>(kind: KindDefinition<Value>, key: string, name: string): Promise<number | void> {
    const [first = "", second] = name.split("/");
    // The status decides what is already done, so read it from the server and not from a cache, which may be stale.
    const raw = await this.#options.client.get(kind, second ?? first, second === undefined ? undefined : first);
    if (raw === undefined) {
      this.#gone(key, kind.kind, second === undefined ? "" : first, second ?? first);
      const metadata = second === undefined ? { name: first } : { namespace: first, name: second };
      return await this.#orphans.lookAt(journalNameOf({ kind: kind.kind, metadata }));
    }
    // A stale copy would show others an earlier state of this rollout.
    if (this.#board.memory.isSuperseded(key, raw.metadata.resourceVersion))
      throw transientError("read-late", `${key}: the server answered with a version that this engine has replaced`);
    const round = this.#roundOf(key, raw);
    if (round.problem !== undefined && !this.#board.mustPutBack(round))
      return await this.#refuse(kind, round, refusedSpec(round.problem));
    const nextMs = this.#isAtRest(round) ? await this.#rest(kind, round) : await this.#advance(kind, round);
    return (
      nextMs ?? lateReadLookMs(raw.metadata.resourceVersion, this.#watched(kind.kind, name)?.metadata.resourceVersion)
    );
  }

  #watched(kind: string, key: string): Rollout | undefined {
    return kind === canaryKind.kind ? this.#canaries.get(key) : this.#upgrades.get(key);
  }

  #gone(key: string, kind: string, namespace: string, name: string): void {
    this.#board.table.delete(key);
    this.#board.memory.forget(key);
    this.#metrics.gone(kind, namespace, name);
  }

  #roundOf(key: string, raw: Rollout): Round {
    const parsed = parseRollout(raw);
    const status = this.#board.memory.withProgress(key, { ...initialStatus, ...raw.status });
    if ("problem" in parsed)
      return { key, raw, rollout: raw, status, orders: ordersOfRefused(raw), problem: parsed.problem };
    return {
      key,
      raw,
      rollout: parsed.rollout,
      status,
      orders: ordersOf(parsed.rollout, raw as unknown as UntypedObject),
      problem: strayProblem(parsed.rollout, status),
    };
  }

  #isAtRest({ rollout, raw, status, orders, problem }: Round): boolean {
    return problem === undefined && isAtRest(rollout, raw, status, orders, unplannedChange(rollout).candidate);
  }

  async #rest<Value extends Rollout>(
    kind: KindDefinition<Value>,
    { key, raw, rollout, status, orders }: Round,
  ): Promise<undefined> {
    this.#board.table.set(contenderOf(rollout, status, { wants: [], heldUp: false }));
    this.#show(key, status.phase);
    const current = noticed(status, orders.generation, this.#options.clock.nowMs());
    if (current === undefined) return;
    this.#actions.fence();
    await this.#writeStatus(kind, raw, current);
  }

  async #advance<Value extends Rollout>(kind: KindDefinition<Value>, round: Round): Promise<number | void> {
    const { key, raw, rollout, status, orders } = round;
    const { clock } = this.#options;
    const begunMs = clock.steadyMs();
    const journalName = journalNameOf(rollout);
    const journal = await this.#journals.read(journalName);
    const counts = journalCounts(journal, raw.metadata.uid);
    const isLeftover = counts.isLeftover === true;
    const planned = isLeftover ? unplanned(round) : await this.#plan(round, journal.entries);
    if ("problem" in planned) return await this.#refuse(kind, round, planned);
    const steps = orderedSteps(planned.steps, orders, status);
    const refused = isLeftover ? undefined : await this.#notAllowed(round, steps);
    if (refused !== undefined) return await this.#refuse(kind, round, { ...refused, reason: "author" });
    const step = currentStep(steps, status, planned.change.watched);
    const observing =
      step !== undefined &&
      status.step?.id === step.id &&
      !orders.abort &&
      orders.deletion === undefined &&
      !isPuttingBack(status);
    const observation = observing
      ? await this.#observer.observe(step, journal.entries, originOf(round), {
          hasSettled: status.step?.settledAt !== undefined,
          settlingMs: status.step?.settlingMs ?? 0,
          doneSteps: new Set(status.completedSteps.map(({ id }) => id)),
        })
      : undefined;
    // This must not await, so that of two rollouts that want the same namespace or target, one sees that the other has
    // it.
    const decision = this.#board.decide(
      { key, rollout, status, orders, heldUp: round.problem !== undefined },
      { steps, change: planned.change, observation, journal: counts, freezes: this.#freezes.list() },
      { steadyMs: clock.steadyMs(), nowMs: clock.nowMs() },
    );
    await this.#carryOut(kind, round, decision, journal.entries);
    this.#metrics.verdicts(raw.status?.step, decision.status.step);
    return restAfterMs(nextLookMs(rollout, decision.status), clock.steadyMs() - begunMs);
  }

  /** Why the author may not do the remaining steps. Undo needs no right. */
  async #notAllowed(round: Round, steps: readonly Step[]): Promise<RightsRefusal | undefined> {
    const { raw, status } = round;
    if (this.#options.rights === undefined || this.#board.mustPutBack(round)) return undefined;
    const open = steps.filter((step) => !isDone(step, status));
    return await this.#options.rights.refusal(
      { ...(raw as unknown as UntypedObject), kind: kindOfRollout(raw).kind },
      open,
    );
  }

  /** Stores the decision and then carries it out. A crash between the two leads to a repetition and not to a loss. */
  async #carryOut<Value extends Rollout>(
    kind: KindDefinition<Value>,
    { key, raw, rollout }: Round,
    decision: Decision,
    journal: readonly JournalEntry[],
  ): Promise<void> {
    const { client } = this.#options;
    this.#actions.fence();
    if (needsFinalizer(decision, journal) && raw.metadata.deletionTimestamp === undefined && !hasFinalizer(raw)) {
      const { resourceVersion = "" } = raw.metadata;
      raw.metadata.resourceVersion = await addFinalizer(client, kind as KindDefinition<Rollout>, raw);
      this.#board.memory.supersede(key, resourceVersion);
    }
    await this.#actions.recordCompletion(rollout, decision);
    if (this.#board.memory.isDue(key, raw.status, decision)) {
      const { resourceVersion = "" } = raw.metadata;
      // Remembered before the write, because the response to a successful write may be lost.
      this.#board.memory.rememberStored(key);
      await this.#writeStatus(kind, raw, decision.status);
      if (raw.metadata.resourceVersion !== resourceVersion) this.#board.memory.supersede(key, resourceVersion);
    }
    this.#board.table.stored(key);
    if (decision.actions.length > 0) {
      try {
        const report = await this.#actions.perform(rollout, decision);
        this.#board.memory.rememberUndo(key, report);
        this.#board.memory.rememberDone(key, decision, this.#options.clock.steadyMs());
      } catch (error) {
        if (!isRace(error))
          this.#board.memory.rememberFailedWrite(key, messageOf(error), this.#options.clock.steadyMs());
        throw error;
      }
    }
    if (decision.actions.some(({ type }) => type === "release")) await this.#release(kind, raw);
    this.#show(key, decision.status.phase);
    for (const partner of this.#board.table.partners({ key, ...groupOf(rollout) })) this.#reconciler?.add(partner);
  }

  async #release<Value extends Rollout>(kind: KindDefinition<Value>, raw: Rollout): Promise<void> {
    this.#actions.fence();
    // Nothing of a deleted object is left to undo. Its history stays.
    if (raw.metadata.deletionTimestamp !== undefined) await this.#journals.strike(journalNameOf(raw), () => true);
    if (hasFinalizer(raw)) await removeFinalizer(this.#options.client, kind as KindDefinition<Rollout>, raw);
  }

  /** The plan, or why the spec cannot be planned. An undo needs no plan. */
  async #plan(round: Round, journal: readonly JournalEntry[]): Promise<Plan | Refusal> {
    const { rollout, problem, status } = round;
    if (problem !== undefined || isPuttingBack(status)) return unplanned(round);
    try {
      return await this.#planner.plan(rollout, journal);
    } catch (error) {
      const refusal = planRefusal(error);
      if (refusal === undefined) throw error;
      return this.#board.mustPutBack(round) ? unplanned(round) : refusal;
    }
  }

  /**
   * A spec that cannot be executed stops the rollout until somebody corrects it. Then the rollout continues where it
   * was.
   */
  async #refuse<Value extends Rollout>(
    kind: KindDefinition<Value>,
    { key, raw, rollout, status, problem }: Round,
    refusal: Refusal,
  ): Promise<number> {
    const refused = refusedStatus(status, refusal, {
      beginsRun: problem === undefined && asksForRun(rollout, status),
      generation: raw.metadata.generation ?? 0,
      nowMs: this.#options.clock.nowMs(),
    });
    const { phase, message, pauseReason } = refused;
    // It keeps what it holds until it continues or is undone.
    this.#board.table.set(contenderOf(raw, { ...status, phase }, { wants: [], heldUp: true }));
    this.#show(key, phase);
    const isNew = status.phase !== phase || status.message !== message || status.pauseReason !== pauseReason;
    if (isNew || status.observedGeneration !== refused.observedGeneration) {
      this.#actions.fence();
      await this.#writeStatus(kind, raw, refused);
      if (phase === "Stuck" && isNew)
        await this.#actions.perform(raw, {
          status: refused,
          actions: [{ type: "event", reason: "Stuck", message, warning: true }],
        });
    }
    return refusedTickMs;
  }

  #show(key: string, phase: RolloutStatus["phase"]): void {
    const [kind = "", name = ""] = key.split(" ");
    const [first = "", second] = name.split("/");
    this.#metrics.phase(kind, second === undefined ? "" : first, second ?? first, phase);
  }

  async #writeStatus<Value extends Rollout>(
    kind: KindDefinition<Value>,
    object: Rollout,
    status: RolloutStatus,
  ): Promise<void> {
    try {
      // The whole status is replaced, so that removed fields do not stay.
      const body = { ...(object as unknown as UntypedObject), status } as unknown as Value;
      const written = await this.#options.client.update(kind, body, { subresource: "status", fieldManager });
      object.metadata.resourceVersion = written.metadata.resourceVersion ?? "";
      object.status = status;
    } catch (error) {
      this.#log.debug("the status could not be written, trying again", {
        rollout: `${kindOfRollout(object).kind} ${keyOf(object)}`,
        error: messageOf(error),
      });
      throw error;
    }
  }
}

function refusedSpec(problem: string): Refusal {
  return { reason: "spec", problem, remedy: "correct the spec" };
}

function groupOf(rollout: Rollout): { readonly group?: string } {
  const { group } = (rollout.spec ?? {}) as { readonly group?: string };
  return group === undefined ? {} : { group };
}

/** The owner of the samples. Another run starts its counts again. */
function originOf({ key, rollout, status }: Round): Omit<CheckOrigin, "step"> {
  const { settledForMs } = status.step ?? {};
  const { namespace } = rollout.metadata;
  return {
    rollout: `${key} ${status.run ?? 0}`,
    ...(namespace === undefined ? {} : { namespace }),
    ...(settledForMs === undefined ? {} : { settledForMs }),
  };
}

/** During an undo, no new change is looked for. */
function unplanned({ rollout, status }: Round): Plan {
  return { steps: [], change: { candidate: status.candidate ?? "", watched: isWatched(rollout) } };
}

function isRace(error: unknown): boolean {
  return isKubeCode(error, "conflict") || (error instanceof SerinError && error.code === "read-late");
}
