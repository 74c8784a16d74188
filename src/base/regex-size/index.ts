// The size of a regular expression once it is compiled, known before that.
export { maxProgramSize } from "./program-size.ts";
export { maxRegexSize, regexSize } from "./regex-size.ts";
