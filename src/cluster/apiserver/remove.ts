import { rfc3339Seconds, jsonEqual } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { UntypedOptions } from "../admission/index.ts";
import type { ResourceType } from "../schema/contract.ts";
import type { StoredRecord } from "../store/index.ts";
import { decodeObject, readBody } from "./body.ts";
import { customResourceDefinitionKey, markTerminating } from "./custom-resources.ts";
import { includeObjectOf, sendForm, sendJson, type ResourceContext, type ServerParts } from "./context.ts";
import { answerFormOf } from "./negotiate.ts";
import { checkDeleteOptions, deleteOptionsIn, numberOption, wantsDryRun } from "./options.ts";
import { selectionOf } from "./read.ts";
import { badRequest, conflict, notFound, type ApiError, type Status } from "./status.ts";
import { admissionRequest, endsNow, type WriteIntent } from "./writer.ts";
import { intentOf } from "./write.ts";

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: "Orphan" | "Background" | "Foreground";
  readonly orphanDependents?: boolean;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly dryRun?: readonly string[];
}

/**
 * The result of a deletion. `object` is the last state of an object that is `gone`. Otherwise it is the state in which
 * the object waits for finalizers or for its grace period.
 */
export interface Deletion {
  readonly object: UntypedObject;
  readonly gone: boolean;
}

const maximumAttempts = 10;

/** Deletes one object by the rules of grace periods, finalizers and propagation. */
export async function deleteOne(
  parts: ServerParts,
  intent: WriteIntent,
  name: string,
  options: DeleteOptions,
): Promise<Deletion> {
  const { type, dryRun } = intent;
  for (let attempt = 1; ; attempt++) {
    const record = parts.store.latest(type.storageKey, intent.namespace, name);
    if (record === undefined) throw notFound(type, name);
    checkPreconditions(type, record, options);
    const request = admissionRequest("DELETE", intent, undefined, parts.encoder.objectIn(record, type), name);
    await parts.admission.mutate(request);
    await parts.admission.validate(request);
    const next = marked(parts, type, record, options);
    const ends = endsNow(next);
    if (dryRun) return { object: next, gone: ends };
    if (ends) {
      const removed = await parts.store.remove(type.storageKey, record.namespace, name, record.revision);
      if (removed !== undefined) return { object: isGraceful(type) ? next : removed.object, gone: true };
    } else if (next === record.object) {
      await parts.store.durable(record);
      return { object: next, gone: false };
    } else {
      const stored = await parts.store.put(type.storageKey, next, record.revision);
      if (stored !== undefined) return { object: stored.object, gone: false };
    }
    if (attempt >= maximumAttempts) throw conflict(type, name);
  }
}

/** Throws 409 if the object has another uid or another version than the options require. */
export function checkPreconditions(type: ResourceType, record: StoredRecord, { preconditions }: DeleteOptions): void {
  const { uid, resourceVersion } = preconditions ?? {};
  // Like kube-apiserver, name the kind and not the resource in this error.
  const outdated = (why: string): ApiError => conflict({ group: type.group, plural: type.kind }, record.name, why);
  if (uid !== undefined && uid !== "" && uid !== record.uid) {
    throw outdated(
      `the UID in the precondition (${uid}) does not match the UID in record (${record.uid}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== "" && resourceVersion !== String(record.revision)) {
    throw outdated(
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${record.revision}). The object might have been modified`,
    );
  }
}

/**
 * The state in which an object waits for finalizers or for its grace period. Returns the same object if it is already
 * in this state.
 */
function marked(parts: ServerParts, type: ResourceType, record: StoredRecord, options: DeleteOptions): UntypedObject {
  const object = record.copy();
  const before = object.metadata.deletionTimestamp;
  const grace = graceSeconds(type, object, options);
  addPropagationFinalizer(
    object,
    type.storageKey === jobs && !setsPropagation(options) ? { propagationPolicy: "Orphan" } : options,
  );
  const { metadata } = object;
  if (before === undefined) {
    metadata.deletionTimestamp = rfc3339Seconds(parts.clock.nowMs() + grace * 1000);
    if (!endsInSteps.has(type.storageKey)) metadata.deletionGracePeriodSeconds = grace;
    if (metadata.generation !== undefined) metadata.generation++;
  } else if (grace < (metadata.deletionGracePeriodSeconds ?? 0)) {
    const started = Date.parse(before) - (metadata.deletionGracePeriodSeconds ?? 0) * 1000;
    metadata.deletionTimestamp = rfc3339Seconds(started + grace * 1000);
    metadata.deletionGracePeriodSeconds = grace;
  }
  if (type.storageKey === "/namespaces")
    object["status"] = { ...(object["status"] as object | undefined), phase: "Terminating" };
  if (type.storageKey === customResourceDefinitionKey && before === undefined)
    markTerminating(object, metadata.deletionTimestamp ?? "");
  return before !== undefined && jsonEqual(object, record.object) ? record.object : object;
}

/** Kinds whose objects are first marked as terminating, although they have no grace period. */
const endsInSteps = new Set(["/namespaces", customResourceDefinitionKey]);

const jobs = "batch/jobs";

function setsPropagation({ propagationPolicy, orphanDependents }: DeleteOptions): boolean {
  return propagationPolicy !== undefined || orphanDependents !== undefined;
}

/** Whether the answer to an immediate deletion shows the object with its deletion timestamp. */
function isGraceful(type: ResourceType): boolean {
  return type.storageKey === "/pods";
}

/** Kinds for which a deletion returns the object instead of a success status. */
const answeredWhenGone = new Set(["/pods", "/services"]);

/** The maximum grace period. A longer one could end in a year of more than four digits, which no client can read. */
const maximumGraceSeconds = 2 ** 31 - 1;

/** The grace period in seconds. Only pods that may be running on a node have one. */
function graceSeconds(type: ResourceType, object: UntypedObject, options: DeleteOptions): number {
  if (type.storageKey !== "/pods") return 0;
  const spec = (object["spec"] ?? {}) as { nodeName?: string; terminationGracePeriodSeconds?: number };
  const { phase } = (object["status"] ?? {}) as { phase?: string };
  if ((spec.nodeName ?? "") === "" || phase === "Succeeded" || phase === "Failed") return 0;
  const wanted =
    options.gracePeriodSeconds ??
    object.metadata.deletionGracePeriodSeconds ??
    spec.terminationGracePeriodSeconds ??
    30;
  return wanted < 0 ? 1 : Math.min(wanted, maximumGraceSeconds);
}

function addPropagationFinalizer(object: UntypedObject, options: DeleteOptions): void {
  const policy = options.propagationPolicy ?? (options.orphanDependents === true ? "Orphan" : undefined);
  if (policy === undefined) return;
  const finalizers = (object.metadata.finalizers ?? []).filter(
    (name) => name !== "orphan" && name !== "foregroundDeletion",
  );
  if (policy === "Orphan") finalizers.push("orphan");
  if (policy === "Foreground") finalizers.push("foregroundDeletion");
  if (finalizers.length > 0) object.metadata.finalizers = finalizers;
  else delete object.metadata.finalizers;
}

export async function deleteObject(parts: ServerParts, context: ResourceContext): Promise<void> {
  const { info, query, type } = context;
  const form = answerFormOf(context.request.headers.accept);
  const options = await deleteOptionsOf(parts, context);
  if (type.storageKey === jobs && !setsPropagation(options)) {
    context.warnings.push(
      "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
    );
  }
  const deletion = await deleteOne(parts, deleteIntent(context, options), info.name, options);
  if (!deletion.gone || answeredWhenGone.has(type.storageKey)) {
    const object = parts.registry.convert(deletion.object, type);
    return await sendForm(context, 200, form, parts.encoder.object(type, object, form, includeObjectOf(query)));
  }
  const details = {
    name: info.name,
    ...(type.group === "" ? {} : { group: type.group }),
    kind: type.plural,
    uid: deletion.object.metadata.uid,
  };
  const status: Status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
  sendJson(context, 200, status);
}

export async function deleteCollection(parts: ServerParts, context: ResourceContext): Promise<void> {
  const { type } = context;
  const form = answerFormOf(context.request.headers.accept);
  const options = await deleteOptionsOf(parts, context);
  const { namespace, matches } = selectionOf(context);
  const records = parts.store
    .collection(type.storageKey)
    .list(namespace)
    .filter((record) => matches === undefined || matches(record));
  const intent = deleteIntent(context, options);
  for (const record of records) {
    try {
      await deleteOne(parts, { ...intent, namespace: record.namespace }, record.name, options);
    } catch (error) {
      if ((error as { reason?: string }).reason !== "NotFound") throw error;
    }
  }
  const metadata = { resourceVersion: String(parts.store.revision) };
  await sendForm(context, 200, form, parts.encoder.list(type, records, metadata, form, includeObjectOf(context.query)));
}

function deleteIntent(context: ResourceContext, options: DeleteOptions): WriteIntent {
  const {
    kind: _kind,
    apiVersion: _version,
    ...rest
  } = options as DeleteOptions & { kind?: string; apiVersion?: string };
  const admissionOptions: UntypedOptions = { kind: "DeleteOptions", apiVersion: "meta.k8s.io/v1", ...rest };
  const dryRun = wantsDryRun(context.query) || (options.dryRun ?? []).includes("All");
  return intentOf(context, "DeleteOptions", { dryRun, options: admissionOptions });
}

async function deleteOptionsOf(parts: ServerParts, context: ResourceContext): Promise<DeleteOptions> {
  const { query, request } = context;
  const body = await readBody(request);
  const { metadata: _metadata, ...fields } =
    body.length === 0
      ? ({} as UntypedObject)
      : (await decodeObject(body, request.headers["content-type"], parts.registry)).object;
  const sent: DeleteOptions = deleteOptionsIn(fields);
  const grace = numberOption(query, "gracePeriodSeconds");
  const options: DeleteOptions = {
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(query.has("propagationPolicy") ? { propagationPolicy: query.get("propagationPolicy") as "Background" } : {}),
    ...(query.has("orphanDependents") ? { orphanDependents: query.get("orphanDependents") === "true" } : {}),
    ...sent,
  };
  const { kind } = sent as { kind?: string };
  if (kind !== undefined && kind !== "DeleteOptions")
    throw badRequest(`the body of a deletion must be DeleteOptions, got ${kind}`);
  checkDeleteOptions(options, query);
  return options;
}
