import { canonicalJson, jsonEqual } from "../../../base/index.ts";
import type { ManagedFieldsEntry, UntypedObject } from "../../../api/index.ts";
import { SchemaFault, type StatusCause, type WriteOrigin } from "../contract.ts";
import { cloneJson, isObject, objectOf, setOwn, type JsonObject } from "../json.ts";
import type { Shape } from "../shape.ts";
import { FieldSet, formatFieldPath } from "./field-set.ts";
import {
  capUpdateManagers,
  decodeManagedFields,
  encodeManagedFields,
  managerIdentity,
  stripFields,
  type Managed,
} from "./managed-fields.ts";
import { canonicalConfiguration, compareValues, configurationFaults, toFieldSet } from "./typed-value.ts";
import { Updater, type ManagedConflict, type Managers, type TypedObject, type UpdaterOptions } from "./updater.ts";

const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";
const beforeFirstApply = "before-first-apply";
/**
 * A temporary manager for the current write. It takes over the changed fields from all managers. Afterwards, the writer
 * gets the fields of this manager.
 */
const currentOperation = "current-operation";
/** The only field manager for which the server updates kubectl's annotation after an apply. */
const annotatingManager = "kubectl";

export interface FieldManagerOptions {
  readonly apiVersion: string;
  readonly kind: string;
  readonly shape: Shape;
  readonly convert: UpdaterOptions["convert"];
  /** Whether the kind has a status subresource. If so, only requests to it write the status. */
  readonly hasStatus: boolean;
  /** An empty object of the kind. Managers cannot own the fields that it contains. */
  readonly empty: UntypedObject;
}

/** Computes `metadata.managedFields` of one resource, for applies and for all other writes. */
export class FieldManager {
  readonly #options: FieldManagerOptions;

  constructor(options: FieldManagerOptions) {
    this.#options = options;
  }

  update(live: UntypedObject | undefined, next: UntypedObject, origin: WriteOrigin): ManagedFieldsEntry[] {
    const managed = this.#managedForUpdate(live, next, origin);
    const untracked = live !== undefined && managed.managers.size === 0;
    if (untracked) return [];
    const identity = this.#identity(origin, "Update");
    const before = this.#typed(live ?? this.#options.empty);
    const managers = this.#updater(origin.subresource).update(
      before,
      this.#typed(next),
      managed.managers,
      currentOperation,
    );
    stripFields(managers, currentOperation);
    const taken = managers.get(currentOperation);
    managers.delete(currentOperation);
    const times = new Map(managed.times);
    if (taken !== undefined) {
      const previous = managers.get(identity);
      const set = previous === undefined ? taken.set : taken.set.union(previous.set);
      managers.set(identity, { ...taken, set });
      const known = managed.managers.get(identity);
      if (known === undefined || !known.set.equals(set) || previous === undefined || !previous.set.equals(set))
        times.set(identity, origin.time);
    }
    const result = { managers, times };
    capUpdateManagers(result);
    return encodeManagedFields(result);
  }

  /**
   * Computes the object after an apply with its managedFields. Throws 409 on conflicts, and 400 for an invalid
   * configuration.
   */
  apply(live: UntypedObject | undefined, applied: UntypedObject, origin: WriteOrigin, force: boolean): UntypedObject {
    this.#check(applied);
    const identity = this.#identity(origin, "Apply");
    const base = withoutManagedFields(live ?? this.#emptyObject());
    const managed = this.#managedForApply(live, base, origin);
    const updater = this.#updater(origin.subresource);
    const config = this.#typed(canonicalConfiguration(this.#options.shape, applied) as UntypedObject);
    let result = updater.apply(this.#typed(base), config, managed.managers, identity, force);
    if (result.conflicts.length > 0) {
      const conflicts = this.#conflictsThatCount(live, result.conflicts, origin);
      if (conflicts.length > 0) throw conflictFault(conflicts);
      result = updater.apply(this.#typed(base), config, managed.managers, identity, true);
    }
    stripFields(result.managers, identity);
    const times = new Map(managed.times);
    // Like kube-apiserver, set no time if the apply does not change the object.
    if (result.value !== undefined) times.set(identity, origin.time);
    const object = (result.value ?? cloneJson(base)) as UntypedObject;
    if (origin.manager === annotatingManager) keepLastApplied(object, applied);
    return withManagedFields(object, encodeManagedFields({ managers: result.managers, times }));
  }

  #check(applied: UntypedObject): void {
    const { apiVersion, kind, shape } = this.#options;
    if (applied.apiVersion !== apiVersion || applied.kind === undefined)
      throw new SchemaFault(
        400,
        "BadRequest",
        `invalid object type: ${groupVersionText(applied.apiVersion ?? "/")}, Kind=${applied.kind ?? ""}`,
      );
    const metadata: unknown = applied.metadata;
    if (isObject(metadata) && metadata.managedFields !== undefined && metadata.managedFields !== null)
      throw new SchemaFault(400, "BadRequest", "metadata.managedFields must be nil");
    const faults = configurationFaults(shape, applied);
    if (faults.length === 0) return;
    const name = `${applied.metadata.namespace ?? ""}/${applied.metadata.name ?? ""}`;
    throw new SchemaFault(
      500,
      "",
      `failed to create typed patch object (${name}; ${groupVersionText(apiVersion)}, Kind=${kind}): ${faults.join("\n")}`,
    );
  }

  #identity(origin: WriteOrigin, operation: "Apply" | "Update"): string {
    return managerIdentity({
      manager: origin.manager,
      operation,
      apiVersion: this.#options.apiVersion,
      subresource: origin.subresource,
    });
  }

  #typed(object: UntypedObject): TypedObject {
    return { apiVersion: this.#options.apiVersion, shape: this.#options.shape, value: withoutManagedFields(object) };
  }

  #emptyObject(): UntypedObject {
    return { apiVersion: this.#options.apiVersion, kind: this.#options.kind, metadata: {} };
  }

  #updater(subresource: string): Updater {
    return new Updater({
      convert: this.#options.convert,
      filter: subresourceFilter(subresource, this.#options.hasStatus),
    });
  }

  /**
   * The managers before an update. A client may write managedFields itself. An empty list resets the field. If the list
   * is absent, the stored one applies.
   */
  #managedForUpdate(live: UntypedObject | undefined, next: UntypedObject, origin: WriteOrigin): Managed {
    const stored = decodeManagedFields(live?.metadata.managedFields);
    const sent = next.metadata.managedFields;
    if (origin.subresource !== "" || sent === undefined) return stored;
    if (sent.length === 0 || (sent.length === 1 && Object.keys(sent[0] ?? {}).length === 0))
      return { managers: new Map(), times: new Map() };
    return decodeManagedFields(sent);
  }

  /** The managers before an apply. If an object has no managedFields, a special manager owns all of its fields. */
  #managedForApply(live: UntypedObject | undefined, base: UntypedObject, origin: WriteOrigin): Managed {
    const managed = decodeManagedFields(live?.metadata.managedFields);
    if (managed.managers.size > 0 || live === undefined) return managed;
    const identity = managerIdentity({
      manager: beforeFirstApply,
      operation: "Update",
      apiVersion: this.#options.apiVersion,
    });
    const managers: Managers = this.#updater("").update(
      this.#typed(this.#options.empty),
      this.#typed(base),
      new Map(),
      identity,
    );
    stripFields(managers, identity);
    return { managers, times: new Map([[identity, origin.time]]) };
  }

  /**
   * The conflicts of an apply. A conflict of kubectl's server-side apply does not count if kubectl's client-side apply
   * wrote the field and no other manager has changed it since.
   */
  #conflictsThatCount(
    live: UntypedObject | undefined,
    conflicts: readonly ManagedConflict[],
    origin: WriteOrigin,
  ): ManagedConflict[] {
    const text = live?.metadata.annotations?.[lastAppliedAnnotation];
    if (live === undefined || text === undefined || text === "" || origin.manager !== annotatingManager)
      return [...conflicts];
    const config = parseObject(text);
    if (config?.apiVersion !== this.#options.apiVersion) return [...conflicts];
    const { shape } = this.#options;
    const changed = compareValues(shape, config, withoutManagedFields(live));
    const owned = toFieldSet(shape, config).difference(changed.modified).difference(changed.removed);
    return conflicts
      .map(({ manager, fields }) => ({ manager, fields: fields.difference(owned) }))
      .filter(({ fields }) => !fields.empty);
  }
}

/** Formats a group and a version as Go does. The text of the core group begins with a slash. */
function groupVersionText(apiVersion: string): string {
  return apiVersion.includes("/") ? apiVersion : `/${apiVersion}`;
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const statusOnly = new FieldSet();
statusOnly.insert(["f:status"]);

function subresourceFilter(subresource: string, hasStatus: boolean): (set: FieldSet) => FieldSet {
  if (subresource === "status") {
    return (set) => {
      const result = new FieldSet();
      const child = set.children.get("f:status");
      if (child !== undefined) result.children.set("f:status", child);
      if (set.members.has("f:status")) result.members.add("f:status");
      return result;
    };
  }
  return hasStatus && subresource === "" ? (set) => set.recursiveDifference(statusOnly) : (set) => set;
}

function withoutManagedFields(object: UntypedObject): UntypedObject {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function withManagedFields(object: UntypedObject, managedFields: ManagedFieldsEntry[]): UntypedObject {
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

function keepLastApplied(object: UntypedObject, applied: UntypedObject): void {
  const annotations: unknown = object.metadata.annotations;
  if (!isObject(annotations) || annotations[lastAppliedAnnotation] === undefined) return;
  const config: JsonObject = cloneJson(applied);
  const metadata = objectOf(config.metadata);
  const { [lastAppliedAnnotation]: _dropped, ...others } = objectOf(metadata.annotations);
  const next = isObject(metadata.annotations) ? { ...metadata, annotations: others } : metadata;
  const text = `${canonicalJson({ ...config, metadata: next })}\n`;
  if (!jsonEqual(annotations[lastAppliedAnnotation], text)) setOwn(annotations, lastAppliedAnnotation, text);
}

function describeManager(identity: string): string {
  const { manager, operation, apiVersion, subresource } = JSON.parse(identity) as {
    manager: string;
    operation: string;
    apiVersion: string;
    subresource: string;
  };
  const name = `"${manager}"${subresource === "" ? "" : ` with subresource "${subresource}"`}`;
  return operation === "Update" ? `${name} using ${apiVersion}` : name;
}

function conflictFault(conflicts: readonly ManagedConflict[]): SchemaFault {
  const causes: StatusCause[] = conflicts.flatMap(({ manager, fields }) =>
    [...fields.paths()].map((path) => ({
      reason: "FieldManagerConflict",
      message: `conflict with ${describeManager(manager)}`,
      field: formatFieldPath(path),
    })),
  );
  const [only] = causes;
  if (causes.length === 1 && only !== undefined)
    return new SchemaFault(409, "Conflict", `Apply failed with 1 conflict: ${only.message}: ${only.field}`, causes);
  const lines = [...conflicts]
    .sort((a, b) => (a.manager < b.manager ? -1 : 1))
    .flatMap(({ manager, fields }) => [
      `conflicts with ${describeManager(manager)}:`,
      ...[...fields.paths()].map((path) => `- ${formatFieldPath(path)}`),
    ]);
  return new SchemaFault(409, "Conflict", `Apply failed with ${causes.length} conflicts: ${lines.join("\n")}`, causes);
}
