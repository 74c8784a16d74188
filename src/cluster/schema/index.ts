// The schemas of kinds: defaults, validation, field ownership, tables and OpenAPI.
export type {
  ApplyRequest,
  FieldError,
  OpenApiDocument,
  ResourceType,
  ScalePaths,
  SchemaRegistry,
  StatusCause,
  SubresourceType,
  TableColumn,
  WriteOrigin,
} from "./contract.ts";
export { createSchemaRegistry, type Schemas } from "./registry.ts";
