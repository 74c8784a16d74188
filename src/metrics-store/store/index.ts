// The samples in memory.
export { SampleStore, type SampleStoreOptions, type SampleStoreStats } from "./sample-store.ts";
export type { SeriesOwner } from "./store-usage.ts";
