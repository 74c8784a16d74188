/** What the two sides of a check are called in expressions: `{{ canary.service }}`. */
export interface TemplateSide {
  readonly service: string;
  readonly namespace: string;
  readonly workload: string;
  readonly revision: string;
}

export interface TemplateValues {
  readonly canary: TemplateSide;
  readonly stable: TemplateSide;
  /** Time since the step has settled, as PromQL writes it: `90s`. */
  readonly window: string;
}

const sides = ["canary", "stable"] as const;
const members = ["service", "namespace", "workload", "revision"] as const;

/** Every name that an expression may have between double braces. */
export const templateNames: readonly string[] = [
  ...sides.flatMap((side) => members.map((member) => `${side}.${member}`)),
  "window",
];

const placeholder = /\{\{\s*([^{}]*?)\s*\}\}/g;

/** Names between double braces that are none of {@link templateNames}. */
export function unknownTemplateNames(text: string): string[] {
  return [...text.matchAll(placeholder)].map(([, name = ""]) => name).filter((name) => !templateNames.includes(name));
}

/** The text with its names replaced. A name whose value is empty here is reported, as a query without it would ask for something else. */
export function fillTemplate(
  text: string,
  values: TemplateValues,
): { readonly text: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const filled = text.replaceAll(placeholder, (_, name: string) => {
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
