/**
 * Analysis of a mesh's configuration: takes objects, and returns messages. It is pure: the caller reads files and
 * clusters.
 */
export { analyze, type AnalysisOptions, type Suppression } from "./analyze.ts";
export { analyzers } from "./analyzers/index.ts";
export { formatMessage, plainMessage } from "./format.ts";
export { Inventory, type ParsedIssues } from "./inventory.ts";
export {
  manifestOf,
  readDocuments,
  readManifest,
  type Manifest,
  type ManifestDocuments,
  type ManifestFault,
} from "./manifest/manifest.ts";
export { isMessageCode, messageTypes } from "./message-types.ts";
export { levels, reaches, type Level } from "./level.ts";
export type { Message } from "./message.ts";
export { groupKindOf, nameOf, type Resource } from "./resource.ts";
