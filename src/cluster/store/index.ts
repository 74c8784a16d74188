// The store of the lab: records in memory, their history, and the writer of the database.
export type { ChangeEvent, ChangeListener } from "./collection.ts";
export { StoredRecord, type ObjectKey } from "./record.ts";
export type { WriteBatch } from "./database.ts";
export { ObjectTooLarge, Store, type Expectation, type StoreOptions } from "./store.ts";
export type { BatchWriter } from "./writer.ts";
