import { apiVersionOf, type KindDefinition, type KubernetesObject, type UntypedObject } from "../../api/index.ts";
import { podKind } from "../../api/kubernetes/index.ts";
import type { AnalysisOptions } from "../../analyze/index.ts";
import { internalError, programFile, type Clock } from "../../base/index.ts";
import { LimitedThread } from "../../base/threads/index.ts";
import type { AnalysisAnswer, AnalysisTask, Findings, ObjectChange } from "./analysis-messages.ts";

/** An object as a watch delivers it. It may lack its kind. */
export interface AnalysedObject {
  readonly kind: KindDefinition;
  readonly object: KubernetesObject;
}

export type AnalysedObjects = ReadonlyMap<string, AnalysedObject>;

/** The limits of one analysis. Ten thousand objects take fifteen seconds on a busy machine. */
const limits = { workMs: 120_000, waitMs: 600_000 };
/**
 * How many objects are sent to the thread at once. Writing their JSON takes some milliseconds, and discovery continues
 * between two parts.
 */
const objectsInPart = 250;

/** Analyses in a thread, which is replaced if an analysis takes too long or too much memory. */
export class AnalysisThread {
  readonly #clock: Clock;
  readonly #limits: typeof limits;
  #thread: LimitedThread<AnalysisTask, AnalysisAnswer> | undefined;
  #sent = new Map<string, KubernetesObject>();

  constructor(clock: Clock, limitsGiven = limits) {
    this.#clock = clock;
    this.#limits = limitsGiven;
  }

  async analyze(objects: AnalysedObjects, options: AnalysisOptions): Promise<Findings> {
    const changed = [...objects].filter(([id, { object }]) => this.#sent.get(id) !== object);
    const deleted = [...this.#sent.keys()].filter((id) => !objects.has(id));
    let from = 0;
    for (; from + objectsInPart < changed.length; from += objectsInPart)
      await this.#send(changed.slice(from, from + objectsInPart));
    const answer = await this.#send(changed.slice(from), deleted, options);
    if (answer.kind !== "found") throw internalError("unexpected", "the thread did not answer with its findings");
    return answer.findings;
  }

  async end(): Promise<void> {
    await this.#thread?.end();
    this.#forget();
  }

  async #send(
    changed: readonly (readonly [id: string, analysed: AnalysedObject])[],
    deleted: readonly string[] = [],
    options?: AnalysisOptions,
  ): Promise<AnalysisAnswer> {
    this.#thread ??= new LimitedThread(programFile("src/controlplane/analysis/analysis.worker.ts"), this.#clock);
    const changes: ObjectChange[] = [
      ...changed.map(([id, { kind, object }]) => ({ id, object: analysedPart(kind, object) })),
      ...deleted.map((id) => ({ id })),
    ];
    const outcome = await this.#thread.ask(
      { changes: JSON.stringify(changes), ...(options === undefined ? {} : { options }) },
      this.#limits,
    );
    if (outcome.kind !== "answer") {
      this.#forget();
      const excess = outcome.kind === "overdue" ? "took too long" : "needed more memory than it may use";
      throw internalError("unexpected", `the analysis ${excess}`);
    }
    if (outcome.answer.kind === "fault") throw internalError("unexpected", outcome.answer.message);
    for (const [id, { object }] of changed) this.#sent.set(id, object);
    for (const id of deleted) this.#sent.delete(id);
    return outcome.answer;
  }

  /** The next thread starts without objects. */
  #forget(): void {
    this.#thread = undefined;
    this.#sent = new Map();
  }
}

type WithStatus = KubernetesObject & { readonly status?: Readonly<Record<string, unknown>> };

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/**
 * The fields of an object that the analysis reads. Left out are those whose changes mean nothing to it: versions, field
 * managers, kubectl's last applied configuration, and the messages that the analysis itself writes.
 */
export function analysedPart(kind: KindDefinition, object: KubernetesObject): UntypedObject {
  const { metadata, status = {}, ...rest } = object as WithStatus;
  const { resourceVersion: _version, managedFields: _fields, ...kept } = metadata as Readonly<Record<string, unknown>>;
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([name]) => name !== lastApplied);
  const read = Object.entries(status).filter(
    // The analysis reads from a pod's status only whether the pod has ended.
    ([name]) => (kind.kind === podKind.kind ? name === "phase" : name !== "validationMessages"),
  );
  return {
    ...rest,
    apiVersion: object.apiVersion ?? apiVersionOf(kind),
    kind: kind.kind,
    metadata: { ...kept, annotations: Object.fromEntries(annotations) },
    status: Object.fromEntries(read),
  };
}
