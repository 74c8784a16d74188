export { runEntryControllers, type EntryControllersOptions } from "./leading.ts";
