import { isTree } from "../../base/index.ts";
import { parse } from "yaml";
import { keyOf, type UntypedObject } from "../../api/index.ts";
import { defaultValidatorName, istioLabels } from "../../api/istio/index.ts";
import type { ObjectChange, RenderedComponentReport, RenderedReport } from "../report.ts";
import { withoutServerFields, writtenFields } from "./installed-fields.ts";
import { isWanted } from "./server-defaults.ts";
import { neutral, neutralText, type Side } from "./neutral.ts";
import { fieldChanges, type Json } from "../tree-diff.ts";

export interface RenderedInput {
  /**
   * The live objects of the old installation, as the API server returns them. Objects of other revisions are ignored.
   */
  readonly installed: readonly UntypedObject[];
  readonly rendered: readonly UntypedObject[];
  readonly namespaces: ReadonlySet<string>;
  readonly from: Side;
  readonly to: Side;
}

/** CRDs are left out here: `definitions.ts` compares them. */
const definitionKind = "CustomResourceDefinition";
/** A control plane writes this field into installed objects, so it is not compared. */
const authorityField = "caBundle";

/**
 * The objects that the installation would add, change or remove, by component. Ignores differences that are only the
 * new revision's name and version.
 */
export function compareRendered({ installed, rendered, namespaces, from, to }: RenderedInput): RenderedReport {
  const before = new Map(installed.filter(isOfInstallation).map((object) => [neutralKey(object, from), object]));
  const components = new Map<string, MutableComponent>();
  const componentOf = (object: UntypedObject): MutableComponent => {
    const name = object.metadata.labels?.[istioLabels.component] ?? "Other";
    const known = components.get(name) ?? { name, unchanged: 0, added: [], removed: [], changed: [] };
    components.set(name, known);
    return known;
  };
  const met = new Set<string>();
  for (const object of rendered) {
    if (object.kind === definitionKind || (object.kind === "Namespace" && namespaces.has(object.metadata.name ?? "")))
      continue;
    const key = neutralKey(object, to);
    met.add(key);
    const live = before.get(key);
    const component = componentOf(object);
    if (live === undefined) component.added.push(nameOf(object));
    else {
      const changes = fieldChanges(
        comparable(writtenFields(live), from),
        comparable(withoutServerFields(object), to),
      ).filter(isWanted);
      if (changes.length === 0) component.unchanged += 1;
      else component.changed.push({ object: nameOf(object), inPlace: keyOf(live) === keyOf(object), changes });
    }
  }
  for (const [key, object] of before) {
    const isOld = (object.metadata.labels?.[istioLabels.revision] ?? "default") === from.revision;
    if (!met.has(key) && isOld && object.metadata.labels?.[istioLabels.component] !== undefined)
      componentOf(object).removed.push(nameOf(object));
  }
  return { components: [...components.values()].toSorted((left, right) => (left.name < right.name ? -1 : 1)) };
}

interface MutableComponent extends RenderedComponentReport {
  unchanged: number;
  readonly added: string[];
  readonly removed: string[];
  readonly changed: ObjectChange[];
}

export function compareObjects(
  before: readonly UntypedObject[],
  after: readonly UntypedObject[],
  from: Side,
  to: Side,
): ObjectChange[] {
  const old = new Map(before.map((object) => [neutralKey(object, from), object]));
  return after.flatMap((object) => {
    const was = old.get(neutralKey(object, to));
    if (was === undefined || object.kind === definitionKind) return [];
    const changes = fieldChanges(
      comparable(withoutServerFields(was), from),
      comparable(withoutServerFields(object), to),
    );
    return changes.length === 0 ? [] : [{ object: nameOf(object), inPlace: false, changes }];
  });
}

/** Whether the object belongs to an installation. Objects that control planes create for Gateways do not. */
function isOfInstallation({ metadata: { name = "", labels = {}, ownerReferences = [] } }: UntypedObject): boolean {
  // The upgrade moves tags and the validator of the default tag, and does not install them.
  if (labels[istioLabels.tag] !== undefined || name === defaultValidatorName) return false;
  return (
    ownerReferences.length === 0 &&
    labels[istioLabels.gatewayManaged] === undefined &&
    labels[istioLabels.gatewayName] === undefined
  );
}

export function nameOf(object: UntypedObject): string {
  return `${object.kind ?? ""} ${keyOf(object)}`;
}

function neutralKey(object: UntypedObject, side: Side): string {
  return `${object.kind ?? ""} ${object.metadata.namespace ?? ""}/${neutralText(side)(object.metadata.name ?? "")}`;
}

function comparable(object: Json, side: Side): Json {
  return neutral(
    withoutAuthority(isTree(object) && object["kind"] === "ConfigMap" ? withParsedData(object) : object),
    side,
  );
}

/** Parses the files in a ConfigMap, so that their formatting does not count as a difference. */
function withParsedData(object: Readonly<Record<string, Json>>): Json {
  const data = object["data"];
  if (!isTree(data)) return object;
  const files = Object.entries(data).map(([name, text]): [string, Json] => [
    name,
    typeof text === "string" ? parsed(text) : text,
  ]);
  return { ...object, data: Object.fromEntries(files) };
}

function parsed(text: string): Json {
  if (!text.includes("\n") && !text.startsWith("{")) return text;
  try {
    return (parse(text) as Json | undefined) ?? text;
  } catch {
    return text;
  }
}

function withoutAuthority(value: Json): Json {
  if (Array.isArray(value)) return value.map((element: Json) => withoutAuthority(element));
  if (!isTree(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([field, inner]) =>
      field === authorityField ? [] : [[field, withoutAuthority(inner)] as const],
    ),
  );
}
