import { aborted, messageOf, type Clock, type Logger } from "../../base/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import {
  canaryKind,
  freezeKind,
  meshUpgradeKind,
  type Canary,
  type Freeze,
  type MeshUpgrade,
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
import type { AuthorRights } from "../access/index.ts";
import { JournalStore } from "../act/journal-store.ts";
import { Notifier, serverOf } from "../act/notifier.ts";
import { ObjectAccess } from "../act/object-access.ts";
import { initialStatus } from "../decide/index.ts";
import { checkDestination, type CheckDestination } from "../observe/checks/allowed-destinations.ts";
import { httpExchange } from "../observe/checks/http-exchange.ts";
import { ClusterView } from "../observe/cluster-view.ts";
import { EventAges } from "../observe/event-ages.ts";
import type { EngineImage } from "../observe/mesh-world/render-install.ts";
import { Observer } from "../observe/observer.ts";
import { undoSurroundings } from "../observe/undo/undo-surroundings.ts";
import type { UndoPass } from "../act/undo-context.ts";
import { Actions } from "./actions.ts";
import { contenderOf } from "./contender-table.ts";
import { EngineMetrics } from "./engine-metrics.ts";
import { Planner } from "./planner.ts";
import { journalNameOf } from "./journal-name.ts";
import { parseRollout, type Rollout } from "./rollout-object.ts";
import { OrphanedJournals } from "./orphaned-journals.ts";
import { RolloutRounds } from "./rollout-rounds.ts";
import { isRace } from "./round-failure.ts";
import { RoundBoard } from "./round-board.ts";

export interface EngineOptions {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly clock: Clock;
  /** The engine's own image, which probes also use, and its hub and tag for specs without these. */
  readonly image: EngineImage;
  /** Whether this engine is still the leader. Called before each write. Absent means always. */
  readonly mayWrite?: () => boolean;
  /**
   * Asks the API server whether this engine is still the leader, and whether the server's storage was not restored from
   * a backup. Called before a step begins. Absent means always.
   */
  readonly confirmsLead?: () => Promise<boolean>;
  /** The maximum number of concurrent runs. 8 if absent. */
  readonly maxConcurrentRollouts?: number;
  readonly registry?: MetricsRegistry;
  readonly queues?: QueueMetrics;
  /** Hosts that a Canary's webhooks, notifications and queries may call, besides Services of its own namespace. */
  readonly allowedHosts?: readonly string[];
  /** The namespaces whose proxies may report requests to backends of other namespaces. Absent means all. */
  readonly reporterNamespaces?: readonly string[] | undefined;
  /** Checks the rights of a rollout's author. If absent, the engine's own rights suffice. */
  readonly rights?: AuthorRights;
}

const roundsAtOnce = 8;
const defaultMaxConcurrent = 8;
/**
 * How long rounds wait for the first list of freezes. After this time rounds run, but no step begins before the list is
 * there.
 */
const freezeSyncMs = 5000;

/**
 * Moves every Canary and MeshUpgrade in rounds: observe, decide, act. Its whole state is stored in the cluster (in the
 * status and the journal), so an engine that is killed at any point continues where it was.
 */
export class RolloutEngine {
  readonly #options: EngineOptions;
  readonly #log: Logger;
  readonly #objects: ObjectAccess;
  readonly #journals: JournalStore;
  readonly #view: ClusterView;
  readonly #destination: CheckDestination;
  readonly #actions: Actions;
  readonly #metrics: EngineMetrics;
  readonly #events: EventRecorder;
  readonly #canaries: Informer<Canary>;
  readonly #upgrades: Informer<MeshUpgrade>;
  readonly #freezes: Informer<Freeze>;
  readonly #rounds: RolloutRounds;
  readonly #board: RoundBoard;
  readonly #orphans: OrphanedJournals;
  #reconciler: Reconciler | undefined;
  #knowsFreezes = false;

  constructor(options: EngineOptions) {
    const { client, log, clock, image } = options;
    this.#options = options;
    this.#log = log.scoped("rollout");
    this.#objects = new ObjectAccess(client, clock);
    this.#journals = new JournalStore(client, clock);
    this.#view = new ClusterView(client, { log, clock, reporterNamespaces: options.reporterNamespaces });
    this.#destination = checkDestination(client, options.allowedHosts ?? []);
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
    this.#rounds = new RolloutRounds({
      client,
      clock,
      log: this.#log,
      journals: this.#journals,
      observer: new Observer(client, this.#objects, this.#view, clock, this.#destination),
      planner: new Planner({ client, objects: this.#objects, view: this.#view, clock, image }),
      actions: this.#actions,
      metrics: this.#metrics,
      board: this.#board,
      orphans: this.#orphans,
      lostValues: async (lost, move) => {
        // Loaded on demand, because hardly any engine needs it.
        const { lostValues } = await import("../observe/lost-journal/lost-values.ts");
        return await lostValues(this.#objects, lost, move);
      },
      rights: options.rights,
      confirmsLead: options.confirmsLead ?? (async () => true),
      freezes: () => (this.#knowsFreezes ? this.#freezes.list() : undefined),
      watched: (kind, key) => this.#watched(kind, key),
      wake: (key) => this.#reconciler?.add(key),
    });
  }

  #createActions(): Actions {
    const { client, clock, mayWrite = () => true } = this.#options;
    const events = this.#events;
    const notifier = new Notifier({
      clock,
      post: async (url, body, timeoutMs, rollout) => await this.#post(url, body, timeoutMs, rollout),
      onFailure: ({ kind, namespace, name, event }, url, problem) => {
        const key = namespace === "" ? name : `${namespace}/${name}`;
        const message = `${event} could not be sent to ${url}: ${problem}`;
        this.#log.warn(message, { rollout: `${kind} ${key}` });
        this.#warn(kind, key, "NotificationFailed", message);
      },
    });
    const ages = new EventAges(clock);
    const sources = { client, objects: this.#objects, view: this.#view, clock, ages };
    const surroundings = (pass: UndoPass) => undoSurroundings(sources, pass);
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

  /** Sends a notification. A Canary may call only its own namespace and the allowed hosts. */
  async #post(
    url: string,
    body: string,
    timeoutMs: number,
    { kind, namespace }: { readonly kind: string; readonly namespace: string },
  ): Promise<void> {
    const addresses = await this.#destination(url, kind === canaryKind.kind ? namespace : undefined);
    const { status } = await httpExchange({
      url,
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      timeoutMs,
      ...(addresses === undefined ? {} : { addresses }),
      shownAs: serverOf(url),
    });
    if (status < 200 || status > 299) throw new Error(`the server answered ${status}`);
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
        this.#listedFreezes(signal),
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
      Promise.race([this.#learnFreezes(signal), aborted(signal)]),
      this.#view.run(signal),
      reconciler.run(signal),
    ]);
  }

  async #listedFreezes(signal: AbortSignal): Promise<void> {
    const late = this.#options.clock.sleep(freezeSyncMs, signal).catch(() => undefined);
    await Promise.race([this.#freezes.synced.then(() => (this.#knowsFreezes = true)), late]);
  }

  /** Waits until the freezes are known. A cluster that lacks the kind has none. */
  async #learnFreezes(signal: AbortSignal): Promise<void> {
    await this.#listedFreezes(signal);
    while (!this.#knowsFreezes && !signal.aborted) {
      this.#knowsFreezes = await this.#options.client.list(freezeKind).then(
        () => false,
        (error: unknown) => isKubeCode(error, "not-found"),
      );
      await this.#listedFreezes(signal);
    }
  }

  /**
   * Adds a rollout to the table when its informer first reports it. Rounds begin after all informers have synced, so no
   * rollout begins before all those that are under way are in the table.
   */
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
      if (kind === "Canary") return await this.#rounds.run(canaryKind, key, name);
      return await this.#rounds.run(meshUpgradeKind, key, name);
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

  #watched(kind: string, key: string): Rollout | undefined {
    return kind === canaryKind.kind ? this.#canaries.get(key) : this.#upgrades.get(key);
  }
}
