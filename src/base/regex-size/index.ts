// The size of a regular expression once it is compiled, known before that.
export { maxRegexSize, regexSize } from "./regex-size.ts";
