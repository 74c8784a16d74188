export {
  SchemaFault,
  type ApplyRequest,
  type FieldError,
  type OpenApiDocument,
  type ResourceType,
  type ScalePaths,
  type SchemaRegistry,
  type StatusCause,
  type SubresourceType,
  type TableColumn,
  type WriteOrigin,
} from "./contract.ts";
export { createSchemaRegistry, type Schemas } from "./registry.ts";
