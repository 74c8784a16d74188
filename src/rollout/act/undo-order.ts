import type { UntypedObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import { isOfBanzai, partEnabledBy, referenceKey, type OperatedPart } from "../decide/index.ts";

/**
 * The entries in the order in which undo takes them: the latest first. Entries of one `undoGroup` are undone together,
 * at the position of the group's latest entry. Restarts come last in a group, so that pods start with the restored
 * values.
 */
export function undoOrder(entries: readonly JournalEntry[]): readonly JournalEntry[] {
  const groups = new Map<string, JournalEntry[]>();
  const reversed = keptWithWorkload(
    [holdAfterRestart, ztunnelAfterPilot, podsAfterAutoscaler].reduce(
      inSuccession,
      entries.toReversed() as readonly JournalEntry[],
    ),
  );
  for (const [index, entry] of reversed.entries()) {
    const key = entry.undoGroup === undefined ? `alone ${index}` : `group ${entry.undoGroup}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  return [...groups.values()].flatMap((group) => [
    ...group.filter((entry) => !isRestart(entry)),
    ...group.filter(isRestart),
  ]);
}

/** A rule for two entries of one step: the late one must be undone after the other. */
interface Succession {
  readonly isLate: (entry: JournalEntry) => boolean;
  readonly follows: (late: JournalEntry, other: JournalEntry) => boolean;
}

function inSuccession(reversed: readonly JournalEntry[], { isLate, follows }: Succession): readonly JournalEntry[] {
  const placed = reversed.map((entry, index) => {
    const last = isLate(entry)
      ? reversed.findLastIndex((other) => other.step === entry.step && follows(entry, other))
      : -1;
    return { entry, place: last > index ? last + 0.5 : index };
  });
  return placed.toSorted((a, b) => a.place - b.place).map(({ entry }) => entry);
}

/**
 * A Deployment that a step resumed gets pods of the former template before undo holds it again, because a held
 * Deployment replaces no pods. The rule is needed if somebody had resumed the Deployment before the step, and the
 * engine held it in between: then the journal has the step's two entries in the opposite order.
 */
const holdAfterRestart: Succession = {
  isLate: isResume,
  follows: (hold, entry) => isRestart(entry) && referenceKey(entry.object) === referenceKey(hold.object),
};

/**
 * A ztunnel is ready only when its control plane has configured it, so an operator must install the control plane again
 * first.
 */
const ztunnelAfterPilot: Succession = {
  isLate: (entry) => partGivenBack(entry) === "ztunnel",
  follows: (_ztunnel, entry) => partGivenBack(entry) === "pilot",
};

/** An autoscaler that the step has made would change the restored number of pods again, so it must leave first. */
const podsAfterAutoscaler: Succession = {
  isLate: (entry) => entry.type === "field" && entry.pointer === "/spec/replicas",
  follows: ({ object }, other) =>
    other.type === "created" &&
    other.object.kind === "HorizontalPodAutoscaler" &&
    other.object.name === object.name &&
    other.object.namespace === object.namespace,
};

const keepers = new Set(["PodDisruptionBudget", "HorizontalPodAutoscaler"]);

/**
 * Moves a workload's budget and autoscaler behind the workload, if the same step created all of them. Until the
 * workload is deleted, proxies may use a control plane, so a drain must not evict all of its pods at once.
 */
function keptWithWorkload(reversed: readonly JournalEntry[]): readonly JournalEntry[] {
  const lastMade = new Map(reversed.flatMap((entry, index) => (isMade(entry) ? [[entry.step, index] as const] : [])));
  const late: JournalEntry[] = [];
  return reversed.flatMap((entry, index) => {
    const last = lastMade.get(entry.step) ?? -1;
    if (entry.type === "created" && keepers.has(entry.object.kind) && index < last) {
      late.push(entry);
      return [];
    }
    return index === last ? [entry, ...late.filter(({ step }) => step === entry.step)] : [entry];
  });
}

function isMade(entry: JournalEntry): boolean {
  return entry.type === "created" && isWorkload(entry);
}

function isResume(entry: JournalEntry): boolean {
  return entry.type === "field" && entry.pointer === "/spec/paused" && entry.written === undefined;
}

export function isRestart(entry: JournalEntry): boolean {
  return entry.type === "field" && entry.restart !== undefined;
}

const workloads = new Set(["Deployment", "DaemonSet", "StatefulSet"]);

/**
 * Whether the entry is for a workload. If undo creates a workload again, it must run before undo takes the entries that
 * rely on it.
 */
export function isWorkload({ object: { kind } }: JournalEntry): boolean {
  return workloads.has(kind);
}

const routes = new Set(["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "VirtualService", "DestinationRule"]);

/**
 * Whether the object routes requests. Proxies must acknowledge its restored state before undo removes the former
 * destinations.
 */
export function movesTraffic({ object: { kind } }: Pick<JournalEntry, "object">): boolean {
  return routes.has(kind);
}

/**
 * Whether pods must run the restored value before requests return to them: a template that a user had changed, or a
 * number of pods.
 */
export function mustRun(entry: JournalEntry): boolean {
  return (
    entry.type === "field" &&
    entry.object.kind === "Deployment" &&
    (entry.pointer === "/spec/replicas" || (entry.adopted === true && entry.restart === "template"))
  );
}

/**
 * Whether undoing the entry lets an operator install a control plane or ztunnel again. That part must run before undo
 * takes entries that rely on it.
 */
export function givesBackRevision(entry: JournalEntry): boolean {
  return partGivenBack(entry) !== undefined;
}

/** The part that an operator installs again after undo has taken the entry. Undefined if there is none. */
export function partGivenBack(entry: JournalEntry): OperatedPart | undefined {
  const { object, type } = entry;
  if (type === "deleted") return object.kind === "Istio" && isOfBanzai(object) ? "pilot" : undefined;
  const isRemoval = type === "field" && entry.written === false && entry.prior !== false;
  return isRemoval && object.kind === "IstioOperator" ? partEnabledBy(entry.pointer) : undefined;
}

/**
 * Whether the entry is for a Gateway, whose labels decide which pods it has and whether it has a canary. Undo may have
 * to wait for these pods.
 */
export function wantsPods({ object: { kind } }: JournalEntry): boolean {
  return kind === "Gateway";
}

/**
 * Whether the entry is for the copy of a workload that ran as the canary and was deleted at the end of the run. Undo
 * creates it again, and sends requests to it when it runs.
 */
export function isCopy(entry: JournalEntry): boolean {
  return entry.type === "deleted" && entry.body.metadata.labels?.["rollout.serin.dev/copy"] !== undefined;
}

const choiceOfRevision = /\/metadata\/labels\/(istio\.io~1rev|serin\.dev~1ztunnel-rev|istio-injection)$/;

/**
 * Whether undoing the entry needs a running control plane or ztunnel. Otherwise pods would come back without a data
 * plane, or lose theirs.
 */
export function reliesOnMesh(entry: JournalEntry): boolean {
  if (isRestart(entry)) return true;
  if (entry.type === "created") return isWorkload(entry);
  return (
    entry.type === "field" &&
    (choiceOfRevision.test(entry.pointer) ||
      entry.object.kind === "MutatingWebhookConfiguration" ||
      entry.object.kind === "ValidatingWebhookConfiguration")
  );
}

const injectorPointer = /^\/metadata\/labels\/(istio\.io~1rev|istio-injection)$/;

/**
 * Whether the field is a label that chooses the injector of a namespace, and somebody has removed all such labels. Then
 * the namespace has left the mesh, and undo must not bring it back.
 */
export function hasLeftMesh(
  { object, pointer }: { readonly object: { readonly kind: string }; readonly pointer: string },
  { metadata: { labels } }: UntypedObject,
): boolean {
  return object.kind === "Namespace" && injectorPointer.test(pointer) && !choosesInjector(labels);
}

/** Whether a namespace has a label that chooses its injector, or one that disables injection. */
export function choosesInjector(labels: Readonly<Record<string, string>> = {}): boolean {
  return labels[istioLabels.revision] !== undefined || labels[istioLabels.injection] !== undefined;
}
