import type { UntypedObject } from "../../api/index.ts";
import type { TemplateMarks } from "./template-marks.ts";

/** A setting that changes more than single values. Objects are rendered with and without it. */
export interface Switch {
  /** A template expression that is true if the switch is on. */
  readonly condition: string;
}

export interface VariantOptions {
  readonly marks: TemplateMarks;
  readonly switches: readonly Switch[];
  /** Renders with each switch on or off, in the order of the switches. */
  readonly render: (states: readonly boolean[]) => readonly UntypedObject[];
  /** An additional condition for an object, by `Kind/name` as rendered with all switches off. */
  readonly conditions?: Readonly<Record<string, string>>;
  /** An object's name without the part that a switch adds, so that its renderings can be matched. */
  readonly keyOf: (object: UntypedObject) => string;
}

/** Combines all renderings into one template. If they differ in an object, `if` and `else` enclose the whole object. */
export function templateOfVariants(options: VariantOptions): string {
  const { switches, render, marks, keyOf, conditions = {} } = options;
  const states = allStates(switches.length);
  const texts = states.map(
    (state) => new Map(render(state).map((object) => [keyOf(object), marks.templateOf(object)])),
  );
  const keys = [...new Set(texts.flatMap((byKey) => [...byKey.keys()]))];
  return keys
    .map((key) => {
      const text = choose(
        texts.map((byKey) => byKey.get(key) ?? ""),
        switches,
      );
      const condition = conditions[key];
      return condition === undefined ? text : `{{- if ${condition} }}\n${text}\n{{- end }}`;
    })
    .join("\n");
}

function allStates(count: number): boolean[][] {
  return Array.from({ length: 2 ** count }, (_, number) =>
    Array.from({ length: count }, (_unused, index) => Math.floor(number / 2 ** index) % 2 === 1),
  );
}

/** `texts` has the order of {@link allStates}, in which the first switch changes fastest. */
function choose(texts: readonly string[], switches: readonly Switch[]): string {
  const [first = ""] = texts;
  if (texts.every((text) => text === first)) return first === "" ? "" : `---\n${first}`;
  const [last, ...before] = switches.toReversed();
  const half = texts.length / 2;
  const off = choose(texts.slice(0, half), before.toReversed());
  const on = choose(texts.slice(half), before.toReversed());
  if (off === on) return on;
  if (off === "") return `{{- if ${last?.condition ?? ""} }}\n${on}\n{{- end }}`;
  if (on === "") return `{{- if not (${last?.condition ?? ""}) }}\n${off}\n{{- end }}`;
  return `{{- if ${last?.condition ?? ""} }}\n${on}\n{{- else }}\n${off}\n{{- end }}`;
}
