import { jsonEqual } from "../../../base/index.ts";
import type { Shape } from "../shape.ts";
import { FieldSet } from "./field-set.ts";
import {
  compareValues,
  mergeValues,
  removeFields,
  toFieldSet,
  withNamedFields,
  type Comparison,
} from "./typed-value.ts";

/** The fields that a manager owns, in the API version that it used. */
export interface VersionedSet {
  readonly set: FieldSet;
  readonly apiVersion: string;
  readonly applied: boolean;
}

export type Managers = Map<string, VersionedSet>;

export interface TypedObject {
  readonly apiVersion: string;
  readonly shape: Shape;
  readonly value: unknown;
}

export interface UpdaterOptions {
  /** Converts the object to another version. Returns undefined for a version that is no longer served. */
  readonly convert: (object: TypedObject, apiVersion: string) => TypedObject | undefined;
  /** Removes the fields that this endpoint does not write: the status, or everything except the status. */
  readonly filter: (set: FieldSet) => FieldSet;
}

export interface ManagedConflict {
  readonly manager: string;
  readonly fields: FieldSet;
}

export interface ApplyResult {
  readonly managers: Managers;
  /** The object after the apply, or undefined if the apply does not change it. */
  readonly value: unknown;
  readonly conflicts: readonly ManagedConflict[];
}

interface ResolveOptions {
  readonly force: boolean;
  /**
   * The comparisons of the two objects so far, by API version. The updater adds a comparison when a manager of another
   * version needs it.
   */
  readonly comparisons?: Map<string, Comparison>;
}

/**
 * Computes which managers own which fields after a write, by the rules of structured-merge-diff. A write takes over the
 * fields that it changes. It is a conflict if an apply changes another manager's field, unless the apply is forced. An
 * apply removes the fields of the manager's last apply that the new apply omits and no other manager owns.
 */
export class Updater {
  readonly #options: UpdaterOptions;

  constructor(options: UpdaterOptions) {
    this.#options = options;
  }

  /** Returns the managers after a write other than an apply. `manager` becomes the owner of all changed fields. */
  update(live: TypedObject, next: TypedObject, managers: Managers, manager: string): Managers {
    const reconciled = this.#withoutMissingVersions(live, managers);
    const compared = compareValues(next.shape, live.value, next.value);
    const comparisons = new Map([[next.apiVersion, this.#filtered(compared)]]);
    this.#resolve(live, next, reconciled, manager, { force: true, comparisons });
    const previous = reconciled.get(manager)?.set ?? new FieldSet();
    const set = this.#options.filter(
      previous.difference(compared.removed).union(compared.modified).union(compared.added),
    );
    if (set.empty) reconciled.delete(manager);
    else reconciled.set(manager, { set, apiVersion: next.apiVersion, applied: false });
    return reconciled;
  }

  apply(live: TypedObject, applied: TypedObject, managers: Managers, manager: string, force: boolean): ApplyResult {
    const reconciled = this.#withoutMissingVersions(live, managers);
    const merged: TypedObject = { ...live, value: mergeValues(live.shape, live.value, applied.value) };
    const last = reconciled.get(manager);
    const set = this.#options.filter(toFieldSet(applied.shape, applied.value));
    reconciled.set(manager, { set, apiVersion: applied.apiVersion, applied: true });
    const pruned = last === undefined || last.set.empty ? merged : this.#prune(merged, reconciled, last);
    const conflicts = this.#resolve(live, pruned, reconciled, manager, { force });
    const changed = !jsonEqual(live.value, pruned.value);
    return { managers: reconciled, value: changed ? pruned.value : undefined, conflicts };
  }

  /**
   * Takes the changed fields away from the other managers. Without force, returns the conflicts and changes nothing.
   */
  #resolve(
    before: TypedObject,
    after: TypedObject,
    managers: Managers,
    manager: string,
    { force, comparisons = new Map<string, Comparison>() }: ResolveOptions,
  ): ManagedConflict[] {
    const conflicts: ManagedConflict[] = [];
    const removals = new Map<string, FieldSet>();
    for (const [name, owned] of managers) {
      if (name === manager) continue;
      const comparison = comparisons.get(owned.apiVersion) ?? this.#compareIn(before, after, owned.apiVersion);
      if (comparison === undefined) {
        managers.delete(name);
        continue;
      }
      comparisons.set(owned.apiVersion, comparison);
      const fields = owned.set.intersection(comparison.modified.union(comparison.added));
      if (!fields.empty) conflicts.push({ manager: name, fields });
      if (!comparison.removed.empty) removals.set(name, comparison.removed);
    }
    if (!force && conflicts.length > 0) return conflicts;
    for (const { manager: name, fields } of conflicts) this.#take(managers, name, fields);
    for (const [name, fields] of removals) this.#take(managers, name, fields);
    for (const [name, owned] of managers) if (owned.set.empty) managers.delete(name);
    return [];
  }

  #take(managers: Managers, name: string, fields: FieldSet): void {
    const owned = managers.get(name);
    if (owned !== undefined) managers.set(name, { ...owned, set: owned.set.difference(fields) });
  }

  #filtered(comparison: Comparison): Comparison {
    const { filter } = this.#options;
    return {
      removed: filter(comparison.removed),
      modified: filter(comparison.modified),
      added: filter(comparison.added),
    };
  }

  #compareIn(before: TypedObject, after: TypedObject, apiVersion: string): Comparison | undefined {
    const left = this.#options.convert(before, apiVersion);
    const right = this.#options.convert(after, apiVersion);
    return left === undefined || right === undefined
      ? undefined
      : this.#filtered(compareValues(right.shape, left.value, right.value));
  }

  #withoutMissingVersions(live: TypedObject, managers: Managers): Managers {
    return new Map([...managers].filter(([, owned]) => this.#options.convert(live, owned.apiVersion) !== undefined));
  }

  /** Removes the fields that the manager's last apply owned and that no manager owns now. */
  #prune(merged: TypedObject, managers: Managers, last: VersionedSet): TypedObject {
    const converted = this.#options.convert(merged, last.apiVersion);
    if (converted === undefined) return merged;
    const lastNamed = withNamedFields(converted.shape, last.set);
    const removed = { ...converted, value: removeFields(converted.shape, converted.value, lastNamed) };
    const owned = this.#addBackOwned(converted, removed, managers);
    const pruned = this.#addBackDangling(converted, owned, lastNamed);
    return this.#options.convert(pruned, merged.apiVersion) ?? merged;
  }

  #addBackOwned(merged: TypedObject, pruned: TypedObject, managers: Managers): TypedObject {
    const byVersion = new Map<string, FieldSet>();
    for (const owned of managers.values())
      byVersion.set(owned.apiVersion, (byVersion.get(owned.apiVersion) ?? new FieldSet()).union(owned.set));
    let result = pruned;
    const versions = [...byVersion.keys()].sort(
      (a, b) => Number(b === pruned.apiVersion) - Number(a === pruned.apiVersion),
    );
    for (const version of versions) {
      const all = this.#options.convert(merged, version);
      const rest = this.#options.convert(result, version);
      const owned = byVersion.get(version);
      if (all === undefined || rest === undefined || owned === undefined) continue;
      const { shape } = all;
      const keep = withNamedFields(shape, toFieldSet(shape, rest.value)).union(withNamedFields(shape, owned));
      const remove = withNamedFields(shape, toFieldSet(shape, all.value)).difference(keep);
      result = { ...all, value: removeFields(shape, all.value, remove) };
    }
    return this.#options.convert(result, merged.apiVersion) ?? merged;
  }

  /** Restores fields without an owner that pruning has removed although they were not in the last apply. */
  #addBackDangling(merged: TypedObject, pruned: TypedObject, last: FieldSet): TypedObject {
    const { shape } = merged;
    const kept = withNamedFields(shape, toFieldSet(shape, pruned.value));
    const all = withNamedFields(shape, toFieldSet(shape, merged.value));
    return { ...merged, value: removeFields(shape, merged.value, all.difference(kept).intersection(last)) };
  }
}
