// Computes the compiled size of a regular expression without compiling it.
export { maxProgramSize } from "./program-size.ts";
export { maxRegexSize, regexSize } from "./regex-size.ts";
