import { canonicalJson } from "../../../base/index.ts";
import { isObject, type JsonObject } from "../json.ts";

/**
 * One step of a path in the form of FieldsV1: `f:<field>`, `k:<JSON object of keys>`, `v:<JSON value>`, `i:<index>`.
 */
export type PathElement = string;

/** The set of field paths that one manager owns. Callers change a set only while they build it. */
export class FieldSet {
  readonly members = new Set<PathElement>();
  readonly children = new Map<PathElement, FieldSet>();

  /** Reads a FieldsV1 object. Any other value gives an empty set. */
  static fromJson(value: unknown): FieldSet {
    const set = new FieldSet();
    if (!isObject(value)) return set;
    for (const [key, inner] of Object.entries(value)) {
      if (key === ".") continue;
      const element = canonicalElement(key);
      const below = objectEntries(inner);
      if (below.length === 0 || below.some(([name]) => name === ".")) set.members.add(element);
      if (below.some(([name]) => name !== ".")) set.children.set(element, FieldSet.fromJson(inner));
    }
    return set;
  }

  toJson(): JsonObject {
    const result: JsonObject = {};
    const keys = [...new Set([...this.members, ...this.children.keys()])].sort();
    for (const key of keys) {
      const child = this.children.get(key);
      const below = child?.toJson() ?? {};
      result[key] = child !== undefined && this.members.has(key) ? { ".": {}, ...below } : below;
    }
    return result;
  }

  get empty(): boolean {
    return this.members.size === 0 && this.children.size === 0;
  }

  /** Adds the path. The empty path (the whole object) is ignored, because no manager owns it. */
  insert(path: readonly PathElement[]): void {
    const last = path.at(-1);
    if (last === undefined) return;
    const parent = path.slice(0, -1).reduce<FieldSet>((set, element) => set.child(element), this);
    parent.members.add(last);
  }

  /** The set below an element, which is created if it is absent. {@link trim} removes sets that stay empty. */
  child(element: PathElement): FieldSet {
    let child = this.children.get(element);
    if (child === undefined) {
      child = new FieldSet();
      this.children.set(element, child);
    }
    return child;
  }

  trim(): this {
    for (const [key, child] of this.children) if (child.trim().empty) this.children.delete(key);
    return this;
  }

  union(other: FieldSet): FieldSet {
    const result = new FieldSet();
    for (const member of [...this.members, ...other.members]) result.members.add(member);
    for (const key of new Set([...this.children.keys(), ...other.children.keys()])) {
      const [left, right] = [this.children.get(key), other.children.get(key)];
      result.children.set(
        key,
        left !== undefined && right !== undefined ? left.union(right) : (left ?? right ?? new FieldSet()),
      );
    }
    return result;
  }

  intersection(other: FieldSet): FieldSet {
    const result = new FieldSet();
    for (const member of this.members) if (other.members.has(member)) result.members.add(member);
    for (const [key, child] of this.children) {
      const right = other.children.get(key);
      const common = right === undefined ? undefined : child.intersection(right);
      if (common !== undefined && !common.empty) result.children.set(key, common);
    }
    return result;
  }

  /** Removes exactly the paths of `other`. Paths below them stay. */
  difference(other: FieldSet): FieldSet {
    return this.#without(other, false);
  }

  /** Removes the paths of `other` and all paths below them. */
  recursiveDifference(other: FieldSet): FieldSet {
    return this.#without(other, true);
  }

  #without(other: FieldSet, recursive: boolean): FieldSet {
    const result = new FieldSet();
    for (const member of this.members) if (!other.members.has(member)) result.members.add(member);
    for (const [key, child] of this.children) {
      if (recursive && other.members.has(key)) continue;
      const right = other.children.get(key);
      const rest = right === undefined ? child : child.#without(right, recursive);
      if (!rest.empty) result.children.set(key, rest);
    }
    return result;
  }

  equals(other: FieldSet): boolean {
    if (this.members.size !== other.members.size || this.children.size !== other.children.size) return false;
    for (const member of this.members) if (!other.members.has(member)) return false;
    for (const [key, child] of this.children) {
      const right = other.children.get(key);
      if (right === undefined || !child.equals(right)) return false;
    }
    return true;
  }

  /** All paths of the set. At each level, the paths that end there come first. Both groups are sorted. */
  *paths(prefix: readonly PathElement[] = []): Generator<PathElement[]> {
    for (const key of [...this.members].sort()) yield [...prefix, key];
    for (const key of [...this.children.keys()].sort()) yield* this.children.get(key)?.paths([...prefix, key]) ?? [];
  }
}

/** A place in a value. It is a linked list, because only errors need the whole path. */
export class Place {
  readonly parent: Place | undefined;
  readonly element: PathElement;

  constructor(parent?: Place, element: PathElement = "") {
    this.parent = parent;
    this.element = element;
  }

  get path(): PathElement[] {
    return pathOf(this);
  }
}

function pathOf(place: Place): PathElement[] {
  const path: PathElement[] = [];
  for (let at = place; at.parent !== undefined; at = at.parent) path.push(at.element);
  return path.reverse();
}

function objectEntries(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}

/** The canonical form of an element. The keys of a list item may be in any order, so they are sorted. */
function canonicalElement(key: string): PathElement {
  if (!key.startsWith("k:") && !key.startsWith("v:")) return key;
  try {
    return key.slice(0, 2) + canonicalJson(JSON.parse(key.slice(2)));
  } catch {
    return key;
  }
}

/** Formats a path such as `.spec.containers[name="web"].image`, in the form of kube-apiserver's conflicts. */
export function formatFieldPath(path: readonly PathElement[]): string {
  return path.map(formatElement).join("");
}

function formatElement(element: PathElement): string {
  const text = element.slice(2);
  if (element.startsWith("f:")) return `.${text}`;
  if (element.startsWith("v:")) return `[=${text}]`;
  if (element.startsWith("i:")) return `[${text}]`;
  const keys = JSON.parse(text) as JsonObject;
  return `[${Object.keys(keys)
    .sort()
    .map((key) => `${key}=${JSON.stringify(keys[key])}`)
    .join(",")}]`;
}
