// Collections whose items are computed by pure functions, and computed again when the inputs change.
export { CollectionGraph } from "./collection-graph.ts";
export type { SourceCollection } from "./source-collection.ts";
export { structurallyEqual } from "./structurally-equal.ts";
