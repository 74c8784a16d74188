// Templates of Go, for pods and charts. A door of its own: few programs render templates.
export { parseTemplate } from "./parse-template.ts";
export { renderTemplate, type TemplateDialect } from "./render-template.ts";
export type { ParsedTemplate } from "./syntax.ts";
export { templateFunctions } from "./template-functions.ts";
export { elementOf, isTrue, textOf, type TemplateFunction } from "./values.ts";
