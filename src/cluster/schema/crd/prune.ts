import { childPath, isObject, type JsonObject } from "../json.ts";
import type { Normaliser } from "../normalise.ts";
import type { StructShape } from "../shape.ts";
import { propertySchema, schemaOfRest, type StructuralSchema } from "./structural-schema.ts";

/**
 * Removes, in place, the fields that a structural schema does not know. Adds their paths to the normaliser's list of
 * unknown fields.
 */
export class Pruner {
  readonly #objectMeta: StructShape;
  readonly #normaliser: Normaliser;

  constructor(objectMeta: StructShape, normaliser: Normaliser) {
    this.#objectMeta = objectMeta;
    this.#normaliser = normaliser;
  }

  root(schema: StructuralSchema, value: JsonObject): void {
    this.#object(schema, value, "", true);
  }

  #object(schema: StructuralSchema, value: JsonObject, path: string, resource: boolean): void {
    const rest = schemaOfRest(schema);
    for (const key of Object.keys(value)) {
      const child = childPath(path, key);
      if (resource && (key === "apiVersion" || key === "kind")) continue;
      if (resource && key === "metadata") {
        if (value[key] !== null) this.#normaliser.member(this.#objectMeta, value[key], child);
        continue;
      }
      const property = propertySchema(schema, key) ?? rest;
      if (property === undefined) {
        this.#normaliser.unknown.push(child);
        delete value[key];
      } else if (property !== true) this.#value(property, value[key], child);
    }
  }

  #value(schema: StructuralSchema, value: unknown, path: string): void {
    if (Array.isArray(value)) {
      if (schema.items !== undefined)
        for (const [index, item] of value.entries()) this.#value(schema.items, item, childPath(path, index));
    } else if (isObject(value)) this.#object(schema, value, path, schema["x-kubernetes-embedded-resource"] === true);
  }
}
