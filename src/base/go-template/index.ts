// Templates of Go, for pods and charts. Few programs render them, so they have a door of their own.
export { parseTemplate } from "./parse-template.ts";
export { renderTemplate } from "./render-template.ts";
export type { ParsedTemplate } from "./syntax.ts";
export { templateFunctions } from "./template-functions.ts";
export { elementOf, isTrue, textOf, type TemplateFunction } from "./values.ts";
