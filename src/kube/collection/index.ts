// Derived collections: computes items by pure functions, and again when their inputs change.
export { CollectionGraph, type CollectionGraphOptions } from "./collection-graph.ts";
export type { Compute } from "./derived-collection.ts";
export type { SourceCollection } from "./source-collection.ts";
export { structurallyEqual } from "./structurally-equal.ts";
