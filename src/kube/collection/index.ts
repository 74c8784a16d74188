// Derived collections: pure functions compute their items, and compute them again when the inputs change.
export { CollectionGraph } from "./collection-graph.ts";
export type { SourceCollection } from "./source-collection.ts";
export { structurallyEqual } from "./structurally-equal.ts";
