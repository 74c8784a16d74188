import { stringOf } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { BuiltInShapes } from "../built-in-shapes.ts";
import { apiVersionOf, type FieldError, type ResourceType, type TableColumn } from "../contract.ts";
import { ageOf } from "../human-duration.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, isObject, objectOf, type JsonObject } from "../json.ts";
import { JsonPath } from "../json-path.ts";
import { Normaliser } from "../normalise.ts";
import { type ResourceModel } from "../resource-model.ts";
import { columns } from "../table/column.ts";
import { validateMetadata } from "../metadata.ts";
import { applyStructuralDefaults } from "./defaults.ts";
import { Pruner } from "./prune.ts";
import { RuleValidator } from "./rule-validator.ts";
import { schemaOfVersion, shapeOfStructuralSchema, type StructuralSchema } from "./structural-schema.ts";
import { unchangedFields } from "./unchanged-fields.ts";
import { validateValue } from "./validate-value.ts";
import type { StructShape } from "../shape.ts";

const objectMetaName = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

interface PrinterColumn extends TableColumn {
  readonly path: JsonPath;
}

/** The schema functions of one served version of a CRD. Parts that few requests need are made on first use. */
export class CustomModel implements ResourceModel {
  readonly type: ResourceType;
  readonly schema: StructuralSchema;
  readonly #version: JsonObject;
  readonly #shapes: BuiltInShapes;
  readonly #rules: RuleValidator;
  #shape: StructShape | undefined;
  #columns: readonly PrinterColumn[] | undefined;

  constructor(type: ResourceType, version: JsonObject, shapes: BuiltInShapes) {
    this.type = type;
    this.schema = schemaOfVersion(version);
    this.#version = version;
    this.#shapes = shapes;
    this.#rules = new RuleValidator(this.schema);
  }

  get shape(): StructShape {
    this.#shape ??= shapeOfStructuralSchema(this.schema, this.#objectMeta);
    return this.#shape;
  }

  get #objectMeta(): StructShape {
    return this.#shapes.ofName(objectMetaName);
  }

  dropUnknownFields(object: UntypedObject): readonly string[] {
    const normaliser = new Normaliser(apiVersionOf(this.type), this.type.kind);
    new Pruner(this.#objectMeta, normaliser).root(this.schema, object);
    return normaliser.unknown;
  }

  applyDefaults(object: UntypedObject): void {
    applyStructuralDefaults(this.schema, object);
  }

  validate(object: UntypedObject, old: UntypedObject | undefined, subresource: string): readonly FieldError[] {
    const errors = subresource === "status" ? [] : validateMetadata(this.type, object, old);
    const { metadata: _checkedApart, ...rest } = object;
    const structural =
      subresource === "status"
        ? validateStatus(this.schema, rest)
        : validateValue(this.schema, rest, "").filter((error) => error.field !== "metadata");
    const unchanged = old === undefined ? new Set() : unchangedFields(structural, object, old);
    errors.push(...structural.filter((error) => !unchanged.has(error.field)));
    if (!errors.some(isBlocking)) errors.push(...this.#rules.validate(object, old));
    else if (this.#rules.any) errors.push(fieldErrors.invalid("", null, rulesSkipped));
    return errors.map((error) => (error.field === "" ? { ...error, field: "<nil>" } : error));
  }

  columns(): readonly TableColumn[] {
    return this.#printerColumns().map(({ path: _internal, ...column }) => column);
  }

  cells(object: UntypedObject, nowMs: number): readonly unknown[] {
    return this.#printerColumns().map((column, index) =>
      index === 0 ? (object.metadata.name ?? "") : cell(column, object, nowMs),
    );
  }

  #printerColumns(): readonly PrinterColumn[] {
    this.#columns ??= printerColumns(this.#version);
    return this.#columns;
  }
}

const rulesSkipped =
  "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
const blocking = new Set<FieldError["reason"]>([
  "FieldValueNotSupported",
  "FieldValueRequired",
  "FieldValueTooLong",
  "FieldValueTooMany",
  "FieldValueTypeInvalid",
]);

/** Whether rules must not run after this error. Rules assume a value that fits its schema. */
function isBlocking(error: FieldError): boolean {
  return blocking.has(error.reason);
}

/** Validates a write of the status. Ignores the spec, which may violate rules that are newer than the spec. */
function validateStatus(schema: StructuralSchema, object: JsonObject): FieldError[] {
  const status = schema.properties?.status;
  return status === undefined || object.status === undefined ? [] : validateValue(status, object.status, "status");
}

function printerColumns(version: JsonObject): PrinterColumn[] {
  const [name] = columns("Name");
  const declared = arrayOf(version.additionalPrinterColumns).filter(isObject);
  const listed =
    declared.length > 0 ? declared : [{ name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" }];
  const rest = listed.map((column): PrinterColumn => ({
    name: stringOf(column.name),
    type: stringOf(column.type),
    format: stringOf(column.format),
    description: stringOf(column.description),
    priority: typeof column.priority === "number" ? column.priority : 0,
    path: JsonPath.parse(stringOf(column.jsonPath)),
  }));
  return name === undefined ? rest : [{ ...name, path: JsonPath.parse(".metadata.name") }, ...rest];
}

/**
 * The value of a cell. As with kube-apiserver, it is null if there is no value or if the value's type is not the
 * column's.
 */
function cell(column: PrinterColumn, object: UntypedObject, nowMs: number): unknown {
  const found = column.path.find(object);
  const [value] = found;
  if (value === undefined || value === null) return null;
  switch (column.type) {
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date":
      return ageOf(value, nowMs);
    default:
      return found.length === 1 && typeof value === "string"
        ? value
        : found.map((element) => (typeof element === "string" ? element : JSON.stringify(element))).join(",");
  }
}

/** The paths that the subresource `scale` uses. Returns undefined if the version does not have the subresource. */
export function scaleOf(version: JsonObject): ResourceType["scale"] {
  const scale = objectOf(version.subresources).scale;
  if (!isObject(scale)) return undefined;
  const strip = (path: unknown): string => stringOf(path).replace(/^\./, "");
  const selector = strip(scale.labelSelectorPath);
  return {
    specReplicasPath: strip(scale.specReplicasPath),
    statusReplicasPath: strip(scale.statusReplicasPath),
    ...(selector === "" ? {} : { labelSelectorPath: selector }),
  };
}
