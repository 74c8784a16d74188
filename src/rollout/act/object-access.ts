import { createHash } from "node:crypto";
import {
  BoundedCache,
  canonicalJson,
  jsonEqualWithoutNulls,
  pointerNames,
  SerinError,
  systemClock,
  transientError,
  type Clock,
} from "../../base/index.ts";
import type { KindDefinition, UntypedObject } from "../../api/index.ts";
import { fieldManager, withoutClaim } from "../../api/serin/field-managers/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { errorOfStatus, isKubeCode, resourcePath, type KubeClient } from "../../kube/index.ts";
import { describeReference, fieldKey, referenceKey, shown } from "../decide/index.ts";
import { Previews, type Preview } from "./previews.ts";
import { ServedVersions } from "./served-versions.ts";

/** How often the engine tries to give up its claim to a field while others write the object. */
const releaseAttempts = 3;

export const templatePointer = "/spec/template";
const maxRewritten = 256;
/**
 * After this many changed writes, a webhook counts as one that always changes the template. A webhook that adds the
 * same fields to each template changes it once, and then leaves it alone.
 */
const timesOfRewriting = 2;

/**
 * Reads and writes any object by its reference. Every write is safe to repeat. A field is changed by a JSON patch that
 * tests its current value, and not by server-side apply. The engine must know whether the field still has the value in
 * the journal, and apply only compares field managers. Apply also cannot remove another manager's field, and it would
 * remove a field whose prior value undo must restore.
 */
export class ObjectAccess {
  readonly #client: KubeClient;
  readonly #versions: ServedVersions;
  /**
   * By Deployment: the pod template that the server stored at the engine's last write, and how many writes in a row a
   * webhook changed. Absent if the last one was stored unchanged.
   */
  readonly #rewritten = new BoundedCache<string, { readonly template: unknown; readonly times: number }>(maxRewritten);

  /** The answers to dry runs, by the field and a digest of the requested value and the object. */
  readonly #previews: Previews;

  constructor(client: KubeClient, clock: Pick<Clock, "steadyMs"> = systemClock) {
    this.#client = client;
    this.#previews = new Previews(clock);
    this.#versions = new ServedVersions(client);
  }

  /**
   * The pod template that the server stored at the engine's last write to a Deployment, if a webhook has changed {@link
   * timesOfRewriting} or more such writes in a row. Otherwise undefined.
   */
  rewrittenTemplate(object: ObjectReference): unknown {
    const { template, times = 0 } = this.#rewritten.get(referenceKey(object)) ?? {};
    return times < timesOfRewriting ? undefined : template;
  }

  /** Reads the object. If the server no longer serves the reference's version, uses another version of the API. */
  async get(object: ObjectReference): Promise<UntypedObject | undefined> {
    const read = async (): Promise<UntypedObject | undefined> =>
      await this.#client.get(kindOf(this.#versions.served(object)), object.name, object.namespace);
    return (await read()) ?? ((await this.#versions.lookAgain(object)) ? await read() : undefined);
  }

  async create(object: ObjectReference, body: UntypedObject): Promise<void> {
    try {
      const served = this.#versions.served(object);
      const { apiVersion } = served;
      await this.#client.create(kindOf(served), { ...withoutServerFields(body), apiVersion }, { fieldManager });
    } catch (error) {
      if (!isKubeCode(error, "already-exists")) throw error;
    }
  }

  /**
   * Deletes the object that has this uid. Throws a conflict if another object has its name now. `force`: do not wait
   * until a pod's node confirms that the pod has ended.
   */
  async delete(object: ObjectReference, uid: string | undefined, force = false): Promise<void> {
    await this.#client.delete(kindOf(this.#versions.served(object)), object.name, object.namespace, {
      propagationPolicy: "Background",
      ...(uid === undefined ? {} : { preconditions: { uid } }),
      ...(force ? { gracePeriodSeconds: 0 } : {}),
    });
  }

  /**
   * Sets one field, or removes it if `value` is undefined, provided that it still has the value `expected`. When it
   * removes the field, it also removes up to `madeParents` parents that are empty then. Returns the value that the
   * server stored, because an admission webhook may have changed it.
   */
  async setField(
    object: ObjectReference,
    pointer: string,
    value: unknown,
    expected: unknown,
    madeParents = 0,
  ): Promise<unknown> {
    const current = await this.get(object);
    if (current === undefined) return undefined;
    const found = valueAt(current, pointer);
    if (expected === undefined && ![expected, value].some((allowed) => jsonEqualWithoutNulls(found, allowed)))
      throw transientError(
        "patch-refused",
        `change of ${pointer} in ${describeReference(object)}: expected no value, found ${shown(found)}, which somebody has set meanwhile`,
      );
    const stored = await this.#patch(object, fieldPatch(current, pointer, value, expected, madeParents), pointer);
    if (stored === undefined) return value;
    if (object.kind === "Deployment" && !pointer.startsWith(`${templatePointer}/`)) {
      const given = pointer === templatePointer ? value : valueAt(current, templatePointer);
      this.#noticeTemplate(referenceKey(object), given, valueAt(stored, templatePointer));
    }
    return valueAt(stored, pointer);
  }

  /**
   * The value that the server would store if the field were set, by a dry run that writes nothing. Undefined if the
   * server refuses the dry run, for example because a webhook does not support dry runs. Throws if a later attempt may
   * succeed.
   */
  async preview(object: ObjectReference, pointer: string, value: unknown): Promise<unknown> {
    const current = await this.get(object);
    if (current === undefined) return undefined;
    // Fields that only the server sets are left out of the key: the status of a Deployment that replaces its pods
    // changes the resourceVersion again and again.
    const asked = canonicalJson([value, withoutServerFields(current)]);
    const key = `${fieldKey({ object, pointer })} ${createHash("sha256").update(asked).digest("hex")}`;
    const kept = this.#previews.get(key);
    if (kept !== undefined) return kept.stored;
    const preview = await this.#dryRun(object, current, pointer, value);
    if (preview !== undefined) this.#previews.set(key, preview);
    return preview?.stored;
  }

  async #dryRun(
    object: ObjectReference,
    current: UntypedObject,
    pointer: string,
    value: unknown,
  ): Promise<Preview | undefined> {
    const operations = fieldPatch(current, pointer, value, valueAt(current, pointer));
    try {
      const made = await this.#patch(object, operations, pointer, "&dryRun=All");
      return { stored: made === undefined ? value : valueAt(made, pointer), isRefusal: false };
    } catch (error) {
      if (!isFinalRefusal(error)) throw error;
      // If the object has changed since the engine read it, that may be the only reason.
      const found = await this.get(object);
      if (found === undefined) return undefined;
      if (found.metadata.resourceVersion !== current.metadata.resourceVersion) throw error;
      return { stored: undefined, isRefusal: true };
    }
  }

  #noticeTemplate(key: string, given: unknown, stored: unknown): void {
    if (jsonEqualWithoutNulls(given, stored)) this.#rewritten.delete(key);
    else this.#rewritten.set(key, { template: stored, times: (this.#rewritten.get(key)?.times ?? 0) + 1 });
  }

  /**
   * Gives up the engine's claim to a field, so that its owner can change it again. Server-side apply (Helm 4, `kubectl
   * apply --server-side`) refuses to change a field that another manager has written.
   */
  async release(object: ObjectReference, pointer: string): Promise<void> {
    for (let attempt = 1; attempt <= releaseAttempts; attempt += 1) {
      const current = await this.get(object);
      try {
        const operations = current === undefined ? [] : releasePatch(current, pointer);
        await this.#patch(object, operations, "/metadata/managedFields");
        return;
      } catch (error) {
        // Somebody else has written the object meanwhile. The value is restored already, so it does no harm if the
        // claim stays.
        if (!(error instanceof SerinError && error.code === "patch-refused")) throw error;
      }
    }
  }

  /**
   * Returns the stored object, or undefined if there was nothing to change or the response does not contain the object.
   */
  async #patch(
    object: ObjectReference,
    operations: readonly PatchOperation[],
    pointer: string,
    more = "",
  ): Promise<UntypedObject | undefined> {
    if (operations.length === 0) return undefined;
    const kind = kindOf(this.#versions.served(object));
    const path = `${resourcePath(kind, object.namespace, object.name)}?fieldManager=${fieldManager}${more}`;
    const answer = await this.#client.raw("PATCH", path, {
      body: operations,
      contentType: "application/json-patch+json",
    });
    if (answer.status >= 300) {
      const subject = { verb: "change", object: `${pointer} in ${describeReference(object)}` };
      const cause = errorOfStatus(subject, answer.status, answer.text);
      throw transientError("patch-refused", cause.message, { cause });
    }
    return storedObject(answer.text);
  }
}

/** Whether the server refused a patch for a reason that does not go away by waiting. */
function isFinalRefusal(error: unknown): boolean {
  return (
    error instanceof SerinError &&
    error.code === "patch-refused" &&
    error.cause instanceof SerinError &&
    error.cause.kind === "user"
  );
}

function storedObject(text: string): UntypedObject | undefined {
  try {
    const answer = JSON.parse(text) as Partial<UntypedObject> | null;
    return answer?.metadata === undefined ? undefined : (answer as UntypedObject);
  } catch {
    return undefined;
  }
}

export interface PatchOperation {
  readonly op: "add" | "remove" | "test";
  readonly path: string;
  readonly value?: unknown;
}

/**
 * RFC 6902 operations that change the field, and fail unless it has the expected value. Empty if the field already has
 * the new value.
 */
export function fieldPatch(
  current: UntypedObject,
  pointer: string,
  value: unknown,
  expected: unknown,
  madeParents = 0,
): PatchOperation[] {
  const found = valueAt(current, pointer);
  if (jsonEqualWithoutNulls(found, value)) return [];
  // A patch cannot test that a field is absent, so it tests that the whole object is unchanged.
  const test: PatchOperation =
    expected === undefined
      ? { op: "test", path: "/metadata/resourceVersion", value: current.metadata.resourceVersion }
      : { op: "test", path: pointer, value: expected };
  if (value === undefined) {
    const path = emptiedBy(current, pointer, madeParents);
    // Somebody may have added another field to the parent since the engine read it, so the patch tests the parent too.
    const isAlone: PatchOperation[] = path === pointer ? [] : [{ op: "test", path, value: valueAt(current, path) }];
    return [test, ...isAlone, { op: "remove", path }];
  }
  return [test, ...missingParents(current, pointer), { op: "add", path: pointer, value }];
}

/** RFC 6902 operations that end the engine's claim to the field. Empty if the engine has no claim. */
export function releasePatch(current: UntypedObject, pointer: string): PatchOperation[] {
  const path = pointerNames(pointer).map((name) => `f:${name}`);
  const left = withoutClaim(current.metadata.managedFields ?? [], { manager: fieldManager, path });
  if (left === undefined) return [];
  return [
    { op: "test", path: "/metadata/resourceVersion", value: current.metadata.resourceVersion },
    { op: "add", path: "/metadata/managedFields", value: left },
  ];
}

/**
 * The pointer to the outermost parent that would be empty without the field, or to the field itself. The engine made
 * the `madeParents` innermost parents, and only these are considered.
 */
function emptiedBy(current: UntypedObject, pointer: string, madeParents: number): string {
  let path = pointer;
  for (let level = 0; level < madeParents; level += 1) {
    const parent = path.slice(0, path.lastIndexOf("/"));
    const value = valueAt(current, parent);
    if (parent === "" || typeof value !== "object" || value === null || Object.keys(value).length !== 1) break;
    path = parent;
  }
  return path;
}

export function missingParentCount(current: unknown, pointer: string): number {
  const segments = pointer.split("/").slice(1, -1);
  return segments.filter(
    (_segment, index) => valueAt(current, `/${segments.slice(0, index + 1).join("/")}`) === undefined,
  ).length;
}

function missingParents(current: UntypedObject, pointer: string): PatchOperation[] {
  const segments = pointer.split("/").slice(1, -1);
  const operations: PatchOperation[] = [];
  for (let length = 1; length <= segments.length; length += 1) {
    const path = `/${segments.slice(0, length).join("/")}`;
    if (valueAt(current, path) === undefined) operations.push({ op: "add", path, value: {} });
  }
  return operations;
}

/** The value at an RFC 6901 pointer. Undefined if any part of the path is missing. */
export function valueAt(object: unknown, pointer: string): unknown {
  let value: unknown = object;
  for (const segment of pointerNames(pointer)) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[segment];
  }
  return value;
}

/**
 * Whether the object has all the wanted fields with their values. It may have more fields, because the API server adds
 * defaults. Lists must have equal lengths.
 */
export function covers(found: unknown, wanted: unknown): boolean {
  if (wanted === undefined || wanted === null) return found === undefined || found === null;
  if (Array.isArray(wanted))
    return (
      Array.isArray(found) &&
      found.length === wanted.length &&
      wanted.every((item, index) => covers(found[index], item))
    );
  if (typeof wanted !== "object") return found === wanted;
  if (typeof found !== "object" || found === null || Array.isArray(found)) return false;
  return Object.entries(wanted).every(([key, value]) => covers((found as Record<string, unknown>)[key], value));
}

/** A stored object in the form for creating it again, without fields that only the server may set. */
export function withoutServerFields(object: UntypedObject): UntypedObject {
  const { status: _status, ...rest } = object;
  const {
    uid: _uid,
    resourceVersion: _version,
    creationTimestamp: _created,
    generation: _generation,
    managedFields: _managed,
    ...metadata
  } = object.metadata;
  return { ...rest, metadata };
}

function kindOf({ apiVersion, kind, plural, namespace }: ObjectReference): KindDefinition<UntypedObject> {
  const slash = apiVersion.indexOf("/");
  return {
    group: slash === -1 ? "" : apiVersion.slice(0, slash),
    versions: [apiVersion.slice(slash + 1)],
    kind,
    plural,
    namespaced: namespace !== undefined,
  };
}
