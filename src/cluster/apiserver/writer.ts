import { randomUUID } from "node:crypto";
import { jsonEqual } from "../../base/index.ts";
import { groupVersionOf, type UntypedObject } from "../../api/index.ts";
import { checkQuotas, type AdmissionRequest, type UntypedOptions } from "../admission/index.ts";
import type { User } from "../auth/index.ts";
import { apiVersionOf, type ResourceType } from "../schema/contract.ts";
import { fieldErrors } from "../schema/field-error.ts";
import { cloneJson } from "../schema/json.ts";
import { ObjectTooLarge, type Expectation, type StoredRecord } from "../store/index.ts";
import { nowText, type ServerParts } from "./context.ts";
import { ApiError, alreadyExists, badRequest, conflict, invalid, notFound } from "./status.ts";
import { mergeSubresource, prepareCreate, prepareUpdate } from "./strategies.ts";
import { checkNames, customResourceDefinitionKey } from "./custom-resources.ts";

export interface WriteIntent {
  readonly user: User;
  readonly type: ResourceType;
  readonly namespace: string;
  readonly subresource: string;
  readonly manager: string;
  readonly dryRun: boolean;
  readonly options: UntypedOptions;
  readonly warnings: string[];
  /** Whether server-side apply has already set managedFields. */
  readonly fieldsManaged?: boolean;
}

/** The stored object, or the object that a dry run would store. */
export interface Written {
  readonly object: UntypedObject;
  readonly record: StoredRecord | undefined;
  readonly created: boolean;
}

const generatedSuffixLetters = "bcdfghjklmnpqrstvwxz2456789";
const maximumGeneratedBase = 58;
const maximumAttempts = 8;
/**
 * The maximum size of a stored object. The largest body fits, together with the fields that the server adds. Without
 * this limit, repeated patches could make an object ever larger. etcd has such a limit too.
 */
const maximumObjectBytes = 4 * 1024 * 1024;
/**
 * How many bytes a write may add to an object that is already too large, for the digits of the revision and the
 * generation.
 */
const revisionGrowthBytes = 64;
/** The subresources whose writes change the spec. The empty name is the object itself. */
const specSubresources: ReadonlySet<string> = new Set(["", "scale", "ephemeralcontainers", "resize"]);

/**
 * What to do if another writer has changed the object in the meantime: apply the change to the new state, or answer
 * with a conflict.
 */
export type OnConflict = "retry" | "refuse";

/** Runs the steps of every write, such as admission, managed fields, validation and storage. */
export class Writer {
  readonly #parts: ServerParts;

  constructor(parts: ServerParts) {
    this.#parts = parts;
  }

  /** The newest state of the object, in the type's version. Callers share the object, so they must not change it. */
  current(
    type: ResourceType,
    namespace: string,
    name: string,
  ): { readonly record: StoredRecord; readonly object: UntypedObject } | undefined {
    const record = this.#parts.store.latest(type.storageKey, type.namespaced ? namespace : "", name);
    if (record === undefined) return undefined;
    return { record, object: this.#parts.encoder.objectIn(record, type) };
  }

  /** Creates the object. Changes `object` in place. */
  async create(intent: WriteIntent, object: UntypedObject): Promise<Written> {
    const { type } = intent;
    const { registry, admission } = this.#parts;
    checkIdentity(intent, object, undefined);
    if ((object.metadata.resourceVersion ?? "") !== "")
      throw new ApiError(500, "", "resourceVersion should not be set on objects to be created");
    for (const field of ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] as const)
      delete (object.metadata as Record<string, unknown>)[field];
    registry.applyDefaults(type, object);
    // Compute the managed fields before admission and allocators fill in fields, because no manager owns filled-in
    // fields.
    this.#manageFields(intent, undefined, object);
    const request = admissionRequest("CREATE", intent, object, undefined);
    await admission.mutate(request);
    const admitted = request.object ?? object;
    checkIdentity(intent, admitted, undefined);
    const generates = (admitted.metadata.name ?? "") === "";
    for (let attempt = 1; ; attempt++) {
      const candidate = generates || attempt > 1 ? cloneJson(admitted) : admitted;
      if (generates) candidate.metadata.name = this.#generatedName(candidate);
      const stored = await this.#createNamed(intent, request, candidate);
      if (stored !== undefined) return stored;
      if (!generates || attempt >= maximumAttempts) throw this.#taken(type, candidate);
    }
  }

  #taken(type: ResourceType, { metadata: { namespace = "", name = "" } }: UntypedObject): ApiError {
    return alreadyExists(
      type,
      name,
      this.#parts.store.latest(type.storageKey, namespace, name)?.object.metadata.deletionTimestamp !== undefined,
    );
  }

  /** Creates the object with the name in `object`. Returns undefined if the name is in use. */
  async #createNamed(
    intent: WriteIntent,
    request: AdmissionRequest,
    object: UntypedObject,
  ): Promise<Written | undefined> {
    const { type, dryRun } = intent;
    const { admission, store } = this.#parts;
    const { metadata } = object;
    if (store.latest(type.storageKey, metadata.namespace ?? "", metadata.name ?? "") !== undefined) return undefined;
    metadata.uid = randomUUID();
    metadata.creationTimestamp = nowText(this.#parts.clock);
    dropEmptyMetadata(object);
    prepareCreate(type, object);
    if (type.storageKey === customResourceDefinitionKey) checkNames(object, this.#parts);
    this.#validate(type, object, undefined, "");
    using _hold = type.storageKey === "/services" ? this.#parts.services.allocate(object, undefined) : noHold;
    await admission.validate({ ...request, name: metadata.name ?? "", object });
    checkQuotas(store, request, object, undefined);
    if (dryRun) return { object, record: undefined, created: true };
    const record = await this.#put(type, object, "absent", 0);
    return record === undefined ? undefined : { object, record, created: true };
  }

  /**
   * Computes the next state of an object from its present one, and stores it. If another write came first and
   * `onConflict` is `retry`, starts again with the new state. `next` gets a copy, which it may change.
   */
  update(
    intent: WriteIntent,
    name: string,
    next: (current: UntypedObject) => UntypedObject | Promise<UntypedObject>,
    onConflict: OnConflict = "retry",
  ): Promise<Written> {
    return this.replace(intent, name, (current) => next(cloneJson(current)), onConflict);
  }

  /**
   * Like {@link update}, but without the copy. `next` gets the stored object itself and must not change it. The result
   * must not share any value with the stored object, because the result is changed before it is stored.
   */
  async replace(
    intent: WriteIntent,
    name: string,
    next: (current: UntypedObject) => UntypedObject | Promise<UntypedObject>,
    onConflict: OnConflict = "retry",
  ): Promise<Written> {
    for (let attempt = 1; ; attempt++) {
      const current = this.current(intent.type, intent.namespace, name);
      if (current === undefined) throw notFound(intent.type, name);
      const wanted = await next(current.object);
      const written = await this.#updateOnce(intent, name, current.record, current.object, wanted);
      if (written !== undefined) return written;
      if (onConflict === "refuse" || attempt >= maximumAttempts) throw conflict(intent.type, name);
    }
  }

  async #updateOnce(
    intent: WriteIntent,
    name: string,
    oldRecord: StoredRecord,
    old: UntypedObject,
    wanted: UntypedObject,
  ): Promise<Written | undefined> {
    const { type, subresource, dryRun } = intent;
    const { registry, admission, store } = this.#parts;
    checkIdentity(intent, wanted, name);
    checkVersion(type, name, wanted, old);
    registry.applyDefaults(type, wanted);
    const object = this.#prepared(intent, wanted, old);
    this.#manageFields(intent, old, object);
    const request = admissionRequest("UPDATE", intent, object, old, name);
    await admission.mutate(request);
    const admitted =
      request.object === undefined || request.object === object ? object : this.#prepared(intent, request.object, old);
    if (subresource === "status" && type.builtIn) keepServerMetadata(admitted, old);
    if (subresource === "" && type.storageKey === customResourceDefinitionKey) checkNames(admitted, this.#parts);
    if (jsonEqual(admitted, old)) {
      if (!dryRun) await store.durable(oldRecord);
      return { object: old, record: oldRecord, created: false };
    }
    this.#validate(type, admitted, old, subresource);
    using _hold = type.storageKey === "/services" ? this.#parts.services.allocate(admitted, old) : noHold;
    await admission.validate({ ...request, object: admitted });
    checkQuotas(store, request, admitted, old);
    if (dryRun) return { object: admitted, record: undefined, created: false };
    if (endsNow(admitted)) return await this.#removeUpdated(intent, oldRecord, admitted);
    const record = await this.#put(type, admitted, oldRecord.revision, oldRecord.bytes.length);
    return record === undefined ? undefined : { object: admitted, record, created: false };
  }

  /**
   * Changes a pod for a request to one of its subresources, such as a binding. Admission has already checked that
   * request, so the rules for updates are not applied. Returns the stored state, or undefined for a dry run.
   */
  async changePod(
    intent: WriteIntent,
    name: string,
    change: (pod: UntypedObject, record: StoredRecord) => UntypedObject,
  ): Promise<StoredRecord | undefined> {
    for (let attempt = 1; ; attempt++) {
      const current = this.current(intent.type, intent.namespace, name);
      if (current === undefined) throw notFound(intent.type, name);
      const pod = change(cloneJson(current.object), current.record);
      if (intent.dryRun) return undefined;
      if (jsonEqual(pod, current.object)) return current.record;
      const stored = await this.#parts.store.put(intent.type.storageKey, pod, current.record.revision);
      if (stored !== undefined) return stored;
      if (attempt >= maximumAttempts) throw conflict(intent.type, name);
    }
  }

  async #removeUpdated(
    intent: WriteIntent,
    oldRecord: StoredRecord,
    object: UntypedObject,
  ): Promise<Written | undefined> {
    const { storageKey } = intent.type;
    const removed = await this.#parts.store.remove(storageKey, oldRecord.namespace, oldRecord.name, oldRecord.revision);
    if (removed === undefined) return undefined;
    object.metadata.resourceVersion = String(removed.revision);
    return { object, record: undefined, created: false };
  }

  #prepared(intent: WriteIntent, wanted: UntypedObject, old: UntypedObject): UntypedObject {
    const { type, subresource } = intent;
    const object =
      subresource === "" || subresource === "scale" ? wanted : mergeSubresource(type, subresource, wanted, old);
    object.kind = type.kind;
    object.apiVersion = apiVersionOf(type);
    dropEmptyMetadata(object);
    keepServerMetadata(object, old);
    if (specSubresources.has(subresource)) prepareUpdate(type, object, old);
    return object;
  }

  #manageFields(intent: WriteIntent, old: UntypedObject | undefined, object: UntypedObject): void {
    if (intent.fieldsManaged === true) return;
    const origin = { manager: intent.manager, subresource: intent.subresource, time: nowText(this.#parts.clock) };
    const entries = this.#parts.registry.updateManagedFields(intent.type, old, object, origin);
    if (entries.length === 0) delete object.metadata.managedFields;
    else object.metadata.managedFields = entries;
  }

  #validate(type: ResourceType, object: UntypedObject, old: UntypedObject | undefined, subresource: string): void {
    const errors =
      subresource === "" || subresource === "scale"
        ? this.#parts.registry.validate(type, object, old)
        : this.#parts.registry.validate(type, object, old, subresource);
    if (errors.length > 0) throw invalid(type, object.metadata.name ?? "", errors);
  }

  /**
   * Stores the object. An object that is already too large may still be written, for example when its deletion begins,
   * but it may not grow.
   */
  async #put(
    type: ResourceType,
    object: UntypedObject,
    expect: Expectation,
    oldBytes: number,
  ): Promise<StoredRecord | undefined> {
    const maxBytes = Math.max(maximumObjectBytes, oldBytes + revisionGrowthBytes);
    try {
      return await this.#parts.store.put(type.storageKey, this.#toStorage(type, object), expect, maxBytes);
    } catch (error) {
      if (!(error instanceof ObjectTooLarge)) throw error;
      const message = `Request entity too large: an object may have at most ${maximumObjectBytes} bytes`;
      throw new ApiError(413, "RequestEntityTooLarge", message, {});
    }
  }

  #toStorage(type: ResourceType, object: UntypedObject): UntypedObject {
    const slash = type.storageKey.indexOf("/");
    const group = type.storageKey.slice(0, slash);
    if (group === type.group && type.version === type.storageVersion) return object;
    const stored = this.#parts.registry.resource(group, type.storageVersion, type.storageKey.slice(slash + 1));
    if (stored === undefined)
      throw new ApiError(500, "InternalError", `no storage version ${type.storageVersion} of ${type.storageKey}`);
    const converted = this.#parts.registry.convert(object, stored);
    if (converted === object) return cloneJson(object);
    // Drop unknown fields of the result: a conversion may restore fields from annotations, which a client can write.
    if (stored.builtIn) this.#parts.registry.dropUnknownFields(stored, converted);
    return converted;
  }

  #generatedName(object: UntypedObject): string {
    const base = (object.metadata.generateName ?? "").slice(0, maximumGeneratedBase);
    if (base === "")
      throw invalid({ group: apiVersionGroup(object), kind: object.kind ?? "" }, "", [
        fieldErrors.required("metadata.name", "name or generateName is required"),
      ]);
    let suffix = "";
    for (let index = 0; index < 5; index++)
      suffix += generatedSuffixLetters[Math.floor(this.#parts.random() * generatedSuffixLetters.length)] ?? "b";
    return base + suffix;
  }
}

function apiVersionGroup({ apiVersion = "" }: UntypedObject): string {
  return groupVersionOf(apiVersion).group;
}

const noHold: Disposable = { [Symbol.dispose]: () => undefined };

/** Checks that kind, name and namespace of the object are those of the path. Fills in missing ones. */
function checkIdentity(intent: WriteIntent, object: UntypedObject, name: string | undefined): void {
  const { type, namespace } = intent;
  const { metadata } = object;
  const apiVersion = apiVersionOf(type);
  object.apiVersion ??= apiVersion;
  object.kind ??= type.kind;
  if (!type.builtIn && object.apiVersion === apiVersion && object.kind !== type.kind) {
    throw invalid({ group: type.group, kind: object.kind }, metadata.name ?? "", [
      fieldErrors.invalid("kind", object.kind, `must be ${type.kind}`),
    ]);
  }
  if (object.apiVersion !== apiVersion || object.kind !== type.kind) {
    throw badRequest(
      `the API version in the data (${object.apiVersion}, Kind=${object.kind}) does not match the expected API version (${apiVersion}, Kind=${type.kind})`,
    );
  }
  if (!type.namespaced) delete metadata.namespace;
  else if ((metadata.namespace ?? "") === "") metadata.namespace = namespace;
  else if (metadata.namespace !== namespace) {
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
  }
  if (name === undefined) return;
  if ((metadata.name ?? "") === "") metadata.name = name;
  if (metadata.name !== name) throw otherName(metadata.name, name);
}

export function otherName(given: string | undefined, name: string): ApiError {
  return badRequest(`the name of the object (${given ?? ""}) does not match the name on the URL (${name})`);
}

function checkVersion(type: ResourceType, name: string, wanted: UntypedObject, old: UntypedObject): void {
  const { resourceVersion = "", uid = "" } = wanted.metadata;
  if (resourceVersion !== "" && resourceVersion !== old.metadata.resourceVersion) throw conflict(type, name);
  if (uid !== "" && uid !== old.metadata.uid) {
    throw conflict(
      type,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid ?? ""}`,
    );
  }
}

/** Removes empty maps and lists from the metadata, because they mean the same as absent ones. */
export function dropEmptyMetadata({ metadata }: UntypedObject): void {
  for (const field of ["labels", "annotations", "finalizers", "ownerReferences"] as const) {
    const value: unknown = metadata[field];
    if (value === null || (typeof value === "object" && Object.keys(value).length === 0)) delete metadata[field];
  }
}

function keepServerMetadata(object: UntypedObject, old: UntypedObject): void {
  const kept = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "generateName",
    "namespace",
  ] as const;
  const target = object.metadata as Record<string, unknown>;
  for (const field of kept) {
    if (old.metadata[field] === undefined) delete target[field];
    else target[field] = old.metadata[field];
  }
  delete target["selfLink"];
}

/**
 * Whether nothing delays the end of an object any more: it is being deleted, and has no finalizers and no grace period
 * left.
 */
export function endsNow(object: UntypedObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0 || deletionGracePeriodSeconds > 0) return false;
  const remaining =
    object.kind === "Namespace" && object.apiVersion === "v1"
      ? ((object["spec"] as { finalizers?: string[] } | undefined)?.finalizers ?? [])
      : [];
  return remaining.length === 0;
}

export function admissionRequest(
  operation: AdmissionRequest["operation"],
  intent: WriteIntent,
  object: UntypedObject | undefined,
  oldObject: UntypedObject | undefined,
  name = object?.metadata.name ?? "",
): AdmissionRequest {
  const { type, subresource, user, dryRun, options, warnings } = intent;
  const namespace = type.storageKey === "/namespaces" ? name : intent.namespace;
  return { operation, type, subresource, namespace, name, object, oldObject, user, dryRun, options, warnings };
}
