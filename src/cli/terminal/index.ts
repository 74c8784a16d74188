// The output of verbs: tables, colours, progress.
export { outputFormat, renderValue } from "./output.ts";
