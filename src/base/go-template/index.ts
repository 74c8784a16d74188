// Templates of Go, for pods and charts. They have a separate door, because few programs render templates.
export { parseTemplate } from "./parse-template.ts";
export { renderTemplate } from "./render-template.ts";
export type { ParsedTemplate } from "./syntax.ts";
export { templateFunctions } from "./template-functions.ts";
export { elementOf, isTrue, textOf, type TemplateFunction } from "./values.ts";
