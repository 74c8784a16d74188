import type { FieldIssue, KindDefinition, KubernetesObject } from "../api/index.ts";
import type { MeshConfig } from "../api/istio/index.ts";
import { groupKindOf, type Resource } from "./resource.ts";

export interface Entry<Value extends KubernetesObject> {
  readonly resource: Resource;
  readonly object: Value;
}

export interface ParsedIssues {
  readonly resource: Resource;
  readonly errors: readonly FieldIssue[];
  readonly warnings: readonly FieldIssue[];
}

export interface InventoryOptions {
  /**
   * With `cluster`, the resources are complete. With `files` there may be others, so an object counts as missing only
   * if the files contain others of its kind.
   */
  readonly scope: "cluster" | "files";
  /** Each `group/Kind` that could not be read. No object of these kinds counts as missing. */
  readonly unread?: ReadonlySet<string> | undefined;
  /** Each `group/Kind` for which the cluster has no CRD. */
  readonly notServed?: ReadonlySet<string> | undefined;
  readonly istioNamespace: string;
  /** The mesh config with its defaults. If it is unknown, the defaults are assumed. */
  readonly meshConfig?: MeshConfig | undefined;
  /** The time at which certificates must be valid. If absent, their validity is not checked. */
  readonly nowMs?: number | undefined;
}

/** The resources of an analysis by kind. Each is parsed only once. */
export class Inventory {
  readonly options: InventoryOptions;
  readonly resources: readonly Resource[];
  readonly #byKind = new Map<string, Resource[]>();
  readonly #parsed = new Map<
    string,
    { readonly entries: readonly Entry<KubernetesObject>[]; readonly issues: readonly ParsedIssues[] }
  >();

  constructor(resources: readonly Resource[], options: InventoryOptions) {
    this.options = options;
    this.resources = resources;
    for (const resource of resources) {
      const kind = groupKindOf(resource.object);
      const others = this.#byKind.get(kind);
      if (others === undefined) this.#byKind.set(kind, [resource]);
      else others.push(resource);
    }
  }

  /** All valid objects of the kind. Without a parser, all objects. */
  of<Value extends KubernetesObject>(kind: KindDefinition<Value>): readonly Entry<Value>[] {
    return this.#parse(kind).entries as readonly Entry<Value>[];
  }

  issuesOf(kind: KindDefinition): readonly ParsedIssues[] {
    return this.#parse(kind).issues;
  }

  raw({ group, kind }: Pick<KindDefinition, "group" | "kind">): readonly Resource[] {
    return this.#byKind.get(`${group}/${kind}`) ?? [];
  }

  find<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    namespace: string,
    name: string,
  ): Entry<Value> | undefined {
    return this.of(kind).find(
      ({ object: { metadata } }) => metadata.name === name && (metadata.namespace ?? "") === namespace,
    );
  }

  exists(kind: KindDefinition, namespace: string, name: string): boolean {
    return this.raw(kind).some(
      ({ object: { metadata } }) => metadata.name === name && (metadata.namespace ?? "") === namespace,
    );
  }

  /** Whether all resources of these kinds are known. Only then does one that is absent certainly not exist. */
  knowsAll(...kinds: readonly Pick<KindDefinition, "group" | "kind">[]): boolean {
    const { scope, unread } = this.options;
    return kinds.every((kind) =>
      scope === "cluster" ? unread?.has(`${kind.group}/${kind.kind}`) !== true : this.raw(kind).length > 0,
    );
  }

  #parse(kind: KindDefinition): {
    readonly entries: readonly Entry<KubernetesObject>[];
    readonly issues: readonly ParsedIssues[];
  } {
    const key = `${kind.group}/${kind.kind}`;
    const known = this.#parsed.get(key);
    if (known !== undefined) return known;
    const entries: Entry<KubernetesObject>[] = [];
    const issues: ParsedIssues[] = [];
    for (const resource of this.raw(kind)) {
      if (kind.parse === undefined) {
        entries.push({ resource, object: resource.object });
        continue;
      }
      const { value, errors, warnings } = kind.parse(resource.object);
      if (value !== undefined) entries.push({ resource, object: value });
      if (errors.length + warnings.length > 0) issues.push({ resource, errors, warnings });
    }
    const parsed = { entries, issues };
    this.#parsed.set(key, parsed);
    return parsed;
  }
}
