// The schemas of kinds: defaults, validation, field ownership, tables and OpenAPI.
export type { ResourceType, SchemaRegistry } from "./contract.ts";
export { createSchemaRegistry } from "./registry.ts";
