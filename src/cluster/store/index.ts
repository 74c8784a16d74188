// The store of the lab: records in memory, their history, and the writer of the database.
export { recordsAfter, type ChangeEvent } from "./collection.ts";
export { StoredRecord } from "./record.ts";
export { ObjectTooLarge, Store, type Expectation } from "./store.ts";
