// The store of the lab: records in memory, their history, and the writer of the database.
export type { ChangeEvent } from "./collection.ts";
export { innerKey, StoredRecord } from "./record.ts";
export { ObjectTooLarge, Store, type Expectation } from "./store.ts";
