// The bounds of an untrusted YAML text, checked before a parser reads it.
export { yamlBoundsFault, yamlNestingFault } from "./yaml-bounds.ts";
