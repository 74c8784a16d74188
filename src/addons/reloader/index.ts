// Requests a reload when a file of a directory has changed.
export { watchConfiguration } from "./configuration-reloader.ts";
