/** The variables for one side of a check, such as `{{ canary.service }}`. */
export interface TemplateSide {
  readonly service: string;
  readonly namespace: string;
  readonly workload: string;
  readonly revision: string;
}

export interface TemplateValues {
  readonly canary: TemplateSide;
  readonly stable: TemplateSide;
  /** The time since the step settled, in PromQL's form, such as `90s`. */
  readonly window: string;
}

const sides = ["canary", "stable"] as const;
const members = ["service", "namespace", "workload", "revision"] as const;

export const templateNames: readonly string[] = [
  ...sides.flatMap((side) => members.map((member) => `${side}.${member}`)),
  "window",
];

const placeholder = /\{\{([^{}]*)\}\}/g;

function namesIn(text: string): string[] {
  return [...text.matchAll(placeholder)].map(([, name = ""]) => name.trim());
}

/** Names in double braces that are not in {@link templateNames}. */
export function unknownTemplateNames(text: string): string[] {
  return namesIn(text).filter((name) => !templateNames.includes(name));
}

export function namesWindow(text: string): boolean {
  return namesIn(text).includes("window");
}

/**
 * Replaces the names in the text with their values. `missing` has the names without a value. The caller must not send
 * such a query, because it would mean something else.
 */
export function fillTemplate(
  text: string,
  values: TemplateValues,
): { readonly text: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const filled = text.replaceAll(placeholder, (_, inner: string) => {
    const name = inner.trim();
    const value = valueOf(name, values);
    if (value === "") missing.push(name);
    return value;
  });
  return { text: filled, missing };
}

function valueOf(name: string, values: TemplateValues): string {
  if (name === "window") return values.window;
  const [side, member] = name.split(".");
  if (side !== "canary" && side !== "stable") return "";
  const known = members.find((candidate) => candidate === member);
  return known === undefined ? "" : values[side][known];
}
