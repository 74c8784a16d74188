export { Collection, type ChangeEvent, type ChangeListener } from "./collection.ts";
export { StoredRecord, type ObjectKey } from "./record.ts";
export { Store, type Expectation, type StoreOptions } from "./store.ts";
