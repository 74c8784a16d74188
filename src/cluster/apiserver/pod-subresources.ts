import { matchesLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { StoredRecord } from "../store/index.ts";
import { decodeObject, readBody } from "./body.ts";
import { nowText, sendJson, type ResourceContext, type ServerParts } from "./context.ts";
import { deleteOne, type DeleteOptions } from "./remove.ts";
import { checkDeleteOptions, checkTypes, deleteOptionsIn } from "./options.ts";
import { ApiError, badRequest, conflict, notFound } from "./status.ts";
import { admitCreation } from "./subresource-admission.ts";
import { intentOf } from "./write.ts";
import type { Writer } from "./writer.ts";

const disruptionBudgets = "policy/poddisruptionbudgets";

/** `pods/binding` and `bindings`: assigns a pod to a node, which is possible only once. */
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
    return pod;
  };
  await writer.bindPod(intent, name, bind, nowText(parts.clock));
  sendJson(context, 201, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
}

function checkBinding(binding: UntypedObject): void {
  const texts = { name: "text", uid: "text", resourceVersion: "text", annotations: "map of texts" } as const;
  checkTypes(binding["target"] ?? {}, { kind: "text", name: "text" }, "Binding.target");
  checkTypes(binding.metadata, texts, "Binding.metadata");
}

/** A scheduler states which pod it has looked at. Another one may have taken its name meanwhile. Throws 409. */
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

/** `pods/eviction`: deletes a pod unless a disruption budget forbids it. Then it throws 429. */
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
  const pod = parts.store.latest("/pods", info.namespace, info.name);
  if (pod === undefined) throw notFound(type, info.name);
  const disturbs = isOver(pod) ? undefined : await takeDisruption(parts, writer, context, pod, dryRun);
  const wanted = options.preconditions?.resourceVersion ?? "";
  const preconditions =
    disturbs === false
      ? { ...options.preconditions, resourceVersion: wanted === "" ? String(pod.revision) : wanted }
      : options.preconditions;
  await deleteOne(parts, { ...base, dryRun }, info.name, {
    ...options,
    ...(preconditions === undefined ? {} : { preconditions }),
  });
  sendJson(context, 201, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
}

function evictionOptions(eviction: UntypedObject, { query }: ResourceContext): DeleteOptions {
  const options: DeleteOptions = deleteOptionsIn(eviction["deleteOptions"] ?? {});
  checkDeleteOptions(options, query);
  return options;
}

function isDryRun({ dryRun }: DeleteOptions): boolean {
  return (dryRun ?? []).includes("All");
}

function isOver(pod: StoredRecord): boolean {
  const { phase } = (pod.object["status"] ?? {}) as { phase?: string };
  return (
    phase === "Succeeded" ||
    phase === "Failed" ||
    phase === "Pending" ||
    pod.object.metadata.deletionTimestamp !== undefined
  );
}

function isReady({ object }: StoredRecord): boolean {
  const { conditions = [] } = (object["status"] ?? {}) as { conditions?: readonly { type: string; status: string }[] };
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}

interface Budget {
  readonly spec?: { readonly unhealthyPodEvictionPolicy?: string };
  readonly status?: { readonly currentHealthy?: number; readonly desiredHealthy?: number };
}

/** Whether the budget lets pods go that are not ready, which it does not count as healthy. */
function sparesOnlyHealthy({ object }: StoredRecord): boolean {
  const { spec, status } = object as Budget;
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return spec?.unhealthyPodEvictionPolicy === "AlwaysAllow" || (desiredHealthy > 0 && currentHealthy >= desiredHealthy);
}

/**
 * Counts the disruption in the budget's status, so that concurrent evictions do not count on the same allowed
 * disruption. Returns false if the pod is not ready and its budget lets it go, as long as it stays so.
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
    const status = (object["status"] ?? {}) as {
      disruptionsAllowed?: number;
      observedGeneration?: number;
      disruptedPods?: Record<string, string>;
    };
    const stale = (status.observedGeneration ?? 0) < (object.metadata.generation ?? 0);
    if (stale || (status.disruptionsAllowed ?? 0) < 1) {
      const message = stale
        ? `The disruption budget ${budget.name} is still being processed by the server.`
        : `The disruption budget ${budget.name} needs more healthy pods`;
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
