import type { UntypedObject } from "../../api/index.ts";
import type { FieldError, ResourceType, SchemaRegistry } from "../schema/contract.ts";
import { cloneJson } from "../schema/json.ts";
import type { Store } from "../store/index.ts";
import { nowText, type ServerParts } from "./context.ts";

export const customResourceDefinitionKey = "apiextensions.k8s.io/customresourcedefinitions";
export const cleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

interface CrdNames {
  plural: string;
  singular?: string;
  kind: string;
  listKind?: string;
  shortNames?: string[];
  categories?: string[];
}

export interface CrdSpec {
  group: string;
  names: CrdNames;
  versions: { name: string; served: boolean; storage: boolean }[];
}

interface Condition {
  type: string;
  status: "True" | "False";
  reason: string;
  message: string;
  lastTransitionTime: string;
}

/**
 * Writes the status that Kubernetes' controllers give a new CRD: accepted names, stored versions, and whether it is
 * established. A CRD with a name that is already in use is stored but not served.
 */
export function checkNames(definition: UntypedObject, parts: Pick<ServerParts, "registry" | "clock">): void {
  const spec = definition["spec"] as CrdSpec;
  const { names } = spec;
  // Skip an incomplete object, because the later validation names the missing fields.
  if ((spec as Partial<CrdSpec>).versions === undefined || (names as Partial<CrdSpec["names"]>).kind === undefined)
    return;
  const status = (definition["status"] ?? {}) as { conditions?: Condition[]; storedVersions?: string[] };
  const taken = namesTaken(spec, definition.metadata.name ?? "", parts.registry);
  const time = nowText(parts.clock);
  const conditions: Condition[] =
    taken === undefined
      ? [
          {
            type: "NamesAccepted",
            status: "True",
            reason: "NoConflicts",
            message: "no conflicts found",
            lastTransitionTime: time,
          },
          {
            type: "Established",
            status: "True",
            reason: "InitialNamesAccepted",
            message: "the initial names have been accepted",
            lastTransitionTime: time,
          },
        ]
      : [
          { type: "NamesAccepted", status: "False", ...taken, lastTransitionTime: time },
          {
            type: "Established",
            status: "False",
            reason: "NotAccepted",
            message: "not all names are accepted",
            lastTransitionTime: time,
          },
        ];
  const storage = spec.versions.find((version) => version.storage)?.name ?? "";
  const storedVersions = [...new Set([...(status.storedVersions ?? []), storage])];
  names.singular ??= names.kind?.toLowerCase() ?? "";
  names.listKind ??= `${names.kind}List`;
  definition["status"] = {
    ...status,
    acceptedNames: { ...names },
    conditions: conditions.map((condition) => keepTime(condition, status.conditions)),
    storedVersions,
  };
  if (
    !(definition.metadata.finalizers ?? []).includes(cleanupFinalizer) &&
    definition.metadata.deletionTimestamp === undefined
  ) {
    definition.metadata.finalizers = [...(definition.metadata.finalizers ?? []), cleanupFinalizer];
  }
}

/** Adds the condition `Terminating` to a CRD that is being deleted. */
export function markTerminating(definition: UntypedObject, time: string): void {
  const status = (definition["status"] ?? {}) as { conditions?: Condition[] };
  const message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
  const others = (status.conditions ?? []).filter(({ type }) => type !== "Terminating");
  definition["status"] = {
    ...status,
    conditions: [
      ...others,
      { type: "Terminating", status: "True", reason: "InstanceDeletionPending", message, lastTransitionTime: time },
    ],
  };
}

function keepTime(condition: Condition, before: readonly Condition[] | undefined): Condition {
  const old = before?.find((candidate) => candidate.type === condition.type);
  return old !== undefined && old.status === condition.status
    ? { ...condition, lastTransitionTime: old.lastTransitionTime }
    : condition;
}

/**
 * The first of the CRD's names that another resource of the same group already uses. Returns undefined if there is no
 * conflict. Resources of different groups may have equal names.
 */
function namesTaken(
  { group, names }: CrdSpec,
  name: string,
  registry: SchemaRegistry,
): Pick<Condition, "reason" | "message"> | undefined {
  const others = registry.resources().filter((type) => type.group === group && type.customResourceDefinition !== name);
  const resources = new Set(others.flatMap(({ plural, singular, shortNames }) => [plural, singular, ...shortNames]));
  const kinds = new Set(others.flatMap(({ kind, listKind }) => [kind, listKind]));
  const wanted: readonly [reason: string, names: readonly (string | undefined)[], taken: ReadonlySet<string>][] = [
    ["PluralConflict", [names.plural], resources],
    ["SingularConflict", [names.singular ?? names.kind.toLowerCase()], resources],
    ["ShortNamesConflict", names.shortNames ?? [], resources],
    ["KindConflict", [names.kind], kinds],
    ["ListKindConflict", [names.listKind ?? `${names.kind}List`], kinds],
  ];
  for (const [reason, wantedNames, taken] of wanted) {
    const found = wantedNames.find((name) => name !== undefined && taken.has(name));
    if (found !== undefined) return { reason, message: `"${found}" is already in use` };
  }
  return undefined;
}

export function isEstablished(definition: UntypedObject): boolean {
  const { conditions = [] } = (definition["status"] ?? {}) as { conditions?: Condition[] };
  return conditions.some((condition) => condition.type === "Established" && condition.status === "True");
}

/**
 * Registers the types of the stored CRDs, and follows changes until disposed. Calls `report` for a CRD whose types
 * cannot be registered.
 */
export function serveDefinitions(
  store: Store,
  registry: SchemaRegistry,
  report: (name: string, errors: readonly FieldError[]) => void,
): Disposable {
  const serve = (definition: UntypedObject): void => {
    const name = definition.metadata.name ?? "";
    if (!isEstablished(definition)) return;
    const errors = registry.addCustomResourceDefinition(cloneJson(definition));
    if (errors.length > 0) report(name, errors);
  };
  const collection = store.collection(customResourceDefinitionKey);
  for (const record of collection.list()) serve(record.object);
  return collection.subscribe((events) => {
    for (const event of events) {
      if (event.type === "DELETED") registry.removeCustomResourceDefinition(event.record.name);
      else serve(event.record.object);
    }
  });
}

export function typesOf(registry: SchemaRegistry, definition: string): ResourceType[] {
  return registry.resources().filter((type) => type.customResourceDefinition === definition);
}
