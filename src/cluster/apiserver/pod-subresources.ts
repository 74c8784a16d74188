import { matchesLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { StoredRecord } from "../store/index.ts";
import { decodeObject, readBody } from "./body.ts";
import { nowText, sendJson, type ResourceContext, type ServerParts } from "./context.ts";
import { checkPreconditions, deleteOne, type DeleteOptions } from "./remove.ts";
import { checkDeleteOptions, checkTypes, deleteOptionsIn } from "./options.ts";
import { ApiError, badRequest, conflict, notFound } from "./status.ts";
import { admitCreation } from "./subresource-admission.ts";
import { intentOf } from "./write.ts";
import type { Writer, WriteIntent } from "./writer.ts";

const disruptionBudgets = "policy/poddisruptionbudgets";

/** Handles `pods/binding` and `bindings`: assigns a pod to a node, which is possible only once. */
export async function bindPod(parts: ServerParts, writer: Writer, context: ResourceContext): Promise<void> {
  const { info, request } = context;
  const { object: sent } = await decodeObject(await readBody(request), request.headers["content-type"], parts.registry);
  checkBinding(sent);
  const object = await admitCreation(parts, context, sent);
  checkBinding(object);
  const target = object["target"] as { kind?: string; name?: string } | undefined;
  const node = target?.name ?? "";
  if (node === "") throw badRequest('Binding "" is invalid: target.name: Required value');
  const name = info.subresource === "binding" ? info.name : (object.metadata.name ?? "");
  const type = parts.registry.resource("", "v1", "pods");
  if (type === undefined) throw notFound({ group: "", plural: "pods" }, name);
  const intent = intentOf({ ...context, type }, "CreateOptions", { subresource: "" });
  const bind = (pod: UntypedObject): UntypedObject => {
    checkBound(object, pod, name);
    const spec = pod["spec"] as { nodeName?: string };
    const taken = spec.nodeName ?? "";
    if (taken !== "")
      throw conflict({ group: "", plural: "pods/binding" }, name, `pod ${name} is already assigned to node "${taken}"`);
    if (pod.metadata.deletionTimestamp !== undefined)
      throw conflict(
        { group: "", plural: "pods/binding" },
        name,
        `pod ${name} is being deleted, cannot be assigned to a host`,
      );
    spec.nodeName = node;
    if (object.metadata.annotations !== undefined)
      pod.metadata.annotations = { ...pod.metadata.annotations, ...object.metadata.annotations };
    return withCondition(pod, { type: "PodScheduled", status: "True" }, nowText(parts.clock));
  };
  await writer.changePod(intent, name, bind);
  sendJson(context, 201, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

/** Sets a condition of the pod. Keeps the transition time if the condition's status does not change. */
function withCondition(pod: UntypedObject, condition: Condition, time: string): UntypedObject {
  const status = (pod["status"] ?? {}) as { conditions?: (Condition & { lastTransitionTime?: string })[] };
  const before = (status.conditions ?? []).find(({ type }) => type === condition.type);
  const others = (status.conditions ?? []).filter(({ type }) => type !== condition.type);
  const since = before?.status === condition.status ? (before.lastTransitionTime ?? time) : time;
  const set = { ...condition, lastProbeTime: null, lastTransitionTime: since };
  return { ...pod, status: { ...status, conditions: [...others, set] } };
}

function checkBinding(binding: UntypedObject): void {
  const texts = { name: "text", uid: "text", resourceVersion: "text", annotations: "map of texts" } as const;
  checkTypes(binding["target"] ?? {}, { kind: "text", name: "text" }, "Binding.target");
  checkTypes(binding.metadata, texts, "Binding.metadata");
}

/**
 * Throws 409 if the binding requires another uid or resourceVersion than the pod has. Another pod may have got the same
 * name since the scheduler saw it.
 */
function checkBound({ metadata }: UntypedObject, pod: UntypedObject, name: string): void {
  for (const [field, what] of [
    ["uid", "UID"],
    ["resourceVersion", "ResourceVersion"],
  ] as const) {
    const wanted = metadata[field] ?? "";
    if (wanted === "" || wanted === pod.metadata[field]) continue;
    const why = `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${pod.metadata[field] ?? ""}`;
    throw conflict({ group: "", plural: "pods/binding" }, name, why);
  }
}

/** Handles `pods/eviction`: deletes a pod, or throws 429 if a disruption budget forbids it. */
export async function evictPod(parts: ServerParts, writer: Writer, context: ResourceContext): Promise<void> {
  const { info, request, type } = context;
  const body = await readBody(request);
  const sent: UntypedObject =
    body.length === 0
      ? { metadata: { name: info.name, namespace: info.namespace } }
      : (await decodeObject(body, request.headers["content-type"], parts.registry)).object;
  const base = intentOf(context, "DeleteOptions", { subresource: "" });
  const dryRun = base.dryRun || isDryRun(evictionOptions(sent, context));
  const options = evictionOptions(await admitCreation(parts, context, sent, { dryRun }), context);
  const isPinned = (options.preconditions?.resourceVersion ?? "") !== "";
  for (let attempt = 1; ; attempt++) {
    const pod = parts.store.latest("/pods", info.namespace, info.name);
    if (pod === undefined) throw notFound(type, info.name);
    const isFree = isOver(pod) || !(await takeDisruption(parts, writer, context, pod, dryRun));
    // If no budget protects the pod in its present state, delete it only in this state. A budget may protect it in a
    // later state.
    const mustStay = isFree && !isPinned && !hasEnded(pod);
    try {
      await deleteEvicted(parts, writer, { ...base, dryRun }, info.name, {
        ...options,
        preconditions: {
          ...options.preconditions,
          ...(mustStay ? { resourceVersion: String(pod.revision) } : {}),
        },
      });
      break;
    } catch (error) {
      const isOutdated = mustStay && error instanceof ApiError && error.reason === "Conflict";
      if (!isOutdated || attempt >= maximumEvictionAttempts) throw error;
    }
  }
  sendJson(context, 201, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
}

const maximumEvictionAttempts = 20;

/**
 * Writes the condition `DisruptionTarget` into the pod's status, and then deletes the pod. A Job's failure policy, for
 * example, reads this condition.
 */
async function deleteEvicted(
  parts: ServerParts,
  writer: Writer,
  intent: WriteIntent,
  name: string,
  options: DeleteOptions,
): Promise<void> {
  const reason = { reason: "EvictionByEvictionAPI", message: "Eviction API: evicting" };
  const marked = await writer.changePod(intent, name, (pod, record) => {
    checkPreconditions(intent.type, record, options);
    return withCondition(pod, { type: "DisruptionTarget", status: "True", ...reason }, nowText(parts.clock));
  });
  const { preconditions } = options;
  const isPinned = (preconditions?.resourceVersion ?? "") !== "";
  // Writing the condition gave the pod a new version, so delete it in that version.
  const ownVersion = isPinned && marked !== undefined ? { resourceVersion: String(marked.revision) } : {};
  await deleteOne(parts, intent, name, { ...options, preconditions: { ...preconditions, ...ownVersion } });
}

function evictionOptions(eviction: UntypedObject, { query }: ResourceContext): DeleteOptions {
  const options: DeleteOptions = deleteOptionsIn(eviction["deleteOptions"] ?? {});
  checkDeleteOptions(options, query);
  return options;
}

function isDryRun({ dryRun }: DeleteOptions): boolean {
  return (dryRun ?? []).includes("All");
}

/** Whether no budget protects the pod, because it is pending, has ended, or is being deleted. */
function isOver(pod: StoredRecord): boolean {
  return hasEnded(pod) || phaseOf(pod) === "Pending";
}

/** Whether the pod has ended or is being deleted, so that it cannot become ready any more. */
function hasEnded(pod: StoredRecord): boolean {
  return ["Succeeded", "Failed"].includes(phaseOf(pod)) || pod.object.metadata.deletionTimestamp !== undefined;
}

function phaseOf(pod: StoredRecord): string {
  return ((pod.object["status"] ?? {}) as { phase?: string }).phase ?? "";
}

function isReady({ object }: StoredRecord): boolean {
  const { conditions = [] } = (object["status"] ?? {}) as { conditions?: readonly { type: string; status: string }[] };
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

interface BudgetStatus {
  readonly currentHealthy?: number;
  readonly desiredHealthy?: number;
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  disruptionsAllowed?: number;
  disruptedPods?: Record<string, string>;
}

interface Budget {
  readonly spec?: { readonly unhealthyPodEvictionPolicy?: string };
  readonly status?: BudgetStatus;
}

/** Why a budget allows no disruption, in kube-apiserver's words. */
function refusalOf(name: string, { currentHealthy = 0, desiredHealthy = 0, conditions = [] }: BudgetStatus): string {
  const condition = conditions.find(({ type, status }) => type === "DisruptionAllowed" && status === "False");
  const { reason = "", message = "" } = condition ?? {};
  const refuses = `The disruption budget ${name} does not allow evicting pods currently`;
  if (reason === "SyncFailed" && message !== "") return `${refuses} because it failed sync: ${message}`;
  if (currentHealthy <= desiredHealthy)
    return `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
  return message === "" ? refuses : `${refuses} (${reason}): ${message}`;
}

/** Whether the budget protects only healthy pods, so that a request may always evict an unready pod. */
function sparesOnlyHealthy({ object }: StoredRecord): boolean {
  const { spec, status } = object as Budget;
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return spec?.unhealthyPodEvictionPolicy === "AlwaysAllow" || (desiredHealthy > 0 && currentHealthy >= desiredHealthy);
}

/**
 * Counts the disruption in the status of the pod's budget, so that two evictions at the same time do not use the same
 * allowed disruption. Returns false if the budget does not protect the pod because the pod is unready. The caller must
 * then delete the pod only while it is unready. Otherwise returns true, also for a pod without a budget. Throws 429 if
 * the budget allows no disruption.
 */
async function takeDisruption(
  parts: ServerParts,
  writer: Writer,
  context: ResourceContext,
  pod: StoredRecord,
  dryRun: boolean,
): Promise<boolean> {
  const budgets = parts.store
    .collection(disruptionBudgets)
    .list(pod.namespace)
    .filter((record) => {
      const { selector } = (record.object["spec"] ?? {}) as { selector?: LabelSelector };
      return matchesLabelSelector(selector, pod.labels);
    });
  if (budgets.length > 1)
    throw new ApiError(
      500,
      "InternalError",
      "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    );
  const budget = budgets[0];
  const type = parts.registry.resource("policy", "v1", "poddisruptionbudgets");
  if (budget === undefined || type === undefined) return true;
  if (!isReady(pod) && sparesOnlyHealthy(budget)) return false;
  const intent = intentOf({ ...context, type }, "UpdateOptions", { subresource: "status", dryRun });
  const take = (object: UntypedObject): UntypedObject => {
    const status = (object["status"] ?? {}) as BudgetStatus;
    const stale = (status.observedGeneration ?? 0) < (object.metadata.generation ?? 0);
    if (stale || (status.disruptionsAllowed ?? 0) < 1) {
      const message = stale
        ? `The disruption budget ${budget.name} is still being processed by the server.`
        : refusalOf(budget.name, status);
      throw new ApiError(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.", {
        causes: [{ reason: "DisruptionBudget", message }],
        ...(stale ? { retryAfterSeconds: 10 } : {}),
      });
    }
    status.disruptionsAllowed = (status.disruptionsAllowed ?? 1) - 1;
    status.disruptedPods = { ...status.disruptedPods, [pod.name]: nowText(parts.clock) };
    object["status"] = status;
    return object;
  };
  await writer.update(intent, budget.name, take);
  return true;
}
