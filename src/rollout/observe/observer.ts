import { type Clock, jsonEqualWithoutNulls } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { whoWrote } from "../act/field-managers.ts";
import { covers, fieldManager, missingParentCount, valueAt, type ObjectAccess } from "../act/object-access.ts";
import {
  conflictDetail,
  referenceKey,
  type CheckObservation,
  type Observation,
  type PlannedCheck,
  type Step,
  type Write,
  type WriteState,
} from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { CheckObserver, type CheckOrigin } from "./checks/check-observer.ts";
import type { CheckDestination } from "./checks/destinations.ts";
import { ProbeObserver } from "./probes.ts";
import { EventAges } from "./event-ages.ts";
import { observeSettle } from "./settle/settle.ts";

/** Gathers the facts of the current step. Only reads. */
/** How far a step has come, by its rollout's status. */
export interface StepProgress {
  readonly hasSettled: boolean;
  /** How long it has waited to settle. Nothing that it waits for can have taken longer. */
  readonly settlingMs: number;
}

export class Observer {
  readonly #client: KubeClient;
  readonly #objects: ObjectAccess;
  readonly #view: ClusterView;
  readonly #clock: Clock;
  readonly #probes: ProbeObserver;
  readonly #checks: CheckObserver;
  readonly #ages: EventAges;

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
    this.#probes = new ProbeObserver({ client, view, clock });
    this.#checks = new CheckObserver({ client, view, clock, ...(destination === undefined ? {} : { destination }) });
  }

  /**
   * `origin` names the rollout of the step, under which checks store their counts. Checks begin when the step has
   * settled. Earlier counts are never judged, and a scrape of every proxy costs time that starting pods need.
   */
  async observe(
    step: Step,
    journal: readonly JournalEntry[],
    origin: Omit<CheckOrigin, "step">,
    { hasSettled, settlingMs }: StepProgress,
  ): Promise<Observation> {
    const writes = await this.#writeStates(step, journal);
    if (writes.some((write) => write.state !== "done" && write.state !== "gone"))
      return { writes, settle: [], checks: [] };
    const ageMs = (key: string, atMs: number): number => this.#ages.ageMs(key, atMs, settlingMs);
    const settle = await Promise.all(
      step.settle.map((condition) =>
        observeSettle(
          { client: this.#client, objects: this.#objects, view: this.#view, clock: this.#clock, ageMs },
          condition,
        ),
      ),
    );
    if (settle.some(({ state }) => state === "failed" || (state === "waiting" && !hasSettled)))
      return { writes, settle, checks: [] };
    return {
      writes,
      settle,
      checks: await Promise.all(step.checks.map((check) => this.#check(check, { ...origin, step: step.id }))),
    };
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
    return await Promise.all(
      step.writes.map(async (write) => writeState(write, await read(write.object), step.id, journal)),
    );
  }

  async #check(check: PlannedCheck, origin: CheckOrigin): Promise<CheckObservation> {
    if (check.subject.type === "probes" && check.spec.type === "mtls-probe-matrix")
      return await this.#probes.observe(check.subject);
    return await this.#checks.observe(check, origin);
  }
}

function writeState(
  write: Write,
  current: Awaited<ReturnType<ObjectAccess["get"]>>,
  step: string,
  journal: readonly JournalEntry[],
): WriteState {
  if (write.type === "create") return current === undefined ? { state: "pending" } : { state: "done" };
  if (write.type === "delete") {
    if (current === undefined || current.metadata.deletionTimestamp !== undefined) return { state: "done" };
    return { state: "pending", prior: current };
  }
  if (current === undefined || current.metadata.deletionTimestamp !== undefined) return { state: "gone" };
  const found = valueAt(current, write.pointer);
  if (write.adopted !== undefined)
    return journal.some((entry) => isOf(entry, write, step))
      ? { state: "done" }
      : { state: "pending", prior: write.adopted.prior };
  if (covers(found, write.value)) return { state: "done" };
  if (write.own === true) return found === undefined ? { state: "pending" } : { state: "pending", prior: found };
  const conflict = conflictOf(write, current, step, journal);
  if (conflict !== undefined) return { state: "conflict", detail: conflict };
  if (found !== undefined) return { state: "pending", prior: found };
  const madeParents = missingParentCount(current, write.pointer);
  return madeParents === 0 ? { state: "pending" } : { state: "pending", madeParents };
}

/**
 * Who changed a field after the rollout had recorded it, even between two steps. The engine's own last write does not
 * count, nor a restart that somebody else requested.
 */
function conflictOf(
  write: Extract<Write, { type: "field" }>,
  current: UntypedObject,
  step: string,
  journal: readonly JournalEntry[],
): string | undefined {
  const known = journal.findLast(
    (entry) =>
      entry.type === "field" &&
      entry.pointer === write.pointer &&
      referenceKey(entry.object) === referenceKey(write.object),
  );
  if (known?.type !== "field" || write.restart !== undefined) return undefined;
  const found = valueAt(current, write.pointer);
  if (covers(found, known.written) || (known.step === step && jsonEqualWithoutNulls(found, known.prior)))
    return undefined;
  const who = whoWrote(current, write.pointer);
  return who?.startsWith(`${fieldManager} `) === true || who === fieldManager
    ? undefined
    : conflictDetail(write, found, known.written ?? known.prior, who);
}

function isOf(entry: JournalEntry, write: Extract<Write, { type: "field" }>, step: string): boolean {
  return (
    entry.type === "field" &&
    entry.step === step &&
    entry.pointer === write.pointer &&
    referenceKey(entry.object) === referenceKey(write.object)
  );
}
