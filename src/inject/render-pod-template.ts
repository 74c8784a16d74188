import { isTree, type Tree } from "../base/index.ts";
import { parseTemplate, renderTemplate } from "../base/go-template/index.ts";
import { podTemplateFunctions } from "./pod-template-functions.ts";

/** Renders a template of Go's text/template. Throws a user error if it is malformed or uses an unsupported feature. */
export function renderPodTemplate(text: string, data: Tree): string {
  return renderTemplate(parseTemplate(text), data, {
    functions: podTemplateFunctions,
    fieldOf,
    missing: "<no value>",
    hasInclude: false,
  });
}

/**
 * Finds a field by its JSON name, its Go name or the name of its Go getter: `.Spec.Containers` is `spec.containers`,
 * and `.GetTracing` is `tracing`.
 */
function fieldOf(value: unknown, name: string): unknown {
  if (name === "String" || name === "GetValue") return value;
  if (!isTree(value)) return undefined;
  const plain = name.replace(/^Get(?=[A-Z])/, "");
  for (const candidate of [name, jsonName(name), plain, jsonName(plain)])
    if (Object.hasOwn(value, candidate)) return value[candidate];
  return undefined;
}

/**
 * The JSON name of a Go field, such as `apiVersion` for `APIVersion`, `uid` for `UID`, and `containers` for
 * `Containers`.
 */
function jsonName(name: string): string {
  return name.replace(/^[A-Z]+(?=[A-Z][a-z])|^[A-Z]+$|^[A-Z]/, (head) => head.toLowerCase());
}
