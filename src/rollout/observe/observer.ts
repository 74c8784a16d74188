import type { Clock } from "../../base/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import {
  keptFields,
  referenceKey,
  type CheckObservation,
  type Observation,
  type PlannedCheck,
  type SettleCondition,
  type SettleState,
  type Step,
  type WriteState,
} from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { CheckObserver, type CheckOrigin } from "./checks/check-observer.ts";
import type { CheckDestination } from "./checks/allowed-destinations.ts";
import { ProbeObserver } from "./probes/probes.ts";
import { EventAges, type AgeOfEvent, type NoticeEvent } from "./event-ages.ts";
import { LostFields } from "./lost-fields.ts";
import { notReadyLeft } from "./acknowledgements.ts";
import { namespacesOf } from "./trusted-reporters.ts";
import { RecentValues } from "./recent-values.ts";
import { notServedYet } from "./settle/destinations-serve.ts";
import { observeSettle, type SettleSources } from "./settle/settle.ts";
import { lackedPodsOf } from "./undo/undo-gateways.ts";
import { askedWriteState, type LackedPods } from "./write-state.ts";

export interface StepProgress {
  readonly hasSettled: boolean;
  /** How long the step has waited to settle. Bounds the age of every event that the step waits for. */
  readonly settlingMs: number;
  readonly doneSteps: ReadonlySet<string>;
  /** The types of the step's checks that have passed. A check may fail again while the step soaks. */
  readonly passed: ReadonlySet<string>;
}

/**
 * How long a step that has not settled reuses the states of its writes, and the minimum time between two requests about
 * proxies.
 */
const recentMs = 1000;
const maxRecent = 512;

export class Observer {
  readonly #client: KubeClient;
  readonly #objects: ObjectAccess;
  readonly #view: ClusterView;
  readonly #clock: Clock;
  readonly #probes: ProbeObserver;
  readonly #checks: CheckObserver;
  readonly #ages: EventAges;
  readonly #writesSeen: RecentValues<readonly WriteState[]>;
  /** The keys of steps that requested the state of proxies less than {@link recentMs} ago. */
  readonly #recentAnswers: RecentValues<true>;
  readonly #lostFields: LostFields;

  constructor(
    client: KubeClient,
    objects: ObjectAccess,
    view: ClusterView,
    clock: Clock,
    destination?: CheckDestination,
  ) {
    this.#client = client;
    this.#objects = objects;
    this.#view = view;
    this.#clock = clock;
    this.#ages = new EventAges(clock);
    const recent = { maxAgeMs: recentMs, maxValues: maxRecent };
    this.#writesSeen = new RecentValues(clock, recent);
    this.#recentAnswers = new RecentValues(clock, recent);
    this.#lostFields = new LostFields(objects, view, clock);
    this.#probes = new ProbeObserver({ client, view, clock });
    this.#checks = new CheckObserver({ client, view, clock, ...(destination === undefined ? {} : { destination }) });
  }

  /**
   * `origin` names the rollout of the step, under which checks store their counts. Checks begin when the step has
   * settled. Earlier counts are never judged, and scraping every proxy would take processor time that starting pods
   * need.
   */
  async observe(
    step: Step,
    journal: readonly JournalEntry[],
    origin: Omit<CheckOrigin, "step">,
    { hasSettled, settlingMs, doneSteps, passed }: StepProgress,
  ): Promise<Observation> {
    const key = `${origin.rollout}|${step.id}`;
    if (!hasSettled) this.#checks.beginAnew({ ...origin, step: step.id });
    const kept = hasSettled ? undefined : this.#writesSeen.get(key);
    const concerned = namespacesTouched(step, journal);
    const writes =
      kept ?? (await this.#dueWrites(step, await this.#writeStates(step, journal), { settlingMs, concerned }));
    const lost = await this.#lostFields.detailOf(origin.rollout, keptFields(step, journal, doneSteps));
    if (lost !== undefined) return { writes, lost, settle: [], checks: [] };
    if (!writes.every(isWritten)) return { writes, settle: [], checks: [] };
    if (kept === undefined) this.#writesSeen.set(key, writes);
    const settle = await this.#settleStates(step, key, { hasSettled, settlingMs, concerned });
    if (settle.some(({ state }) => state === "failed" || (state === "waiting" && !hasSettled)))
      return { writes, settle, checks: [] };
    // The kept states may be {@link recentMs} old, so the writes are read again before the step settles.
    const current = kept === undefined ? writes : await this.#writeStates(step, journal);
    if (!current.every(isWritten)) return { writes: current, settle: [], checks: [] };
    return {
      writes: current,
      settle,
      checks: await Promise.all(
        step.checks.map(
          async (check) =>
            await this.#check(check, { ...origin, step: step.id, concerned }, !passed.has(check.spec.type)),
        ),
      ),
    };
  }

  /**
   * Evaluates the conditions about proxies last. While other conditions wait, and after the step has settled, it does
   * so at most once in {@link recentMs}, because each request costs time of the control planes and of a machine that
   * may be starting pods.
   */
  async #settleStates(
    step: Step,
    key: string,
    {
      hasSettled,
      settlingMs,
      concerned,
    }: Omit<StepProgress, "doneSteps" | "passed"> & Pick<SettleSources, "concerned">,
  ): Promise<SettleState[]> {
    const sources = this.#sources((event, atMs) => this.#ages.ageMs(event, atMs, settlingMs), concerned);
    const statesOf = async (conditions: readonly SettleCondition[]): Promise<SettleState[]> =>
      await Promise.all(conditions.map(async (condition) => await observeSettle(sources, condition)));
    const proxyConditions = step.settle.filter(asksProxies);
    const states = await statesOf(step.settle.filter((condition) => !asksProxies(condition)));
    if (proxyConditions.length === 0) return states;
    const canWait = hasSettled || states.some(({ state }) => state !== "met");
    if (canWait && this.#recentAnswers.get(key) !== undefined) return withUnasked(states, proxyConditions.length);
    this.#recentAnswers.set(key, true);
    return [...states, ...(await statesOf(proxyConditions))];
  }

  /**
   * Marks writes that must wait as `later`. A step that has written nothing yet waits for its `needs`. A write that
   * moves requests waits until the pods that get the requests are ready.
   */
  async #dueWrites(
    step: Step,
    writes: readonly WriteState[],
    { settlingMs, concerned }: Pick<StepProgress, "settlingMs"> & Pick<SettleSources, "concerned">,
  ): Promise<readonly WriteState[]> {
    const needed = await this.#neededFirst(step, writes, concerned);
    const sources = this.#sources((event, atMs) => this.#ages.ageMs(event, atMs, settlingMs), concerned);
    for (const [index, write] of step.writes.entries()) {
      const state = needed[index];
      if (write.type !== "field" || write.keeps?.awaitsPods !== true) continue;
      if (state?.state !== "pending" || state.merged === undefined) continue;
      const { found: before, value: after } = state.merged;
      const detail = await notServedYet(sources, { object: write.object, before, after });
      if (detail !== undefined) return later(needed, detail);
    }
    return needed;
  }

  async #neededFirst(
    { needs = [] }: Step,
    writes: readonly WriteState[],
    concerned: readonly string[],
  ): Promise<readonly WriteState[]> {
    if (needs.length === 0 || !writes.some((write) => write.state === "pending" && write.isFirst === true))
      return writes;
    const states = await Promise.all(
      needs.map(
        async (need) =>
          await observeSettle(
            this.#sources(() => 0, concerned),
            need,
          ),
      ),
    );
    const missing = states.find(({ state }) => state !== "met");
    if (missing === undefined || missing.state === "met") return writes;
    return later(writes, missing.detail);
  }

  #sources(ageMs: AgeOfEvent, concerned: readonly string[]): SettleSources {
    const notice: NoticeEvent = (event, isFirst) => this.#ages.notice(event, isFirst);
    const tools = { client: this.#client, objects: this.#objects, view: this.#view, clock: this.#clock };
    return { ...tools, ageMs, notice, concerned };
  }

  /** Reads each object once, even if the step writes several of its fields. */
  async #writeStates(step: Step, journal: readonly JournalEntry[]): Promise<WriteState[]> {
    const found = new Map<string, Promise<Awaited<ReturnType<ObjectAccess["get"]>>>>();
    const read = (object: ObjectReference) => {
      const key = referenceKey(object);
      const reading = found.get(key) ?? this.#objects.get(object);
      found.set(key, reading);
      return reading;
    };
    const lacks: LackedPods = (object, reference) => lackedPodsOf(this.#view, object, reference);
    return await Promise.all(
      step.writes.map(
        async (write) =>
          await askedWriteState(this.#objects, write, await read(write.object), { step: step.id, journal, lacks }),
      ),
    );
  }

  async #check(check: PlannedCheck, origin: CheckOrigin, isWaiting: boolean): Promise<CheckObservation> {
    if (check.subject.type === "probes" && check.spec.type === "mtls-probe-matrix")
      return await this.#probes.observe(check.subject, isWaiting);
    return await this.#checks.observe(check, origin);
  }
}

function namespacesTouched({ namespaces = [] }: Step, journal: readonly JournalEntry[]): readonly string[] {
  return [...new Set([...namespaces, ...namespacesOf(journal)])];
}

function isWritten({ state }: WriteState): boolean {
  return state === "done" || state === "gone";
}

function later(writes: readonly WriteState[], detail: string): readonly WriteState[] {
  return writes.map((write) => (write.state === "pending" ? { state: "later", detail } : write));
}

function asksProxies({ type }: SettleCondition): boolean {
  return type === "acknowledged" || type === "endpoints";
}

/** Makes the first waiting condition count the conditions that were not evaluated as missing. */
function withUnasked(states: readonly SettleState[], unasked: number): SettleState[] {
  const first = states.findIndex(({ state }) => state === "waiting");
  return states.map((state, index) =>
    index === first && state.state === "waiting"
      ? { ...state, left: (state.left ?? 1) + unasked * notReadyLeft }
      : state,
  );
}
