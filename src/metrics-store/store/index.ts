// Stores samples in memory.
export { textBytes } from "./shared-texts.ts";
export { SampleStore } from "./sample-store.ts";
export type { SeriesOwner } from "./store-usage.ts";
