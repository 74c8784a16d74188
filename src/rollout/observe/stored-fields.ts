import { isTree } from "../../base/index.ts";
import { fieldTypes, withFieldTypes, type FieldTypes } from "../../base/field-types/index.ts";
import type { KubernetesObject } from "../../api/index.ts";

// The types of the fields that the engine reads in custom objects. A cluster with older CRDs may hold objects that no
// schema has checked. One such object must not stop the rollouts of other namespaces.

const { always, lines, list, mapOf, number, object, rows, text, textMap } = fieldTypes;

const destination = object({ host: text, subset: text, port: object({ number }) });
const backend = { kind: text, group: text, name: text, namespace: text, port: number, weight: number };

const listed: Readonly<Record<string, FieldTypes>> = {
  VirtualService: {
    hosts: lines,
    gateways: lines,
    ...Object.fromEntries(["http", "tcp", "tls"].map((field) => [field, rows({ route: rows({ destination }) })])),
  },
  HTTPRoute: { parentRefs: rows(backend), rules: rows({ backendRefs: rows(backend) }) },
  GRPCRoute: { parentRefs: rows(backend), rules: rows({ backendRefs: rows(backend) }) },
  DestinationRule: {
    host: always(text, ""),
    subsets: always(rows({ name: always(text, ""), labels: always(textMap, {}) }), []),
  },
  ReferenceGrant: {
    from: rows({ kind: text, namespace: text }),
    to: rows({ kind: text, name: text }),
  },
  Canary: {
    target: object({
      deployment: object({ name: text, service: text }),
      services: object({ service: text, stable: text }),
    }),
  },
};

/**
 * The object's spec. Fields that the engine reads are left out if they have a wrong type. Empty if the object has no
 * spec.
 */
export function storedSpec<Spec extends object>(kind: string, stored: KubernetesObject): Spec {
  const { spec } = stored as { readonly spec?: unknown };
  return withFieldTypes(isTree(spec) ? spec : {}, listed[kind] ?? {}).value as Spec;
}

const destinations = list({ destination, weight: number });
const routes: Readonly<Record<string, FieldTypes>> = {
  VirtualService: {
    name: text,
    match: list({
      uri: object({ exact: text, prefix: text, regex: text }),
      headers: mapOf({}),
      queryParams: mapOf({}),
      sourceLabels: textMap,
    }),
    route: destinations,
    mirror: object({}),
    mirrors: list({}),
  },
  HTTPRoute: {
    name: text,
    matches: list({
      path: object({ type: text, value: text }),
      headers: list({ name: text }),
      queryParams: list({ name: text }),
    }),
    filters: list({ type: text, responseHeaderModifier: object({ add: list({}) }) }),
    backendRefs: list(backend),
  },
};

/**
 * Describes the first field of a wrong type in the routes or rules that a rollout changes, and the expected type.
 * Undefined if there is none.
 */
export function routeFault(kind: string, given: readonly unknown[]): string | undefined {
  const place = given.findIndex((rule) => !isTree(rule));
  if (place !== -1) return `[${place}] must be an object`;
  const [fault] = withFieldTypes(
    { given },
    { given: list(routes[kind === "GRPCRoute" ? "HTTPRoute" : kind] ?? {}) },
  ).faults;
  return fault === undefined ? undefined : `${fault.path.replace(/^given/, "")} ${fault.message}`;
}
