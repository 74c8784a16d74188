// Derived collections: computes items by pure functions, and again when their inputs change.
export { CollectionGraph } from "./collection-graph.ts";
export type { SourceCollection } from "./source-collection.ts";
export { structurallyEqual } from "./structurally-equal.ts";
