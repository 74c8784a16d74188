import { cloneJson, isObject, setOwn, type JsonObject } from "../json.ts";
import { propertySchema, schemaOfRest, type StructuralSchema } from "./structural-schema.ts";

/**
 * Fills in the defaults of a structural schema in place. If the schema forbids null, a null is replaced by the default,
 * or removed if there is none.
 */
export function applyStructuralDefaults(schema: StructuralSchema, value: unknown): void {
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return;
    for (const [index, item] of value.entries()) {
      if (item === null && items.nullable !== true && items.default !== undefined)
        value[index] = cloneJson(items.default);
      applyStructuralDefaults(items, value[index]);
    }
  } else if (isObject(value)) defaultObject(schema, value);
}

function defaultObject(schema: StructuralSchema, value: JsonObject): void {
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    if (property.default === undefined) continue;
    const present = Object.hasOwn(value, key) ? value[key] : undefined;
    if (present === undefined || (present === null && property.nullable !== true))
      setOwn(value, key, cloneJson(property.default));
  }
  const rest = schemaOfRest(schema);
  for (const key of Object.keys(value)) {
    const property = propertySchema(schema, key) ?? (rest === true ? undefined : rest);
    if (property === undefined) continue;
    if (value[key] === null && property.nullable !== true && property.default !== undefined)
      setOwn(value, key, cloneJson(property.default));
    if (value[key] === null && property.nullable !== true && property.default === undefined) delete value[key];
    else applyStructuralDefaults(property, value[key]);
  }
}
