export { SampleStore, type SampleStoreOptions, type SampleStoreStats } from "./sample-store.ts";
