import type { UntypedObject } from "../../api/index.ts";
import type { TemplateMarks } from "./template-marks.ts";

/** A setting that changes more than a value: objects are rendered with and without it. */
export interface Switch {
  /** Template expression that is true where the first rendering holds. */
  readonly condition: string;
}

export interface VariantOptions {
  readonly marks: TemplateMarks;
  readonly switches: readonly Switch[];
  /** Renders with each switch on or off, in their order. */
  readonly render: (states: readonly boolean[]) => readonly UntypedObject[];
  /** Under which further condition an object is there, by `Kind/name` as rendered with all switches off. */
  readonly conditions?: Readonly<Record<string, string>>;
  /** An object's name without what a switch adds to it, so that its renderings are found together. */
  readonly keyOf: (object: UntypedObject) => string;
}

/** One template for all renderings: where they differ, an if and an else around the whole object. */
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

/** `texts` in the order of {@link allStates}: the first switch changes fastest. */
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
