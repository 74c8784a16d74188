export type { ChangeEvent, ChangeListener } from "./collection.ts";
export { StoredRecord, type ObjectKey } from "./record.ts";
export type { WriteBatch } from "./database.ts";
export { Store, type Expectation, type StoreOptions } from "./store.ts";
export type { BatchWriter } from "./writer.ts";
