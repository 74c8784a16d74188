export { watchConfiguration } from "./configuration-reloader.ts";
