// The lab's storage for objects: records in memory, the history of their changes, and the database that makes them
// durable.
export { recordsAfter, type ChangeEvent } from "./collection.ts";
export { StoredRecord } from "./record.ts";
export { ObjectTooLarge, Store, type Expectation } from "./store.ts";
