import type { UntypedObject } from "../../api/index.ts";
import type { TemplateMarks } from "./template-marks.ts";

/** A setting that changes the structure of objects. They are rendered with the switch on and off. */
export interface Switch {
  /** A template expression that is true when the switch is on. */
  readonly condition: string;
}

export interface VariantOptions {
  readonly marks: TemplateMarks;
  readonly switches: readonly Switch[];
  /** Renders the objects. `states` says for each switch, in order, whether it is on. */
  readonly render: (states: readonly boolean[]) => readonly UntypedObject[];
  /** Additional conditions for objects, by the key from `keyOf`. */
  readonly conditions?: Readonly<Record<string, string>>;
  /** Identifies an object in all renderings, so its result must not depend on the switches. */
  readonly keyOf: (object: UntypedObject) => string;
}

/**
 * Combines the renderings of all states of the switches into one template. An object whose renderings differ is
 * enclosed in `if` and `else`.
 */
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

/**
 * Chooses among the texts by the switches. `texts` is in the order of {@link allStates}, in which the first switch
 * changes fastest.
 */
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
