import { parse } from "yaml";
import { keyOf, type UntypedObject } from "../../api/index.ts";
import type { ObjectChange, RenderedComponentReport, RenderedReport } from "../report.ts";
import { withoutServerFields, writtenFields } from "./installed-fields.ts";
import { isWanted } from "./server-defaults.ts";
import { neutral, neutralText, type Side } from "./neutral.ts";
import { fieldChanges, isTree, type Json } from "./tree-diff.ts";

export interface RenderedInput {
  /** Live objects of the installation that is to be replaced, as the API server gives them; more than the old revision's do no harm. */
  readonly installed: readonly UntypedObject[];
  /** What the new release makes of the install specs. */
  readonly rendered: readonly UntypedObject[];
  /** Those that are there. */
  readonly namespaces: ReadonlySet<string>;
  readonly from: Side;
  readonly to: Side;
}

const componentLabel = "operator.istio.io/component";
const revisionLabel = "istio.io/rev";
/** A release's definitions are compared field by field elsewhere. */
const definitionKind = "CustomResourceDefinition";
/** Written by the control plane into what it finds. */
const authorityField = "caBundle";

/** What installing would do beside, and to, what is there: by component, without the noise of a new name and a new version. */
export function compareRendered({ installed, rendered, namespaces, from, to }: RenderedInput): RenderedReport {
  const before = new Map(installed.filter(isOfInstallation).map((object) => [neutralKey(object, from), object]));
  const components = new Map<string, MutableComponent>();
  const componentOf = (object: UntypedObject): MutableComponent => {
    const name = object.metadata.labels?.[componentLabel] ?? "Other";
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
    const isOld = (object.metadata.labels?.[revisionLabel] ?? "default") === from.revision;
    if (!met.has(key) && isOld && object.metadata.labels?.[componentLabel] !== undefined)
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

/** What two releases make of one install spec, object by object. */
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

/** What control planes make themselves, for Gateways, is no part of an installation. */
function isOfInstallation({ metadata: { name = "", labels = {}, ownerReferences = [] } }: UntypedObject): boolean {
  // Tags and the validator behind them are moved, not installed again.
  if (labels["istio.io/tag"] !== undefined || name === "istiod-default-validator") return false;
  return (
    ownerReferences.length === 0 &&
    labels["gateway.istio.io/managed"] === undefined &&
    labels["gateway.networking.k8s.io/gateway-name"] === undefined
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

/** Files in a ConfigMap are compared by what they say, not by how they are written. */
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
