import { matchesLabelSelector, type LabelSelector, type UntypedObject } from "../../api/index.ts";
import type { StoredRecord } from "../store/index.ts";
import { decodeObject, readBody } from "./body.ts";
import { nowText, sendJson, type ResourceContext, type ServerParts } from "./context.ts";
import { deleteOne, type DeleteOptions } from "./remove.ts";
import { checkDeleteOptions, checkTypes, deleteOptionsIn } from "./options.ts";
import { ApiError, badRequest, conflict, notFound } from "./status.ts";
import { intentOf } from "./write.ts";
import type { Writer } from "./writer.ts";

const disruptionBudgets = "policy/poddisruptionbudgets";

/** `pods/binding` and `bindings`: assigns a pod to a node, which is possible only once. */
export async function bindPod(parts: ServerParts, writer: Writer, context: ResourceContext): Promise<void> {
  const { info, request } = context;
  const { object } = await decodeObject(await readBody(request), request.headers["content-type"], parts.registry);
  checkTypes(object["target"] ?? {}, { kind: "text", name: "text" }, "Binding.target");
  checkTypes(object.metadata, { name: "text", annotations: "map of texts" }, "Binding.metadata");
  const target = object["target"] as { kind?: string; name?: string } | undefined;
  const node = target?.name ?? "";
  if (node === "") throw badRequest('Binding "" is invalid: target.name: Required value');
  const name = info.subresource === "binding" ? info.name : (object.metadata.name ?? "");
  const type = parts.registry.resource("", "v1", "pods");
  if (type === undefined) throw notFound({ group: "", plural: "pods" }, name);
  const intent = intentOf({ ...context, type }, "CreateOptions", { subresource: "" });
  const bind = (pod: UntypedObject): UntypedObject => {
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

/** `pods/eviction`: deletes a pod unless a disruption budget forbids it. Then it throws 429. */
export async function evictPod(parts: ServerParts, writer: Writer, context: ResourceContext): Promise<void> {
  const { info, request, type } = context;
  const body = await readBody(request);
  const eviction =
    body.length === 0 ? undefined : (await decodeObject(body, request.headers["content-type"], parts.registry)).object;
  const options: DeleteOptions = deleteOptionsIn(eviction?.["deleteOptions"] ?? {});
  checkDeleteOptions(options, context.query);
  const pod = parts.store.latest("/pods", info.namespace, info.name);
  if (pod === undefined) throw notFound(type, info.name);
  const base = intentOf(context, "DeleteOptions", { subresource: "" });
  const intent = { ...base, dryRun: base.dryRun || (options.dryRun ?? []).includes("All") };
  if (!isOver(pod)) await takeDisruption(parts, writer, context, pod, intent.dryRun);
  await deleteOne(parts, intent, info.name, options);
  sendJson(context, 201, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
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

/**
 * Counts the disruption in the budget's status, so that concurrent evictions do not count on the same allowed
 * disruption.
 */
async function takeDisruption(
  parts: ServerParts,
  writer: Writer,
  context: ResourceContext,
  pod: StoredRecord,
  dryRun: boolean,
): Promise<void> {
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
  if (budget === undefined || type === undefined) return;
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
}
