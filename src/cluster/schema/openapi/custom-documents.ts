import type { CustomResource } from "../crd/custom-resource.ts";
import type { CustomModel } from "../crd/custom-model.ts";
import type { StructuralSchema } from "../crd/structural-schema.ts";
import { cloneJson, isObject, type JsonObject } from "../json.ts";

export const metaPrefix = "io.k8s.apimachinery.pkg.apis.meta.v1";

/**
 * The name of a kind's schema: the reversed group, the version and the kind, such as
 * `io.k8s.networking.gateway.v1.HTTPRoute`.
 */
function definitionName(group: string, version: string, kind: string): string {
  return `${group.split(".").reverse().join(".")}.${version}.${kind}`;
}

/** How a document writes references, and whether it is OpenAPI v2, which supports fewer features. */
interface Dialect {
  readonly reference: (name: string) => JsonObject;
  readonly v2: boolean;
}

export const dialectV2: Dialect = { reference: (name) => ({ $ref: `#/definitions/${name}` }), v2: true };
const dialectV3: Dialect = {
  reference: (name) => ({ allOf: [{ $ref: `#/components/schemas/${name}` }] }),
  v2: false,
};

/** The schemas of a kind and of its list, each with its name. */
export function definitionsOf(model: CustomModel, dialect: Dialect): [string, JsonObject][] {
  const { group, version, kind, listKind } = model.type;
  const name = definitionName(group, version, kind);
  const schema = dialect.v2 ? schemaForV2(model.schema) : (cloneJson(model.schema) as JsonObject);
  const properties: JsonObject = isObject(schema.properties) ? schema.properties : {};
  const root: JsonObject = {
    ...schema,
    type: "object",
    properties: {
      ...properties,
      apiVersion: {
        type: "string",
        description: "APIVersion defines the versioned schema of this representation of an object.",
      },
      kind: {
        type: "string",
        description: "Kind is a string value representing the REST resource this object represents.",
      },
      metadata: { description: "Standard object's metadata.", ...dialect.reference(`${metaPrefix}.ObjectMeta`) },
    },
    "x-kubernetes-group-version-kind": [{ group, version, kind }],
  };
  const list: JsonObject = {
    description: `${listKind} is a list of ${kind}`,
    type: "object",
    required: ["items"],
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: dialect.reference(`${metaPrefix}.ListMeta`),
      items: { type: "array", description: `List of ${model.type.plural}.`, items: dialect.reference(name) },
    },
    "x-kubernetes-group-version-kind": [{ group, version, kind: listKind }],
  };
  return [
    [name, root],
    [definitionName(group, version, listKind), list],
  ];
}

/**
 * Converts a schema for OpenAPI v2. v2 lacks oneOf, anyOf, not and nullable. The function drops the first three, and
 * turns a nullable schema into one of any value.
 */
function schemaForV2(schema: StructuralSchema): JsonObject {
  const { oneOf: _one, anyOf: _any, not: _not, allOf: _all, default: _default, ...rest } = schema;
  const result: JsonObject = { ...rest };
  delete result["x-kubernetes-validations"];
  if (schema["x-kubernetes-int-or-string"] === true) delete result.type;
  if (schema.nullable === true || schema["x-kubernetes-preserve-unknown-fields"] === true) {
    for (const key of ["nullable", "items", "properties", "additionalProperties"]) delete result[key];
    if (schema.nullable === true) delete result.type;
    return result;
  }
  if (schema.properties !== undefined)
    result.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, property]) => [name, schemaForV2(property)]),
    );
  if (schema.items !== undefined) result.items = schemaForV2(schema.items);
  if (typeof schema.additionalProperties === "object")
    result.additionalProperties = schemaForV2(schema.additionalProperties);
  return result;
}

const patchTypes = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
/** The query parameters of writes. Clients detect the server's features by them. */
const writeParameters = ["dryRun", "fieldManager", "fieldValidation"];

/** The paths of a resource, with what clients need: the kind of each path, and the parameters of writes. */
export function pathsOf(model: CustomModel, { v2 }: Dialect): [string, JsonObject][] {
  const { group, version, plural, namespaced, kind, subresources } = model.type;
  const base = `/apis/${group}/${version}`;
  const collection = namespaced ? `${base}/namespaces/{namespace}/${plural}` : `${base}/${plural}`;
  const operation = (action: string, verb: string, extra: readonly string[] = []): JsonObject => ({
    description: `${verb} the specified ${kind}`,
    operationId: `${verb}${definitionName(group, version, kind).replaceAll(".", "")}${extra.join("")}`,
    tags: [`${group}_${version}`],
    parameters: (action === "get" || action === "list"
      ? []
      : action === "patch"
        ? [...writeParameters, "force"]
        : writeParameters
    ).map((name) => parameter(name, { v2 })),
    ...(v2 && action === "patch" ? { consumes: patchTypes } : {}),
    responses: { "200": { description: "OK" } },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": { group, version, kind },
  });
  const item = (suffix: string): [string, JsonObject] => [
    `${collection}/{name}${suffix}`,
    {
      get: operation("get", "read", [suffix]),
      put: operation("put", "replace", [suffix]),
      patch: operation("patch", "patch", [suffix]),
      ...(suffix === "" ? { delete: operation("delete", "delete") } : {}),
    },
  ];
  return [
    [collection, { get: operation("list", "list"), post: operation("post", "create") }],
    item(""),
    ...subresources.map(({ name }) => item(`/${name}`)),
  ];
}

function parameter(name: string, { v2 }: Pick<Dialect, "v2">): JsonObject {
  const type = name === "force" ? "boolean" : "string";
  return v2
    ? { name, in: "query", type, uniqueItems: true }
    : { name, in: "query", schema: { type, uniqueItems: true } };
}

/**
 * The OpenAPI v3 document of one group and version of custom resources. `metaSchemas` contains the schemas of
 * meta.k8s.io by name.
 */
export function customDocumentV3(
  resources: readonly CustomResource[],
  version: string,
  metaSchemas: JsonObject,
): JsonObject {
  const models = resources.flatMap((resource) => resource.models.filter((model) => model.type.version === version));
  return {
    openapi: "3.0.0",
    info: { title: "Kubernetes CRD Swagger", version: "v0.1.0" },
    paths: Object.fromEntries(models.flatMap((model) => pathsOf(model, dialectV3))),
    components: {
      schemas: { ...metaSchemas, ...Object.fromEntries(models.flatMap((model) => definitionsOf(model, dialectV3))) },
    },
  };
}
