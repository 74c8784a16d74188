export { outputFormat, renderValue } from "./output.ts";
